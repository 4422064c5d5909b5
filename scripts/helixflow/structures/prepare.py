"""A clean structure in a box of water with ions, described by a force field: one step after the other."""

from __future__ import annotations

import shutil
from pathlib import Path

from helixflow.errors import StructureError
from helixflow.files import copy_whole, read_json, write_json, write_text
from helixflow.gmx import GmxTools
from helixflow.structures.box import make_box
from helixflow.structures.describe import describe_protein
from helixflow.structures.force_fields import ForceField, find_force_field, is_path
from helixflow.structures.ions import add_ions, check_ions
from helixflow.structures.protonation import Titration, titrate
from helixflow.structures.residues import Residue, read_residues
from helixflow.structures.setup import SetupSettings, describe_setup
from helixflow.structures.solvent import add_water, check_water
from helixflow.structures.topology import inline_includes


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
    ConfigError
        If the force field is not there.
    StructureError
        If a tool fails, or what it made is not the molecule of ``clean.pdb``.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    copy_whole(results / "clean.pdb", scratch / "clean.pdb")
    gmx = GmxTools(program, scratch, StructureError, str(results / "clean.pdb"))
    force_field = _provide(settings, scratch, gmx)
    residues = read_residues(results / "residues.tsv")
    disulfides = [(first, second) for first, second in read_json(results / "cleaning.json")["disulfides"]]
    groups = _titrate(settings, scratch, residues, gmx.subject, force_field)
    protein = describe_protein(gmx, force_field.name, settings.water, residues, disulfides, groups)
    make_box(gmx, settings.box_shape, settings.box_distance_nm)
    add_water(gmx, settings.water)
    add_ions(gmx, settings.cation, settings.anion, settings.salt_M, settings.seed)
    topology = inline_includes(scratch / "topol.top")
    coordinates = (scratch / "solvated.gro").read_text(encoding="utf-8")
    setup = describe_setup(
        settings, force_field, residues, protein, disulfides, groups, topology, coordinates
    )
    write_text(results / "topol.top", topology)
    copy_whole(scratch / "solvated.gro", results / "solvated.gro")
    write_json(results / "setup.json", {"gmx_version": gmx.build.version, **setup, "commands": gmx.commands})
    shutil.rmtree(scratch)


def _provide(settings: SetupSettings, scratch: Path, gmx: GmxTools) -> ForceField:
    """Find the force field and see that it has the water and ions; put one given by path beside."""
    force_field = find_force_field(settings.force_field, gmx.build)
    check_water(force_field, settings.water)
    check_ions(force_field, settings.cation, settings.anion)
    if is_path(settings.force_field):
        shutil.copytree(force_field.folder, scratch / f"{force_field.name}.ff")
    return force_field


def _titrate(
    settings: SetupSettings, scratch: Path, residues: list[Residue], subject: str, force_field: ForceField
) -> list[Titration]:
    if settings.protonation == "pdb2gmx":
        return []
    pdb = (scratch / "clean.pdb").read_text(encoding="utf-8")
    return titrate(pdb, residues, settings.pH, subject, force_field.lacking_at_ends())
