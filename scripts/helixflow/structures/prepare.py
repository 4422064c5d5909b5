"""A clean structure in a box of water with ions, described by a force field."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from helixflow.errors import StructureError
from helixflow.files import copy_whole, read_json, write_json, write_text
from helixflow.gmx import GmxTools
from helixflow.structures.chemistry import natural_name
from helixflow.structures.residues import Residue, read_residues
from helixflow.structures.topology import Protein, count_molecules, inline_includes, read_protein

#: Water molecules in a box, as GROMACS ships them, by water model.
_WATER_BOXES = {"spc": "spc216.gro", "spce": "spc216.gro", "tip3p": "spc216.gro", "tip4p": "tip4p.gro"}
#: Nothing is computed from this run input; genion wants the coordinates and charges in it.
_IONS_MDP = "integrator = steep\ncutoff-scheme = Verlet\ncoulombtype = PME\n"


@dataclass(frozen=True)
class SetupSettings:
    """What decides the simulated system; names as GROMACS has them."""

    force_field: str
    water: str
    box_shape: str
    box_distance_nm: float
    salt_M: float
    seed: int


def prepare_system(results: Path, scratch: Path, settings: SetupSettings, program: str) -> None:
    """Make topology, box, water and ions of a clean structure.

    Parameters
    ----------
    results : Path
        Folder with ``clean.pdb``, ``cleaning.json`` and ``residues.tsv``; ``topol.top``, ``solvated.gro``
        and ``setup.json`` are written there.
    scratch : Path
        Folder for what GROMACS writes; made anew, and removed at success.
    settings : SetupSettings
        What to build.
    program : str
        The GROMACS program.

    Raises
    ------
    StructureError
        If a tool fails, or what it made is not the molecule of ``clean.pdb``.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    copy_whole(results / "clean.pdb", scratch / "clean.pdb")
    residues = read_residues(results / "residues.tsv")
    disulfides = [(first, second) for first, second in read_json(results / "cleaning.json")["disulfides"]]
    gmx = GmxTools(program, scratch, StructureError, str(results / "clean.pdb"))
    protein = _describe_protein(gmx, scratch, settings, residues, disulfides)
    _solvate(gmx, scratch, settings)
    topology = inline_includes(scratch / "topol.top")
    molecules = count_molecules(topology)
    coordinates = (scratch / "solvated.gro").read_text(encoding="utf-8").splitlines()
    write_text(results / "topol.top", topology)
    copy_whole(scratch / "solvated.gro", results / "solvated.gro")
    write_json(
        results / "setup.json",
        {
            "gmx_version": gmx.build.version,
            **asdict(settings),
            "charge": round(protein.charge),
            "protein_atoms": len(protein.atoms),
            "disulfides": [[str(residues[first]), str(residues[second])] for first, second in disulfides],
            "atoms": int(coordinates[1]),
            "waters": molecules.get("SOL", 0),
            "ions": {name: molecules.get(name, 0) for name in ("NA", "CL")},
            "box_vectors_nm": [float(value) for value in coordinates[-1].split()],
            "commands": gmx.commands,
        },
    )
    shutil.rmtree(scratch)


def _describe_protein(
    gmx: GmxTools,
    scratch: Path,
    settings: SetupSettings,
    residues: Sequence[Residue],
    disulfides: Sequence[tuple[int, int]],
) -> Protein:
    """Run pdb2gmx, and see that its topology is the molecule that was cleaned."""
    joined = any(residues[first].chain != residues[second].chain for first, second in disulfides)
    printed = gmx(
        "pdb2gmx",
        f="clean.pdb",
        o="protein.gro",
        p="topol.top",
        i="posre.itp",
        ff=settings.force_field,
        water=settings.water,
        ignh=True,
        # A disulfide between two chains can be described within one molecule only.
        merge="all" if joined else "no",
    )
    long_bonds = [line.strip() for line in printed.splitlines() if "Long Bond" in line]
    if long_bonds:
        raise StructureError(
            f"{gmx.subject}: pdb2gmx made a bond across a gap: {long_bonds[0]}; build what is missing"
        )
    protein = read_protein(inline_includes(scratch / "topol.top"))
    check_protein(protein, residues, disulfides, gmx.subject)
    return protein


def check_protein(
    protein: Protein, residues: Sequence[Residue], disulfides: Sequence[tuple[int, int]], subject: str
) -> None:
    """See that a topology has the residues and disulfides that were expected, and a whole charge.

    Raises
    ------
    StructureError
        Naming `subject` and the first residue that differs.
    """
    expected = [(f"{residue.number}{residue.insertion}", residue.name) for residue in residues]
    found = [(number, natural_name(name)) for number, name in protein.residues]
    if found != expected:
        at = next(
            (i for i, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), None
        )
        differs = (
            f"{' '.join(found[at])} instead of {residues[at]}"
            if at is not None
            else "only the beginning agrees"
        )
        raise StructureError(
            f"{subject}: the topology has {len(found)} residues, expected {len(expected)} ({differs})"
        )
    bonded = {
        (protein.residue_of[first], protein.residue_of[second])
        for first, second in protein.bonds
        if protein.atoms[first] == protein.atoms[second] == "SG"
    }
    for first, second in sorted(bonded ^ set(disulfides)):
        state = "made" if (first, second) in bonded else "left out"
        raise StructureError(
            f"{subject}: pdb2gmx {state} a disulfide between {residues[first]} and {residues[second]}, but "
            "their distance says otherwise (a bond is 1.8 to 2.2 Å); mend their SG atoms"
        )
    if abs(protein.charge - round(protein.charge)) > 0.01:
        raise StructureError(
            f"{subject}: the protein's charge is {protein.charge:.3f} e, expected a whole number"
        )


def _solvate(gmx: GmxTools, scratch: Path, settings: SetupSettings) -> None:
    """Put the protein into a box, and fill it with water and ions."""
    gmx("editconf", f="protein.gro", o="box.gro", bt=settings.box_shape, d=settings.box_distance_nm, c=True)
    gmx("solvate", cp="box.gro", cs=_WATER_BOXES[settings.water], o="water.gro", p="topol.top")
    (scratch / "ions.mdp").write_text(_IONS_MDP, encoding="utf-8")
    # The one warning allowed: this run input has the protein's charge, which the ions are to neutralise.
    gmx("grompp", f="ions.mdp", c="water.gro", p="topol.top", o="ions.tpr", po="ions_full.mdp", maxwarn=1)
    gmx(
        "genion",
        answers=["SOL"],
        s="ions.tpr",
        o="solvated.gro",
        p="topol.top",
        pname="NA",
        nname="CL",
        neutral=True,
        conc=settings.salt_M,
        seed=settings.seed,
    )
