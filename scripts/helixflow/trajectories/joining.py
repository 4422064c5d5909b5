"""The segments of a replica joined into one production, judged and put in place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from helixflow.errors import SimulationError
from helixflow.files import copy_whole, read_json, write_json
from helixflow.trajectories.alone import alone_in
from helixflow.trajectories.finish import finish_replica
from helixflow.trajectories.parts import concatenate, join_parts
from helixflow.trajectories.quality import Judgement
from helixflow.trajectories.runs import PRODUCTION
from helixflow.trajectories.settings import SimulationSettings
from helixflow.trajectories.system import System


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
        name = f"production.{kind}"
        join_parts([place / name for place in places], folder / name, frame_steps, steps)
    concatenate([place / "production.log" for place in places], folder / "production.log")
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
    with alone_in(folder) as waited:
        if waited and (results / "segments.json").exists():
            return
        steps = settings.steps(PRODUCTION)
        join_segments(segments, replica, tpr, settings.frame_steps, steps, folder)
        finish_replica(folder, system, replica, settings, judgement, program, results)
        split = {"pack": segments[0].parent.name, "segments_ps": [segment.name for segment in segments]}
        write_json(results / "segments.json", {**split, "runs": read_json(folder / "runs.json")})
        shutil.rmtree(folder)
