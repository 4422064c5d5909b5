"""GROMACS topologies: made self-contained, and read as far as the checks need it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from helixflow.errors import StructureError

#: What takes in another file, with the spaces that GROMACS lets pass.
_INCLUDE = re.compile(r'\s*#\s*include\s*["<](.*)[">]')


@dataclass
class Protein:
    """The protein molecules of a topology, one after the other.

    Attributes
    ----------
    atoms : list of str
        Names, in the order of the coordinates.
    residue_of : list of int
        For each atom the index of its residue.
    residues : list of (str, str)
        Number with insertion code, and name.
    bonds : list of (int, int)
        Indices of atoms.
    charge : float
        In elementary charges.
    """

    atoms: list[str] = field(default_factory=list)
    residue_of: list[int] = field(default_factory=list)
    residues: list[tuple[str, str]] = field(default_factory=list)
    bonds: list[tuple[int, int]] = field(default_factory=list)
    charge: float = 0.0


def inline_includes(path: Path) -> str:
    """Give a topology with the files beside it in place of their ``#include`` lines, without comments.

    Includes of a force field that ships with GROMACS stay, since every GROMACS has it; one given by path
    lies beside and is written in whole. pdb2gmx's comments name the time, the user and the folder, which
    would make every result a different file.

    Raises
    ------
    StructureError
        If a file includes itself, by way of others or at once.
    """
    return re.sub(r"\n{3,}", "\n\n", "".join(_inlined(path, ())).lstrip("\n"))


def _inlined(path: Path, within: tuple[Path, ...]) -> Iterator[str]:
    """Give the lines of a file that lies within others, its includes in place."""
    within = (*within, path.resolve())
    # Old force fields have names of people in their comments, in any encoding.
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        include = _INCLUDE.match(line)
        if include and (path.parent / include[1]).is_file():
            inner = (path.parent / include[1]).resolve()
            if inner in within:
                raise StructureError(
                    f"{path.parent.name}/{path.name}: includes {include[1]}, which includes it in turn, "
                    "expected files that end; remove that line of the force field"
                )
            yield from _inlined(inner, within)
        elif not line.startswith(";"):
            yield line + "\n"


def read_protein(topology: str) -> Protein:
    """Read the protein of a topology; pdb2gmx begins the names of its molecules with Protein."""
    molecules: dict[str, list[tuple[str, list[str]]]] = {}
    order: list[tuple[str, int]] = []
    current = ""
    for section, values in _entries(topology):
        if section == "moleculetype":
            current = values[0]
            molecules[current] = []
        elif section == "molecules":
            order.append((values[0], int(values[1])))
        elif section in ("atoms", "bonds"):
            molecules[current].append((section, values))
    protein = Protein()
    for name, count in order:
        for _ in range(count if name.startswith("Protein") else 0):
            _append(protein, molecules[name])
    return protein


def count_molecules(topology: str) -> dict[str, int]:
    """Count the molecules of each name in a topology."""
    counts: dict[str, int] = {}
    for section, values in _entries(topology):
        if section == "molecules":
            counts[values[0]] = counts.get(values[0], 0) + int(values[1])
    return counts


def _entries(topology: str) -> Iterator[tuple[str, list[str]]]:
    """Give the lines of a topology, without comments and directives, with their section."""
    section = ""
    for line in topology.splitlines():
        line = line.split(";")[0].strip()
        if line.startswith("["):
            section = line.strip("[] ")
        elif line and not line.startswith("#"):
            yield section, line.split()


def _append(protein: Protein, entries: list[tuple[str, list[str]]]) -> None:
    """Append one molecule."""
    first = len(protein.atoms)
    for section, values in entries:
        if section == "bonds":
            protein.bonds.append((first + int(values[0]) - 1, first + int(values[1]) - 1))
            continue
        _, _, number, residue, atom, _, charge = values[:7]
        # Merged chains may meet in two residues of one number and name; each begins with its N.
        if atom == "N" or len(protein.atoms) == first or protein.residues[-1] != (number, residue):
            protein.residues.append((number, residue))
        protein.atoms.append(atom)
        protein.residue_of.append(len(protein.residues) - 1)
        protein.charge += float(charge)
