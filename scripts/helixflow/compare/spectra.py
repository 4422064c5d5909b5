"""Readers of what the stage buckets writes: spectra by ranges of buckets, and units by their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.compare.places import text_of
from helixflow.compare.records import (
    Key,
    Measured,
    Number,
    Reader,
    Record,
    digest_of,
    merge,
    sort_records,
    without_copy,
)

#: Bucket ids of a record of a spectrum.
_BUCKETS = 1 << 16
#: Units that are read at once.
_ROWS = 4096


def spectrum_reader() -> Reader:
    """Read a bucket spectrum, 65,536 bucket ids a record."""
    return Reader("range of buckets", read_spectrum, _measure_spectra, _range_name, _overlap)


def read_spectrum(path: Path) -> Iterator[Record]:
    """Give the buckets (ids ascending) and counts of each range of ids that has any."""
    with h5py.File(path, "r", locking=False) as file:
        buckets, counts = file["spectrum/bucket"], file["spectrum/count"]
        held: tuple[NDArray[Any], NDArray[Any]] = (buckets[:0], counts[:0])
        for start in range(0, len(buckets), _BUCKETS):
            rows = slice(start, start + _BUCKETS)
            new = buckets[rows], counts[rows]
            held = np.concatenate([held[0], new[0]]), np.concatenate([held[1], new[1]])
            # More of the last range may come.
            last = int(held[0][-1]) // _BUCKETS
            whole = int(np.searchsorted(held[0], last * _BUCKETS))
            yield from _ranges(held[0][:whole], held[1][:whole])
            held = held[0][whole:], held[1][whole:]
        yield from _ranges(*held)


def _ranges(buckets: NDArray[Any], counts: NDArray[Any]) -> Iterator[Record]:
    owners = buckets // _BUCKETS
    for owner in np.unique(owners):
        rows = slice(*np.searchsorted(owners, [owner, owner + 1]))
        value = buckets[rows], counts[rows]
        yield Record((int(owner),), digest_of(value[0].tobytes(), value[1].tobytes()), value)


def _range_name(key: Key) -> str:
    start = int(key[0]) * _BUCKETS
    return f"{start} to {start + _BUCKETS - 1}"


def _aligned(a: Any, b: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the buckets of two parts of spectra, and the counts of each, 0 where it has none."""
    buckets = np.union1d(a[0], b[0])
    counts = [np.zeros(len(buckets), np.int64) for _ in range(2)]
    for count, part in zip(counts, (a, b), strict=True):
        count[np.searchsorted(buckets, part[0])] = part[1]
    return buckets, counts[0], counts[1]


def _measure_spectra(a: Any, b: Any) -> Measured:
    buckets, left, right = _aligned(a, b)
    first = int(np.flatnonzero(left != right)[0])
    numbers = [
        Number("buckets of other counts", int((left != right).sum()), "", "sum"),
        Number("difference of counts", int(np.abs(left - right).sum()), "k-mers", "sum"),
    ]
    return Measured(f"bucket {buckets[first]}", (f"count {left[first]}", f"count {right[first]}"), numbers)


def _overlap(a: Path, b: Path) -> list[Number]:
    """Return the Jaccard index of the buckets in use, and that of the counts."""
    nothing = (np.empty(0, np.uint32), np.empty(0, np.uint64))
    sums = np.zeros(4, np.int64)
    for one, other in merge(read_spectrum(a), read_spectrum(b)):
        _, left, right = _aligned(*(record.value if record else nothing for record in (one, other)))
        sums += [
            ((left > 0) & (right > 0)).sum(), len(left),
            np.minimum(left, right).sum(), np.maximum(left, right).sum(),
        ]  # fmt: skip
    names = ("Jaccard index of buckets", "Jaccard index of counts")
    return [
        Number(name, shared / total if total else 1.0, "", "last")
        for name, shared, total in zip(names, sums[::2], sums[1::2], strict=True)
    ]


def units_reader() -> Reader:
    """Read the units of a file of buckets: residues and sketch of each, by name."""

    def units(path: Path) -> Iterator[Record]:
        with h5py.File(path, "r", locking=False) as file:
            names, residues, sketches = (file[f"unit/{name}"] for name in ("name", "residues", "sketch"))
            for start in range(0, len(names), _ROWS):
                rows = slice(start, start + _ROWS)
                for name, count, sketch in zip(names[rows], residues[rows], sketches[rows], strict=True):
                    value = int(count).to_bytes(8, "little") + sketch.astype("<u4").tobytes()
                    yield Record((text_of(name),), digest_of(value), value)

    return Reader("unit", lambda path: sort_records(units(path)), _measure_units, without_copy)


def _measure_units(a: bytes, b: bytes) -> Measured:
    lengths = [int.from_bytes(value[:8], "little") for value in (a, b)]
    left, right = (np.frombuffer(value[8:], "<u4") for value in (a, b))
    shared = len(np.intersect1d(left, right)) / max(1, len(np.union1d(left, right)))
    numbers = [Number("least share of a sketch that is the same", shared, "", "least")]
    if lengths[0] != lengths[1]:
        return Measured("residues", tuple(map(str, lengths)), numbers)
    first = next((int(place) for place in np.flatnonzero(left != right)), 0) if len(left) == len(right) else 0
    return Measured(f"sketch, value {first + 1}", (str(left[first]), str(right[first])), numbers)
