"""The index: which part of the store holds each protein of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from helixflow.embeddings.store import open_store
from helixflow.fasta import read_fasta
from helixflow.tables import read_rows, write_rows

if TYPE_CHECKING:
    from helixflow.embeddings.model import ModelDescription

StrPath = str | os.PathLike[str]

#: Columns of the index and their Arrow types.
INDEX_TYPES = {"protein": "string", "length": "int32", "uri": "string", "row": "int64"}


def write_index(proteins: StrPath, index: StrPath, model: ModelDescription, store: StrPath) -> None:
    """Write the URI of every protein's embedding.

    Parameters
    ----------
    proteins : path
        FASTA, every distinct protein once.
    index : path
        Parquet: protein, length, uri (relative to the folder of this file) and row, the first of
        the protein in the part's ``/residue``.
    model : ModelDescription
    store : path

    Raises
    ------
    EmbeddingError
        For a protein the store lacks.
    """
    write_rows(index, _rows(proteins, Path(index).parent, model, store), INDEX_TYPES)


def read_index(path: StrPath) -> dict[str, str]:
    """Read an index: the URI of each protein's embedding, made absolute."""
    folder = Path(path).parent.absolute()
    return {protein: os.path.normpath(folder / uri) for protein, uri in read_rows(path, ["protein", "uri"])}


def _rows(
    proteins: StrPath, folder: Path, model: ModelDescription, store: StrPath
) -> Iterator[tuple[str, int, str, int]]:
    with open_store(store, model.key) as stored:
        for protein, sequence in read_fasta(proteins):
            place = stored.get(protein)
            part = os.path.relpath(stored.path(place.part), folder)
            yield protein, len(sequence), f"{part}#{protein}", place.row
