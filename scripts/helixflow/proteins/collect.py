"""The proteins of all samples: every distinct one once, and every place it was seen."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from helixflow.errors import MismatchError
from helixflow.fasta import read_fasta
from helixflow.proteins.occurrences import OCCURRENCE_TYPES, gathering, insert, write_gathered
from helixflow.tables import read_rows

StrPath = str | os.PathLike[str]


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
        Occurrences and proteins of each sample, in any order.
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
    """
    with gathering() as database:
        for table in tables:
            insert(database, "occurrence", read_rows(table, list(OCCURRENCE_TYPES)))
        for fasta in fastas:
            insert(database, "sequence", read_fasta(fasta))
        set_aside = _drop_others(database, groups) if groups else 0
        counts = write_gathered(database, proteins, occurrences)
    return {
        "occurrences_in": counts["occurrences"] + set_aside,
        "set_aside": {"its unit is not the representative of a group": set_aside} if set_aside else {},
        **counts,
    }


def _drop_others(database: sqlite3.Connection, groups: Any) -> int:
    """Remove the genes of units that are not representatives; return how many there were."""
    database.execute("CREATE TABLE unit (name PRIMARY KEY, representative)")
    database.executemany("INSERT INTO unit VALUES (?, ?)", read_rows(groups, ["unit", "representative"]))
    stranger = database.execute(
        "SELECT unit FROM occurrence WHERE strand != 0 AND unit NOT IN (SELECT name FROM unit) LIMIT 1"
    ).fetchone()
    if stranger:
        raise MismatchError(
            f"{groups}: no row for unit '{stranger[0]}', which has genes (expected one for every unit); "
            "run again with --forcerun group_units"
        )
    return database.execute(
        "DELETE FROM occurrence WHERE strand != 0 AND unit NOT IN (SELECT representative FROM unit)"
    ).rowcount
