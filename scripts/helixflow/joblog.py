"""Where a job's output goes: everything into its log, what the user must mend also to the terminal."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import TextIO

from helixflow.errors import HelixflowError, of_the_machine

_terminal: TextIO | None = None


def terminal() -> TextIO:
    """Return the standard error the job was started with, which `log_to` does not redirect."""
    return _terminal or sys.stderr


def log_to(path: str | os.PathLike[str]) -> None:
    """Send this process's output, and that of the programs it starts, to a log file.

    File descriptors 1 and 2 are redirected, so gmx writes there too. An error the user can mend
    is written to the log and to the former standard error as one line without a traceback.
    """
    global _terminal
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    former = _terminal = os.fdopen(os.dup(2), "w", buffering=1)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    log_to_stderr()

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        told = of_the_machine(error) or error
        if isinstance(told, HelixflowError):
            line = f"{type(told).__name__}: {told}"
            print(line, file=sys.stderr)
            print(line, file=former)
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = report


def tell(line: str) -> None:
    """Say something that the user should see at once: in the log, and where the job was started."""
    logging.getLogger(__name__).warning("%s", line)
    if _terminal:
        print(line, file=_terminal)


def log_to_stderr() -> None:
    """Show the package's messages with the time, on standard error."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    logging.captureWarnings(True)
    for noisy in ("httpx", "botocore", "MDAnalysis", "gromacs", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
