"""What the parts on a structure's co-analysis read from its file."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.report.figures import Place

#: Replicas that figures show.
MOST_DRAWN = 6

Curves = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def drawn_replicas(h5: h5py.File) -> list[int]:
    """Return the numbers of the replicas that figures show."""
    numbers: list[int] = h5["statistics/replica/replica"][:MOST_DRAWN].tolist()
    return numbers


def curves_of(h5: h5py.File, name: str) -> Curves:
    """Return time in ps and a value per frame, (T,) each, of each replica that is drawn."""
    frames = {number: h5[f"replica/{number}/frame"] for number in drawn_replicas(h5)}
    return {f"replica {number}": (group["time_ps"][:], group[name][:]) for number, group in frames.items()}


def profiles_of(h5: h5py.File, name: str) -> dict[str, NDArray[np.float64]]:
    """Return a value per residue, (N,) each, of each replica that is drawn and, of several, of all."""
    profiles = {
        f"replica {number}": h5[f"replica/{number}/residue/{name}"][:] for number in drawn_replicas(h5)
    }
    if len(profiles) > 1:
        profiles["pooled"] = h5[f"residue/{name}"][:]
    return profiles


def places_of(h5: h5py.File) -> list[Place]:
    """Return chain, number and insertion code of each residue."""
    chains, insertions = (h5[f"residue/{name}"].asstr("utf-8")[:] for name in ("chain", "insertion"))
    return list(zip(chains, h5["residue/number"][:].tolist(), insertions, strict=True))


def labels_of(h5: h5py.File) -> list[str]:
    """Return what each residue is called: its letter and number, and of several chains its chain."""
    places, codes = places_of(h5), h5["residue/code"].asstr("utf-8")[:]
    several = len({chain for chain, _, _ in places}) > 1
    return [
        f"{chain or '(blank)'} {code}{number}{insertion}" if several else f"{code}{number}{insertion}"
        for code, (chain, number, insertion) in zip(codes, places, strict=True)
    ]


def columns_of(group: h5py.Group, *names: str) -> list[list[Any]]:
    """Return datasets of one length as lists, strings as text."""
    columns: list[list[Any]] = []
    for name in names:
        text = h5py.check_string_dtype(group[name].dtype) is not None
        columns.append((group[name].asstr("utf-8") if text else group[name])[:].tolist())
    return columns


def rows_of(group: h5py.Group, *names: str) -> list[tuple[Any, ...]]:
    """Return datasets of one length as rows."""
    return list(zip(*columns_of(group, *names), strict=True))


def own_mode(h5: h5py.File) -> NDArray[np.float64]:
    """Return (N,): how far each residue's surroundings lie along the first component of the embeddings.

    That is the projection of the residue's context, the mean of the embeddings it meets, on the component,
    about the mean over the residues; NaN where a residue has no context or there is no component.
    """
    context, modes = h5["residue/context"][:].astype(np.float64), h5["components/embedding/mode"]
    if not len(modes) or not len(context):
        return np.full(len(context), np.nan)
    projection = context @ modes[0]
    known = np.isfinite(projection)
    centred: NDArray[np.float64] = projection - (projection[known].mean() if known.any() else np.nan)
    return centred


def typicality(h5: h5py.File) -> NDArray[np.float64]:
    """Return (N,): the mean cosine of each residue's embedding to all others', NaN where it has none."""
    cosines = h5["pair/embedding_cosine"][:].astype(np.float64)
    np.fill_diagonal(cosines, np.nan)
    known = np.isfinite(cosines)
    sums = np.where(known, cosines, 0).sum(axis=1)
    mean: NDArray[np.float64] = np.full(len(cosines), np.nan)
    np.divide(sums, known.sum(axis=1), out=mean, where=known.any(axis=1))
    return mean
