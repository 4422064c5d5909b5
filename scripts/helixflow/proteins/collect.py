"""The proteins of all samples: every distinct one once, and every place it was seen.

The files of the samples are in order, so that they are merged as they stand; only the ids of all places
are sorted once more, in a database on disk, which tells whether each has its sequence.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from helixflow.errors import MismatchError
from helixflow.fasta import write_fasta
from helixflow.proteins.merge import merge_proteins, merge_tables
from helixflow.proteins.occurrences import OCCURRENCE_TYPES
from helixflow.tables import private_database, read_rows

if TYPE_CHECKING:
    import pyarrow as pa

StrPath = str | os.PathLike[str]

#: Of the database of ids, which are written in turn and read sorted: more would not make it faster.
_CACHE_KIB = 16_384


def collect_proteins(
    tables: Iterable[StrPath],
    fastas: Iterable[StrPath],
    groups: StrPath | Sequence[str],
    proteins: StrPath,
    occurrences: StrPath,
) -> dict[str, Any]:
    """Join the proteins of all samples: every distinct one once, and every place it was seen.

    Parameters
    ----------
    tables, fastas : iterable of path
        Occurrences and proteins of each sample, in any order; those of one sample as `write_sample`
        writes them.
    groups : path, or empty
        Where given, genes are taken from the representatives of this table of units alone;
        protein files and chains always are.
    proteins, occurrences : path
        Written: distinct proteins by ascending id, and all places by sample, contig, start, end,
        strand, label.

    Returns
    -------
    dict
        What was counted.

    Raises
    ------
    MismatchError
        Where a unit has no group, or a place has no sequence.
    """
    import pyarrow as pa

    schema = pa.schema([(name, pa.type_for_alias(alias)) for name, alias in OCCURRENCE_TYPES.items()])
    counts = Counts()
    with private_database(_CACHE_KIB) as database:
        database.execute("CREATE TABLE seen (protein)")
        merge_tables(occurrences, tables, "sample", schema, _taker(database, groups, counts))
        wanted = (name for (name,) in database.execute("SELECT DISTINCT protein FROM seen ORDER BY protein"))
        write_fasta(proteins, counts.distinct_of(_wanted(merge_proteins(list(fastas)), wanted, occurrences)))
    return {
        "occurrences_in": counts.occurrences + counts.set_aside,
        "set_aside": {"its unit is not the representative of a group": counts.set_aside}
        if counts.set_aside
        else {},
        "occurrences": counts.occurrences,
        "partial": counts.partial,
        "distinct": counts.distinct,
        "residues": counts.residues,
        "min_length": counts.min_length,
        "max_length": counts.max_length,
    }


@dataclass
class Counts:
    """What was counted while proteins were collected."""

    occurrences: int = 0
    partial: int = 0
    set_aside: int = 0
    distinct: int = 0
    residues: int = 0
    min_length: int = 0
    max_length: int = 0

    def distinct_of(self, records: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Give distinct proteins on, and count them."""
        for name, sequence in records:
            length = len(sequence)
            self.min_length = min(self.min_length, length) if self.distinct else length
            self.max_length = max(self.max_length, length)
            self.distinct += 1
            self.residues += length
            yield name, sequence


def _taker(
    database: sqlite3.Connection, groups: StrPath | Sequence[str], counts: Counts
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return what takes the rows of a batch that are wanted, counts them and notes their proteins."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if groups:
        database.execute("CREATE TABLE unit (name PRIMARY KEY, representative) WITHOUT ROWID")
        rows = read_rows(groups, ["unit", "representative"])  # type: ignore[arg-type]
        database.executemany("INSERT INTO unit VALUES (?, ?)", rows)

    def take(batch: pa.RecordBatch) -> pa.RecordBatch:
        if groups:
            genes = pc.not_equal(batch.column("strand"), 0)
            called = pc.unique(batch.filter(genes).column("unit")).to_pylist()
            chosen = pa.array([unit for unit in called if _represents(database, unit, groups)], pa.string())
            kept = batch.filter(pc.or_(pc.invert(genes), pc.is_in(batch.column("unit"), chosen)))
            counts.set_aside += len(batch) - len(kept)
            batch = kept
        counts.occurrences += len(batch)
        counts.partial += pc.sum(batch.column("partial")).as_py() or 0
        names = ((name,) for name in batch.column("protein").to_pylist())
        database.executemany("INSERT INTO seen VALUES (?)", names)
        return batch

    return take


def _represents(database: sqlite3.Connection, unit: str, groups: Any) -> bool:
    """Tell whether a unit is the representative of its group."""
    found = database.execute("SELECT representative FROM unit WHERE name = ?", (unit,)).fetchone()
    if not found:
        raise MismatchError(
            f"{groups}: no row for unit '{unit}', which has genes (expected one for every unit); "
            "run again with --forcerun group_units"
        )
    representative: str = found[0]
    return representative == unit


def _wanted(
    records: Iterable[tuple[str, str]], names: Iterator[str], occurrences: StrPath
) -> Iterator[tuple[str, str]]:
    """Give those of all proteins that are named, both by ascending id; each that is named must be there."""
    name = next(names, None)
    for record in records:
        if name is not None and record[0] > name:
            break
        if record[0] == name:
            yield record
            name = next(names, None)
    if name is not None:
        raise MismatchError(
            f"{occurrences}: protein {name} was seen, but its sequence is not there; "
            "run again with --forcerun proteins"
        )
