"""Contacts that the language model predicts from its attention, for the residues of a structure."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.embedding import Place
from helixflow.coanalysis.links import Link
from helixflow.embeddings.contact_reading import open_contacts
from helixflow.errors import EmbeddingError, MismatchError
from helixflow.structures.residues import Residue
from helixflow.tables import read_rows

log = logging.getLogger(__name__)


def read_predicted(
    tables: Sequence[str], places: Mapping[str, Place], links: Sequence[Link], residues: Sequence[Residue]
) -> NDArray[np.float32] | None:
    """Gather the predicted contacts of a structure's residues.

    Parameters
    ----------
    tables : sequence of path
        Parquet with protein, length and uri of a contact map, relative to the table's folder; a protein
        that was too long for one is in none.
    places : mapping of str to Place
        The proteins that residues are linked to.
    links, residues : sequence
        One link per residue.

    Returns
    -------
    (N, N) float32, or None without tables
        What the map of a protein says of two residues of one chain that are linked to it; NaN for all
        other pairs.

    Raises
    ------
    EmbeddingError
        If a file of maps cannot be read, or a map is not finite.
    MismatchError
        If a map is not as long as its protein.
    """
    if not tables:
        return None
    predicted = np.full((len(links), len(links)), np.nan, np.float32)
    uris = _find_maps(tables, places)
    for protein, place in places.items():
        if protein not in uris:
            log.info(
                "%s of %d residues has no map in these tables; they are made of proteins to contacts_below",
                protein,
                place.length,
            )
            continue
        contacts = _read_map(*uris[protein], protein, place.length)
        for chain in dict.fromkeys(residue.chain for residue in residues):
            members = [
                at
                for at, (link, residue) in enumerate(zip(links, residues, strict=True))
                if link.row and (link.protein, residue.chain) == (protein, chain)
            ]
            rows = np.array([links[at].row - 1 for at in members], np.int64)
            predicted[np.ix_(members, members)] = contacts[np.ix_(rows, rows)]
    return predicted


def _find_maps(tables: Sequence[str], wanted: Mapping[str, Place]) -> dict[str, tuple[str, str]]:
    """Return table and URI of the maps of the proteins wanted that have one."""
    return {
        protein: (table, uri)
        for table in tables
        for protein, uri in read_rows(table, ["protein", "uri"])
        if protein in wanted
    }


def _read_map(table: str, uri: str, protein: str, length: int) -> NDArray[np.float16]:
    contacts = open_contacts(uri, Path(table).parent)
    if len(contacts) != length:
        raise MismatchError(
            f"{table}: the contact map of {protein} is of {len(contacts)} residues, expected {length}; "
            "run again with --forcerun map_contacts"
        )
    if not np.isfinite(contacts).all():
        raise EmbeddingError(
            f"{uri}: the contact map of {protein} has values that are not finite; run again with "
            "--forcerun map_contacts"
        )
    return contacts
