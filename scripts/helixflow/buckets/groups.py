"""Groups of similar units and one representative of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.sketches import EMPTY, jaccard
from helixflow.tables import write_parquet

_GROUP_TYPES = {
    "unit": "string",
    "group": "int32",
    "representative": "string",
    "partition": "int32",
    "residues": "int64",
}


def group_files(
    files: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str], min_jaccard: float
) -> None:
    """Write the groups of similar units over several files of buckets.

    Parameters
    ----------
    files : iterable of path
        Written by `hash_members`.
    output : path
        Parquet: unit, group, representative, partition (empty: no partitions are made), residues.
    min_jaccard : float
        See `group_units`.
    """
    import h5py

    names: list[str] = []
    residues: list[int] = []
    sketches: list[NDArray[np.uint32]] = []
    for path in files:
        with h5py.File(path) as h5:
            names += h5["/unit/name"].asstr()[:].tolist()
            residues += h5["/unit/residues"][:].tolist()
            sketches += list(h5["/unit/sketch"][:])
    representatives = group_units(names, residues, sketches, min_jaccard)
    groups = {name: number for number, name in enumerate(sorted(set(representatives)))}
    rows = sorted(zip(names, representatives, residues, strict=True))
    columns: dict[str, list[Any]] = {
        "unit": [unit for unit, _, _ in rows],
        "group": [groups[representative] for _, representative, _ in rows],
        "representative": [representative for _, representative, _ in rows],
        "partition": [None for _ in rows],
        "residues": [count for _, _, count in rows],
    }
    write_parquet(output, columns, _GROUP_TYPES)


def group_units(
    names: Sequence[str], residues: Sequence[int], sketches: Sequence[NDArray[np.uint32]], min_jaccard: float
) -> list[str]:
    """Give each unit the representative of its group.

    Units are taken longest first, then by name. Each joins the representative it is most similar to
    if their estimated Jaccard index is at least `min_jaccard`, and is a representative itself otherwise.
    The order of the arguments does not matter, and a unit that is added and is not longer than the
    representatives leaves every other unit where it was.

    Returns
    -------
    list of str
        Names of the representatives, in the order of `names`.
    """
    chosen = [""] * len(names)
    holders: dict[int, list[int]] = {}
    for unit in sorted(range(len(names)), key=lambda index: (-residues[index], names[index])):
        values = [int(value) for value in sketches[unit] if value != EMPTY]
        near = {holder for value in values for holder in holders.get(value, ())}
        similar = [(jaccard(sketches[unit], sketches[holder]), holder) for holder in near]
        passing = [(-index, names[holder], holder) for index, holder in similar if index >= min_jaccard]
        if passing:
            chosen[unit] = names[min(passing)[2]]
        else:
            chosen[unit] = names[unit]
            for value in values:
                holders.setdefault(value, []).append(unit)
    return chosen
