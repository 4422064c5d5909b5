"""Readers of HDF5 files: every dataset and attribute, whatever they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.compare.places import place_words, text_of
from helixflow.compare.records import (
    Key,
    Measured,
    Number,
    Reader,
    Record,
    digest_of,
)

#: Bytes of a dataset that are in memory at once, of each run.
_BLOCK_BYTES = 1 << 24
#: What sums in another order may differ by, in units of the greater number or of 1.
_ROUNDING = 1e-12
#: Where datasets differ in which no value does.
_NOTHING = ("type of the values", "sign of zero, or kind of NaN")


class Dataset(NamedTuple):
    """A dataset of a file, which is not read before it is asked for."""

    path: Path
    name: str


def hdf5_reader(order: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> Reader:
    """Read the datasets and attributes of an HDF5 file.

    Parameters
    ----------
    order : tuple of str
        Groups that come first, since the others are worked out from them.
    without : tuple of str
        Names of datasets that are not compared.
    """

    def read(path: Path) -> Iterator[Record]:
        with h5py.File(path, "r", locking=False) as file:
            names = sorted(_names(file), key=lambda name: (_rank(name, order), name))
            for name in names:
                if name not in without:
                    yield from _node_records(path, file, name, _rank(name, order))

    return Reader("dataset", read, measure_nodes, _node_name)


def _names(file: h5py.File) -> list[str]:
    """Name all groups and datasets; a link to what was visited already is not followed."""
    names = [""]
    file.visit(names.append)
    return names


def _rank(name: str, order: tuple[str, ...]) -> int:
    group = name.partition("/")[0]
    return order.index(group) if group in order else len(order) if name else 0


def _node_records(path: Path, file: h5py.File, name: str, rank: int) -> Iterator[Record]:
    node = file[name or "/"]
    if isinstance(node, h5py.Dataset):
        yield Record((rank, name, ""), _dataset_digest(node), Dataset(path, name))
    for attribute in sorted(node.attrs):
        value = node.attrs[attribute]
        text = json.dumps(
            value.tolist() if isinstance(value, np.generic | np.ndarray) else value, default=str
        )
        yield Record((rank, name, attribute), digest_of(text), text)


def _node_name(key: Key) -> str:
    _, name, attribute = key
    return f"attribute {attribute} of /{name}" if attribute else str(name)


def _dataset_digest(data: h5py.Dataset) -> bytes:
    digest = hashlib.blake2b(f"{data.dtype.str} {data.shape}".encode(), digest_size=16)
    for _, block in _blocks(data, _rows(data)):
        numbers = block.dtype.kind in "biuf"
        digest.update(np.ascontiguousarray(block).tobytes() if numbers else _texts(block))
    return digest.digest()


def _texts(block: NDArray[Any]) -> bytes:
    return json.dumps([text_of(value) for value in block.ravel()]).encode()


def _rows(data: h5py.Dataset) -> int:
    """Return how many rows of a dataset are read at once: 16 MB, or one."""
    row = data.dtype.itemsize * int(np.prod(data.shape[1:], dtype=np.int64))
    return max(1, int(_BLOCK_BYTES // max(1, row)))


def _blocks(data: h5py.Dataset, rows: int, end: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give so many rows of a dataset at a time, up to an end, each time with the first row."""
    if not data.shape:
        yield 0, np.atleast_1d(data[()])
        return
    end = len(data) if end is None else end
    for start in range(0, end, rows):
        yield start, data[start : min(start + rows, end)]


def measure_nodes(a: Dataset | str, b: Dataset | str) -> Measured:
    """Measure how two datasets, or two attributes as JSON, differ."""
    if isinstance(a, str) or isinstance(b, str):
        return Measured("", (str(a), str(b)))
    with h5py.File(a.path, "r", locking=False) as left, h5py.File(b.path, "r", locking=False) as right:
        one, other = left[a.name], right[b.name]
        if one.shape == other.shape:
            return _measure_datasets(one, other)
        shapes = [" x ".join(map(str, data.shape)) for data in (one, other)]
        if one.ndim != 1 or other.ndim != 1:
            return Measured("shape", shapes)
        # Of lists, such as pairs in contact, the first entry that differs tells more than their lengths.
        found = _measure_datasets(one, other)
        longer = Number(
            f"{one.name.removeprefix('/')}: difference of length", abs(len(one) - len(other)), "", "sum"
        )
        if found.where in _NOTHING:
            return Measured("length", shapes, [longer])
        return found._replace(numbers=[longer, *found.numbers], rounding=False)


