"""Names for the embeddings of a run by the labels that their proteins have where they were seen."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from helixflow.errors import EmbeddingError
from helixflow.tables import private_database, read_rows

StrPath = str | os.PathLike[str]


@contextmanager
def name_labels(index: StrPath, occurrences: StrPath) -> Iterator[Iterator[tuple[str, str, str]]]:
    """Give URI, name and protein of all labels of a run, URI by URI.

    The name is the label. A label that stands for several sequences names none of them alone: they are
    ``unit/label`` all. A protein without a label has its id.

    HDF5 takes what is between ``/`` for groups, and passes over empty ones and ``.``; so ``a/b`` is found
    under this name, as a member of the group ``a``.

    Parameters
    ----------
    index : path
        Parquet, as `helixflow.embeddings.index.write_index` writes it.
    occurrences : path
        Parquet of every place each protein was seen at, with its label there.

    Raises
    ------
    EmbeddingError
        For two sequences whose names are the same to HDF5, or of which one would be the group of the
        other; for a name that is none to HDF5; for a protein that the index lacks.
    """
    with private_database() as database:
        database.execute("CREATE TABLE entry (protein PRIMARY KEY, uri) WITHOUT ROWID")
        database.executemany("INSERT INTO entry VALUES (?, ?)", read_rows(index, ["protein", "uri"]))
        database.execute("CREATE TABLE place (label, unit, protein, PRIMARY KEY (label, unit, protein))")
        places = read_rows(occurrences, ["label", "unit", "protein"])
        database.executemany("INSERT OR IGNORE INTO place VALUES (?, ?, ?)", places)
        _check_known(database, index, occurrences)
        database.execute("CREATE TABLE named (path PRIMARY KEY, uri, protein) WITHOUT ROWID")
        _name_all(database, occurrences)
        _check_groups(database, occurrences)
        yield database.execute("SELECT uri, path, protein FROM named ORDER BY uri, path")


def _check_known(database: sqlite3.Connection, index: StrPath, occurrences: StrPath) -> None:
    stranger = database.execute(
        "SELECT protein FROM place WHERE protein NOT IN (SELECT protein FROM entry) LIMIT 1"
    ).fetchone()
    if stranger:
        raise EmbeddingError(
            f"{index}: no protein {stranger[0]}, which {occurrences} names; "
            "run again with --forcerun index_embeddings"
        )


def _name_all(database: sqlite3.Connection, occurrences: StrPath) -> None:
    """Fill the table of names, as HDF5 reads them."""
    several = "SELECT label FROM place GROUP BY label HAVING count(DISTINCT protein) > 1"
    places = database.execute(
        f"SELECT label, unit, protein, uri, label IN ({several}) FROM place NATURAL JOIN entry"
    )
    for label, unit, protein, uri, shared in places:
        name = f"{unit}/{label}" if shared else label or protein
        path = _path(name)
        if not path:
            raise EmbeddingError(
                f"{occurrences}: label '{label}' of {unit} is no name in HDF5 (expected a letter or digit); "
                "rename the record in its source"
            )
        select = "SELECT protein FROM named WHERE path = ?"
        database.execute("INSERT OR IGNORE INTO named VALUES (?, ?, ?)", (path, uri, protein))
        (other,) = database.execute(select, (path,)).fetchone()
        if other != protein:
            raise EmbeddingError(
                f"{occurrences}: '{name}' stands for the two proteins {min(other, protein)} and "
                f"{max(other, protein)}, expected one; rename one of the records in its source"
            )


def _check_groups(database: sqlite3.Connection, occurrences: StrPath) -> None:
    """Make sure that no name is a group that others are in."""
    for (path,) in database.execute("SELECT path FROM named WHERE path LIKE '%/%'"):
        parts = path.split("/")
        for count in range(1, len(parts)):
            group = "/".join(parts[:count])
            if database.execute("SELECT 1 FROM named WHERE path = ?", (group,)).fetchone():
                raise EmbeddingError(
                    f"{occurrences}: labels '{group}' and '{path}' cannot both be in an HDF5 file, where one "
                    "is a group and the other a dataset; rename one of the records in its source"
                )


def _path(name: str) -> str:
    """Return a name as HDF5 reads it."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))
