"""One replica: equilibrated at constant volume and constant pressure, produced, judged and put in place."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from helixflow.errors import SimulationError
from helixflow.files import copy_whole, file_digest, whole_file, write_json, write_text
from helixflow.gmx import GmxTools
from helixflow.structures.residues import read_residues
from helixflow.structures.topology import Protein, read_protein
from helixflow.trajectories.masses import repartition_masses
from helixflow.trajectories.mdrun import run_phase
from helixflow.trajectories.protein import extract_protein, measure_frames, write_first_frame
from helixflow.trajectories.quality import BOND_LIMIT, judge, judge_energies, read_log, write_energies
from helixflow.trajectories.settings import PHASES, SimulationSettings, phase_mdp

_log = logging.getLogger(__name__)

#: Each file of the results, and what it is called in the folder of the run.
RESULTS = {
    "protein.xtc": "protein.xtc",
    "protein.pdb": "protein.pdb",
    "trajectory.xtc": "production.xtc",
    "topology.tpr": "production.tpr",
    "final.gro": "production.gro",
    "energy.edr": "production.edr",
    "energy.tsv": "energy.tsv",
    "mdout.mdp": "production_full.mdp",
    "processed.top": "processed.top",
    "quality.json": "quality.json",
}

#: What each phase begins with: coordinates, velocities where there are some, and where atoms are held.
_GROMPP_INPUTS = {
    "nvt": {"p": "topol.top", "c": "minimised.gro", "r": "minimised.gro"},
    "npt": {"p": "topol.top", "c": "nvt.gro", "t": "nvt.cpt", "r": "minimised.gro"},
    "production": {"p": "topol.top", "c": "npt.gro", "t": "npt.cpt"},
}


@dataclass(frozen=True)
class System:
    """What is simulated: its name, and the files of its topology, coordinates and residues."""

    structure: str
    topology: Path
    minimised: Path
    residues: Path


@dataclass(frozen=True)
class RunSettings:
    """What decides how fast and how strictly it is done; of a trajectory, the last digits at most."""

    program: str
    threads: int
    checkpoint_min: float
    gates: str


def simulate_replica(
    system: System, replica: int, settings: SimulationSettings, run: RunSettings, scratch: Path, results: Path
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
        Program, threads, checkpoints, and whether a failed check is an error.
    scratch : Path
        Folder of the run, kept until all results are in place.
    results : Path
        Folder that gets the files of `RESULTS`.

    Raises
    ------
    SimulationError
        Naming structure, replica and phase, or the check that failed.
    """
    subject = f"{system.structure} replica {replica}"
    # More threads add forces up in any order, so there the fastest pair list costs no exactness.
    exact = run.threads == 1
    parameters = {phase: phase_mdp(phase, settings, replica, exact) for phase in PHASES}
    _open_scratch(scratch, system, parameters, settings)
    gmx = GmxTools(run.program, scratch.resolve(), SimulationError, subject)
    for phase, mdp in parameters.items():
        run_phase(gmx, phase, mdp, _GROMPP_INPUTS[phase], run.threads, run.checkpoint_min)
    protein = read_protein(system.topology.read_text(encoding="utf-8"))
    extract_protein(gmx, "production.tpr", "production.xtc", "protein.xtc")
    write_first_frame(
        scratch / "protein.xtc", protein, read_residues(system.residues), scratch / "protein.pdb"
    )
    quality = assess(gmx, protein, settings)
    seed = settings.run_seed(replica)
    write_json(
        scratch / "quality.json",
        {
            "structure": system.structure,
            "replica": replica,
            **quality,
            "seeds": {"gen_seed": seed, "ld_seed": seed},
            "settings": asdict(settings),
        },
    )
    _demand_gates(quality["gates"], run.gates, subject, scratch)
    for name, source in RESULTS.items():
        _put_in_place(scratch / source, results / name)
    # Without its digest, a folder that is half removed is not taken for one to continue in.
    (scratch / "inputs.sha256").unlink()
    shutil.rmtree(scratch)


def assess(gmx: GmxTools, protein: Protein, settings: SimulationSettings) -> dict[str, Any]:
    """Judge the finished run in the folder of `gmx`.

    Returns
    -------
    dict
        ``passed``, ``gates`` (see `judge`), ``atoms``, ``protein_atoms``, ``frames``, ``frames_expected``,
        and ``run``, which is what mdrun's log says of the program and the machine.
    """
    folder = gmx.folder
    log = (folder / "production.log").read_text(encoding="utf-8", errors="replace")
    atoms = int((folder / "production.gro").read_text(encoding="utf-8").splitlines()[1])
    energies = write_energies(gmx, "production.edr", "energy.tsv")
    frames, longest_bond = measure_frames(folder / "protein.xtc", protein)
    step = settings.timestep_fs / 1000
    end = settings.steps("production") * step
    gates = {
        "end_ps": judge(float(energies["time_ps"][-1]), end - step / 2, end + step / 2),
        "frames": judge(frames, settings.frames, settings.frames),
        "step_files": judge(len(list(folder.glob("step*.pdb"))), 0, 0),
        "longest_bond_nm": judge(longest_bond, 0, BOND_LIMIT),
        **judge_energies(energies, settings.temperature_K, atoms),
    }
    return {
        "passed": all(gate["outcome"] != "fail" for gate in gates.values()),
        "gates": gates,
        "atoms": atoms,
        "protein_atoms": len(protein.atoms),
        "frames": frames,
        "frames_expected": settings.frames,
        "run": read_log(log),
    }


def _open_scratch(
    scratch: Path, system: System, parameters: dict[str, str], settings: SimulationSettings
) -> None:
    """Keep the folder of a run with the same inputs, so that it continues; else begin an empty one."""
    inputs = [*parameters.values(), file_digest(system.topology), file_digest(system.minimised)]
    digest = hashlib.sha256("\n".join(inputs).encode()).hexdigest()
    note = scratch / "inputs.sha256"
    if note.exists() and note.read_text(encoding="utf-8") == digest:
        return
    shutil.rmtree(scratch, ignore_errors=True)
    topology = system.topology.read_text(encoding="utf-8")
    write_text(scratch / "topol.top", repartition_masses(topology, settings.hydrogen_mass_factor))
    copy_whole(system.minimised, scratch / "minimised.gro")
    write_text(note, digest)


def _demand_gates(gates: dict[str, dict[str, Any]], policy: str, subject: str, scratch: Path) -> None:
    failed = [
        f"{name} is {gate['value']}, expected {gate['low']} to {gate['high']}"
        for name, gate in gates.items()
        if gate["outcome"] == "fail"
    ]
    if not failed:
        return
    line = f"{subject}: production does not pass its checks: {'; '.join(failed)}"
    if policy == "fail":
        raise SimulationError(
            f"{line} (all in {scratch / 'quality.json'}; trajectories/gates: warn keeps it)"
        )
    _log.warning("%s", line)


def _put_in_place(source: Path, final: Path) -> None:
    """Give a file of the run its name among the results, without a second copy where the disk allows it."""
    with whole_file(final) as path:
        try:
            os.link(source, path)
        except OSError:
            shutil.copyfile(source, path)
        # Results of a run that began before its inputs were last touched would look out of date.
        os.utime(path)
