"""A finished production judged: all checks, and the protein's trajectory written in the same pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from helixflow.errors import SimulationError
from helixflow.files import read_json
from helixflow.gmx import GmxTools
from helixflow.structures.residues import read_residues
from helixflow.structures.topology import Protein, read_protein
from helixflow.trajectories.frames import FrameReader
from helixflow.trajectories.protein import extract_protein, write_first_frame
from helixflow.trajectories.quality import run as run_gates
from helixflow.trajectories.quality.energies import judge_energies, write_energies
from helixflow.trajectories.quality.frames import FrameMeasures
from helixflow.trajectories.quality.gates import Gate, passed
from helixflow.trajectories.quality.judgement import Judgement
from helixflow.trajectories.quality.logs import read_log
from helixflow.trajectories.quality.molecule import judge_molecule
from helixflow.trajectories.quality.tpr import RunInput, read_tpr
from helixflow.trajectories.settings import SimulationSettings
from helixflow.trajectories.system import System, read_start


@dataclass(frozen=True)
class Assessment:
    """What was found of a run: its checks, numbers and log, and its run input."""

    found: dict[str, Any]
    run_input: RunInput


def assess(gmx: GmxTools, system: System, settings: SimulationSettings, judgement: Judgement) -> Assessment:
    """Judge the finished run in the folder of `gmx`, and write protein.xtc, protein.pdb and energy.tsv there.

    Returns
    -------
    Assessment
        ``passed``, ``gates`` (see `judge`), ``atoms``, ``protein_atoms``, ``frames``, ``frames_expected``,
        ``run``, which is what mdrun's log says of the program and the machine, and ``processes``, what was
        recorded of each mdrun, None where nothing was.
    """
    folder = gmx.folder
    protein, residues = (
        read_protein(system.topology.read_text(encoding="utf-8")),
        read_residues(system.residues),
    )
    run_input = read_protein_input(gmx, protein)
    start = read_start(system.minimised, protein)
    measures = FrameMeasures(protein, rest_lengths(protein, run_input), start.positions)
    reader = FrameReader(folder / "production.xtc", len(protein.atoms))
    times = extract_protein(reader, folder / "protein.xtc", start, measures.update).times
    if not times:
        raise SimulationError(
            f"{gmx.subject}: {folder / 'production.xtc'} has no frame that can be read ({reader.damage}); "
            "run again"
        )
    write_first_frame(folder / "protein.xtc", protein, residues, folder / "protein.pdb")
    atoms = _count_atoms(folder / "production.gro")
    energies = write_energies(gmx, "production.edr", "energy.tsv")
    runs = read_json(folder / "runs.json") if (folder / "runs.json").exists() else None
    gates = {
        **_run_gates(folder, settings, times, reader.damage, float(energies["time_ps"][-1]), runs, judgement),
        **judge_energies(energies, settings.temperature_K, atoms, judgement),
        **judge_molecule(measures, protein, residues, run_input.cutoff_nm, judgement),
    }
    log = read_log((folder / "production.log").read_text(encoding="utf-8", errors="replace"))
    if runs is not None:
        # The logs of parts that are joined do not say it.
        log["continuations"] = sum(bool(run.get("continued")) for run in runs)
    found = {
        "passed": passed(gates),
        "gates": gates,
        "atoms": atoms,
        "protein_atoms": len(protein.atoms),
        "frames": len(times),
        "frames_expected": settings.frames,
        "run": log,
        "processes": runs,
    }
    return Assessment(found, run_input)


def read_protein_input(gmx: GmxTools, protein: Protein) -> RunInput:
    """Read the run input of the production, cut down to the protein, which has the first atoms."""
    (gmx.folder / "protein.ndx").write_text(index_group("Solute", len(protein.atoms)), encoding="utf-8")
    gmx("convert-tpr", s="production.tpr", n="protein.ndx", o="protein.tpr", answers=["Solute"])
    return read_tpr(gmx.build.path, gmx.folder / "protein.tpr")


def index_group(name: str, atoms: int) -> str:
    """Give an index file with one group, the first atoms."""
    numbers = [str(atom) for atom in range(1, atoms + 1)]
    # GROMACS corrupts its memory by lines of 4096 characters.
    lines = [" ".join(numbers[at : at + 15]) for at in range(0, atoms, 15)]
    return "\n".join([f"[ {name} ]", *lines, ""])


def rest_lengths(protein: Protein, run_input: RunInput) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return (B,): the length of each bond at rest, in nm.

    Raises
    ------
    SimulationError
        If the run input has no such bond.
    """
    lengths = []
    for bond in protein.bonds:
        first, second = sorted(bond)
        if (first, second) not in run_input.lengths:
            raise SimulationError(
                f"topol.top: the bond of atoms {first + 1} and {second + 1} is not in the run input; "
                "prepare the structure and simulate again"
            )
        lengths.append(run_input.lengths[first, second])
    return np.array(lengths)


def _run_gates(
    folder: Path,
    settings: SimulationSettings,
    times: list[float],
    damage: str,
    last_ps: float,
    runs: list[dict[str, Any]] | None,
    judgement: Judgement,
) -> dict[str, Gate]:
    timestep_ps = settings.timestep_fs / 1000
    with (folder / "production.log").open(encoding="utf-8", errors="replace") as log:
        warnings = run_gates.warnings_gate(log, judgement.constraint_warnings)
    return {
        "end_ps": run_gates.end_gate(last_ps, settings.steps("production"), timestep_ps),
        "frames": run_gates.frames_gate(times, settings.frames, settings.frame_steps * timestep_ps, damage),
        "mdrun_status": run_gates.status_gate(runs),
        "step_files": run_gates.step_files_gate(folder, runs),
        "constraint_warnings": warnings,
        "layout": run_gates.layout_gate(runs),
    }


def _count_atoms(path: Path) -> int:
    with path.open(encoding="utf-8") as stream:
        next(stream)
        return int(next(stream))
