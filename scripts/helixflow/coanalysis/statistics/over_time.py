"""Means over time of what a simulation shows, how sure they are, and how replicas differ.

Values that follow each other resemble each other, so T frames tell as much as fewer independent ones. All
of this is worked out within replicas, each about its own mean, and then brought together: the variance of the
mean over all frames is the sum of (n / T)**2 times that of each replica's mean, which has n frames. How far
replicas lie apart beyond this is told by the spread of their means; where it exceeds the error from within
replicas, these have not forgotten where they began.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import h5py
import numpy as np

from helixflow.coanalysis.statistics.datasets import REPLICA_SERIES, put
from helixflow.coanalysis.statistics.pairs import Floats, Integers
from helixflow.series import autocorrelation_time, block_error, mean_error

#: Datasets of ``/frame`` that are followed in time.
SERIES = ("rmsd_nm", "rmsd_to_mean_nm", "rg_nm", "contacts", "heavy_contacts", "coherence")
#: Spaces of ``/components``, the first projection in which is followed.
SPACES = ("motion", "embedding", "contact")


class Told(NamedTuple):
    """What one replica tells of a quantity; `frames` are those that have a value, others are left out."""

    frames: int
    left_out: int
    mean: float
    error: float
    block_error: float
    autocorrelation_ps: float
    effective: float


class Summary(NamedTuple):
    """What all replicas tell of a quantity: the columns of ``/statistics/series``."""

    mean: float
    error: float
    block_error: float
    autocorrelation_ps: float
    effective: float
    frames: int
    frames_left_out: int
    replica_mean: float
    replica_sd: float
    replica_error: float


def tell(values: Floats, times: Floats) -> Told:
    """Tell what one replica's values (n,) at times (n,), in ps, are worth; NaN where it cannot be told."""
    known = values[np.isfinite(values)]
    left_out = len(values) - len(known)
    if not len(known):
        return Told(0, left_out, math.nan, math.nan, math.nan, math.nan, 0.0)
    mean, error, effective = mean_error(known)
    enough = len(known) >= 3
    time = autocorrelation_time(known, float(np.median(np.diff(times)))) if enough else math.nan
    return Told(
        len(known), left_out, mean, error if enough else math.nan, block_error(known), time,
        effective if enough else math.nan,
    )  # fmt: skip


def summarise(replicas: Sequence[Told]) -> Summary:
    """Bring together what replicas tell; those without a value count as frames left out alone."""
    some = [each for each in replicas if each.frames]
    frames = sum(each.frames for each in some)
    left_out = sum(each.left_out for each in replicas)
    if not some:
        none = math.nan
        return Summary(none, none, none, none, 0.0, 0, left_out, none, none, none)
    share = np.array([each.frames for each in some]) / frames
    means = np.array([each.mean for each in some])
    sd = float(means.std(ddof=1)) if len(some) > 1 else math.nan
    return Summary(
        mean=float(share @ means),
        error=_error(share, [each.error for each in some]),
        block_error=_error(share, [each.block_error for each in some]),
        autocorrelation_ps=float(share @ [each.autocorrelation_ps for each in some]),
        effective=sum(each.effective for each in some),
        frames=frames,
        frames_left_out=left_out,
        replica_mean=float(means.mean()),
        replica_sd=sd,
        replica_error=sd / math.sqrt(len(some)),
    )


def _error(share: Floats, errors: Sequence[float]) -> float:
    return float(np.sqrt((share**2) @ np.square(errors)))


def write_series(file: h5py.File) -> None:
    """Write ``/statistics/series`` and ``/statistics/replica`` from ``/frame`` and ``/components``."""
    number, times = file["frame/replica"][:], file["frame/time_ps"][:]
    rows = [np.flatnonzero(number == each) for each in dict.fromkeys(number.tolist())]
    told = {
        name: [tell(values[chosen], times[chosen]) for chosen in rows] for name, values in _series(file)
    }  # fmt: skip
    summaries = [summarise(replicas) for replicas in told.values()]
    put(file, "series/name", list(told))
    for column, values in zip(Summary._fields, zip(*summaries, strict=True), strict=True):
        put(file, f"series/{column}", values)
    _write_replicas(file, told, number, rows)


def _series(file: h5py.File) -> Iterator[tuple[str, Floats]]:
    """Give the quantities of a file and their values in all frames."""
    for name in SERIES:
        yield name, file[f"frame/{name}"][:].astype(np.float64)
    for space in SPACES:
        projection = file.get(f"components/{space}/projection")
        if projection is not None and projection.shape[1]:
            yield f"{space}_1", projection[:, 0].astype(np.float64)


def _write_replicas(
    file: h5py.File, told: dict[str, list[Told]], number: Integers, rows: Sequence[Integers]
) -> None:
    put(file, "replica/replica", [number[chosen[0]] for chosen in rows])
    put(file, "replica/frames", [len(chosen) for chosen in rows])
    for name in REPLICA_SERIES:
        put(file, f"replica/{name}", [each.mean for each in told[name]])
        put(file, f"replica/{name}_autocorrelation_ps", [each.autocorrelation_ps for each in told[name]])
        put(file, f"replica/{name}_effective", [each.effective for each in told[name]])
