"""One replica brought to temperature and pressure, and the run input of its whole production."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from helixflow.errors import SimulationError
from helixflow.files import copy_whole, file_digest, write_text
from helixflow.gmx import GmxTools
from helixflow.trajectories.finish import System
from helixflow.trajectories.layout import Job, single_layout
from helixflow.trajectories.mdrun import run_phase
from helixflow.trajectories.settings import FIXED_PAIR_LIST, PHASES, SimulationSettings, phase_mdp

#: What each phase begins with: coordinates, velocities where there are some, and where atoms are held.
_GROMPP_INPUTS = {
    "nvt": {"p": "topol.top", "c": "minimised.gro", "r": "minimised.gro"},
    "npt": {"p": "topol.top", "c": "nvt.gro", "t": "nvt.cpt", "r": "minimised.gro"},
    "production": {"p": "topol.top", "c": "npt.gro", "t": "npt.cpt"},
}


def equilibrate_replica(
    system: System, replica: int, settings: SimulationSettings, job: Job, scratch: Path, results: Path
) -> None:
    """Equilibrate one replica, or continue it where it was stopped.

    Parameters
    ----------
    system : System
        What is simulated.
    replica : int
        Number from 1, from which its seeds follow.
    settings : SimulationSettings
        The protocol.
    job : Job
        Program, threads, checkpoints.
    scratch : Path
        Folder of the run, kept until the results are in place.
    results : Path
        Folder that gets ``topology.tpr``, ``mdout.mdp`` and ``processed.top`` of the production.

    Raises
    ------
    SimulationError
        Naming structure, replica and phase.
    """
    parameters = {phase: phase_mdp(phase, settings, replica) for phase in PHASES}
    # More threads add forces up in any order, so there the fastest pair list costs no exactness.
    fixed = FIXED_PAIR_LIST if job.exact else ""
    parameters = {phase: mdp + fixed for phase, mdp in parameters.items()}
    _open_scratch(scratch, system, parameters)
    gmx = GmxTools(job.program, scratch.resolve(), SimulationError, f"{system.structure} replica {replica}")
    layout = single_layout(job, gmx.build, dict(os.environ))
    *equilibration, production = PHASES
    for phase in equilibration:
        inputs = _GROMPP_INPUTS[phase]
        run_phase(gmx, phase, parameters[phase], inputs, layout.threads, job.checkpoint_min, job, layout)
    (scratch / "production.mdp").write_text(parameters[production], encoding="utf-8")
    gmx("grompp", f="production.mdp", o="production.tpr", po="mdout.mdp", pp="processed.top",
        **_GROMPP_INPUTS[production])  # fmt: skip
    copy_whole(scratch / "production.tpr", results / "topology.tpr")
    for name in ("mdout.mdp", "processed.top"):
        write_text(results / name, _without_comments(scratch / name))
    close_scratch(scratch)


def _open_scratch(scratch: Path, system: System, parameters: Mapping[str, str]) -> None:
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


def close_scratch(scratch: Path) -> None:
    """Remove a folder of a run so that half of it is never taken for one to continue in."""
    (scratch / "inputs.sha256").unlink()
    shutil.rmtree(scratch)


def _without_comments(path: Path) -> str:
    """Leave out the comments, in which GROMACS writes the time, the user and the folder."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(";") and line.strip())
