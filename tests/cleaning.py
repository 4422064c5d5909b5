"""Cleaning structures in tests: every call sees that the atoms add up, every refusal that it is one line."""

from pathlib import Path

import pytest

from helixflow.errors import StructureError
from helixflow.files import read_json
from helixflow.structures.clean import CleanSettings, clean_structure
from helixflow.structures.residues import read_residues


def clean(source: Path, folder: Path, origin="", **settings):
    """Clean a structure; give its report and residues."""
    kind = "mmcif" if source.suffix == ".cif" else "pdb"
    clean_structure(
        source,
        kind,
        CleanSettings(**settings),
        folder / "clean.pdb",
        folder / "cleaning.json",
        folder / "residues.tsv",
        origin=origin,
    )
    report = read_json(folder / "cleaning.json")
    for what in ("atoms", "residues"):
        aside = report[f"{what}_set_aside"]
        found = sum(report[f"{what}_{source}"] for source in ("in", "copied", "built"))
        assert found == report[f"{what}_out"] + sum(aside.values())
        assert all(aside.values())
    return report, read_residues(folder / "residues.tsv")


def refusal(source: Path, folder: Path, **settings) -> str:
    """Clean a structure that must be refused; give the one line."""
    with pytest.raises(StructureError) as caught:
        clean(source, folder, **settings)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(str(source))
    assert not list(folder.glob("clean*"))
    return line


def atom(
    serial, name, residue, chain, number, xyz, *, altloc=" ", insertion=" ", occupancy=1.0, record="ATOM  "
):
    """Write one atom record of a PDB file."""
    return (
        f"{record}{serial:5d}  {name:<3}{altloc}{residue:>3} {chain}{number:4d}{insertion}   "
        + "".join(f"{value:8.3f}" for value in xyz)
        + f"{occupancy:6.2f}{10:6.2f}          {name[0]:>2}\n"
    )


def number_of(line: str) -> int:
    return int(line[22:26])


def atoms_only(lines):
    return [line for line in lines if line.startswith(("ATOM", "HETATM"))]
