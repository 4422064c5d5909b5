"""Pairs of residues that have embeddings: how often they touch, and how alike these are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Sequence separations at which the bins of pairs begin; the last one is open.
SEPARATIONS = (1, 6, 12, 24)
#: Fewest pairs that a correlation is taken of.
LEAST_PAIRS = 3


class Bin(NamedTuple):
    """The place of a bin's n pairs among all, and their ranks (n,) by frequency and by cosine."""

    place: slice
    contact: Floats
    cosine: Floats


@dataclass(frozen=True)
class Pairs:
    """The pairs that are compared, ordered by stratum, and the embeddings' cosines they are compared with.

    P pairs of M residues, which are those of the structure that have an embedding.

    `first`, `second` (P,) are residues, counted among the M; `frequency` (P,) is the share of frames in which
    they touch, `stratum` (P,) the number of their stratum: pairs of one chain that are equally far apart in
    sequence, or all pairs of the same two chains. `separation` (P,) is 0 for two chains.
    `cosine` (M, M), `chain` (M,) and `index` (M,), the residue's place in the structure, are of the residues.
    """

    first: Integers
    second: Integers
    frequency: Floats
    stratum: Integers
    separation: Integers
    cosine: Floats
    chain: Integers
    index: Integers

    @cached_property
    def bins(self) -> dict[str, NDArray[np.bool_]]:
        """By name, which pairs (P,) a bin has: all, those of a range of separations, those of two chains."""
        return separation_bins(self.separation)

    @cached_property
    def ranked(self) -> list[Bin]:
        """The pairs of each bin, ranked."""
        found = []
        for within in self.bins.values():
            # Pairs are ordered by stratum, strata by separation, two chains last: a bin is in one piece.
            start = int(np.argmax(within)) if within.any() else 0
            place = slice(start, start + int(within.sum()))
            ranks = centred_ranks(self.frequency[place]), centred_ranks(self.values[place])
            found.append(Bin(place, *ranks))
        return found

    @property
    def values(self) -> Floats:
        """The cosine of each pair, (P,)."""
        return self.cosine[self.first, self.second]


def choose_pairs(
    frequency: Floats,
    cosine: Floats,
    linked: NDArray[np.bool_],
    chains: Integers,
    min_separation: int,
) -> Pairs:
    """Choose the pairs that are compared: both residues have an embedding, and they can be a contact.

    Parameters
    ----------
    frequency, cosine : (N, N)
        Symmetric.
    linked : (N,) bool
        Residues that have an embedding.
    chains : (N,)
        Number of each residue's chain.
    min_separation : int
        Residues of one chain less far apart cannot be a contact; those of two chains always can.
    """
    index = np.flatnonzero(linked)
    chain = chains[index]
    first, second = np.triu_indices(len(index), 1)
    separation, stratum = strata(chain, index, first, second)
    eligible = (separation == 0) | (separation >= min_separation)
    order = np.flatnonzero(eligible)[np.argsort(stratum[eligible], kind="stable")]
    first, second = first[order], second[order]
    return Pairs(
        first=first,
        second=second,
        frequency=frequency[index[first], index[second]],
        stratum=stratum[order],
        separation=separation[order],
        cosine=cosine[np.ix_(index, index)],
        chain=chain,
        index=index,
    )


def strata(chain: Integers, index: Integers, first: Integers, second: Integers) -> tuple[Integers, Integers]:
    """Return separation (P,), 0 for two chains, and stratum (P,) of pairs, see `Pairs`.

    Parameters
    ----------
    chain, index : (M,)
        Chain and place of each residue.
    first, second : (P,)
        The pairs, by residue.
    """
    same = chain[first] == chain[second]
    separation = np.where(same, np.abs(index[second] - index[first]), 0)
    n_chain, longest = int(chain.max(initial=-1)) + 1, int(separation.max(initial=0)) + 1
    low, high = np.minimum(chain[first], chain[second]), np.maximum(chain[first], chain[second])
    return separation, np.where(same, separation, longest + low * n_chain + high)


def separation_bins(separation: Integers) -> dict[str, NDArray[np.bool_]]:
    """Sort pairs by their separation (P,), 0 for those of two chains, see `Pairs.bins`."""
    bins = {"all": separation >= 0}
    for least, above in zip(SEPARATIONS, (*SEPARATIONS[1:], 0), strict=True):
        name = f"{least} to {above - 1} residues apart" if above else f"{least} or more residues apart"
        bins[name] = (separation >= least) & ((separation < above) | (above == 0))
    bins["of two chains"] = separation == 0
    return bins


def centred_ranks(values: Floats) -> Floats:
    """Return twice the ranks less their mean, which are whole numbers; equal values share the mean of theirs.

    Sums of products of whole numbers are exact below 2**53, that is for some 200,000 pairs, so that it does
    not depend on their order whether two of them are equal.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (2 * np.cumsum(count) - count - len(values))[place].astype(np.float64)
    return ranks
