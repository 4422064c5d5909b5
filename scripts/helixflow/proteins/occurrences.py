"""Where proteins were seen, gathered from any source and written in one order with the distinct sequences."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from helixflow.errors import MismatchError
from helixflow.fasta import write_fasta
from helixflow.tables import private_database, write_rows

StrPath = str | os.PathLike[str]

#: Columns of an occurrences table and their Arrow types.
OCCURRENCE_TYPES = {
    "protein": "string",
    "sample": "string",
    "unit": "string",
    "contig": "string",
    "start": "int64",
    "end": "int64",
    "strand": "int8",
    "partial": "bool",
    "genetic_code": "int16",
    "label": "string",
}


class Occurrence(NamedTuple):
    """One place where a protein was seen; the columns of `OCCURRENCE_TYPES`.

    start, end: 1-based, inclusive, start below end on both strands; on a circular record, a gene over the
    origin ends beyond the length of the record, as in GFF3: base ``length + 1`` is base 1. strand: 1, -1,
    or 0 where there is none. partial: whether an end of the gene lies beyond an end of the contig.
    """

    protein: str
    sample: str
    unit: str
    contig: str
    start: int
    end: int
    strand: int
    partial: bool
    genetic_code: int
    label: str


def write_sample(
    found: Iterable[tuple[Occurrence, str]], proteins: StrPath, occurrences: StrPath
) -> dict[str, int]:
    """Write the occurrences of one sample and its distinct sequences; return what was counted."""
    with gathering() as database:
        for occurrence, sequence in found:
            insert(database, "occurrence", [occurrence])
            insert(database, "sequence", [(occurrence.protein, sequence)])
        return write_gathered(database, proteins, occurrences)


@contextmanager
def gathering() -> Iterator[sqlite3.Connection]:
    """Give a database with an empty table of occurrences and one of sequences."""
    with private_database() as database:
        columns = ", ".join(f'"{name}"' for name in OCCURRENCE_TYPES)
        database.execute(f"CREATE TABLE occurrence ({columns})")
        database.execute("CREATE TABLE sequence (protein, sequence)")
        yield database


def insert(database: sqlite3.Connection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    """Add rows to the table ``occurrence`` or ``sequence`` (protein, sequence)."""
    width = {"occurrence": len(OCCURRENCE_TYPES), "sequence": 2}[table]
    database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", rows)


def write_gathered(database: sqlite3.Connection, proteins: StrPath, occurrences: StrPath) -> dict[str, int]:
    """Write what was gathered in its order, which does not depend on the order it came in."""
    database.execute(
        "CREATE TABLE protein AS SELECT DISTINCT protein, sequence FROM sequence "
        "WHERE protein IN (SELECT protein FROM occurrence) ORDER BY protein"
    )
    total, distinct, partial = database.execute(
        "SELECT count(*), count(DISTINCT protein), total(partial) FROM occurrence"
    ).fetchone()
    stored, residues, shortest, longest = database.execute(
        "SELECT count(*), total(length(sequence)), min(length(sequence)), max(length(sequence)) FROM protein"
    ).fetchone()
    if stored != distinct:
        raise MismatchError(
            f"{occurrences}: {distinct} distinct proteins were seen, but {stored} sequences are there; "
            "run again with --forcerun proteins"
        )
    rows = database.execute('SELECT * FROM occurrence ORDER BY sample, contig, start, "end", strand, label')
    write_rows(occurrences, map(_with_bool, rows), OCCURRENCE_TYPES)
    write_fasta(proteins, database.execute("SELECT protein, sequence FROM protein ORDER BY rowid"))
    return {
        "occurrences": total,
        "partial": int(partial),
        "distinct": distinct,
        "residues": int(residues),
        "min_length": shortest or 0,
        "max_length": longest or 0,
    }


def _with_bool(row: Sequence[Any]) -> Occurrence:
    """Return a row of the database, which knows no truth values, as an occurrence."""
    occurrence = Occurrence(*row)
    return occurrence._replace(partial=bool(occurrence.partial))
