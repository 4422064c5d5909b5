"""The end of a replica: its production judged, its protein taken out, and its files put among the results."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path

from helixflow.errors import SimulationError
from helixflow.files import read_json, whole_file, write_json
from helixflow.gmx import GmxTools
from helixflow.structures.residues import read_residues
from helixflow.trajectories.metadata import describe_run
from helixflow.trajectories.quality import Judgement
from helixflow.trajectories.quality.assess import assess
from helixflow.trajectories.quality.gates import demand_gates
from helixflow.trajectories.settings import SimulationSettings
from helixflow.trajectories.system import System

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


def finish_replica(
    folder: Path,
    system: System,
    replica: int,
    settings: SimulationSettings,
    judgement: Judgement,
    program: str,
    results: Path,
) -> None:
    """Judge a replica whose production has ended, and put its results in place.

    Parameters
    ----------
    folder : Path
        Has ``production.tpr``, ``.xtc``, ``.edr``, ``.log`` and ``.gro``, and what was recorded of mdrun's
        processes as ``runs.json``. It is left as it is, with what was made of these files.
    system : System
        What was simulated.
    replica : int
        Number from 1.
    settings : SimulationSettings
        The protocol.
    judgement : Judgement
        The limits of the checks, and whether one that fails is an error.
    program : str
        The GROMACS program.
    results : Path
        Folder that gets the files of `RESULTS`: the full trajectory as it was simulated, with molecules that
        cross the walls of the box, and the protein's, whole and centred.

    Raises
    ------
    SimulationError
        Naming structure, replica and the checks that failed.
    """
    subject = f"{system.structure} replica {replica}"
    gmx = GmxTools(program, folder.resolve(), SimulationError, subject)
    assessment = assess(gmx, system, settings, judgement)
    setup, source, residues = (
        read_json(system.setup),
        read_json(system.source),
        read_residues(system.residues),
    )
    seed, version = settings.run_seed(replica), assessment.found["run"]["gmx_version"]
    write_json(
        folder / "quality.json",
        {
            "structure": system.structure,
            "replica": replica,
            **assessment.found,
            "seeds": {"gen_seed": seed, "ld_seed": seed},
            "settings": asdict(settings),
            "limits": {name: value for name, value in asdict(judgement).items() if name != "gates"},
            "metadata": describe_run(setup, source, residues, settings, assessment.run_input, version),
        },
    )
    demand_gates(
        assessment.found["gates"], judgement.gates, f"{subject}: production", folder / "quality.json"
    )
    for name, made in RESULTS.items():
        put_in_place(folder / made, results / name)


def put_in_place(source: Path, final: Path) -> None:
    """Give a file of the run its name among the results, without a second copy where the disk allows it."""
    with whole_file(final) as path:
        try:
            os.link(source, path)
        except OSError:
            shutil.copyfile(source, path)
        # Results of a run that began before its inputs were last touched would look out of date.
        os.utime(path)
