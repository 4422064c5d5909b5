"""The errors a user can cause and mend, each told in one line.

A message names the file, the record or line, what was expected and what was found, and what to do.
Anything else that is raised in this package is a fault of the program.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: No room, no leave to write.
_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)


class HelixflowError(Exception):
    """Something the user can mend; its message is one complete line."""


class ConfigError(HelixflowError):
    """A key, a type or a value of the configuration is not allowed."""


class SheetError(HelixflowError):
    """A row of the sample sheet is wrong."""


class SourceError(HelixflowError):
    """A source could not be read or fetched, or is not what the sheet says it is."""


class LimitError(HelixflowError):
    """Something would take more room than the configuration or the machine allows."""


class DigestError(HelixflowError):
    """A file is not the one that the lock file pins."""


class StructureError(HelixflowError):
    """A structure cannot be simulated as it is."""


class SimulationError(HelixflowError):
    """A GROMACS run failed, or its result does not pass the checks."""


class EmbeddingError(HelixflowError):
    """A model, a store or an embedding URI is not usable."""


class MismatchError(HelixflowError):
    """Two results that describe the same molecule do not fit together."""


def of_the_machine(error: BaseException) -> LimitError | None:
    """Return what is said of an error of no room or no leave to write, which the user can mend as well."""
    if getattr(error, "errno", None) not in _OF_THE_MACHINE:
        return None
    return LimitError(f"{error}; make room or name another folder, and run again")


def mendable(logs: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the lines of logs that tell of an error the user can mend, each once."""
    kinds = tuple(f"{kind.__name__}: " for kind in HelixflowError.__subclasses__())
    texts = [Path(log).read_text(encoding="utf-8", errors="replace") for log in logs]
    lines = [line for text in texts for line in text.splitlines()]
    return list(dict.fromkeys(line.strip() for line in lines if line.strip().startswith(kinds)))


@contextmanager
def one_line() -> Iterator[None]:
    """End the program with the one line of an error the user can mend, without a traceback."""
    try:
        yield
    except HelixflowError as error:
        sys.exit(f"{type(error).__name__}: {error}")
