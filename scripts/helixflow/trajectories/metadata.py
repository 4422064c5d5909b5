"""What a reader elsewhere must know of a run, under the names of the field's databases (MDDB, mdCATH)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from helixflow.structures.residues import Residue, sequence_of, split_chains
from helixflow.trajectories.quality.tpr import RunInput
from helixflow.trajectories.settings import SimulationSettings

Json = dict[str, Any]


def describe_run(
    setup: Json,
    source: Json,
    residues: Sequence[Residue],
    settings: SimulationSettings,
    run_input: RunInput,
    version: str | None,
) -> Json:
    """Describe a run.

    Parameters
    ----------
    setup, source : dict
        How the structure was set up, and where it came from.
    residues : sequence of Residue
    settings : SimulationSettings
        The protocol as asked for.
    run_input : RunInput
        The protocol as GROMACS read it.
    version : str or None
        Of GROMACS, as mdrun's log has it.
    """
    parameters = run_input.parameters
    return {
        "program": "GROMACS",
        "version": version,
        "source": source.get("source"),
        "pdb_id": _pdb_id(source),
        "sequences": {chain: sequence_of(some) for chain, some in split_chains(residues).items()},
        "force_field": setup["force_field"],
        "water_model": setup["water"],
        "box_type": setup["box_shape"],
        "box_vectors_nm": setup["box_vectors_nm"],
        "atoms": setup["atoms"],
        "waters": setup["waters"],
        "ions": setup["ions"],
        "salt_M": setup["salt_M"],
        "ensemble": run_input.ensemble,
        "temperature_K": settings.temperature_K,
        "pressure_bar": settings.pressure_bar if run_input.ensemble == "NPT" else None,
        "thermostat": parameters["tcoupl"],
        "barostat": parameters["pcoupl"],
        "electrostatics": parameters["coulombtype"],
        "cutoff_nm": run_input.cutoff_nm,
        "timestep_fs": settings.timestep_fs,
        "frame_ps": settings.frame_ps,
        "length_ns": settings.production_ns,
        "frames": settings.frames,
    }


def _pdb_id(source: Json) -> str | None:
    """Return the id the sheet gives, or the one the file gives its entry where that is like one."""
    accession = re.fullmatch(r"pdb:(\w+)", str(source.get("source", "")))
    found = accession[1] if accession else str(source.get("entry", ""))
    return found.upper() if accession or re.fullmatch(r"[0-9][A-Za-z0-9]{3}", found) else None
