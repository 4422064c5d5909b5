"""Put the ends and the gaps of an alignment where the chain says they are.

A local alignment stops before a residue that lowers its score, and where the letters on both sides of a
gap are alike it has no reason to place the gap at one residue rather than at the next. The chain knows
more: the numbers of its residues jump where some are missing.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Residues left over at an end of a chain that are laid on the partner's although they lower the score: a
#: single one is a substitution, more are taken for a tag.
MOST_LEFT_OVER = 1


def extend_ends(rows: Sequence[int], length: int, most: int = MOST_LEFT_OVER) -> list[int]:
    """Lay the residues left over at each end of a chain on those of the partner that face them.

    Parameters
    ----------
    rows : sequence of int
        For each residue of the chain that of the partner, from 1, or 0 where there is none.
    length : int
        Residues of the partner.
    most : int
        Residues left over at an end that are laid on it; where there are more, none is.
    """
    extended = list(rows)
    aligned = [at for at, row in enumerate(rows) if row]
    if not aligned:
        return extended
    first, last = aligned[0], aligned[-1]
    if first <= most and rows[first] > first:
        extended[:first] = range(rows[first] - first, rows[first])
    after = len(rows) - 1 - last
    if after <= most and rows[last] + after <= length:
        extended[last + 1 :] = range(rows[last] + 1, rows[last] + after + 1)
    return extended


def settle_gaps(rows: Sequence[int], chain: str, partner: str, numbers: Sequence[int]) -> list[int]:
    """Move every gap of the chain to where the numbers of its residues jump, if the letters allow it.

    Parameters
    ----------
    rows : sequence of int
        As of `extend_ends`.
    chain, partner : str
        One-letter sequences.
    numbers : sequence of int
        Residue numbers of the chain.

    Returns
    -------
    list of int
        Rows with as many identical residues as before. Of the places a gap can have, the one whose jump
        in numbers is nearest to the residues that are missing there is taken, and of those the first.
    """
    settled = list(rows)
    at = 1
    while at < len(settled):
        before, row = settled[at - 1], settled[at]
        if before and row > before + 1:
            at = _settle(settled, at, chain, partner, numbers)
        at += 1
    return settled


def _settle(rows: list[int], at: int, chain: str, partner: str, numbers: Sequence[int]) -> int:
    """Move the gap before residue `at`, and return the residue it is before then."""
    jump = rows[at] - rows[at - 1] - 1
    start, stop = at, at
    # To the left, residues before the gap go behind it; they must find their letters there.
    while (
        start > 1 and rows[start - 1] == rows[start - 2] + 1 and _fits(chain, partner, rows, start - 1, jump)
    ):
        start -= 1
    while (
        stop < len(rows) - 1 and rows[stop + 1] == rows[stop] + 1 and _fits(chain, partner, rows, stop, -jump)
    ):
        stop += 1
    best = min(
        range(start, stop + 1), key=lambda place: (abs(numbers[place] - numbers[place - 1] - 1 - jump), place)
    )
    for moved in range(best, at):
        rows[moved] += jump
    for moved in range(at, best):
        rows[moved] -= jump
    return best


def _fits(chain: str, partner: str, rows: Sequence[int], at: int, shift: int) -> bool:
    """Tell whether a residue is as alike the partner's residue so much farther on as the one it faces."""
    here, there = partner[rows[at] - 1], partner[rows[at] + shift - 1]
    return here == there or (chain[at] == there and chain[at] != here)
