"""The run that the configuration names to be compared with."""

from __future__ import annotations

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