@dataclass
class _Apart:
    """How numbers or texts differ, put together block by block."""

    place: tuple[int, ...] | None = None
    shown: tuple[str, str] = ("", "")
    differing: int = 0
    lost: int = 0
    largest: float = 0.0
    relative: float = 0.0
    rounding: bool = True

    def add(self, start: int, a: NDArray[Any], b: NDArray[Any]) -> None:
        """Compare two blocks that begin with a row."""
        numeric = all(block.dtype.kind in "biuf" for block in (a, b))
        apart = _unequal(a, b, numeric)
        if not apart.any():
            return
        first = tuple(int(index) for index in np.argwhere(apart)[0])
        if self.place is None:
            self.place = (start + first[0], *first[1:])
            self.shown = _shown(a[first]), _shown(b[first])
        self.differing += int(apart.sum())
        self.rounding &= numeric and self._measure(a[apart], b[apart])

    def _measure(self, a: NDArray[Any], b: NDArray[Any]) -> bool:
        """Take note of the sizes of differences; tell whether all are rounding."""
        single = 2.0**-22 if "f4" in (a.dtype.str[1:], b.dtype.str[1:]) else 0.0
        left, right = a.astype(np.float64), b.astype(np.float64)
        both = np.isfinite(left) & np.isfinite(right)
        self.lost += int((~both).sum())
        if both.any():
            size, scale = np.abs(left - right)[both], np.maximum(np.abs(left), np.abs(right))[both]
            self.largest = max(self.largest, float(size.max()))
            self.relative = max(self.relative, float((size / scale).max()))
            return bool(both.all() and (size <= _ROUNDING * np.maximum(scale, 1) + single * scale).all())
        return False


def _measure_datasets(a: h5py.Dataset, b: h5py.Dataset) -> Measured:
    """Find where two datasets differ first, as far as the shorter goes, and by how much."""
    found, rows = _Apart(), min(_rows(a), _rows(b))
    end = min(len(a), len(b)) if a.shape else None
    for (start, left), (_, right) in zip(_blocks(a, rows, end), _blocks(b, rows, end), strict=True):
        found.add(start, left, right)
    if found.place is None:
        kinds = a.dtype.str, b.dtype.str
        return (
            Measured(_NOTHING[0], kinds) if kinds[0] != kinds[1] else Measured(_NOTHING[1], kinds, (), True)
        )
    unit, name = text_of(a.attrs.get("unit", "")), a.name.removeprefix("/")
    numbers = [Number(f"{name}: values that differ", found.differing, "", "sum")]
    if found.lost:
        numbers.append(Number(f"{name}: values of which one is no number", found.lost, "", "sum"))
    # Pairs in contact are numbered, and numbers of other pairs are not near or far.
    if found.relative and not name.startswith("contact/"):
        numbers.append(Number(f"{name}: largest difference", found.largest, unit.strip("1"), "most"))
        numbers.append(Number(f"{name}: largest relative difference", found.relative, "", "most"))
    return Measured(place_words(a, found.place), found.shown, numbers, found.rounding)


def _unequal(a: NDArray[Any], b: NDArray[Any], numeric: bool) -> NDArray[np.bool_]:
    if not numeric:
        texts = [np.array([text_of(value) for value in part.ravel()], object) for part in (a, b)]
        return np.asarray(texts[0] != texts[1], bool).reshape(a.shape)
    if a.dtype.kind == b.dtype.kind == "f":
        return np.asarray((a != b) & ~(np.isnan(a) & np.isnan(b)))
    return np.asarray(a != b)


def _shown(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, np.floating) else text_of(value)


def attributes_reader(noun: str) -> Reader:
    """Read the attributes of the root of an HDF5 file."""

    def read(path: Path) -> Iterator[Record]:
        with h5py.File(path, "r", locking=False) as file:
            for record in _node_records(path, file, "", 0):
                yield Record(record.key[2:], record.digest, record.value)

    return Reader(noun, read, measure_nodes)
