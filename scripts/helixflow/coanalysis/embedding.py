"""The embeddings of a structure's residues, by the links to the proteins they were computed for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.geometry import cosine_matrix
from helixflow.coanalysis.links import Link
from helixflow.embeddings.reading import StoredProtein, open_stored
from helixflow.errors import EmbeddingError, MismatchError
from helixflow.structures.residues import Residue
from helixflow.tables import read_rows

StrPath = str | os.PathLike[str]


class Place(NamedTuple):
    """Where the index has a protein: its number of residues, its URI, and its first row in the part."""

    length: int
    uri: str
    row: int


@dataclass(frozen=True)
class Embedding:
    """One vector per residue.

    `vectors` is (N, D) float64, zero where a residue has none; `linked` (N,) bool says which have one;
    `cosine` is (N, N), NaN for those without; `model` is the attributes of the store. Where no residue is
    linked, D is 0.
    """

    vectors: NDArray[np.float64]
    linked: NDArray[np.bool_]
    cosine: NDArray[np.float64]
    model: dict[str, Any]


def find_embeddings(index: StrPath, links: Sequence[Link], links_file: StrPath) -> dict[str, Place]:
    """Find the proteins that residues are linked to, ascending by id.

    Parameters
    ----------
    index : path
        Parquet with protein, length, uri, row and embedded.
    links : sequence of Link
        One per residue; `links_file` is where they are from.

    Raises
    ------
    MismatchError
        If a protein is not in the index, or has the embedding of another one.
    """
    wanted = {link.protein for link in links if link.row}
    places = {}
    for protein, embedded, *place in read_rows(index, ["protein", "embedded", "length", "uri", "row"]):
        if protein in wanted:
            _check_embedded(protein, embedded, index)
            places[protein] = Place(*place)
    missing = sorted(wanted - set(places))
    if missing:
        raise MismatchError(f"{index}: no protein {missing[0]}, which {links_file} names; run again")
    return dict(sorted(places.items()))


def read_embedding(
    index: StrPath,
    places: Mapping[str, Place],
    links: Sequence[Link],
    residues: Sequence[Residue],
    links_file: StrPath,
) -> Embedding:
    """Gather the vectors of a structure's residues from the store, in files or in S3.

    Parameters
    ----------
    index : path
        A relative URI starts at its folder.
    places : mapping of str to Place
        As of `find_embeddings`.
    links, residues : sequence
        One link per residue; `links_file` is where they are from.

    Raises
    ------
    EmbeddingError
        If a part of the store cannot be read, or the vector of a residue is not finite or all zero.
    MismatchError
        If an embedding is not as long as the index has it or not where, its vectors are of another model
        than those of another protein, or a residue's letter is not the one that was embedded.
    """
    stored = {protein: _read_stored(index, place) for protein, place in places.items()}
    widths = {protein: one.vectors.shape[1] for protein, one in stored.items()}
    for protein, width in widths.items():
        if width != widths[min(widths)]:
            raise MismatchError(
                f"{index}: {protein} has vectors of {width} numbers, expected {widths[min(widths)]} as "
                f"{min(widths)} has; run again with --forcerun plan_shards"
            )
    vectors = np.zeros((len(links), widths[min(widths)] if widths else 0))
    for number, (link, residue) in enumerate(zip(links, residues, strict=True)):
        if link.row:
            one = stored[link.protein]
            _check_letter(link, one.sequence, f"{links_file} line {link.line}: {residue}")
            vectors[number] = read_vector(one.vectors, link.row, places[link.protein].uri, str(residue))
    linked = np.array([link.row > 0 for link in links])
    cosine = cosine_matrix(vectors)
    cosine[~linked], cosine[:, ~linked] = np.nan, np.nan
    return Embedding(
        vectors=vectors,
        linked=linked,
        cosine=cosine,
        model=stored[min(stored)].model if stored else {},
    )


def read_vector(vectors: NDArray[np.float16], row: int, uri: str, residue: str) -> NDArray[np.float64]:
    """Return the vector (D,) of a row, from 1, of the embedding that a URI names, for a residue.

    Raises
    ------
    EmbeddingError
        If it is not finite, or all zero, which no model gives and of which no cosine can be taken.
    """
    vector: NDArray[np.float64] = vectors[row - 1].astype(np.float64)
    if not np.isfinite(vector).all() or not vector.any():
        fault = "is all zero" if np.isfinite(vector).all() else "is not finite"
        raise EmbeddingError(
            f"{uri}: the vector of row {row} ({residue}) {fault}, expected finite numbers; the store is "
            "damaged, the rule verify_store finds out where"
        )
    return vector


def _check_embedded(protein: str, embedded: str, index: StrPath) -> None:
    if embedded != protein:
        raise MismatchError(
            f"{index}: protein {protein} has the embedding of {embedded}, of which it is a near-duplicate, "
            "expected one of its own to join residue by residue; run again with --forcerun link_chains"
        )


def _read_stored(index: StrPath, place: Place) -> StoredProtein:
    stored = open_stored(place.uri, Path(index).parent)
    for what, found, expected in (
        ("residues", len(stored.vectors), place.length),
        ("as first row of the part", stored.row, place.row),
    ):
        if found != expected:
            raise MismatchError(
                f"{place.uri}: {found} {what}, expected the {expected} of {index}; run again with "
                "--forcerun index_embeddings"
            )
    return stored


def _check_letter(link: Link, sequence: str, where: str) -> None:
    if not 1 <= link.row <= len(sequence):
        raise MismatchError(
            f"{where} has row {link.row}, expected 1 to {len(sequence)} as {link.protein} has; "
            "run again with --forcerun link_chains"
        )
    if link.partner_code != sequence[link.row - 1]:
        raise MismatchError(
            f"{where} has partner {link.partner_code} at row {link.row}, expected {sequence[link.row - 1]}, "
            f"the residue of {link.protein} that was embedded; run again with --forcerun link_chains"
        )
