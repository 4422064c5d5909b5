"""Bottom sketches of sets of buckets: their union, and the Jaccard index they estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Fills a sketch of fewer values; larger than every hash.
EMPTY = np.uint32(0xFFFFFFFF)
#: Above this share of buckets in use, unrelated units look alike.
SATURATED = 0.25


def sketch(buckets: NDArray[np.integer[Any]], size: int) -> NDArray[np.uint32]:
    """Return the smallest hashes of a set of buckets (a bottom sketch; Broder 1997).

    Parameters
    ----------
    buckets : (n,) int
        Distinct bucket ids.
    size : int
        Values kept.

    Returns
    -------
    (size,) uint32
        Ascending, filled up with `EMPTY`.
    """
    hashes = _mix(buckets.astype(np.uint32))
    smallest = np.sort(hashes)[:size]
    return np.concatenate([smallest, np.full(size - len(smallest), EMPTY)])


def jaccard(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> float:
    """Estimate the Jaccard index of two sets from their bottom sketches of one size.

    The smallest values of the union of the sketches are a uniform sample of the union of the sets;
    the estimate is the share of them that both sketches hold.
    """
    _, counts = np.unique(np.concatenate([a[a != EMPTY], b[b != EMPTY]]), return_counts=True)
    counts = counts[: len(a)]
    return float((counts == 2).mean()) if len(counts) else 0.0


def fullness(largest: NDArray[np.unsignedinteger[Any]], size: int, n_bucket: int) -> NDArray[np.float64]:
    """Estimate the share of all buckets that sets have, from the largest value of their full sketches.

    As many hashes as a sketch has lie up to that value, and hashes are spread evenly.
    """
    share: NDArray[np.float64] = size * 2.0**32 / (largest.astype(np.float64) + 1) / n_bucket
    return share


def merge(a: NDArray[np.uint32], b: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the sketch of the union of two sets from their sketches of one size."""
    values = np.union1d(a, b)[: len(a)]
    return np.concatenate([values, np.full(len(a) - len(values), EMPTY)])


def _mix(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Hash 32-bit integers one to one (the finaliser of MurmurHash3, Appleby, public domain)."""
    mixed = values.copy()
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(factor)
    return mixed ^ (mixed >> np.uint32(16))
