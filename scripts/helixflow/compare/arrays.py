"""Readers of HDF5 files: every dataset and attribute, whatever they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

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
#: What sums over frames in another order may differ by.
ROUNDING = 1e-12


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
    return f"{name or '/'}" + (f", attribute {attribute}" if attribute else "")


def _dataset_digest(data: h5py.Dataset) -> bytes:
    digest = hashlib.blake2b(str(data.shape).encode(), digest_size=16)
    for _, block in _blocks(data):
        numbers = block.dtype.kind in "biuf"
        digest.update(np.ascontiguousarray(block).tobytes() if numbers else _texts(block))
    return digest.digest()


def _texts(block: NDArray[Any]) -> bytes:
    return json.dumps([text_of(value) for value in block.ravel()]).encode()


def text_of(value: Any) -> str:
    """Return a text of an HDF5 file, which may be bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _blocks(data: h5py.Dataset) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give a dataset in pieces of at most 16 MB, or one row, each with its first row."""
    if not data.shape:
        yield 0, np.atleast_1d(data[()])
        return
    row = max(1, data.dtype.itemsize * int(np.prod(data.shape[1:], dtype=np.int64)))
    step = max(1, _BLOCK_BYTES // row)
    for start in range(0, len(data), step):
        yield start, data[start : start + step]


def measure_nodes(a: Dataset | str, b: Dataset | str) -> Measured:
    """Measure how two datasets, or two attributes as JSON, differ."""
    if isinstance(a, str) or isinstance(b, str):
        return Measured("", (str(a), str(b)))
    with h5py.File(a.path, "r", locking=False) as left, h5py.File(b.path, "r", locking=False) as right:
        one, other = left[a.name], right[b.name]
        if one.shape != other.shape:
            return Measured("shape", [" x ".join(map(str, data.shape)) for data in (one, other)])
        return _measure_datasets(one, other)


def _measure_datasets(a: h5py.Dataset, b: h5py.Dataset) -> Measured:
    """Find the first and the largest difference of two datasets of one shape."""
    first: tuple[int, ...] | None = None
    differing, largest, relative, shown = 0, 0.0, 0.0, ("", "")
    numeric = a.dtype.kind in "biuf" and b.dtype.kind in "biuf"
    for (start, left), (_, right) in zip(_blocks(a), _blocks(b), strict=True):
        apart = _apart(left, right, numeric)
        places = np.argwhere(apart)
        if len(places) and first is None:
            first = (start + int(places[0][0]), *map(int, places[0][1:]))
            shown = _shown(left[tuple(places[0])]), _shown(right[tuple(places[0])])
        differing += len(places)
        if numeric and len(places):
            size, share = _largest(left[apart], right[apart])
            largest, relative = max(largest, size), max(relative, share)
    numbers = [Number("values that differ", differing, "", "sum")]
    if numeric:
        unit = text_of(a.attrs.get("unit", ""))
        numbers += [
            Number("largest difference", largest, "" if unit == "1" else unit, "most"),
            Number("largest relative difference", relative, "", "most"),
        ]
    return Measured(_place_words(a, first or ()), shown, numbers, numeric and largest <= ROUNDING)


def _apart(a: NDArray[Any], b: NDArray[Any], numeric: bool) -> NDArray[np.bool_]:
    if not numeric:
        texts = [np.array([text_of(value) for value in part.ravel()], object) for part in (a, b)]
        return np.asarray(texts[0] != texts[1], bool).reshape(a.shape)
    # Neither number is one where both are NaN.
    both = np.isnan(a) & np.isnan(b) if a.dtype.kind == b.dtype.kind == "f" else False
    return np.asarray((a != b) & ~np.asarray(both))


def _largest(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, float]:
    """Return the largest absolute and relative difference; infinite where one number is none."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    size = np.abs(left - right)
    size[~np.isfinite(size)] = np.inf
    scale = np.maximum(np.abs(left), np.abs(right))
    share = np.divide(size, scale, out=np.ones_like(size), where=(scale > 0) & np.isfinite(size))
    return float(size.max()), float(share.max())


def _shown(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, np.floating) else text_of(value)


def _place_words(data: h5py.Dataset, place: tuple[int, ...]) -> str:
    """Name a place in a dataset by what its axes are: frames with their time, residues, pairs of residues."""
    group = data.name.rpartition("/")[0].rpartition("/")[2]
    base = data.parent.parent if data.parent.name != "/" else data.parent
    if group == "frame" and place:
        words = f"frame {place[0] + 1}"
        if "time_ps" in data.parent:
            words += f" ({data.parent['time_ps'][place[0]]:g} ps)"
        return words + (f", component {place[1] + 1}" if len(place) == 2 else _more(place[1:]))
    if group == "residue" and place:
        return f"residue {_residue(base, place[0])}" + _more(place[1:])
    if group == "pair" and len(place) == 2:
        return f"pair {_residue(base, place[0])} and {_residue(base, place[1])}"
    return _more(place).removeprefix(", ")


def _more(place: tuple[int, ...]) -> str:
    return f", place {', '.join(str(index + 1) for index in place)}" if place else ""


def _residue(base: h5py.Group, index: int) -> str:
    """Name a residue by its chain and number, or by its place where the file does not tell them."""
    # What is of one replica leaves to the top what its residues are.
    table = next((group["residue"] for group in (base, base.file) if "residue/number" in group), None)
    if table is None or "chain" not in table or index >= len(table["number"]):
        return str(index + 1)
    chain, number = text_of(table["chain"][index]), table["number"][index]
    return f"{chain} {number}{text_of(table['insertion'][index]) if 'insertion' in table else ''}"


def attributes_reader(noun: str) -> Reader:
    """Read the attributes of the root of an HDF5 file."""

    def read(path: Path) -> Iterator[Record]:
        with h5py.File(path, "r", locking=False) as file:
            for record in _node_records(path, file, "", 0):
                yield Record(record.key[2:], record.digest, record.value)

    return Reader(noun, read, measure_nodes)
