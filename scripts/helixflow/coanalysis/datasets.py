"""What the files of the co-analysis have in common: text is UTF-8, and every dataset tells what it is."""

from __future__ import annotations

import h5py
import numpy as np
from numpy.typing import ArrayLike


def write_dataset(
    group: h5py.Group, name: str, values: ArrayLike, unit: str, description: str, *, packed: bool = False
) -> None:
    """Write a dataset with its unit and meaning, packed or as it is."""
    array = np.asarray(values)
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8")
    storage = {"compression": "gzip", "shuffle": True} if packed else {}
    describe(group.create_dataset(name, data=array, **storage), unit, description)


def describe(dataset: h5py.Dataset, unit: str, description: str) -> None:
    """Say in which unit a dataset is and what it means."""
    dataset.attrs.update(unit=unit, description=description)
