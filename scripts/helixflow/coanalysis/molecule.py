"""The simulated molecule: its topology, checked against the residues the workflow knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.errors import MismatchError
from helixflow.structures.chemistry import CODES
from helixflow.structures.residues import Residue

#: Atomic weights of the elements of proteins and of modified residues, in u.
MASSES = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "S": 32.06, "P": 30.974, "SE": 78.971}


@dataclass(frozen=True)
class Molecule:
    """A protein as all its frames have it.

    `masses` has one value per atom, in u; `alphas` the atom index of each residue's C-alpha; `chains`
    the number of each residue's chain.
    """

    masses: NDArray[np.float64]
    alphas: NDArray[np.int64]
    chains: NDArray[np.int64]
    residues: list[Residue]

    def eligible_pairs(self, min_separation: int) -> NDArray[np.bool_]:
        """Return (N, N): the pairs that can be contacts, far enough apart in sequence or of two chains."""
        index = np.arange(len(self.chains))
        far = np.abs(np.subtract.outer(index, index)) >= min_separation
        return far | np.not_equal.outer(self.chains, self.chains)

    def neighbours(self) -> NDArray[np.int64]:
        """Return (M,): the residues that the next one of the same chain follows."""
        return np.flatnonzero(self.chains[1:] == self.chains[:-1])


class _Atom(NamedTuple):
    residue: str
    residue_name: str
    name: str
    element: str


def read_molecule(
    path: str | os.PathLike[str], residues: list[Residue], residues_file: str | os.PathLike[str]
) -> Molecule:
    """Read the topology of a trajectory from a PDB file.

    Raises
    ------
    MismatchError
        If its residues are not those of the structure, or an atom is not one of a protein's.
    """
    atoms = list(_read_atoms(Path(path)))
    groups = [list(group) for _, group in groupby(range(len(atoms)), key=lambda at: atoms[at].residue)]
    if len(groups) != len(residues):
        raise MismatchError(
            f"{path}: {len(groups)} residues, expected the {len(residues)} of {residues_file}; simulate again"
        )
    alphas = []
    for group, residue in zip(groups, residues, strict=True):
        name = atoms[group[0]].residue_name
        if CODES.get(name) != residue.code:
            raise MismatchError(
                f"{path}: residue {residue.index + 1} is {name}, expected {residue.code} ({residue}) "
                f"as in {residues_file}; simulate again"
            )
        found = [at for at in group if atoms[at].name == "CA"]
        if len(found) != 1:
            raise MismatchError(f"{path}: {residue} has {len(found)} CA atoms, expected 1")
        alphas += found
    names = list(dict.fromkeys(residue.chain for residue in residues))
    return Molecule(
        masses=np.array([_mass(atom, path) for atom in atoms]),
        alphas=np.array(alphas),
        chains=np.array([names.index(residue.chain) for residue in residues]),
        residues=residues,
    )


def _read_atoms(path: Path) -> Iterator[_Atom]:
    """Give the atoms of the first model of a PDB file."""
    # A title may hold anything; no byte is wrong in latin-1.
    with path.open(encoding="latin-1") as stream:
        for line in stream:
            if line.startswith("ENDMDL"):
                return
            if line.startswith(("ATOM  ", "HETATM")):
                yield _Atom(line[17:27], line[17:21].strip(), line[12:16].strip(), line[76:78].strip())


def _mass(atom: _Atom, path: str | os.PathLike[str]) -> float:
    # Without an element, the name tells: 1HB, HB1 and CA begin with theirs.
    element = atom.element.upper() or atom.name.lstrip("0123456789")[:1]
    if element not in MASSES:
        raise MismatchError(
            f"{path}: atom {atom.name} of residue '{atom.residue}' is of element '{element}', "
            f"expected one of {', '.join(MASSES)}, as proteins have"
        )
    return MASSES[element]
