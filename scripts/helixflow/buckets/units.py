"""Units and their sketches: joined from parts, written to and read from HDF5 a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.sketches import EMPTY, merge

#: Rows of sketches that are stored and compressed together.
_ROWS = 64


@dataclass(frozen=True)
class Units:
    """Units, or what a stretch of the data has of them.

    Attributes
    ----------
    names : list of str
    residues : (u,) int64
        Letters.
    values : (n,) uint32
        The values of their sketches, those of each ascending and distinct.
    bounds : (u + 1,) int64
        Where in `values` those of each begin and end.
    """

    names: list[str]
    residues: NDArray[np.int64]
    values: NDArray[np.uint32]
    bounds: NDArray[np.int64]

    def __getitem__(self, which: slice) -> Units:
        """Return some units that follow one another."""
        begin, end, _ = which.indices(len(self.names))
        bounds = self.bounds[begin : max(begin, end) + 1]
        values = self.values[bounds[0] : bounds[-1]]
        return Units(self.names[which], self.residues[which], values, bounds - bounds[0])

    def with_more(self, other: Units, size: int) -> Units:
        """Return a single unit with what another stretch has of it."""
        from helixflow.buckets.matching import unite

        values = np.empty(size, np.uint32)
        n = unite(self.values, other.values, values)
        return Units(self.names, self.residues + other.residues, values[:n], np.array([0, n]))

    def matrix(self, size: int) -> NDArray[np.uint32]:
        """Return the sketches (u, size), filled up with `EMPTY`."""
        lengths = np.diff(self.bounds)
        rows = np.full((len(lengths), size), EMPTY)
        rows[np.arange(size) < lengths[:, None]] = self.values
        return rows


@dataclass(frozen=True)
class Part:
    """What a stretch of the data has of units: first of the one that goes on, which may be nothing.

    Attributes
    ----------
    units : Units
    limit : (1,) uint32
        Where to tell the largest value that the sketch of the last unit still can have.
    """

    units: Units
    limit: NDArray[np.uint32]


class Joiner:
    """Join parts in the order of the data to units.

    Parameters
    ----------
    size : int
        Values of a sketch.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._last: Units | None = None

    def add(self, part: Part) -> list[Units]:
        """Take the next part, and return the units that are whole by it."""
        units, whole = part.units, list[Units]()
        if self._last:
            self._last = self._last.with_more(units[:1], self._size)
        if len(units.names) > 1:
            whole = [*self.end(), units[1:-1]]
            self._last = units[-1:]
        if self._last and len(self._last.values) == self._size:
            part.limit[0] = self._last.values[-1]
        return whole

    def end(self) -> list[Units]:
        """Return the last unit, if there was any."""
        return [self._last] if self._last else []


def merge_units(a: Units, b: Units, size: int) -> Units:
    """Return the units of both, those of one name made one: their residues add, their sketches are merged."""
    places = {name: place for place, name in enumerate(a.names)}
    residues, rows = list(a.residues), list(a.matrix(size))
    for name, count, row in zip(b.names, b.residues, b.matrix(size), strict=True):
        place = places.setdefault(name, len(rows))
        if place == len(rows):
            residues.append(count)
            rows.append(row)
        else:
            residues[place] += count
            rows[place] = merge(rows[place], row)
    sketches = np.array(rows, np.uint32).reshape(len(rows), size)
    bounds = np.append(0, np.cumsum((sketches != EMPTY).sum(axis=1)))
    return Units(list(places), np.array(residues, np.int64), sketches[sketches != EMPTY], bounds)
