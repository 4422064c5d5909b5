"""Patterns that choose some of the bits of a k-mer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.settings import chosen_bits


class Pattern:
    """A pattern of ``1``, ``0``, ``R`` and ``K`` as bits of a k-mer.

    The upper bit of a base tells keto (G, T) from amino (A, C), the lower one pyrimidine (C, T) from purine
    (A, G), and the complement flips both; so ``1`` is two bits, ``K`` the upper and ``R`` the lower one. The
    value of a strand is its chosen bits, that of the first base highest; that of a k-mer the smaller of
    its strands'.

    Attributes
    ----------
    span : int
    pieces : list of (int, int)
        Shift and width of every stretch of chosen bits, the highest first.
    bitmap : (max(1, 2^b / 64),) uint64
        Which of the 2^b values occur.
    """

    def __init__(self, text: str) -> None:
        self.span, chosen = len(text), chosen_bits(text)
        places = [2 * self.span - 1 - at for at, bit in enumerate(chosen) if bit == "1"]
        self.pieces = _stretches(places)
        self.bitmap = _occurring(places, self.span)


def _stretches(places: list[int]) -> list[tuple[int, int]]:
    """Return shift and width of stretches of descending places of bits."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][0] == place + 1:
            found[-1] = (place, found[-1][1] + 1)
        else:
            found.append((place, 1))
    return found


def _occurring(places: list[int], span: int) -> NDArray[np.uint64]:
    """Return which values are those of a k-mer, one bit each.

    A value occurs if a k-mer of it has an other strand that is not smaller. Each bit of that strand's value
    is the opposite of a bit of the k-mer, or free and 1 at its largest.
    """
    n_bit = len(places)
    values = np.arange(1 << n_bit, dtype=np.uint32)
    other = np.zeros_like(values)
    for rank, place in enumerate(places):
        partner = 2 * (span - 1 - place // 2) + place % 2
        bit = 1 - (values >> np.uint32(n_bit - 1 - places.index(partner)) & 1) if partner in places else 1
        other |= np.asarray(bit, np.uint32) << np.uint32(n_bit - 1 - rank)
    occurs = np.zeros(max(64, 1 << n_bit), bool)
    occurs[: 1 << n_bit] = values <= other
    return np.packbits(occurs, bitorder="little").view("<u8").astype(np.uint64)
