"""The lock file of a sheet: the sha256 of every file its rows stood for when it was written."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from helixflow.errors import SheetError, SourceError
from helixflow.files import read_json, write_text
from helixflow.members import read_members

COLUMNS = ("sample", "file", "source", "sha256", "bytes", "url", "date")

StrPath = str | os.PathLike[str]
#: The sha256 of every file, by sample or collection/member, source, and number of the file from 1.
Pins = Mapping[tuple[str, str, int], str]


def read_lock(path: Path) -> Pins:
    """Read a lock file; nothing is pinned where there is none.

    Raises
    ------
    SheetError
        For the first line that is not one of a lock file.
    """
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    pins = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text), delimiter="\t"), 2):
        if not (
            (row.get("file") or "").isdecimal() and re.fullmatch("[0-9a-f]{64}", row.get("sha256") or "")
        ):
            raise SheetError(
                f"{path} line {number}: has no number of a file and no sha256 (expected the columns "
                f"{', '.join(COLUMNS)}; write it anew with 'snakemake lock_sources')"
            )
        pins[row["sample"], row["source"], int(row["file"])] = row["sha256"]
    return pins


def write_lock(path: Path, records: Iterable[StrPath]) -> None:
    """Pin every file that was fetched.

    Parameters
    ----------
    path : Path
        The lock file, written anew; rows of samples that left the sheet are dropped.
    records : iterable of path
        The record of every row, see `write_record`.

    Raises
    ------
    SourceError
        When a file is pinned with another digest already; nothing is written then.
    """
    pins, rows = read_lock(path), []
    for name, source, files in (entry for record in records for entry in _fetched(record)):
        for number, file in enumerate(files, 1):
            pinned = pins.get((name, source, number), file["sha256"])
            if pinned != file["sha256"]:
                raise SourceError(
                    f"{path}: sample '{name}', {source}: sha256 is {file['sha256']}, expected {pinned} as "
                    "pinned; remove its line to accept the new file"
                )
            rows.append(
                (name, str(number), source, file["sha256"], str(file["bytes"]), file["url"], file["date"])
            )
    lines = ["\t".join(row) + "\n" for row in (COLUMNS, *sorted(rows))]
    write_text(path, "".join(lines))


def _fetched(record: StrPath) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Give name, source and fetched files of a row, or of every member where it is a collection."""
    for content in (read_json(member.record) for member in read_members(record)):
        yield content["sample"], content["source"], content["files"]
