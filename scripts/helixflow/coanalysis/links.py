"""The links of a structure's residues to the proteins they were computed for, read and checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from helixflow.errors import MismatchError
from helixflow.files import read_tsv
from helixflow.links.status import MISSING, name_statuses
from helixflow.structures.residues import Residue

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
