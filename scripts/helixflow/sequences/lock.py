"""The lock file of a sheet: the sha256 of every file its rows stood for when it was written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from helixflow.errors import DigestError, SheetError
from helixflow.files import read_json, read_tsv, write_text
from helixflow.members import read_members
from helixflow.sequences.record import StrPath

COLUMNS = ("sample", "file", "source", "sha256", "bytes", "url", "date")

#: The sha256 of every file, by sample or collection/member, source, and number of the file from 1.
Pins = Mapping[tuple[str, str, int], str]


def read_lock(path: Path) -> Pins:
    """Read a lock file; nothing is pinned where there is none.

    Raises
    ------
    SheetError
        For the first line that is not one of a lock file.
    """
    pins: dict[tuple[str, str, int], str] = {}
    for number, cells in enumerate(_read_lines(path), 1):
        row = dict(zip(COLUMNS, cells, strict=False))
        if number == 1 and cells == list(COLUMNS):
            continue
        sound = len(cells) == len(COLUMNS) and number > 1 and row["file"].isdecimal()
        key = (row["sample"], row["source"], int(row["file"])) if sound else ("", "", 0)
        if not sound or not re.fullmatch("[0-9a-f]{64}", row["sha256"]) or key in pins:
            raise SheetError(
                f"{path} line {number}: is not a line of its own of a lock file (expected the columns "
                f"{', '.join(COLUMNS)}; remove the file and write it anew with 'snakemake lock_sources')"
            )
        pins[key] = row["sha256"]
    return pins


def _read_lines(path: Path) -> Iterator[list[str]]:
    """Give the cells of each line; cells have no quotes, since a source may have some."""
    try:
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SheetError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    for line in text.splitlines():
        yield line.split("\t")


def check_lock(path: Path, records: Iterable[StrPath]) -> None:
    """See that what was fetched before is what is pinned now.

    Parameters
    ----------
    path : Path
        The lock file.
    records : iterable of Path
        The records of rows, see `write_record`; those that are not there are passed over.

    Raises
    ------
    DigestError
        For the first file with another digest, naming both.
    """
    pins = read_lock(path)
    for record in map(Path, records if pins else ()):
        for name, source, files in _fetched(record) if record.exists() else ():
            for number, file in enumerate(files, 1):
                pinned = pins.get((name, source, number), file["sha256"])
                if pinned != file["sha256"]:
                    raise DigestError(
                        f"{record}: {name}, {source}: sha256 is {file['sha256']}, expected {pinned} as "
                        f"{path} pins; remove that line to accept it, or this record to fetch it again"
                    )


def write_lock(path: Path, records: Sequence[StrPath]) -> None:
    """Pin every file that was fetched.

    Parameters
    ----------
    path : Path
        The lock file, written anew; rows of samples that left the sheet are dropped, those of members
        that could not be had stay.
    records : sequence of path
        The record of every row, see `write_record`.

    Raises
    ------
    DigestError
        When a file is pinned with another digest already; nothing is written then.
    """
    check_lock(path, records)
    rows = {
        (name, source, str(number)): (file["sha256"], str(file["bytes"]), file["url"], file["date"])
        for record in records
        for name, source, files in _fetched(record)
        for number, file in enumerate(files, 1)
    }
    missing = {name for record in records for name in _missing(record)}
    kept = [cells for cells in _read_lines(path) if cells[0] in missing]
    lines = [(name, number, source, *told) for (name, source, number), told in rows.items()]
    table = (COLUMNS, *sorted([*lines, *map(tuple, kept)]))
    write_text(path, "".join("\t".join(row) + "\n" for row in table))


def _missing(record: StrPath) -> list[str]:
    """Return the members of a collection that could not be had, whose pins stay."""
    row = read_json(record)
    table = read_tsv(Path(record).with_suffix(".tsv")) if row["kind"] == "collection" else []
    return [f"{row['sample']}/{member['sample']}" for member in table if member["status"] != "fetched"]


def _fetched(record: StrPath) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Give name, source and fetched files of a row, or of every member where it is a collection."""
    for content in (read_json(member.record) for member in read_members(record)):
        yield content["sample"], content["source"], content["files"]
