"""One segment of the production of some replicas, and the segments of a replica joined.

A segment begins with the checkpoint that the one before ended with, so that it can run on another node;
one that is stopped continues in its own folder. Every start of mdrun writes a part of its own.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from helixflow.errors import SimulationError
from helixflow.files import copy_whole, file_digest, read_json, write_json, write_text
from helixflow.gmx import GmxBuild, GmxTools, find_gmx
from helixflow.joblog import tell
from helixflow.trajectories.finish import Judgement, System, finish_replica
from helixflow.trajectories.frames import join_frames
from helixflow.trajectories.layout import (
    Job,
    Layout,
    layout_differences,
    mdrun_options,
    mdrun_program,
    read_layout,
)
from helixflow.trajectories.mdrun import (
    Launch,
    demand_no_blow_up,
    failure,
    find_checkpoint,
    run_together,
    step_files_of,
    stop_error,
    tell_of_continuation,
)
from helixflow.trajectories.packing import (
    CALIBRATION_S,
    candidate_layouts,
    choose_layout,
    fixed_layout,
    measure_layout,
    shared_gpu,
)
from helixflow.trajectories.plan import pack_replicas
from helixflow.trajectories.settings import SimulationSettings

_log = logging.getLogger(__name__)

_PHASE = "production"
#: What of a run's folder the segments after it and the joining need.
_KEPT = re.compile(r"production\.(part\d+\.(xtc|edr|log)|cpt|gro)|runs\.json")


@dataclass(frozen=True)
class Segment:
    """A segment of the production of a pack of replicas.

    Attributes
    ----------
    name : str
        Structure, and temperature where there are several.
    end : str
        Its end in ps, as its folder is called.
    steps : int
        Time steps of the production up to its end.
    run_inputs : dict of int to Path
        ``topology.tpr`` of every replica.
    previous : Path or None
        Folder of the segment before.
    """

    name: str
    end: str
    steps: int
    run_inputs: Mapping[int, Path]
    previous: Path | None

    def subject(self, replica: int) -> str:
        """What errors name."""
        return f"{self.name} replica {replica}"


def segment_of(
    name: str, pack: str, end: str, run_inputs: Sequence[str], previous: Sequence[str], timestep_fs: float
) -> Segment:
    """Describe a segment by the names in its path and by its input files."""
    steps = round(Fraction(end) * 1000 / Fraction(str(timestep_fs)))
    inputs = dict(zip(pack_replicas(pack), map(Path, run_inputs), strict=True))
    return Segment(name, end, steps, inputs, Path(previous[0]) if previous else None)


class Run:
    """The part of a segment that is one replica's, in a folder of its own."""

    def __init__(self, segment: Segment, replica: int, folder: Path, job: Job) -> None:
        """Keep a folder of the same inputs, so that the run continues; else begin an empty one."""
        self.segment, self.replica, self.folder, self.job = segment, replica, folder, job
        self.subject = segment.subject(replica)
        before = segment.previous / str(replica) if segment.previous else None
        inputs = [segment.run_inputs[replica], *([before / "production.cpt"] if before else [])]
        note = " ".join([*(file_digest(path) for path in inputs), str(segment.steps)])
        if not (folder / "inputs.sha256").exists() or (folder / "inputs.sha256").read_text() != note:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            gmx = GmxTools(job.program, folder.resolve(), SimulationError, self.subject)
            copy_whole(inputs[0], folder / "whole.tpr")
            gmx("convert-tpr", s="whole.tpr", o="production.tpr", nsteps=segment.steps)
            if before:
                copy_whole(inputs[1], folder / "previous.cpt")
            write_text(folder / "inputs.sha256", note)

    @property
    def finished(self) -> bool:
        """Whether its last step is done."""
        return (self.folder / "production.gro").exists()

    @property
    def blown_up(self) -> bool:
        """Whether it cannot go on."""
        return (self.folder / "production.blown_up").exists()

    @property
    def state(self) -> tuple[bool, int]:
        """What runs of one MPI program must have in common: a checkpoint or none, and their parts."""
        return self.begin.exists(), len(self.parts("log"))

    @property
    def begin(self) -> Path:
        """The checkpoint it starts from, where there is one."""
        return self.folder / "begin.cpt"

    def parts(self, kind: str) -> list[Path]:
        """Files of its parts, in the order they were written."""
        return sorted(self.folder.glob(f"production.part*.{kind}"), key=_part_number)

    def ready(self, layout: Layout) -> None:
        """Choose what it starts from, and note that it starts."""
        checkpoint = find_checkpoint(self.folder, _PHASE)
        if checkpoint:
            tell_of_continuation(self.subject, _PHASE, checkpoint, self.job)
        else:
            for path in self.folder.glob("production.part*"):
                path.unlink()
        self.begin.unlink(missing_ok=True)
        chosen = checkpoint or "previous.cpt"
        if (self.folder / chosen).exists():
            shutil.copyfile(self.folder / chosen, self.begin)
        entry = {
            "phase": _PHASE,
            "segment": self.segment.end,
            "continued": bool(checkpoint),
            "exit_status": None,
            "step_files": [],
            "maxh_stops": 0,
            "layout_asked": asdict(layout),
        }
        write_json(self.folder / "runs.json", [*self.records(), entry])

    def records(self) -> list[dict[str, Any]]:
        """Read what ran so far, one entry a start of mdrun."""
        path = self.folder / "runs.json"
        records: list[dict[str, Any]] = read_json(path) if path.exists() else []
        return records

    def options(self) -> list[str]:
        """Options of mdrun that name files, relative to the folder."""
        names = ["-deffnm", _PHASE, "-c", "unfinished.gro", "-noappend"]
        return names + (["-cpi", self.begin.name] if self.begin.exists() else [])

    def ended(self, layout: Layout, status: int) -> None:
        """Take the last coordinates of a finished run as such, and note how the run went."""
        last = sorted(self.folder.glob("unfinished.part*.gro"), key=_part_number)
        if status == 0 and last:
            last[-1].rename(self.folder / "production.gro")
        log = self.log()
        written = (self.folder / log).read_text(encoding="utf-8", errors="replace") if log else ""
        ran = read_layout(written)
        differences = layout_differences(layout, ran) if written else []
        for difference in differences:
            _log.warning("%s: %s", self.subject, difference)
        *before, entry = self.records()
        entry |= {
            "exit_status": status,
            "step_files": step_files_of(self.folder, _PHASE),
            "maxh_stops": int(status == 0 and not self.finished),
            "layout_ran": ran,
            "layout_differences": differences,
        }
        write_json(self.folder / "runs.json", [*before, entry])

    def log(self) -> str:
        """Name the log of the last start; nothing where there is none."""
        return next((path.name for path in reversed(self.parts("log"))), "")

    def error(self, status: int, stopped: str) -> SimulationError:
        """Say why it did not end; a blow-up is noted."""
        if stopped:
            return stop_error(self.subject, _PHASE, stopped)
        return failure(self.folder, _PHASE, self.log() or "production.log", status, self.subject)


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
        Folder of the runs, moved to `output` when all have ended.
    output : Path
        Folder that gets a folder of each replica: its parts, its checkpoint, its last coordinates and
        ``runs.json``; or ``blown_up`` alone, where other replicas of the pack can still go on.
    calibration_s : float
        Seconds that a layout is tried.

    Raises
    ------
    SimulationError
        If a run was stopped or failed, or if all blew up.
    """
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
        demand_no_blow_up(runs[0].folder, _PHASE)
    for run in runs:
        if run.blown_up:
            lost[run.replica] = (run.folder / "production.blown_up").read_text(encoding="utf-8")
            tell(lost[run.replica])
    _publish(runs, lost, scratch, output)


def _run_all(waiting: Sequence[Run], job: Job, build: GmxBuild, layout: Layout) -> None:
    """Start the runs as the layout says, and see that all end."""
    for run in waiting:
        run.ready(layout)
    statuses: dict[int, int] = {}
    # A program of MPI starts its runs alike; those that were stopped apart go on as programs of their own.
    as_one = layout.multidir and len({run.state for run in waiting}) == 1

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
    """Make the folder of the runs the output: what is needed further, and no more."""
    for run in runs:
        for path in run.folder.iterdir():
            if run.blown_up or not _KEPT.fullmatch(path.name):
                path.unlink()
    for replica, line in lost.items():
        write_text(scratch / str(replica) / "blown_up", line)
    shutil.rmtree(output, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(scratch, output)


def join_segments(
    segments: Sequence[Path], replica: int, tpr: Path, frame_steps: int, steps: int, folder: Path
) -> None:
    """Join the parts of all segments of a replica, so that every frame is there once.

    Parameters
    ----------
    segments : sequence of Path
        Folders that `simulate_segment` wrote, in their order.
    replica : int
        Which one.
    tpr : Path
        Run input of the whole production.
    frame_steps, steps : int
        Time steps from one frame to the next, and of the production.
    folder : Path
        Gets ``production.{tpr,xtc,edr,log,gro}`` and ``runs.json``; made anew.

    Raises
    ------
    SimulationError
        If the replica blew up, or a frame is missing.
    """
    places = [segment / str(replica) for segment in segments]
    note = places[-1] / "blown_up"
    if note.exists():
        raise SimulationError(note.read_text(encoding="utf-8"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for kind in ("xtc", "edr"):
        join_frames(_all_parts(places, kind), folder / f"production.{kind}", frame_steps, steps)
    logs = [path.read_text(encoding="utf-8", errors="replace") for path in _all_parts(places, "log")]
    write_text(folder / "production.log", "".join(logs))
    copy_whole(tpr, folder / "production.tpr")
    copy_whole(places[-1] / "production.gro", folder / "production.gro")
    runs = [entry for place in places for entry in read_json(place / "runs.json")]
    write_json(folder / "runs.json", runs)


def join_and_finish(
    segments: Sequence[Path],
    tpr: Path,
    folder: Path,
    system: System,
    replica: int,
    settings: SimulationSettings,
    judgement: Judgement,
    program: str,
    results: Path,
) -> None:
    """Join the segments of a replica, judge the run, and put its results in place.

    Parameters
    ----------
    segments : sequence of Path
        Folders that `simulate_segment` wrote, called by their ends, in the folder of their pack.
    tpr : Path
        Run input of the whole production.
    folder : Path
        Where the joined run is until its results are in place.
    system, replica, settings, judgement, program, results
        As `finish_replica` takes them; ``segments.json`` comes to the results.
    """
    steps = settings.steps(_PHASE)
    join_segments(segments, replica, tpr, settings.frame_steps, steps, folder)
    finish_replica(folder, system, replica, settings, judgement, program, results)
    split = {"pack": segments[0].parent.name, "segments_ps": [segment.name for segment in segments]}
    write_json(results / "segments.json", {**split, "runs": read_json(folder / "runs.json")})
    shutil.rmtree(folder)


def _all_parts(places: Sequence[Path], kind: str) -> list[Path]:
    return [
        path for place in places for path in sorted(place.glob(f"production.part*.{kind}"), key=_part_number)
    ]


def _part_number(path: Path) -> int:
    found = re.search(r"\.part(\d+)\.", path.name)
    return int(found[1]) if found else 0
