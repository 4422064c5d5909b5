"""The table of links: a line per residue of a chain and partner, and one per residue that the chain lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from helixflow.links.partners import Match
from helixflow.links.status import MISSING, name_statuses
from helixflow.structures.residues import Residue

HEADER = (
    "index", "chain", "number", "insertion", "code",
    "rank", "protein", "row", "partner_code", "status", "identity", "coverage",
)  # fmt: skip


def link_rows(residues: Sequence[Residue], match: Match, rank: int) -> Iterator[tuple[str, ...]]:
    """Give the rows of one chain and one partner, with the columns of `HEADER`.

    Parameters
    ----------
    residues : sequence of Residue
        Those of the chain.
    match : Match
        The chain laid on the partner.
    rank : int
        Which partner of the chain it is, from 1.

    Yields
    ------
    tuple of str
        The residues of the chain in their order and, between them, those of the partner that it lacks.
    """
    shares = (f"{match.identity:.6f}", f"{match.coverage:.6f}")
    letters = partner_letters(match)
    last = 0
    for residue, row, letter, status in zip(
        residues, match.rows, letters, name_statuses(residues, match.rows, letters), strict=True
    ):
        for missing in range(last + 1, row) if last else ():
            partner = (match.protein, str(missing), match.sequence[missing - 1])
            yield ("", residue.chain, "", "", "", str(rank), *partner, MISSING, *shares)
        last = row or last
        place = (str(residue.index), residue.chain, str(residue.number), residue.insertion, residue.code)
        partner = (match.protein, str(row), letter) if row else ("", "", "")
        yield (*place, str(rank), *partner, status, *shares)


def partner_letters(match: Match) -> list[str]:
    """Return the letter of the partner that faces each residue of a chain, empty where there is none."""
    return [match.sequence[row - 1] if row else "" for row in match.rows]
