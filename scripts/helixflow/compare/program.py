"""The program compare_runs: two folders in, words and JSON out, and an exit status that tells the verdict."""

from __future__ import annotations

import sys
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
        0 the same, 1 different, 2 cannot be compared, or not finished and no difference so far.
    """
    try:
        found = compare_runs(a, b, read_schema(SCHEMA))
        words = comparison_text(found)
        if json:
            write_json(json, found)
        if text:
            write_text(text, words)
    except HelixflowError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    sys.stdout.write(words)
    return 0 if exit_zero else STATUS[found["verdict"]]
