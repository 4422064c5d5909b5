"""Writing the measures of a replica, a block of frames at a time; see `measures` for what a file has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from helixflow.coanalysis.datasets import describe
from helixflow.coanalysis.measures import CRITERIA, DATASETS
from helixflow.coanalysis.replica import Contacts, Part, Task
from helixflow.coanalysis.whole import WholeFile

#: Pairs in contact that are written at once, and stand together in the file.
_CHUNK = 1 << 16


def write_measures(file: WholeFile, parts: Iterable[Part], task: Task) -> None:
    """Write the measures of a replica, with no more than one block of frames in memory.

    Parameters
    ----------
    file : WholeFile
    parts : iterable of Part
        Those of all blocks of the trajectory, in their order.
    task : Task
    """
    n_frame, n_residue = len(task.trajectory.times), len(task.molecule.residues)
    file.attrs.update(asdict(task.settings) | {"trajectory": task.trajectory.path.name})
    _put(file, "frame/time_ps", task.trajectory.times)
    for name in ("chain", "number", "insertion", "code"):
        _put(file, f"residue/{name}", [getattr(residue, name) for residue in task.molecule.residues])
    _create(file, n_frame, n_residue)
    sums = _Sums(n_residue)
    for part in parts:
        file.check()
        _write_frames(file, sums.frames, part)
        for criterion, contacts in part.contacts.items():
            _append(file[CRITERIA[criterion].pairs], contacts)
        sums.add(part)
    for name, values in sums.means().items():
        _put(file, name, values)


class _Sums:
    """Sums over the frames so far; the order of blocks decides the last digits, so it is always the same."""

    def __init__(self, n_residue: int) -> None:
        self.frames = 0
        self._pairs = {criterion: np.zeros(n_residue**2, np.int32) for criterion in CRITERIA}
        self._counts = {name: np.zeros(n_residue, np.int64) for name in ("neighbours", "helix", "strand")}
        self._shift, self._square = np.zeros((n_residue, 3)), np.zeros(n_residue)

    def add(self, part: Part) -> None:
        """Add the sums of a block."""
        self.frames += len(part.rmsd_nm)
        for criterion, contacts in part.contacts.items():
            np.add.at(self._pairs[criterion], contacts.pairs, 1)
        self._counts["neighbours"] += part.neighbours
        self._counts["helix"] += part.helix.sum(axis=0)
        self._counts["strand"] += part.strand.sum(axis=0)
        self._shift += part.shift
        self._square += part.square

    def means(self) -> dict[str, NDArray[np.float64]]:
        """Return what is known of residues and pairs, by the names of the datasets."""
        # Squares about the mean are those about the first frame, less those of the mean about it.
        square = self._square - (self._shift**2).sum(axis=1) / self.frames
        means = {"residue/rmsf_nm": np.sqrt(np.maximum(square, 0) / self.frames)}
        for name, count in self._counts.items():
            means[f"residue/{name}"] = count / self.frames
        for name, criterion in CRITERIA.items():
            n_residue = len(self._square)
            half = self._pairs[name].reshape(n_residue, n_residue)
            means[criterion.frequency] = (half + half.T) / self.frames
        return means


def _put(file: h5py.File, name: str, values: ArrayLike) -> None:
    """Write a dataset of `DATASETS`."""
    kind, array = DATASETS[name][0], np.asarray(values)
    file[name] = array.astype(kind) if kind else np.char.encode(array.astype(str), "utf-8")
    describe(file[name], *DATASETS[name][1:])


def _create(file: h5py.File, n_frame: int, n_residue: int) -> None:
    """Create the datasets that grow or are filled frame by frame."""
    for name, (kind, *meaning) in DATASETS.items():
        options: dict[str, Any] = {}
        if name.startswith("contact/"):
            options = {"shape": (0,), "maxshape": (None,), "chunks": (_CHUNK,)}
        elif name.startswith("frame/") and name not in file:
            options = {"shape": (n_frame, n_residue, 3) if name == "frame/alphas" else (n_frame,)}
        if options:
            describe(file.create_dataset(name, dtype=kind, **options), *meaning)


def _write_frames(file: h5py.File, start: int, part: Part) -> None:
    """Write what is known of each frame of a block."""
    columns = {
        "rmsd_nm": part.rmsd_nm,
        "rg_nm": part.rg_nm,
        "contacts": part.contacts["alphas"].counts,
        "heavy_contacts": part.contacts["heavy"].counts,
        "helix": part.helix.mean(axis=1),
        "strand": part.strand.mean(axis=1),
        "alphas": part.alphas,
    }
    for name, values in columns.items():
        file[f"frame/{name}"][start : start + len(values)] = values


def _append(dataset: h5py.Dataset, contacts: Contacts) -> None:
    before = len(dataset)
    dataset.resize((before + len(contacts.pairs),))
    dataset[before:] = contacts.pairs
