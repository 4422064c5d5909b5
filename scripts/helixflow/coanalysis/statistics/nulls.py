"""What the correlation of contacts with embeddings is held against: two nulls, for what each leaves alone.

Neighbours in sequence touch often and have similar embeddings, whatever the fold is. The first null therefore
shuffles cosines among pairs of exactly the same separation (those of two chains among the pairs of these
two), so that each bin keeps its mix of separations. It takes pairs for independent, which they are not:
N (N - 1) / 2 pairs come from N residues, and where embeddings of neighbours are alike, whole blocks of pairs
are. Relations of matrices must be tested by moving rows and columns together (N. Mantel, Cancer Res. 27, 209
(1967); P. Legendre and M.-J. Fortin, Mol. Ecol. Resour. 10, 831 (2010),
doi:10.1111/j.1755-0998.2010.02866.x), and those of rows that resemble their neighbours without breaking the
order of the rows (G. Guillot and F. Rousset, Methods Ecol. Evol. 4, 336 (2013),
doi:10.1111/2041-210x.12018; K. D. Harris, bioRxiv 2020.11.29.402719, on circular shifts).

The second null therefore moves the residues' embeddings along each chain as on a ring, forwards and
backwards. This keeps what pairs share with their residues and what residues share with their neighbours. All
moves are a group, of which p may be taken from all or from a random part (J. Hemerik and J. Goeman, TEST 27,
811 (2018), doi:10.1007/s11749-017-0571-1); it is exact as far as a chain is like a ring. Since a move also
brings the ends of a chain together, what is moved is by how much the rank of a pair's cosine lies above the
mean of its stratum; how cosines depend on separation stays where it is.

A low p by the first null that is not low by the second says that some residues, or stretches, are alike, not
that those that touch are. Of 600 made-up chains of 60 residues whose embeddings know nothing of the fold but
resemble their neighbours' (correlation 0.85), 62 % have p <= 0.05 by the first null and 5 % by the second.
"""

from __future__ import annotations

import math

import numpy as np

from helixflow.coanalysis.statistics.pairs import (
    LEAST_PAIRS,
    Bin,
    Floats,
    Integers,
    Pairs,
    centred_ranks,
    strata,
)

#: Bits of the random numbers by which the pairs of a stratum are sorted.
_RANDOM_BITS = 40


class Shuffles:
    """The first null: Spearman's correlation of each of B bins, as it is and with cosines shuffled."""

    def __init__(self, pairs: Pairs, seed: int) -> None:
        self._bins = pairs.ranked
        self._scale = np.array([_scale(each) for each in self._bins])
        self._stratum = pairs.stratum.astype(np.int64) << _RANDOM_BITS
        self._seed = seed

    def observed(self) -> Floats:
        """Return the correlation of each bin, (B,); NaN for fewer than 3 pairs or equal values."""
        return self._correlate(np.arange(len(self._stratum)))

    def shuffled(self, number: int) -> Floats:
        """Return the correlations of one permutation, (B,), which the seed and its number decide."""
        dice = np.random.default_rng([self._seed, number])
        keys = dice.integers(0, 1 << _RANDOM_BITS, len(self._stratum))
        # Pairs are ordered by stratum, so each stays in its own, and in its bin.
        return self._correlate(np.argsort(self._stratum + keys))

    def _correlate(self, order: Integers) -> Floats:
        products = [
            each.contact @ each.cosine[order[each.place] - each.place.start] for each in self._bins
        ]  # fmt: skip
        correlations: Floats = np.array(products) / self._scale
        return correlations


