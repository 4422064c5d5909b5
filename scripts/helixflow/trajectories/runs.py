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
    is_whole,
    step_files_of,
    stop_error,
    tell_of_continuation,
)
from helixflow.trajectories.parts import begin_part, end_part, first_difference
from helixflow.trajectories.plan import pack_replicas

_log = logging.getLogger(__name__)

#: The phase, and the name of its files.
PRODUCTION = "production"
#: Files that grow from segment to segment.
KINDS = ("xtc", "edr", "log")
CHECKPOINT = "production.cpt"
UNFINISHED = "unfinished.gro"


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
    last : bool
        Whether the production ends with it.
    """

    name: str
    end: str
    steps: int
    run_inputs: Mapping[int, Path]
    previous: Path | None
    last: bool = False

    def subject(self, replica: int) -> str:
        """What errors name."""
        return f"{self.name} replica {replica}"


def segment_of(
    name: str,
    pack: str,
    end: str,
    ends: Sequence[str],
    run_inputs: Sequence[str],
    previous: Sequence[str],
    timestep_fs: float,
) -> Segment:
    """Describe a segment by the names in its path, the ends of all of its production, and its input files."""
    steps = round(Fraction(end) * 1000 / Fraction(str(timestep_fs)))
    inputs = dict(zip(pack_replicas(pack), map(Path, run_inputs), strict=True))
    before = Path(previous[0]) if previous else None
    return Segment(name, end, steps, inputs, before, last=end == ends[-1])


class Run:
    """The part of a segment that is one replica's, in a folder of its own."""

    def __init__(self, segment: Segment, replica: int, folder: Path, job: Job) -> None:
        """Keep a folder of the same inputs, so that the run continues; else begin an empty one."""
        self.segment, self.replica, self.folder, self.job = segment, replica, folder, job
        self.subject = segment.subject(replica)
        before = self.before = segment.previous / str(replica) if segment.previous else None
        inputs = [segment.run_inputs[replica], *([before / CHECKPOINT] if before else [])]
        note = " ".join([*(file_digest(path) for path in inputs), str(segment.steps)])
        if not (folder / "inputs.sha256").exists() or (folder / "inputs.sha256").read_text() != note:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._cut(inputs[0])
            write_text(folder / "inputs.sha256", note)
        self.lengths, self.part = dict.fromkeys(KINDS, 0), 0
        if before:
            ended = read_json(before / "end.json")
            self.lengths, self.part = ended["lengths"], ended["part"]

    def _cut(self, run_input: Path) -> None:
        """Have the run input of the production in the folder, up to the end of the segment."""
        copy_whole(run_input, self.folder / "whole.tpr")
        if self.segment.last:
            copy_whole(run_input, self.folder / "production.tpr")
            return
        gmx = GmxTools(self.job.program, self.folder.resolve(), SimulationError, self.subject)
        gmx("convert-tpr", s="whole.tpr", o="production.tpr", nsteps=self.segment.steps)

    @property
    def finished(self) -> bool:
        """Whether its last step is done."""
        return (self.folder / "production.gro").exists()

    @property
    def blown_up(self) -> bool:
        """Whether it cannot go on."""
        return (self.folder / "production.blown_up").exists()

    @property
    def state(self) -> int:
        """What runs of one MPI program must have in common: how often they were continued, if sure."""
        records = self.records()
        if not records:
            return self.part
        return records[-1]["part"] if records[-1]["exit_status"] == 0 else -self.replica

    def ready(self, layout: Layout) -> None:
        """Choose what it starts from, and note that it starts."""
        continued = bool(self.records()) and bool(find_checkpoint(self.folder, PRODUCTION))
        if continued:
            tell_of_continuation(self.subject, PRODUCTION, find_checkpoint(self.folder, PRODUCTION), self.job)
        elif not find_checkpoint(self.folder, PRODUCTION):
            self._begin()
        # mdrun keeps two checkpoints; while it exchanges them, only the one before is there.
        chosen = find_checkpoint(self.folder, PRODUCTION)
        if chosen and chosen != CHECKPOINT:
            (self.folder / chosen).rename(self.folder / CHECKPOINT)
        entry = {
            "phase": PRODUCTION,
            "segment": self.segment.end,
            "continued": continued,
            "exit_status": None,
            "step_files": [],
            "maxh_stops": 0,
            "layout_asked": asdict(layout),
        }
        write_json(self.folder / "runs.json", [*self.records(), entry])

    def _begin(self) -> None:
        """Begin with nothing, or with what the segment before ended with."""
        for kind in KINDS:
            (self.folder / f"production.{kind}").unlink(missing_ok=True)
        if self.before:
            for kind, length in self.lengths.items():
                begin_part(self.before / f"tail.{kind}", length, self.folder / f"production.{kind}")
            copy_whole(self.before / CHECKPOINT, self.folder / CHECKPOINT)

    def records(self) -> list[dict[str, Any]]:
        """Read what ran so far, one entry a start of mdrun."""
        path = self.folder / "runs.json"
        records: list[dict[str, Any]] = read_json(path) if path.exists() else []
        return records

    def options(self) -> list[str]:
        """Options of mdrun that name files, relative to the folder."""
        names = ["-deffnm", PRODUCTION, "-c", UNFINISHED]
        return names + (["-cpi", CHECKPOINT, "-append"] if (self.folder / CHECKPOINT).exists() else [])

    def ended(self, layout: Layout, status: int) -> None:
        """Take the last coordinates of a finished run as such, and note how the run went."""
        if status == 0 and is_whole(self.folder / UNFINISHED):
            (self.folder / UNFINISHED).rename(self.folder / "production.gro")
        written = self.written()
        ran = read_layout(written)
        differences = layout_differences(layout, ran) if written else []
        for difference in differences:
            _log.warning("%s: %s", self.subject, difference)
        *before, entry = self.records()
        entry |= {
            "exit_status": status,
            "part": self.parts(written),
            "step_files": step_files_of(self.folder, PRODUCTION),
            "maxh_stops": int(status == 0 and not self.finished),
            "layout_ran": ran,
            "layout_differences": differences,
        }
        try:
            write_json(self.folder / "runs.json", [*before, entry])
        except OSError:
            # On a full disk, why the run did not end is of more use than that this cannot be noted.
            if self.finished:
                raise

    def begin_of(self, kind: str) -> int:
        """Tell after how many bytes of a file this segment begins.

        mdrun takes back what the segment before wrote behind its checkpoint, which in a log is its account.
        """
        length = self.lengths[kind]
        if kind != "log" or self.before is None:
            return length
        return first_difference(self.folder / "production.log", self.before / "tail.log", length)

    def written(self) -> str:
        """Read what was added to the log in this segment."""
        log = self.folder / "production.log"
        if not log.exists():
            return ""
        with log.open("rb") as stream:
            stream.seek(self.begin_of("log"))
            return stream.read().decode(errors="replace")

    def parts(self, written: str) -> int:
        """Count how often the production was continued, by what was added to the log in this segment."""
        return self.part + len(re.findall(r"^Restarting from checkpoint, appending", written, re.MULTILINE))

    def publish(self, output: Path) -> None:
        """Leave in a folder what the segment after and the joining need."""
        lengths = {kind: (self.folder / f"production.{kind}").stat().st_size for kind in KINDS}
        for kind in KINDS:
            grown, part = self.folder / f"production.{kind}", output / f"production.{kind}"
            end_part(grown, self.begin_of(kind), part, output / f"tail.{kind}")
        for name in (CHECKPOINT, "production.gro", "runs.json"):
            copy_whole(self.folder / name, output / name)
        write_json(output / "end.json", {"lengths": lengths, "part": self.parts(self.written())})

    def error(self, status: int, stopped: str) -> SimulationError:
        """Say why it did not end; a blow-up is noted."""
        if stopped:
            return stop_error(self.subject, PRODUCTION, stopped)
        return failure(self.folder, PRODUCTION, "production.log", status, self.subject)
