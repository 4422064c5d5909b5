"""One replica: equilibrated at constant volume and constant pressure, produced, judged and put in place."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from helixflow.errors import SimulationError
from helixflow.files import copy_whole, file_digest, write_text
from helixflow.gmx import GmxTools
from helixflow.trajectories.finish import finish_replica, put_in_place
from helixflow.trajectories.mdrun import run_phase
from helixflow.trajectories.quality import Judgement
from helixflow.trajectories.settings import FIXED_PAIR_LIST, PHASES, SimulationSettings, phase_mdp
from helixflow.trajectories.system import System

#: What each phase begins with: coordinates, velocities where there are some, and where atoms are held.
_GROMPP_INPUTS = {
    "nvt": {"p": "topol.top", "c": "minimised.gro", "r": "minimised.gro"},
    "npt": {"p": "topol.top", "c": "nvt.gro", "t": "nvt.cpt", "r": "minimised.gro"},
    "production": {"p": "topol.top", "c": "npt.gro", "t": "npt.cpt"},
}


@dataclass(frozen=True)
class RunSettings:
    """What decides how fast it is done; of a trajectory, the last digits at most."""

    program: str
    threads: int
    checkpoint_min: float


def simulate_replica(
    system: System,
    replica: int,
    settings: SimulationSettings,
    run: RunSettings,
    judgement: Judgement,
    scratch: Path,
    results: Path,
) -> None:
    """Simulate one replica, or continue it where it was stopped.

    Parameters
    ----------
    system : System
        What is simulated.
    replica : int
        Number from 1, from which its seeds follow.
    settings : SimulationSettings
        The protocol.
    run : RunSettings
        Program, threads and checkpoints.
    judgement : Judgement
        The limits of the checks, and whether one that fails is an error.
    scratch : Path
        Folder of the run, kept until all results are in place.
    results : Path
        Folder that gets the files of `finish_replica`, and ``topology.tpr``.

    Raises
    ------
    SimulationError
        Naming structure, replica and phase, or the check that failed.
    """
    subject = f"{system.structure} replica {replica}"
    parameters = {phase: phase_mdp(phase, settings, replica) for phase in PHASES}
    _open_scratch(scratch, system, parameters)
    gmx = GmxTools(run.program, scratch.resolve(), SimulationError, subject)
    for phase, mdp in parameters.items():
        # More threads add forces up in any order, so there the fastest pair list costs no exactness.
        mdp += FIXED_PAIR_LIST if run.threads == 1 else ""
        run_phase(gmx, phase, mdp, _GROMPP_INPUTS[phase], run.threads, run.checkpoint_min)
    finish_replica(scratch, system, replica, settings, judgement, run.program, results)
    put_in_place(scratch / "production.tpr", results / "topology.tpr")
    # Without its digest, a folder that is half removed is not taken for one to continue in.
    (scratch / "inputs.sha256").unlink()
    shutil.rmtree(scratch)


def _open_scratch(scratch: Path, system: System, parameters: dict[str, str]) -> None:
    """Keep the folder of a run with the same inputs, so that it continues; else begin an empty one."""
    inputs = [*parameters.values(), file_digest(system.topology), file_digest(system.minimised)]
    digest = hashlib.sha256("\n".join(inputs).encode()).hexdigest()
    note = scratch / "inputs.sha256"
    if note.exists() and note.read_text(encoding="utf-8") == digest:
        return
    shutil.rmtree(scratch, ignore_errors=True)
    copy_whole(system.topology, scratch / "topol.top")
    copy_whole(system.minimised, scratch / "minimised.gro")
    write_text(note, digest)
