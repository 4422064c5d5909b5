"""Replicas that share a job: how many run at a time, found by trying where the config leaves it open."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from helixflow.errors import SimulationError
from helixflow.gmx import GmxBuild
from helixflow.trajectories.layout import (
    Job,
    Layout,
    mdrun_options,
    mdrun_program,
    shared_layout,
)
from helixflow.trajectories.mdrun import Launch, run_together

_log = logging.getLogger(__name__)

#: Seconds that each way to share the machine is tried; the second half is measured.
CALIBRATION_S = 8.0
_MPS = "nvidia-cuda-mps-control"


def candidate_layouts(job: Job, build: GmxBuild, runs: int, environment: dict[str, str]) -> list[Layout]:
    """Give the ways to run some replicas on what a job has.

    From one after the other, each with all cores, to all at a time; as one program where GROMACS is built
    with MPI. A job that must give the same bytes has one thread a run, so all that fit run at a time.
    """
    most = max(1, min(runs, job.cores // job.ranks))
    if job.exact:
        counts = [most]
    else:
        counts = [count for count in range(1, most + 1) if count == most or not count & (count - 1)]
    found = [shared_layout(job, build, count, environment) for count in counts]
    if _can_be_one(job, build, runs):
        found.append(replace(shared_layout(job, build, runs, environment), multidir=True))
    return found + [replace(layout, mps=True) for layout in found if _can_share(layout)]


def _can_be_one(job: Job, build: GmxBuild, runs: int) -> bool:
    """Whether the runs can be one MPI program, whose ranks all begin together."""
    return build.mpi == "MPI" and bool(job.launcher) and 1 < runs <= job.cores // job.ranks


def _can_share(layout: Layout) -> bool:
    return 0 < layout.gpus < layout.together and not layout.multidir and shutil.which(_MPS) is not None


def fixed_layout(job: Job, build: GmxBuild, runs: int, environment: dict[str, str]) -> Layout:
    """Lay a number of replicas out that the config names: all at a time, as far as there are cores."""
    layout = shared_layout(job, build, max(1, min(runs, job.cores // job.ranks)), environment)
    return replace(layout, mps=_can_share(layout), multidir=_can_be_one(job, build, runs))


def choose_layout(
    candidates: Sequence[Layout], measure: Callable[[Layout], float]
) -> tuple[Layout, list[dict[str, Any]]]:
    """Choose the layout of the greatest throughput.

    Parameters
    ----------
    candidates : sequence of Layout
        Tried in their order; one alone is not tried.
    measure : callable
        ns/day of all replicas together under a layout.

    Returns
    -------
    (Layout, list of dict)
        The choice, and what every candidate gave.
    """
    if len(candidates) == 1:
        _log.info("nothing to try, there is one way to share the job: %s", candidates[0])
        return candidates[0], []
    speeds = []
    for layout in candidates:
        try:
            speeds.append(measure(layout))
        except SimulationError as error:
            _log.warning("%s: does not run: %s", layout, error)
            speeds.append(0.0)
        _log.info("%s: %.3g ns/day together", layout, speeds[-1])
    best = max(range(len(speeds)), key=speeds.__getitem__)
    if speeds[best] == 0:
        raise SimulationError("no way to share the machine runs (see the log); set trajectories/packing: 1")
    table = [
        {**asdict(layout), "ns_day": round(speed, 4)}
        for layout, speed in zip(candidates, speeds, strict=True)
    ]
    _log.info("chosen: %s", candidates[best])
    return candidates[best], table


def measure_layout(
    build: GmxBuild, job: Job, layout: Layout, tpr: Path, runs: int, scratch: Path, seconds: float
) -> float:
    """Run a system for some seconds under a layout, and tell the ns/day of all replicas together.

    Where replicas wait for their turn, the rate is that of those which run.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    count = min(layout.together, runs)
    folders = [scratch / str(number) for number in range(count)]
    for folder in folders:
        folder.mkdir(parents=True)
        shutil.copyfile(tpr, folder / "trial.tpr")
    trial = replace(job, end=None)

    def command(slot: int) -> list[str]:
        words = [*mdrun_program(build, trial, layout.ranks * (count if layout.multidir else 1)), "-deffnm"]
        words += ["trial", "-noconfout", "-resethway", "-nsteps", "-1", "-maxh", f"{seconds / 3600:.6f}"]
        words += ["-multidir", *(folder.name for folder in folders)] if layout.multidir else []
        return words + mdrun_options(build, trial, layout, slot)

    statuses: list[int] = []
    places = [scratch] if layout.multidir else folders
    with shared_gpu(layout):
        stopped = run_together([Launch(place, command, statuses.append) for place in places], len(places))
    if stopped:
        raise SimulationError(f"calibration was stopped by {stopped}; run again")
    speeds = [_speed(folder / "trial.log") for folder in folders]
    shutil.rmtree(scratch)
    return 0.0 if any(statuses) else sum(speeds)


def _speed(log: Path) -> float:
    found = re.search(r"^Performance: +(\S+)", log.read_text(errors="replace") if log.exists() else "", re.M)
    return float(found[1]) if found else 0.0


@contextlib.contextmanager
def shared_gpu(layout: Layout) -> Iterator[None]:
    """Have several programs share a GPU through NVIDIA's service, which is the job's own and ends with it."""
    if not layout.mps:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        names = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        before = {name: os.environ.get(name) for name in names}
        os.environ.update(names)
        subprocess.run([_MPS, "-d"], check=True, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            subprocess.run([_MPS], input=b"quit\n", check=False)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
