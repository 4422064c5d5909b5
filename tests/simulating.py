"""A replica simulated in one process, as the workflow does it in several jobs."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from helixflow.trajectories.equilibrate import equilibrate_replica
from helixflow.trajectories.finish import RESULTS as FINISHED
from helixflow.trajectories.joining import join_and_finish
from helixflow.trajectories.layout import Job
from helixflow.trajectories.plan import pack_name
from helixflow.trajectories.quality import Judgement
from helixflow.trajectories.runs import Segment
from helixflow.trajectories.segments import simulate_segment
from helixflow.trajectories.settings import SimulationSettings
from helixflow.trajectories.system import System

#: Every file that the jobs of a replica leave.
RESULTS = sorted({*FINISHED, "topology.tpr", "mdout.mdp", "processed.top", "segments.json"})


@dataclass(frozen=True)
class RunSettings:
    """How a replica is run in a test."""

    program: str
    threads: int
    checkpoint_min: float
    gates: str

    @property
    def job(self) -> Job:
        return Job(self.program, self.threads, cores=self.threads, checkpoint_min=self.checkpoint_min)


def equilibrate(
    system: System, replica: int, settings: SimulationSettings, job: Job, scratch: Path, results: Path
) -> None:
    """Equilibrate one replica of a system."""
    files = system.topology, system.minimised
    equilibrate_replica(system.structure, replica, *files, settings, job, scratch, results)


def simulate_production(
    system: System, replicas: list[int], settings: SimulationSettings, job: Job, scratch: Path, results: Path,
    ends: list[str], packing: str | int = 1, calibration_s: float = 1,
) -> list[Path]:  # fmt: skip
    """Simulate the segments of a pack whose run inputs are among the results; give their folders."""
    done: list[Path] = []
    for end in ends:
        output = results / "segments" / pack_name(replicas) / end
        if not output.exists():
            inputs = {replica: results / str(replica) / "topology.tpr" for replica in replicas}
            steps = round(float(end) * 1000 / settings.timestep_fs)
            segment = Segment(
                system.structure, end, steps, inputs, done[-1] if done else None, end == ends[-1]
            )
            simulate_segment(segment, job, packing, scratch / end, output, calibration_s)
        done.append(output)
    return done


def simulate_replica(
    system: System, replica: int, settings: SimulationSettings, run: RunSettings, scratch: Path,
    results: Path, ends: list[str] | None = None,
) -> None:  # fmt: skip
    """Simulate one replica, or continue it where it was stopped, into a folder that bears its number."""
    assert results.name == str(replica)
    if not (results / "processed.top").exists():
        staged = scratch.with_name(f"{scratch.name}_ready") / str(replica)
        equilibrate(system, replica, settings, run.job, scratch, staged)
        shutil.move(staged, results)
    ends = ends or [f"{settings.production_ns * 1000:g}"]
    segments = simulate_production(
        system, [replica], settings, run.job, scratch / "segments", results.parent, ends
    )
    join_and_finish(segments, results / "topology.tpr", scratch / "joined", system, replica, settings,
                    Judgement(run.gates), run.program, results)  # fmt: skip
    shutil.rmtree(results.parent / "segments")
    shutil.rmtree(scratch)
