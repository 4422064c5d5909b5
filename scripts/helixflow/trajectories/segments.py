"""One segment of the production of some replicas, in one job.

A segment begins with the checkpoint that the one before ended with, so that it can run on another node;
one that is stopped continues in its own folder.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from helixflow.files import copy_whole, read_json, write_json, write_text
from helixflow.gmx import GmxBuild, find_gmx
from helixflow.joblog import tell
from helixflow.trajectories.alone import alone_in
from helixflow.trajectories.layout import Job, Layout, mdrun_options, mdrun_program
from helixflow.trajectories.mdrun import Launch, demand_no_blow_up, run_together
from helixflow.trajectories.packing import (
    CALIBRATION_S,
    candidate_layouts,
    choose_layout,
    fixed_layout,
    measure_layout,
    shared_gpu,
)
from helixflow.trajectories.runs import PRODUCTION, Run, Segment

_log = logging.getLogger(__name__)


def simulate_segment(
    segment: Segment,
    job: Job,
    packing: str | int,
    scratch: Path,
    output: Path,
    calibration_s: float = CALIBRATION_S,
) -> None:
    """Simulate a segment of some replicas, or continue it where it was stopped.

    Parameters
    ----------
    segment : Segment
        What is simulated.
    job : Job
        What may be used for it.
    packing : str or int
        ``auto``: how the replicas share the job is tried for some seconds.
    scratch : Path
        Folder of the runs, removed when all have ended.
    output : Path
        Folder that gets a folder of each replica: what the segment added to its files, its checkpoint, its
        last coordinates and ``runs.json``; or ``blown_up`` alone, where others of the pack can still go on.
    calibration_s : float
        Seconds that a layout is tried.

    Raises
    ------
    SimulationError
        If a run was stopped or failed, or if all blew up.
    """
    with alone_in(scratch) as waited:
        if waited and output.exists():
            return
        lost = _lost_before(segment)
        runs = [
            Run(segment, replica, scratch / str(replica), job)
            for replica in segment.run_inputs
            if replica not in lost
        ]
        waiting = [run for run in runs if not run.finished and not run.blown_up]
        if waiting:
            build = find_gmx(job.program)
            layout, table = _layout(segment, job, build, packing, waiting, scratch, calibration_s)
            write_json(scratch / "layout.json", {"layout": asdict(layout), "tried": table, **_machine(job)})
            _run_all(waiting, job, build, layout)
        if all(run.blown_up for run in runs):
            demand_no_blow_up(runs[0].folder, PRODUCTION)
        for run in runs:
            if run.blown_up:
                lost[run.replica] = (run.folder / "production.blown_up").read_text(encoding="utf-8")
                tell(lost[run.replica])
        _publish(runs, lost, scratch, output)


def _run_all(waiting: Sequence[Run], job: Job, build: GmxBuild, layout: Layout) -> None:
    """Start the runs as the layout says, and see that all end."""
    # A program of MPI starts its runs alike; those that were stopped apart go on as programs of their own.
    as_one = layout.multidir and len({run.state for run in waiting}) == 1
    statuses: dict[int, int] = {}
    for run in waiting:
        run.ready(layout)

    def command(run: Run, slot: int) -> list[str]:
        ranks = layout.ranks * (len(waiting) if as_one else 1)
        words = mdrun_program(build, job, ranks) + run.options()
        words += ["-multidir", *(run.folder.name for run in waiting)] if as_one else []
        return words + mdrun_options(build, job, layout, slot)

    def ended(those: Sequence[Run], status: int) -> None:
        for run in those:
            # Where one run crashes the program of all, the others cannot be told by its status.
            statuses[run.replica] = status if len(those) == 1 or status == 0 else 1
            run.ended(layout, statuses[run.replica])

    if as_one:
        launches = [Launch(waiting[0].folder.parent, partial(command, waiting[0]), partial(ended, waiting))]
    else:
        launches = [Launch(run.folder, partial(command, run), partial(ended, [run])) for run in waiting]
    with shared_gpu(layout):
        stopped = run_together(launches, layout.together)
    unfinished = [run for run in waiting if not run.finished]
    errors = [run.error(statuses.get(run.replica, 1), stopped) for run in unfinished]
    fatal = [error for run, error in zip(unfinished, errors, strict=True) if not run.blown_up]
    for error in fatal[1:]:
        _log.error("%s", error)
    if fatal:
        raise fatal[0]


def _layout(
    segment: Segment,
    job: Job,
    build: GmxBuild,
    packing: str | int,
    waiting: Sequence[Run],
    scratch: Path,
    seconds: float,
) -> tuple[Layout, list[dict[str, Any]]]:
    """Lay the runs out: as the config says, as the segment before did on such a machine, or by trying."""
    environment = dict(os.environ)
    count = len(waiting)
    if packing != "auto":
        return fixed_layout(job, build, count, environment), []
    candidates = candidate_layouts(job, build, count, environment)
    before = segment.previous / "layout.json" if segment.previous else None
    if before and before.exists():
        record = read_json(before)
        known = [layout for layout in candidates if asdict(layout) == record["layout"]]
        if known and {name: record[name] for name in _machine(job)} == _machine(job):
            return known[0], record["tried"]
    trial = partial(
        measure_layout, build, job, tpr=waiting[0].folder / "whole.tpr", runs=count,
        scratch=scratch / "trial", seconds=seconds,
    )  # fmt: skip
    return choose_layout(candidates, lambda layout: trial(layout=layout))


def _machine(job: Job) -> dict[str, int]:
    return {"cores": job.cores, "cores_of_machine": os.cpu_count() or 1, "gpus": job.gpus}


def _lost_before(segment: Segment) -> dict[int, str]:
    """Give the replicas that blew up in a segment before, and what was said of it."""
    if segment.previous is None:
        return {}
    notes = {replica: segment.previous / str(replica) / "blown_up" for replica in segment.run_inputs}
    return {replica: note.read_text(encoding="utf-8") for replica, note in notes.items() if note.exists()}


def _publish(runs: Sequence[Run], lost: Mapping[int, str], scratch: Path, output: Path) -> None:
    """Make the output of the runs, beside it first, and remove their folders."""
    made = scratch / "made"
    shutil.rmtree(made, ignore_errors=True)
    for run in runs:
        if not run.blown_up:
            run.publish(made / str(run.replica))
    for replica, line in lost.items():
        # The folder of the run goes; what tells of it then is the pack's among the results.
        line = line.replace(str(scratch / str(replica)), str(output.parent))
        write_text(made / str(replica) / "blown_up", line)
    if (scratch / "layout.json").exists():
        copy_whole(scratch / "layout.json", made / "layout.json")
    shutil.rmtree(output, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, output)
    shutil.rmtree(scratch)
