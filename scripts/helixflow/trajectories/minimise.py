"""Steepest descent to a state whose forces a simulation can begin with."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from helixflow.errors import SimulationError
from helixflow.files import copy_whole, write_json, write_text
from helixflow.gmx import GmxTools
from helixflow.trajectories.alone import alone_in
from helixflow.trajectories.layout import Job, Layout
from helixflow.trajectories.masses import repartition_masses
from helixflow.trajectories.mdrun import run_phase
from helixflow.trajectories.run_input import check_protocol
from helixflow.trajectories.settings import MinimiseSettings, SimulationSettings, minimise_mdp


def minimise_system(
    topology: str | os.PathLike[str],
    solvated: str | os.PathLike[str],
    minimised: str | os.PathLike[str],
    report: str | os.PathLike[str],
    scratch: Path,
    settings: MinimiseSettings,
    program: str,
    threads: int,
    protocol: SimulationSettings | None = None,
) -> None:
    """Minimise a solvated system, and see that GROMACS takes the phases that follow.

    Parameters
    ----------
    topology, solvated : path
        ``topol.top`` and ``solvated.gro``.
    minimised, report : path
        Written: coordinates, and how the descent ended.
    scratch : Path
        Folder for what GROMACS writes; made anew, and removed at success.
    settings : MinimiseSettings
        When to stop.
    program : str
        The GROMACS program.
    threads : int
        OpenMP threads.
    protocol : SimulationSettings, optional
        What the replicas are simulated by; it decides nothing here, but what grompp refuses of it is refused
        before the first long run.

    Raises
    ------
    ConfigError
        If GROMACS does not know a parameter that was set.
    SimulationError
        If the greatest force is still above the limit after the last step.
    """
    with alone_in(scratch):
        shutil.rmtree(scratch, ignore_errors=True)
        copy_whole(topology, scratch / "topol.top")
        copy_whole(solvated, scratch / "solvated.gro")
        gmx = GmxTools(program, scratch, SimulationError, str(solvated))
        inputs = {"c": "solvated.gro", "p": "topol.top"}
        if protocol:
            heavier = repartition_masses(
                (scratch / "topol.top").read_text(encoding="utf-8"), protocol.hydrogen_mass_factor
            )
            write_text(scratch / "protocol.top", heavier)
            check_protocol(gmx, protocol, {**inputs, "p": "protocol.top"})
        job, layout = Job(program, threads, cores=threads), Layout(threads=threads)
        run_phase(gmx, "minimise", minimise_mdp(settings), inputs, job, layout)
        outcome = read_outcome((scratch / "minimise.log").read_text(encoding="utf-8"))
        if outcome["outcome"] == "not converged":
            raise SimulationError(
                f"{solvated}: after {outcome['steps']} steps the greatest force is "
                f"{outcome['greatest_force_kJ_mol_nm']:g} kJ/mol/nm, expected below "
                f"{settings.minimise_force_kJ_mol_nm:g}; raise trajectories/minimise_steps, or mend the "
                "structure"
            )
        copy_whole(scratch / "minimise.gro", minimised)
        write_json(report, outcome)
        shutil.rmtree(scratch)


def read_outcome(log: str) -> dict[str, Any]:
    """Read from mdrun's log how a steepest descent ended.

    Returns
    -------
    dict
        ``outcome`` is ``converged``, ``machine precision`` (no step lowers the energy any more) or
        ``not converged``; with steps, potential energy and greatest force.
    """
    end = log[log.rindex("Steepest Descents ") :]
    outcome = "converged"
    if "machine precision" in end:
        outcome = "machine precision"
    elif "did not converge" in end:
        outcome = "not converged"
    return {
        "outcome": outcome,
        "steps": int(_number(r"in (\S+) steps", end)),
        "potential_kJ_mol": _number(r"Potential Energy\s*=\s*(\S+)", end),
        "greatest_force_kJ_mol_nm": _number(r"Maximum force\s*=\s*(\S+)", end),
    }


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else float("nan")
