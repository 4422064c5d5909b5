"""The loops over sketches and over links of records, compiled by numba.

What holds for `kernels` holds for this file: none calls what another file has, and an array has one type.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.sketches import EMPTY
from helixflow.jit import kernel, part


@kernel
def bottom(
    ids: NDArray[np.uint32],
    n: int,
    marks: NDArray[np.int64],
    limit: np.uint32,
    size: int,
    bounds: NDArray[np.int64],
) -> None:
    """Replace ids by the smallest distinct hashes of each stretch of them.

    Parameters
    ----------
    ids : (m,) uint32
        Of which the first `n` are ids; overwritten by the hashes, ascending in each stretch.
    marks : (r,) int64
        Where each stretch but the first begins.
    limit : int
        Hashes of the first stretch from here on are left out.
    size : int
        Hashes kept of a stretch at most.
    bounds : (r + 2,) int64
        Where the hashes of each stretch begin, and where they end; filled.
    """
    for i in range(np.uint64(n)):
        ids[i] = mix(ids[i])
    out = 0
    bounds[0] = 0
    for stretch in range(marks.size + 1):
        begin = marks[stretch - 1] if stretch else 0
        end = marks[stretch] if stretch < marks.size else n
        kept, ceiling = 0, limit if stretch == 0 else np.uint32(0xFFFFFFFF)
        for i in range(begin, end):
            if ids[i] < ceiling:
                ids[out + kept] = ids[i]
                kept += 1
                if kept == 4 * size:
                    kept = _squeeze(ids[out : out + kept], size)
                    if kept == size:
                        ceiling = ids[out + size - 1]
        out += _squeeze(ids[out : out + kept], size)
        bounds[stretch + 1] = out


@part
def mix(value: np.uint32) -> np.uint32:
    """Hash 32-bit integers one to one (the finaliser of MurmurHash3, Appleby, public domain)."""
    value = np.uint32(value)
    value = np.uint32(value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    value = np.uint32(value)
    value = np.uint32(value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    value = np.uint32(value)
    return np.uint32(value ^ (value >> np.uint32(16)))


@part
def _squeeze(values: NDArray[np.uint32], size: int) -> int:
    """Sort values, and leave the first `size` distinct ones in front."""
    values.sort()
    kept = 0
    for value in values:
        if kept == 0 or value != values[kept - 1]:
            if kept == size:
                break
            values[kept] = value
            kept += 1
    return kept


@kernel
def unite(a: NDArray[np.uint32], b: NDArray[np.uint32], out: NDArray[np.uint32]) -> int:
    """Write the smallest values of two ascending arrays of distinct ones, each once; return their number."""
    i = j = n = 0
    while n < out.size and (i < a.size or j < b.size):
        if j == b.size or (i < a.size and a[i] <= b[j]):
            j += j < b.size and a[i] == b[j]
            out[n] = a[i]
            i += 1
        else:
            out[n] = b[j]
            j += 1
        n += 1
    return n


@kernel
def band_minima(sketches: NDArray[np.uint32], minima: NDArray[np.uint32]) -> None:
    """Write the smallest value of each band of each sketch, a band being the values with the same low bits.

    The minima of one band of two sets are equal with the probability of their Jaccard index (Broder 1997),
    and bands are independent.

    Parameters
    ----------
    sketches : (u, s) uint32
        Ascending rows.
    minima : (u, b) uint32
        b, a power of two, is the number of bands; filled, with the largest value where a band has none.
    """
    minima[:] = EMPTY
    for unit in range(sketches.shape[0]):
        for value in sketches[unit]:
            band = value & np.uint32(minima.shape[1] - 1)
            minima[unit, band] = min(minima[unit, band], value)


@kernel
def choose(
    sketches: NDArray[np.uint32],
    lists: NDArray[np.int32],
    bounds: NDArray[np.int64],
    most: int,
    min_jaccard: float,
    chosen: NDArray[np.int32],
    similarities: NDArray[np.float64],
) -> int:
    """Give each unit, in order, the first representative that is similar enough, or make it one.

    Parameters
    ----------
    sketches : (u, s) uint32
        Ascending rows, in the order in which units are taken.
    lists : (u, b) int32
        For each band of each unit, the list of all units with its minimum; -1 where a band is empty.
    bounds : (l + 1,) int64
        Where each list begins, and where the last one ends.
    most : int
        Representatives that a list holds at most, the first ones.
    min_jaccard : float
    chosen : (u,) int32
        The representative of each; filled.
    similarities : (u,) float64
        Estimated Jaccard index of each with it; filled.

    Returns
    -------
    int
        Representatives that are in no list, as all of theirs were full: no unit can find them.
    """
    hidden = 0
    holders, filled = np.empty(bounds[-1], np.int32), np.zeros(bounds.size - 1, np.int32)
    shared, found = np.zeros(chosen.size, np.int32), np.empty(lists.shape[1] * most, np.int32)
    for unit in range(chosen.size):
        n_found, n_open = 0, 0
        for number in lists[unit]:
            if number < 0:
                continue
            n_open += filled[number] < most
            for holder in holders[bounds[number] : bounds[number] + filled[number]]:
                if shared[holder] == 0:
                    found[n_found] = holder
                    n_found += 1
                shared[holder] += 1
        chosen[unit], similarities[unit] = unit, 1.0
        found[:n_found].sort()
        for holder in found[:n_found]:
            # A quarter of what is expected of a pair that just passes: it is missed less than once in 1,000.
            likely = 4 * shared[holder] >= min_jaccard * n_open
            shared[holder] = 0
            if likely and chosen[unit] == unit:
                similarity = _similarity(sketches, unit, holder)
                if similarity >= min_jaccard:
                    chosen[unit], similarities[unit] = holder, similarity
        if chosen[unit] == unit:
            hidden += n_open == 0 and n_found > 0
            for number in lists[unit]:
                if number >= 0 and filled[number] < most:
                    holders[bounds[number] + filled[number]] = unit
                    filled[number] += 1
    return hidden


@part
def _similarity(sketches: NDArray[np.uint32], one: int, other: int) -> float:
    """Estimate the Jaccard index of two sets as `sketches.jaccard` does."""
    a, b = sketches[one], sketches[other]
    i = j = n = both = 0
    while n < a.size and (a[i] != EMPTY or b[j] != EMPTY):
        x, y = a[i], b[j]
        both += x == y
        i += x <= y
        j += y <= x
        n += 1
    return both / n if n else 0.0


@kernel
def walk(bounds: NDArray[np.int64], neighbours: NDArray[np.int32], order: NDArray[np.int32]) -> None:
    """Order the nodes of a graph so that neighbours are near each other (Cuthill & McKee, 1969).

    Of each component the nodes are visited breadth first, beginning at one that is far from another:
    the last one of such a visit that begins anywhere.

    Parameters
    ----------
    bounds : (n + 1,) int64
        Where in `neighbours` those of each node begin, and where they end.
    neighbours : (e,) int32
        In the order in which they are visited.
    order : (n,) int32
        Filled.
    """
    visits = np.zeros(order.size, np.int8)
    at = 0
    for node in range(order.size):
        if visits[node] == 0:
            end = _visit(node, 1, bounds, neighbours, visits, order, at)
            _visit(order[end - 1], 2, bounds, neighbours, visits, order, at)
            at = end


@part
def _visit(
    first: int,
    visit: int,
    bounds: NDArray[np.int64],
    neighbours: NDArray[np.int32],
    visits: NDArray[np.int8],
    order: NDArray[np.int32],
    at: int,
) -> int:
    """Write the nodes of one component from a place on, breadth first, and return where they end."""
    order[at], end = first, at + 1
    visits[first] = visit
    while at < end:
        node = order[at]
        for neighbour in neighbours[bounds[node] : bounds[node + 1]]:
            if visits[neighbour] < visit:
                visits[neighbour] = visit
                order[end] = neighbour
                end += 1
        at += 1
    return end
