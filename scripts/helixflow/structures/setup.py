"""The record of a prepared system: what it is made of, how, and by which programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from helixflow.structures.box import read_box
from helixflow.structures.force_fields import ForceField
from helixflow.structures.protonation import Titration, histidine_states
from helixflow.structures.residues import Residue
from helixflow.structures.topology import Protein, count_molecules

#: What is said of a structure that was made from its sequence alone.
IDEALISED = "idealised start, not a fold"


@dataclass(frozen=True)
class SetupSettings:
    """What decides the simulated system; names as GROMACS has them.

    `force_field` is a name or the path of a .ff folder, `protonation` is ``pdb2gmx`` or ``propka``; `pH`
    decides with PROPKA only. `cation` and `anion` are names of molecules of the force field.
    """

    force_field: str
    water: str
    box_shape: str
    box_distance_nm: float
    salt_M: float
    seed: int
    cation: str = "NA"
    anion: str = "CL"
    protonation: str = "pdb2gmx"
    pH: float = 7.0


def describe_setup(
    settings: SetupSettings,
    force_field: ForceField,
    residues: Sequence[Residue],
    protein: Protein,
    disulfides: Sequence[tuple[int, int]],
    groups: Sequence[Titration],
    topology: str,
    coordinates: str,
) -> dict[str, Any]:
    """Describe a prepared system.

    Parameters
    ----------
    settings : SetupSettings
        What was asked for.
    force_field : ForceField
        What it was made with.
    residues, protein, disulfides, groups
        The clean residues, their topology, bonded cysteines, and PROPKA's groups (none without it).
    topology, coordinates : str
        Text of ``topol.top`` and ``solvated.gro``.

    Returns
    -------
    dict
        As ``setup.json`` has it, but for the program and its commands.
    """
    molecules = count_molecules(topology)
    atoms, box = read_box(coordinates)
    given = asdict(settings) | {"force_field": force_field.name}
    method, pH = given.pop("protonation"), given.pop("pH")
    label = IDEALISED if any(getattr(each, "origin", "") == "idealised" for each in residues) else ""
    return {
        **given,
        "force_field_family": force_field.family,
        "force_field_sha256": force_field.digest,
        "label": label,
        "protonation": describe_protonation(method, pH, residues, groups),
        "histidines": [
            {"residue": str(residue), "state": state}
            for residue, state in histidine_states(residues, protein)
        ],
        "charge": round(protein.charge),
        "protein_atoms": len(protein.atoms),
        "disulfides": [[str(residues[first]), str(residues[second])] for first, second in disulfides],
        "atoms": atoms,
        "waters": molecules.get("SOL", 0),
        "ions": {name: molecules.get(name, 0) for name in (settings.cation, settings.anion)},
        "box_vectors_nm": box,
    }


def describe_protonation(
    method: str, pH: float, residues: Sequence[Residue], groups: Sequence[Titration]
) -> dict[str, Any]:
    """Describe how the protons were decided, with the pKa of every group where PROPKA did it.

    Returns
    -------
    dict
        ``method``; and with PROPKA ``pH``, ``version`` and ``groups``, of which `unusual` ones should have
        another state than the topology, whose force field seldom has it.
    """
    if method == "pdb2gmx":
        return {"method": method}
    return {
        "method": method,
        "pH": pH,
        "version": version("propka"),
        "groups": [
            {
                "residue": str(residues[group.residue]),
                "group": group.group,
                "pKa": group.pKa,
                "protonated": group.protonated,
                "unusual": group.unusual,
            }
            for group in groups
        ],
    }
