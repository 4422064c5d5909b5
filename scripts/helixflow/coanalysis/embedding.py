"""The embeddings of a structure's residues, by the links to the proteins they were computed for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.geometry import cosine_matrix
from helixflow.embeddings.reading import open_embedding, split_uri
from helixflow.embeddings.store import open_part
from helixflow.errors import MismatchError
from helixflow.files import read_tsv
from helixflow.links.status import MISSING, name_statuses
from helixflow.structures.residues import Residue
from helixflow.tables import read_rows

StrPath = str | os.PathLike[str]

_PLACE = ("index", "chain", "number", "insertion", "code")


@dataclass(frozen=True)
class Link:
    """The partner of one residue: `row` is 1-based, 0 where there is none; `line` is that of the table."""

    protein: str
    row: int
    partner_code: str
    status: str
    line: int


@dataclass(frozen=True)
class Embedding:
    """One vector per residue.

    `vectors` is (N, D) float64, zero where a residue has none; `linked` (N,) bool says which have one;
    `cosine` is (N, N), NaN for those without; `uris` are the proteins' as the index has them, `model`
    the attributes of the store.
    """

    vectors: NDArray[np.float64]
    linked: NDArray[np.bool_]
    cosine: NDArray[np.float64]
    links: list[Link]
    uris: dict[str, str]
    model: dict[str, Any]


class _Stored(NamedTuple):
    """A protein in the store: vectors (L, D), the letters they were computed for, attributes of the part."""

    vectors: NDArray[np.float16]
    sequence: str
    model: dict[str, Any]


def read_links(path: StrPath, residues: Sequence[Residue], residues_file: StrPath) -> list[Link]:
    """Read the links of a structure to the first partner of each chain, one per residue.

    Raises
    ------
    MismatchError
        If they are not about these residues in this order, or a chain's rows do not ascend.
    """
    rows = [(line, row) for line, row in enumerate(read_tsv(path), 2) if _is_first_partner(row)]
    if len(rows) != len(residues):
        raise MismatchError(
            f"{path}: {len(rows)} residues, expected the {len(residues)} of {residues_file}; "
            "run again with --forcerun link_chains"
        )
    links = [
        Link(row["protein"], int(row["row"] or 0), row["partner_code"], row["status"], line)
        for line, row in rows
    ]
    expected = _expected_statuses(residues, links)
    last: dict[str, int] = {}
    for (_, row), link, residue, status in zip(rows, links, residues, expected, strict=True):
        problem = _find_problem(row, link, residue, last.get(residue.chain, 0), status)
        if problem:
            raise MismatchError(f"{path} line {link.line}: {problem}; run again with --forcerun link_chains")
        if link.row:
            last[residue.chain] = link.row
    return links


def read_embedding(
    index: StrPath, links: list[Link], residues: Sequence[Residue], links_file: StrPath
) -> Embedding:
    """Gather the vectors of a structure's residues from the store.

    Parameters
    ----------
    index : path
        Parquet with protein, length, uri (relative to its folder), row and embedded.
    links : list of Link
        One per residue; `links_file` is where they are from.

    Raises
    ------
    MismatchError
        If a protein is not in the index or has the embedding of another one, its embedding is not as
        long as it, or a residue's letter is not the one that was embedded.
    """
    wanted = {link.protein for link in links if link.row}
    places = {}
    for protein, embedded, *place in read_rows(index, ["protein", "embedded", "length", "uri", "row"]):
        if protein in wanted:
            _check_embedded(protein, embedded, index)
            places[protein] = place
    missing = sorted(wanted - set(places))
    if missing:
        raise MismatchError(f"{index}: no protein {missing[0]}, which {links_file} names; run again")
    stored = {protein: _read_stored(Path(index).parent, *places[protein]) for protein in sorted(wanted)}
    any_stored = stored[min(wanted)]
    vectors = np.zeros((len(links), any_stored.vectors.shape[1]))
    for number, (link, residue) in enumerate(zip(links, residues, strict=True)):
        if link.row:
            sequence = stored[link.protein].sequence
            _check_letter(link, sequence, f"{links_file} line {link.line}: {residue}")
            vectors[number] = stored[link.protein].vectors[link.row - 1]
    return Embedding(
        vectors=vectors,
        linked=np.array([link.row > 0 for link in links]),
        cosine=cosine_matrix(vectors),
        links=links,
        uris={protein: places[protein][1] for protein in sorted(wanted)},
        model=any_stored.model,
    )


def _is_first_partner(row: dict[str, str]) -> bool:
    """Tell a residue and its first partner from other partners, and from residues that the chain lacks."""
    return row["rank"] == "1" and row["status"] != MISSING


def _expected_statuses(residues: Sequence[Residue], links: Sequence[Link]) -> list[str]:
    """Return the status that each residue must have."""
    expected = [""] * len(residues)
    members: dict[str, list[int]] = {}
    for at, residue in enumerate(residues):
        members.setdefault(residue.chain, []).append(at)
    for places in members.values():
        rows, letters = [links[at].row for at in places], [links[at].partner_code for at in places]
        statuses = name_statuses([residues[at] for at in places], rows, letters)
        for at, status in zip(places, statuses, strict=True):
            expected[at] = status
    return expected


def _find_problem(row: dict[str, str], link: Link, residue: Residue, last_row: int, status: str) -> str:
    """Tell what is wrong with a link, given the chain's last row before it and the status it must have."""
    place, expected = [row[name] for name in _PLACE], [str(getattr(residue, name)) for name in _PLACE]
    if place != expected:
        return f"residue '{' '.join(place)}', expected '{' '.join(expected)}'"
    if link.status != status:
        return f"{residue} is marked {link.status}, expected {status}"
    if 0 < link.row <= last_row:
        return f"{residue} has row {link.row} after row {last_row}, expected rows that ascend along the chain"
    return ""


def _check_embedded(protein: str, embedded: str, index: StrPath) -> None:
    if embedded != protein:
        raise MismatchError(
            f"{index}: protein {protein} has the embedding of {embedded}, of which it is a near-duplicate, "
            "expected one of its own to join residue by residue; run again with --forcerun link_chains"
        )


def _read_stored(folder: Path, length: int, uri: str, row: int) -> _Stored:
    vectors = open_embedding(uri, folder)
    if len(vectors) != length:
        raise MismatchError(
            f"{folder / uri}: {len(vectors)} residues, expected the {length} of the index; run again"
        )
    with open_part(folder / split_uri(uri)[0]) as part:
        letters = part["sequence"][row : row + length].tobytes().decode("ascii")
        return _Stored(vectors, letters, dict(part.attrs))


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
