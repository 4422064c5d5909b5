"""Names of places in HDF5 files of the co-analysis: frames with their time, residues, pairs of residues."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

#: Lists of pairs in contact, frame after frame, and the dataset that says how many each frame has.
_COUNTED = {"alphas": "contacts", "heavy": "heavy_contacts"}


def text_of(value: Any) -> str:
    """Return a text of an HDF5 file, which may be bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def place_words(data: h5py.Dataset, place: tuple[int, ...]) -> str:
    """Name a place in a dataset by what its axes are.

    Parameters
    ----------
    data : h5py.Dataset
        Any; what the axes are is told by the group it is in: frame, residue, pair or contact.
    place : tuple of int
        Indexes, from 0; in the name they count from 1.
    """
    above, _, name = data.name.rpartition("/")
    group, base = above.rpartition("/")[2], data.file[above.rpartition("/")[0] or "/"]
    if group == "frame":
        return _frame(base, place[0]) + _more(place[1:])
    if group == "residue":
        return f"residue {_residue(base, place[0])}" + _more(place[1:])
    if group == "pair" and len(place) == 2:
        return f"pair {_residue(base, place[0])} and {_residue(base, place[1])}"
    if group == "contact" and name in _COUNTED and f"frame/{_COUNTED[name]}" in base:
        return _contact(base, data, name, place[0])
    return _more(place).removeprefix(", ")


def _frame(base: h5py.Group, index: int) -> str:
    """Name a frame by its place in the file, and by its replica, where the file is of several, and time."""
    replicas, times = base.get("frame/replica"), base.get("frame/time_ps")
    told = [f"replica {replicas[index]}"] if replicas is not None and index < len(replicas) else []
    told += [f"{times[index]:.7g} ps"] if times is not None and index < len(times) else []
    return f"frame {index + 1}" + (f" ({', '.join(told)})" if told else "")


def _contact(base: h5py.Group, data: h5py.Dataset, name: str, index: int) -> str:
    """Name the frame of an entry of a list of pairs, and the pair, written as i N + j."""
    ends = np.cumsum(base[f"frame/{_COUNTED[name]}"][:])
    frame = int(np.searchsorted(ends, index, side="right"))
    first, second = divmod(int(data[index]), len(base["residue/number"]))
    return f"{_frame(base, frame)}, pair {_residue(base, first)} and {_residue(base, second)}"


def _more(place: tuple[int, ...]) -> str:
    return f", place {', '.join(str(index + 1) for index in place)}" if place else ""


def _residue(base: h5py.Group, index: int) -> str:
    """Name a residue by its chain and number, or by its place where the file does not tell them."""
    # What is of one replica leaves to the top what its residues are.
    tables = [group["residue"] for group in (base, base.file) if "residue/number" in group]
    if not tables or "chain" not in tables[0] or index >= len(tables[0]["number"]):
        return str(index + 1)
    table = tables[0]
    insertion = text_of(table["insertion"][index]) if "insertion" in table else ""
    return f"{text_of(table['chain'][index])} {table['number'][index]}{insertion}"
