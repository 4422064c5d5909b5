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
from helixflow.trajectories.alone import alone_in
from helixflow.trajectories.layout import Job, single_layout
from helixflow.trajectories.masses import repartition_masses
from helixflow.trajectories.mdrun import run_phase
from helixflow.trajectories.run_input import check_protocol, grompp
from helixflow.trajectories.settings import PHASES, SimulationSettings, phase_mdp

#: What each phase begins with: coordinates, velocities where there are some, and where atoms are held.
_GROMPP_INPUTS = {
    "nvt": {"p": "topol.top", "c": "minimised.gro", "r": "minimised.gro"},
    "npt": {"p": "topol.top", "c": "nvt.gro", "t": "nvt.cpt", "r": "minimised.gro"},
    "production": {"p": "topol.top", "c": "npt.gro", "t": "npt.cpt"},
}


def equilibrate_replica(
    structure: str,
    replica: int,
    topology: Path,
    minimised: Path,
    settings: SimulationSettings,
    job: Job,
    scratch: Path,
    results: Path,
) -> None:
    """Equilibrate one replica, or continue it where it was stopped.

    Parameters
    ----------
    structure : str
        Its name.
    replica : int
        Number from 1, from which its seeds follow.
    topology, minimised : Path
        ``topol.top`` and ``minimised.gro``.
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
    with alone_in(scratch) as waited:
        if waited and (results / "processed.top").exists():
            return
        # More threads add forces up in any order, so there the fastest pair list costs no exactness.
        parameters = {phase: phase_mdp(phase, settings, replica, job.exact) for phase in PHASES}
        masses = repartition_masses(topology.read_text(encoding="utf-8"), settings.hydrogen_mass_factor)
        gmx = GmxTools(job.program, scratch.resolve(), SimulationError, f"{structure} replica {replica}")
        digest = _digest(masses, minimised, parameters)
        if _begins(scratch, masses, minimised, digest):
            # Parameters may have changed since the minimisation checked them; a wrong one costs no phase.
            check_protocol(gmx, settings, {"p": "topol.top", "c": "minimised.gro"}, job.exact)
            write_text(scratch / "inputs.sha256", digest)
        layout = single_layout(job, gmx.build, dict(os.environ))
        *equilibration, production = PHASES
        for phase in equilibration:
            run_phase(gmx, phase, parameters[phase], _GROMPP_INPUTS[phase], job, layout)
        grompp(gmx, production, parameters[production], _GROMPP_INPUTS[production], processed="processed.top")
        copy_whole(scratch / "production.tpr", results / "topology.tpr")
        copy_whole(scratch / "production_full.mdp", results / "mdout.mdp")
        copy_whole(scratch / "processed.top", results / "processed.top")
        close_scratch(scratch)


def _begins(scratch: Path, topology: str, minimised: Path, digest: str) -> bool:
    """Tell whether a run begins, in an emptied folder; else the folder of the same inputs is kept.

    The folder is that of a run once their digest is noted in it.
    """
    note = scratch / "inputs.sha256"
    if note.exists() and note.read_text(encoding="utf-8") == digest:
        return False
    shutil.rmtree(scratch, ignore_errors=True)
    write_text(scratch / "topol.top", topology)
    copy_whole(minimised, scratch / "minimised.gro")
    return True


def _digest(topology: str, minimised: Path, parameters: Mapping[str, str]) -> str:
    inputs = [*parameters.values(), topology, file_digest(minimised)]
    return hashlib.sha256("\n".join(inputs).encode()).hexdigest()


def close_scratch(scratch: Path) -> None:
    """Remove a folder of a run so that half of it is never taken for one to continue in."""
    (scratch / "inputs.sha256").unlink()
    shutil.rmtree(scratch)
