"""What a row of the sheet holds in normal form: one member, or those of a collection.

The stage sequences writes a record for every row, beside the files in normal form that the record
names; the stages behind it read both through here and need not know what a row is made of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helixflow.errors import SourceError
from helixflow.fasta import read_fasta, read_fastq
from helixflow.files import read_json, read_tsv


@dataclass(frozen=True)
class Member:
    """A row, or a member of a collection, with its files in normal form."""

    #: ``sample`` or ``collection/member``, which is the name of the unit where the kind is not metagenome.
    name: str
    kind: str
    paths: tuple[Path, ...]
    #: The record of the member itself.
    record: Path

    def records(self) -> Iterator[tuple[str, str]]:
        """Give name and sequence of every record, one file after the other."""
        for path in self.paths:
            yield from read_fastq(path) if path.name.endswith(".fastq.gz") else read_fasta(path)


def read_members(record: str | os.PathLike[str]) -> Iterator[Member]:
    """Give the only member of a row, or every member of a collection that was fetched, by name.

    Parameters
    ----------
    record : path
        ``results/sequences/{sample}.json``.

    Raises
    ------
    SourceError
        When a file is not there that the record names.
    """
    record = Path(record)
    content = read_json(record)
    if content["kind"] != "collection":
        paths = tuple(record.parent / name for name in content["written"])
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise SourceError(
                f"{missing[0]}: is missing, expected it as {record} says; remove that, and run again"
            )
        yield Member(content["sample"], content["kind"], paths, record)
        return
    for row in read_tsv(record.with_suffix(".tsv")):
        if row["status"] == "fetched":
            yield from read_members(record.with_suffix("") / f"{row['sample']}.json")
