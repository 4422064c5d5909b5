"""Groups of similar units and one representative of each."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.sketches import EMPTY
from helixflow.files import remove_leftovers
from helixflow.tables import write_parquet

log = logging.getLogger(__name__)

_GROUP_TYPES = {
    "unit": "string",
    "group": "int32",
    "representative": "string",
    "jaccard": "float64",
    "residues": "int64",
}
#: Bands of a sketch: of a pair with a Jaccard index of .1, none of 128 minima is shared once in 10^6 times.
_BANDS = 128
#: Representatives that are remembered by one minimum, so that one that all units share costs no more.
_MOST = 1024
#: Sketches that are read at a time.
_ROWS = 4096


def group_files(
    files: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str], min_jaccard: float
) -> None:
    """Write the groups of similar units over several files of buckets.

    Sketches lie in a temporary file meanwhile, so that memory holds 3 kB a unit, whatever their size.

    Parameters
    ----------
    files : iterable of path
        Written by `hash_members`.
    output : path
        Parquet: unit, group, representative, jaccard (estimated index of the two), residues.
    min_jaccard : float
        See `group_units`.
    """
    remove_leftovers(output)
    files = list(files)
    names, residues = _read_names(files)
    order = _longest_first(names, residues)
    with _sketches_in_order(files, order) as sketches:
        chosen, similarities = _choose(sketches, min_jaccard)
    representatives = [names[unit] for unit in _unordered(order[chosen], order)]
    groups = {name: number for number, name in enumerate(sorted(set(representatives)))}
    log.info("%d units are in %d groups", len(names), len(groups))
    rows = sorted(zip(names, representatives, _unordered(similarities, order), residues, strict=True))
    columns: dict[str, list[Any]] = {
        "unit": [unit for unit, _, _, _ in rows],
        "group": [groups[representative] for _, representative, _, _ in rows],
        "representative": [representative for _, representative, _, _ in rows],
        "jaccard": [similarity for _, _, similarity, _ in rows],
        "residues": [count for _, _, _, count in rows],
    }
    write_parquet(output, columns, _GROUP_TYPES)


def group_units(
    names: Sequence[str], residues: Sequence[int], sketches: Sequence[NDArray[np.uint32]], min_jaccard: float
) -> list[str]:
    """Give each unit the representative of its group.

    Units are taken longest first, then by name. Each joins the first representative, thus the longest,
    whose estimated Jaccard index with it is at least `min_jaccard`, and is a representative itself where
    there is none. The order of the arguments does not matter, and a unit that is added and is shorter
    than the representatives leaves every other unit where it was.

    Parameters
    ----------
    names : sequence of str
    residues : sequence of int
    sketches : sequence of (s,) uint32
        Ascending, filled up with `EMPTY`.
    min_jaccard : float

    Returns
    -------
    list of str
        Names of the representatives, in the order of `names`.
    """
    order = _longest_first(names, residues)
    rows = [sketches[unit] for unit in order]
    chosen, _ = _choose(np.array(rows, np.uint32).reshape(len(rows), -1 if rows else 1), min_jaccard)
    return [names[unit] for unit in _unordered(order[chosen], order)]


def _longest_first(names: Sequence[str], residues: Sequence[int]) -> NDArray[np.int64]:
    order = sorted(range(len(names)), key=lambda unit: (-residues[unit], names[unit]))
    return np.array(order, np.int64)


def _unordered(values: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    """Return what is given in an order of units by number of unit."""
    by_unit = np.empty_like(values)
    by_unit[order] = values
    return by_unit


def _choose(
    sketches: NDArray[np.uint32], min_jaccard: float
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Give each of units in order the place of its representative and how similar it is to it.

    Only likely ones are looked at.

    Two units are compared when enough of the minima of their bands are equal (min-wise hashing with
    banding; Broder 1997, Indyk & Motwani 1998).
    """
    from helixflow.buckets import matching

    minima = np.empty((len(sketches), _BANDS), np.uint32)
    for begin in range(0, len(sketches), _ROWS):
        matching.band_minima(sketches[begin : begin + _ROWS], minima[begin : begin + _ROWS])
    lists, bounds = _make_lists(minima)
    chosen, similarities = np.empty(len(sketches), np.int32), np.empty(len(sketches))
    hidden = matching.choose(sketches, lists, bounds, _MOST, float(min_jaccard), chosen, similarities)
    if hidden:
        log.warning(
            "%d representatives are like more than %d before them, and units that are like one of these "
            "alone are representatives too; lower buckets/min_jaccard, or leave the groups unused",
            hidden, _MOST,
        )  # fmt: skip
    return chosen, similarities


def _make_lists(minima: NDArray[np.uint32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the minima of each band; return the numbers (u, b) and where (l + 1,) their lists begin."""
    lists = np.empty(minima.shape, np.int32)
    sizes = [np.zeros(1, np.int64)]
    n_list = 0
    for band in range(minima.shape[1]):
        _, numbers, counts = np.unique(minima[:, band], return_inverse=True, return_counts=True)
        lists[:, band] = numbers + n_list
        sizes.append(np.minimum(counts, _MOST))
        n_list += len(counts)
    lists[minima == EMPTY] = -1
    return lists, np.cumsum(np.concatenate(sizes))


def _read_names(files: Iterable[str | os.PathLike[str]]) -> tuple[list[str], list[int]]:
    """Read names and residues of the units of several files."""
    import h5py

    names: list[str] = []
    residues: list[int] = []
    for path in files:
        with h5py.File(path) as h5:
            names += h5["/unit/name"].asstr()[:].tolist()
            residues += h5["/unit/residues"][:].tolist()
    return names, residues


@contextmanager
def _sketches_in_order(
    files: Sequence[str | os.PathLike[str]], order: NDArray[np.int64]
) -> Iterator[NDArray[np.uint32]]:
    """Give the sketches of several files (u, s) in an order, from a file without a name."""
    import h5py

    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    if not len(order):
        yield np.empty((0, 1), np.uint32)
        return
    with h5py.File(files[0]) as h5:
        size = h5["/unit/sketch"].shape[1]
    with tempfile.TemporaryFile() as stream:
        sketches = np.asarray(np.memmap(stream, np.uint32, "w+", shape=(len(order), size)))
        at = 0
        for path in files:
            with h5py.File(path) as h5:
                for begin in range(0, len(h5["/unit/name"]), _ROWS):
                    rows = h5["/unit/sketch"][begin : begin + _ROWS]
                    sketches[places[at : at + len(rows)]] = rows
                    at += len(rows)
        yield sketches
