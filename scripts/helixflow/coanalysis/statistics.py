"""Whether residues in contact have similar embeddings: rank correlation over pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Sequence separations at which the bins of pairs begin; the last one is open.
SEPARATIONS = (1, 6, 12, 24)


class Correlation(NamedTuple):
    """Spearman's coefficient over some pairs; NaN where there are fewer than 3 or all are equal."""

    pairs: str
    number: int
    spearman: float


def correlate_pairs(
    contact: NDArray[np.float64],
    cosine: NDArray[np.float64],
    eligible: NDArray[np.bool_],
    chains: NDArray[np.int64],
) -> list[Correlation]:
    """Correlate contact frequency and embedding cosine, over all pairs and by their separation.

    Parameters
    ----------
    contact, cosine : (N, N)
        Symmetric.
    eligible : (N, N) bool
        The pairs that count.
    chains : (N,)
        Number of each residue's chain.
    """
    first, second = np.nonzero(np.triu(eligible, 1))
    separation = np.where(chains[first] == chains[second], second - first, 0)
    bins = {"all": separation >= 0}
    for least, above in zip(SEPARATIONS, (*SEPARATIONS[1:], 0), strict=True):
        name = f"{least} to {above - 1} residues apart" if above else f"{least} or more residues apart"
        bins[name] = (separation >= least) & ((separation < above) | (above == 0))
    bins["of two chains"] = separation == 0
    x, y = contact[first, second], cosine[first, second]
    return [
        Correlation(name, int(chosen.sum()), spearman(x[chosen], y[chosen])) for name, chosen in bins.items()
    ]


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation; NaN for fewer than 3 values or when all of one are equal."""
    if len(x) < 3:
        return float("nan")
    rank_x, rank_y = _ranks(x), _ranks(y)
    scale = np.sqrt((rank_x @ rank_x) * (rank_y @ rank_y))
    return float(rank_x @ rank_y / scale) if scale > 0 else float("nan")


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return centred ranks; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(count) - (count + 1) / 2)[place]
    ranks -= ranks.mean()
    return ranks
