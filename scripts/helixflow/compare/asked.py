"""The run that the configuration names to be compared with."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from helixflow.errors import ConfigError


def run_to_compare(folder: str) -> list[str]:
    """Return the provenance of a run that is to be compared with, which an unfinished one lacks.

    Parameters
    ----------
    folder : str
        Its working directory, or its folder results; key report/compare_with of the configuration.

    Raises
    ------
    ConfigError
        When none is named, or there is no such folder.
    """
    if not folder:
        raise ConfigError(
            "config: 'report/compare_with' is empty, expected the working directory of another run, which "
            "this one is to be compared with"
        )
    if not Path(folder).is_dir():
        raise ConfigError(
            f"config: 'report/compare_with' is '{folder}', expected the working directory of another run, "
            "but there is no such folder"
        )
    places = (Path(folder, place, "provenance/run.json") for place in ("results", "."))
    return [str(path) for path in places if path.is_file()]


def unfinished_state(folder: str) -> str:
    """Return a digest of the names, sizes and times of an unfinished run's files; nothing of a finished one.

    Parameters
    ----------
    folder : str
        As of `run_to_compare`.
    """
    if run_to_compare(folder):
        return ""
    results = Path(folder, "results") if Path(folder, "results").is_dir() else Path(folder)
    found = hashlib.blake2b(digest_size=16)
    for place, folders, names in os.walk(results):
        folders.sort()
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(place, name)
            with suppress(FileNotFoundError):
                status = path.stat()
                found.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "replace"))
    return found.hexdigest()
