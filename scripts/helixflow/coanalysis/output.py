"""The result file: pooled over replicas at the top, each replica below ``/replica``.

T frames, N residues, vectors of D numbers. ``/replica/1`` has ``frame``, ``residue`` and ``pair`` of one
replica. As attributes, ``/`` tells what a contact is, ``/embedding`` what the store says of the model,
``/statistics`` the numbers of frames, contacts and residues, and every dataset its ``unit`` and
``description``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from helixflow.coanalysis.blocks import Part, Task
from helixflow.coanalysis.statistics import correlate_pairs
from helixflow.links.status import STATUSES

#: Every dataset: its unit and meaning.
DATASETS = {
    "frame/replica": ("1", "(T,) number of the replica"),
    "frame/time_ps": ("ps", "(T,) time in the replica"),
    "frame/rmsd_nm": ("nm", "(T,) RMSD of the C-alphas to the replica's first frame, superposed on it"),
    "frame/rg_nm": ("nm", "(T,) radius of gyration of all atoms, mass-weighted"),
    "frame/contacts": ("1", "(T,) number of pairs of residues in contact"),
    "frame/coherence": ("1", "(T,) mean embedding cosine of the pairs in contact; NaN without any"),
    "frame/embedding": ("1", "(T, D) mean residue embedding, weighted with contacts; NaN without any"),
    "residue/chain": ("", "(N,) chain id"),
    "residue/number": ("1", "(N,) residue number in the structure"),
    "residue/insertion": ("", "(N,) insertion code"),
    "residue/code": ("", "(N,) one-letter code"),
    "residue/protein": ("", "(N,) protein the residue is linked to; empty where it has none"),
    "residue/row": ("1", "(N,) residue of that protein, from 1; 0 where it has none"),
    "residue/partner_code": ("", "(N,) one-letter code there, the one that was embedded"),
    "residue/status": ("", f"(N,) {', '.join(STATUSES)}"),
    "residue/rmsf_nm": ("nm", "(N,) RMSF of the C-alpha about the mean structure of its replica"),
    "residue/contacts": ("1", "(N,) number of contacts, mean over frames"),
    "residue/context": ("1", "(N, D) sum of the embeddings in contact, mean over frames; NaN without own"),
    "pair/contact_frequency": ("1", "(N, N) share of the frames in which the pair is in contact"),
    "pair/embedding_cosine": ("1", "(N, N) cosine of the residues' embeddings; NaN if one has none"),
    "embedding/protein": ("", "proteins the residues are linked to"),
    "embedding/uri": ("", "URI of each one's embedding, relative to the folder of the index"),
    "statistics/contact_cosine/pairs": ("", "pairs of linked residues that are compared"),
    "statistics/contact_cosine/number": ("1", "how many they are"),
    "statistics/contact_cosine/spearman": ("1", "rank correlation of contact frequency and embedding cosine"),
    "statistics/replica/replica": ("1", "number of the replica"),
    "statistics/replica/frames": ("1", "number of its frames"),
    "statistics/replica/rmsd_nm": ("nm", "mean over its frames"),
    "statistics/replica/rg_nm": ("nm", "mean over its frames"),
    "statistics/replica/contacts": ("1", "mean over its frames"),
    "statistics/replica/coherence": ("1", "mean over its frames with contacts"),
}
_FRAME_TYPES = {
    "replica": "i4",
    "time_ps": "f8",
    "rmsd_nm": "f8",
    "rg_nm": "f8",
    "contacts": "i8",
    "coherence": "f8",
    "embedding": "f4",
}


@dataclass(frozen=True)
class Sums:
    """Sums over frames of contacts (N, N) and of squared deviations of the C-alphas (N,)."""

    frames: int
    contacts: NDArray[np.int64]
    square: NDArray[np.float64]

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.frames + other.frames, self.contacts + other.contacts, self.square + other.square)


def write_results(path: Path, parts: Iterator[Part], task: Task) -> None:
    """Write the analysis of a structure, with one block of frames in memory at a time.

    Parameters
    ----------
    path : path
    parts : iterator of Part
        Those of all blocks of the task, in their order.
    task : Task
    """
    n_frame = [len(trajectory.offsets) for trajectory in task.trajectories]
    n_residue, width = task.embedding.vectors.shape
    nothing = Sums(0, np.zeros((n_residue, n_residue), np.int64), np.zeros(n_residue))
    pooled = nothing
    with h5py.File(path, "w") as file:
        _write_inputs(file, task)
        frames = _create_frames(file, sum(n_frame), width)
        for number, of_replica in groupby(parts, key=lambda part: part.block.trajectory):
            replica = task.trajectories[number].replica
            group = file.create_group(f"replica/{replica}")
            own_frames = _create_frames(group, n_frame[number], width)
            sums = _write_frames([(frames, pooled.frames), (own_frames, 0)], replica, of_replica, nothing)
            _write_means(group, sums, task)
            group["pair/embedding_cosine"] = file["pair/embedding_cosine"]
            pooled += sums
        _write_means(file, pooled, task)
        _write_statistics(file, task)


def _put(group: h5py.Group, name: str, values: ArrayLike) -> None:
    """Write a dataset of `DATASETS`."""
    array = np.asarray(values)
    group[name] = np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array
    _describe(group[name], name)


def _describe(dataset: h5py.Dataset, name: str) -> None:
    unit, description = DATASETS[name]
    dataset.attrs.update(unit=unit, description=description)


def _write_inputs(file: h5py.File, task: Task) -> None:
    """Write what the residues are, and where their embeddings are from."""
    file.attrs.update(
        cutoff_nm=task.cutoff_nm,
        min_separation=task.min_separation,
        contact="C-alphas closer than cutoff_nm; of one chain only residues at least min_separation apart",
    )
    for name in ("chain", "number", "insertion", "code"):
        _put(file, f"residue/{name}", [getattr(residue, name) for residue in task.molecule.residues])
    for name in ("protein", "row", "partner_code", "status"):
        _put(file, f"residue/{name}", [getattr(link, name) for link in task.embedding.links])
    _put(file, "pair/embedding_cosine", task.embedding.cosine)
    _put(file, "embedding/protein", list(task.embedding.uris))
    _put(file, "embedding/uri", list(task.embedding.uris.values()))
    file["embedding"].attrs.update(task.embedding.model)


def _create_frames(parent: h5py.Group, n_frame: int, width: int) -> h5py.Group:
    group = parent.create_group("frame")
    for name, dtype in _FRAME_TYPES.items():
        shape = (n_frame, width) if name == "embedding" else (n_frame,)
        _describe(group.create_dataset(name, shape, dtype), f"frame/{name}")
    return group


def _write_frames(
    targets: list[tuple[h5py.Group, int]], replica: int, parts: Iterable[Part], nothing: Sums
) -> Sums:
    """Write the frames of one replica, to several groups from some row on.

    Returns
    -------
    Sums
        Those of the replica, with the squares about its mean structure.
    """
    sums, shift = nothing, np.zeros((len(nothing.square), 3))
    for part in parts:
        n_frame = len(part.time_ps)
        columns = {
            "replica": replica,
            "time_ps": part.time_ps,
            "rmsd_nm": part.rmsd_nm,
            "rg_nm": part.rg_nm,
            "contacts": part.contacts.count,
            "coherence": part.contacts.coherence,
            "embedding": part.contacts.embedding,
        }
        for group, start in targets:
            rows = slice(start + sums.frames, start + sums.frames + n_frame)
            for name, values in columns.items():
                group[name][rows] = values
        sums += Sums(n_frame, part.contacts.pairs, part.square)
        shift += part.shift
    # Squares about the mean are those about the first frame, less those of the mean about it.
    square = sums.square - (shift**2).sum(axis=1) / sums.frames
    return Sums(sums.frames, sums.contacts, np.maximum(square, 0))


def _write_means(group: h5py.Group, sums: Sums, task: Task) -> None:
    """Write means over the frames of one replica or of all."""
    frequency, linked = sums.contacts / sums.frames, task.embedding.linked
    # Vectors of unlinked residues are zero, so their contacts add nothing.
    context = frequency @ task.embedding.vectors
    context[~linked] = np.nan
    _put(group, "residue/rmsf_nm", np.sqrt(sums.square / sums.frames))
    _put(group, "residue/contacts", frequency.sum(axis=1))
    _put(group, "residue/context", context.astype(np.float32))
    _put(group, "pair/contact_frequency", frequency)


def _write_statistics(file: h5py.File, task: Task) -> None:
    """Write what is worked out from the rest of the file."""
    frequency, linked = file["pair/contact_frequency"][:], task.embedding.linked
    linked_pairs = np.logical_and.outer(linked, linked)
    correlations = correlate_pairs(
        frequency, task.embedding.cosine, task.eligible & linked_pairs, task.molecule.chains
    )
    for name, values in zip(("pairs", "number", "spearman"), zip(*correlations, strict=True), strict=True):
        _put(file, f"statistics/contact_cosine/{name}", values)

    replicas = [file[f"replica/{trajectory.replica}/frame"] for trajectory in task.trajectories]
    _put(file, "statistics/replica/replica", [trajectory.replica for trajectory in task.trajectories])
    _put(file, "statistics/replica/frames", [len(frames["time_ps"]) for frames in replicas])
    for name in ("rmsd_nm", "rg_nm", "contacts", "coherence"):
        _put(file, f"statistics/replica/{name}", [_mean(frames[name][:]) for frames in replicas])

    statuses = Counter(link.status for link in task.embedding.links)
    file["statistics"].attrs.update(
        frames=len(file["frame/time_ps"]),
        frames_without_embedding=int(np.isnan(file["frame/coherence"][:]).sum()),
        contacts_per_frame=frequency.sum() / 2,
        contacts_per_frame_left_out=frequency[~linked_pairs].sum() / 2,
        **{name: statuses[name] for name in STATUSES},
    )


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of what is not NaN."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