class Shifts:
    """The second null: for each of B bins, how contacts go with cosines that are moved along the chains."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._bins = pairs.ranked
        self._scale = np.array([_scale(each) for each in self._bins])
        self._excess = _excess_ranks(pairs)
        self._members = [np.flatnonzero(pairs.chain == each) for each in np.unique(pairs.chain)]

    def moves(self, most: int, seed: int) -> list[tuple[int, ...]]:
        """Return distinct moves other than none: all where they are no more than `most`, else some by chance.

        Returns
        -------
        list of tuple of int
            For each chain the residues it is shifted by, plus its length where it is also turned round.
        """
        # Turning round a chain of two is a shift, and so is every shift of a chain of one.
        sizes = [2 * len(each) if len(each) > 2 else len(each) for each in self._members]
        others = math.prod(sizes) - 1
        if others <= most:
            return [_mixed_radix(number, sizes) for number in range(1, others + 1)]
        dice = np.random.default_rng([seed, most])
        drawn: dict[tuple[int, ...], None] = {}
        while len(drawn) < most:
            move = tuple(int(each) for each in dice.integers(0, sizes))
            if any(move):
                drawn[move] = None
        return list(drawn)

    def moved(self, move: tuple[int, ...] = ()) -> Floats:
        """Return the sums over pairs of rank by frequency times excess rank by cosine, (B,); see `moves`."""
        target = np.arange(len(self._pairs.chain))
        for members, by in zip(self._members, move, strict=False):
            shift, turned = by % len(members), by >= len(members)
            target[members] = np.roll(members[::-1] if turned else members, shift)
        excess = self._excess[target[self._pairs.first], target[self._pairs.second]]
        sums: Floats = np.array([each.contact @ excess[each.place] for each in self._bins])
        return np.where(np.isnan(self._scale), np.nan, sums)


def two_sided(observed: Floats, null: Floats) -> Floats:
    """Return p of each bin: min(1, 2 (1 + the fewer of those at least and at most as great) / (n + 1)).

    Parameters
    ----------
    observed : (B,)
    null : (B, n)

    Returns
    -------
    (B,) float64
        NaN where the observed value is NaN or there is nothing to hold it against.
    """
    above = (null >= observed[:, None]).sum(axis=1)
    below = (null <= observed[:, None]).sum(axis=1)
    p = np.minimum(1, 2 * (1 + np.minimum(above, below)) / (null.shape[1] + 1))
    return np.where(np.isnan(observed) | (null.shape[1] == 0), np.nan, p)


def effect_size(observed: Floats, null: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean and sd of the null (B, n), and (observed - mean) / sd, NaN where sd is 0; each (B,)."""
    if null.shape[1] < 2:
        return tuple(np.full((3, len(observed)), np.nan))  # type: ignore[return-value]
    mean, sd = null.mean(axis=1), null.std(axis=1, ddof=1)
    # Sums of the same numbers in another order leave about 1e-16 of them.
    with np.errstate(divide="ignore", invalid="ignore"):
        return mean, sd, np.where(sd > 1e-12, (observed - mean) / sd, np.nan)


def _scale(each: Bin) -> float:
    """Return what makes the sum of products of ranks Spearman's correlation; NaN where there is none."""
    scale = math.sqrt(float((each.contact @ each.contact) * (each.cosine @ each.cosine)))
    return scale if len(each.contact) >= LEAST_PAIRS and scale > 0 else math.nan


def _excess_ranks(pairs: Pairs) -> Floats:
    """Return (M, M): rank of each pair's cosine among all, less the mean of its stratum; a whole number."""
    first, second = np.triu_indices(len(pairs.chain), 1)
    _, stratum = strata(pairs.chain, pairs.index, first, second)
    ranks = centred_ranks(pairs.cosine[first, second])
    count, total = np.bincount(stratum), np.bincount(stratum, ranks)
    excess = np.zeros(pairs.cosine.shape)
    # Rounded to half a rank, sums do not depend on the order of pairs.
    excess[first, second] = np.rint(ranks - (total / np.maximum(count, 1))[stratum])
    return excess + excess.T


def _mixed_radix(number: int, sizes: list[int]) -> tuple[int, ...]:
    digits = []
    for size in sizes:
        number, digit = divmod(number, size)
        digits.append(digit)
    return tuple(digits)
