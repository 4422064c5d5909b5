"""The program compare_runs: two folders in, words and JSON out, and an exit status that tells the verdict."""

from __future__ import annotations

import os
import sqlite3
import sys
import traceback
from pathlib import Path

from helixflow.compare.comparing import compare_runs
from helixflow.compare.words import comparison_text
from helixflow.config import read_schema
from helixflow.errors import HelixflowError
from helixflow.files import write_json, write_text

#: Exit status of each verdict; 2 is also that of what cannot be compared.
STATUS = {"same": 0, "differ": 1, "unknown": 2}
SCHEMA = Path(__file__).parents[3] / "config/schema.yaml"


def compare_program(a: str, b: str, json: str = "", text: str = "", exit_zero: bool = False) -> int:
    """Compare two runs, print the verdict and what differs, and write them where asked.

    Parameters
    ----------
    a, b : str
        Working directories of runs, or their folders results.
    json, text : str
        Files of the comparison; none where empty.
    exit_zero : bool
        Whether a comparison that could be made is 0 whatever its verdict.

    Returns
    -------
    int
        0 the same, 1 different, 2 cannot be compared or written, or not finished and no difference so far.
    """
    try:
        found = compare_runs(a, b, read_schema(SCHEMA))
        words = comparison_text(found)
        if json:
            write_json(json, found)
        if text:
            write_text(text, words)
        _print(words)
    except HelixflowError as error:
        return _failed(f"{type(error).__name__}: {error}")
    except (OSError, sqlite3.Error) as error:
        return _failed(f"The comparison cannot be made or written: {error}")
    except Exception:
        # Python would end with 1, which says that the runs differ.
        return _failed(traceback.format_exc())
    return 0 if exit_zero else STATUS[found["verdict"]]


def _failed(told: str) -> int:
    print(told, file=sys.stderr)
    return 2


def _print(words: str) -> None:
    """Print all, or as much as the reader of a pipe wants."""
    if sys.stdout is None:
        raise OSError("standard output is closed")
    try:
        sys.stdout.write(words)
        sys.stdout.flush()
    except OSError as error:
        # Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise OSError(f"standard output: {error.strerror}") from None
