"""A finished production judged, and its results put in place."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from helixflow.errors import SimulationError
from helixflow.files import read_json, whole_file, write_json
from helixflow.gmx import GmxTools
from helixflow.structures.residues import read_residues
from helixflow.structures.topology import Protein, read_protein
from helixflow.trajectories.protein import extract_protein, measure_frames, write_first_frame
from helixflow.trajectories.quality import BOND_LIMIT, judge, judge_energies, read_log, write_energies
from helixflow.trajectories.settings import SimulationSettings

_log = logging.getLogger(__name__)

#: Each file of the results, and what it is called in the folder of the run.
RESULTS = {
    "protein.xtc": "protein.xtc",
    "protein.pdb": "protein.pdb",
    "trajectory.xtc": "production.xtc",
    "final.gro": "production.gro",
    "energy.edr": "production.edr",
    "energy.tsv": "energy.tsv",
    "quality.json": "quality.json",
}


@dataclass(frozen=True)
class System:
    """What is simulated: its name, and the files of its topology, coordinates and residues."""

    structure: str
    topology: Path
    minimised: Path
    residues: Path


@dataclass(frozen=True)
class Judgement:
    """Whether a run that fails a check is an error, or only marked."""

    gates: str


def finish_replica(
    folder: Path,
    system: System,
    replica: int,
    settings: SimulationSettings,
    judgement: Judgement,
    program: str,
    results: Path,
) -> None:
    """Take the protein out of a finished production, judge the run, and put its results in place.

    Parameters
    ----------
    folder : Path
        Holds ``production.{tpr,xtc,edr,log,gro}`` and ``runs.json``.
    system : System
        What was simulated.
    replica : int
        Number from 1.
    settings : SimulationSettings
        The protocol.
    judgement : Judgement
        What a failed check means.
    program : str
        The GROMACS program.
    results : Path
        Folder that gets the files of `RESULTS`.

    Raises
    ------
    SimulationError
        Naming structure, replica and the check that failed.
    """
    subject = f"{system.structure} replica {replica}"
    gmx = GmxTools(program, folder.resolve(), SimulationError, subject)
    protein = read_protein(system.topology.read_text(encoding="utf-8"))
    extract_protein(gmx, "production.tpr", "production.xtc", "protein.xtc")
    write_first_frame(folder / "protein.xtc", protein, read_residues(system.residues), folder / "protein.pdb")
    quality = assess(gmx, protein, settings)
    quality["run"]["continuations"] = sum(run["continued"] for run in read_json(folder / "runs.json"))
    seed = settings.run_seed(replica)
    write_json(
        folder / "quality.json",
        {
            "structure": system.structure,
            "replica": replica,
            **quality,
            "seeds": {"gen_seed": seed, "ld_seed": seed},
            "settings": asdict(settings),
        },
    )
    _demand_gates(quality["gates"], judgement.gates, subject, folder)
    for name, source in RESULTS.items():
        _put_in_place(folder / source, results / name)


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
        "step_files": judge(sum(len(run["step_files"]) for run in read_json(folder / "runs.json")), 0, 0),
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
