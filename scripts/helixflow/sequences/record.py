"""The record of a row: where its files came from, what was changed, and where the normal form lies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helixflow.files import write_json

if TYPE_CHECKING:
    from helixflow.sequences.fetch import Fetched, Source
    from helixflow.sequences.formats.normalise import Tally

StrPath = str | os.PathLike[str]


def write_record(
    path: StrPath,
    source: Source,
    files: Sequence[Fetched],
    left_out: Sequence[str],
    tally: Tally,
    written: Sequence[StrPath],
    contents: str = "",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write where a row's bytes came from and what became of them.

    Parameters
    ----------
    path : path
        JSON, see the README.
    source : Source
    files : sequence of Fetched
        The files that were fetched, each with its sha256.
    left_out : sequence of str
        Files that the database has beside them, which were not fetched.
    tally : Tally
    written : sequence of path
        The files in normal form, in the folder of `path` or below it.
    contents : str
        The kind of the members of a collection.
    more : mapping
        Further entries.
    """
    write_json(
        path,
        {
            "sample": source.name,
            "kind": source.kind,
            "contents": contents or source.kind,
            "source": source.text,
            "checksum": source.checksum,
            "files": [file.told() for file in files],
            "left_out": list(left_out),
            "format": tally.format,
            "records": tally.records,
            "residues": tally.residues,
            "set_aside": [
                {"reason": reason, "records": aside.records, "first": list(aside.first)}
                for reason, aside in tally.set_aside.items()
            ],
            "normalised": {change: count for change, count in tally.normalised.items() if count},
            "written": [os.path.relpath(file, Path(path).parent) for file in written],
            **(more or {}),
        },
    )
