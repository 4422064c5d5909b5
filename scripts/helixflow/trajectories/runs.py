"""A run: what one replica does in one segment, in a folder of its own, in one or more starts of mdrun."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from helixflow.errors import SimulationError
from helixflow.files import copy_whole, file_digest, read_json, write_json, write_text
from helixflow.gmx import GmxTools
from helixflow.trajectories.layout import Job, Layout, layout_differences, read_layout
from helixflow.trajectories.mdrun import (
    failure,
    find_checkpoint,
    step_files_of,
    stop_error,
    tell_of_continuation,
)
from helixflow.trajectories.plan import pack_replicas

_log = logging.getLogger(__name__)

#: The phase, and the name of its files.
PRODUCTION = "production"


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
        return sorted(self.folder.glob(f"production.part*.{kind}"), key=part_number)

    def ready(self, layout: Layout) -> None:
        """Choose what it starts from, and note that it starts."""
        checkpoint = find_checkpoint(self.folder, PRODUCTION)
        if checkpoint:
            tell_of_continuation(self.subject, PRODUCTION, checkpoint, self.job)
        else:
            for path in self.folder.glob("production.part*"):
                path.unlink()
        self.begin.unlink(missing_ok=True)
        chosen = checkpoint or "previous.cpt"
        if (self.folder / chosen).exists():
            shutil.copyfile(self.folder / chosen, self.begin)
        entry = {
            "phase": PRODUCTION,
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
        names = ["-deffnm", PRODUCTION, "-c", "unfinished.gro", "-noappend"]
        return names + (["-cpi", self.begin.name] if self.begin.exists() else [])

    def ended(self, layout: Layout, status: int) -> None:
        """Take the last coordinates of a finished run as such, and note how the run went."""
        last = sorted(self.folder.glob("unfinished.part*.gro"), key=part_number)
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
            "step_files": step_files_of(self.folder, PRODUCTION),
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
            return stop_error(self.subject, PRODUCTION, stopped)
        return failure(self.folder, PRODUCTION, self.log() or "production.log", status, self.subject)


def part_number(path: Path) -> int:
    """Give the number that mdrun put into the name of a part."""
    found = re.search(r"\.part(\d+)\.", path.name)
    return int(found[1]) if found else 0
