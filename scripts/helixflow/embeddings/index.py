"""The index: which part of the store holds the embedding of each protein of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from helixflow.embeddings.remote import SCHEME
from helixflow.embeddings.store import Stored, open_store
from helixflow.fasta import read_fasta
from helixflow.tables import private_database, read_rows, write_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from helixflow.embeddings.model import ModelDescription

StrPath = str | os.PathLike[str]

#: Columns of the index and their Arrow types.
INDEX_TYPES = {
    "protein": "string",
    "length": "int32",
    "uri": "string",
    "row": "int64",
    "embedded": "string",
}


def write_index(
    proteins: StrPath,
    index: StrPath,
    model: ModelDescription,
    store: StrPath,
    clusters: StrPath | Sequence[str] | None = None,
) -> None:
    """Write the URI of every protein's embedding.

    Parameters
    ----------
    proteins : path
        FASTA, every distinct protein once.
    index : path
        Parquet: protein, length (its own residues), uri (relative to the folder of this file), row,
        the first of the embedding in the part's ``/residue``, and embedded, the protein the
        embedding was computed for: itself, or the representative of its group.
    model : ModelDescription
    store : path
    clusters : path, or empty, optional
        Parquet with protein and representative: near-duplicates, of which the representative alone
        is embedded. A protein that is not in it is embedded itself.

    Raises
    ------
    EmbeddingError
        For a protein the store lacks.
    """
    with open_store(store, model.key) as stored, _representatives(clusters) as representative:
        rows = _rows(proteins, Path(index).parent, stored, representative)
        write_rows(index, rows, INDEX_TYPES)


def read_index(path: StrPath) -> dict[str, str]:
    """Read an index: the URI of each protein's embedding, made absolute."""
    folder = Path(path).parent.absolute()
    return {
        protein: uri if uri.startswith(SCHEME) else os.path.normpath(folder / uri)
        for protein, uri in read_rows(path, ["protein", "uri"])
    }


def read_embedded(path: StrPath) -> Iterator[tuple[str, str]]:
    """Give id and URI of the proteins of an index that were embedded themselves, in its order."""
    for protein, uri, embedded in read_rows(path, ["protein", "uri", "embedded"]):
        if embedded == protein:
            yield protein, uri


def _rows(
    proteins: StrPath, folder: Path, stored: Stored, representative: Callable[[str], str]
) -> Iterator[tuple[str, int, str, int, str]]:
    for protein, sequence in read_fasta(proteins):
        embedded = representative(protein)
        place = stored.get(embedded)
        part = os.path.relpath(stored.path(place.part), folder)
        yield protein, len(sequence), f"{part}#{embedded}", place.row, embedded


@contextmanager
def _representatives(clusters: StrPath | Sequence[str] | None) -> Iterator[Callable[[str], str]]:
    """Give the function from a protein to the one that is embedded in its place."""
    with private_database() as database:
        database.execute("CREATE TABLE member (protein PRIMARY KEY, representative) WITHOUT ROWID")
        if clusters:
            rows = read_rows(str(clusters), ["protein", "representative"])
            database.executemany("INSERT INTO member VALUES (?, ?)", rows)

        def representative(protein: str) -> str:
            select = "SELECT representative FROM member WHERE protein = ?"
            found = database.execute(select, (protein,)).fetchone()
            return found[0] if found else protein

        yield representative
