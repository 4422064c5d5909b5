"""The simulated molecule: its topology, checked against the residues the workflow knows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.errors import MismatchError
from helixflow.structures.chemistry import CODES
from helixflow.structures.read_pdb import atom_lines
from helixflow.structures.residues import Residue

#: Atomic weights of the elements of proteins and of modified residues, in u.
MASSES = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "S": 32.06, "P": 30.974, "SE": 78.971}


@dataclass(frozen=True)
class Molecule:
    """A protein as all its frames have it.

    Attributes
    ----------
    masses : (A,)
        In u.
    residue_of : (A,)
        Number of each atom's residue, from 0.
    heavy : (A,) bool
        Whether it is no hydrogen.
    alphas, betas : (N,)
        Atom of each residue that is C-alpha, C-beta (C-alpha where there is none, as in glycine).
    backbone : (N, 4)
        Atoms N, CA, C and O; -1 where there is none.
    donors : (N,) bool
        Whether the nitrogen of the backbone has a hydrogen to give; proline's has none.
    chains : (N,)
        Number of each residue's chain.
    residues : list of Residue
    """

    masses: NDArray[np.float64]
    residue_of: NDArray[np.int64]
    heavy: NDArray[np.bool_]
    alphas: NDArray[np.int64]
    betas: NDArray[np.int64]
    backbone: NDArray[np.int64]
    donors: NDArray[np.bool_]
    chains: NDArray[np.int64]
    residues: list[Residue]


#: The backbone's atoms, by the names that force fields give them; the oxygen of the last residue has many.
_BACKBONE = (("N",), ("CA",), ("C",), ("O", "OT1", "OC1", "O1", "OXT"))


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
    atoms = list(map(_read_atom, atom_lines(path)))
    groups = [list(group) for _, group in groupby(range(len(atoms)), key=lambda at: atoms[at].residue)]
    if len(groups) != len(residues):
        raise MismatchError(
            f"{path}: {len(groups)} residues, expected the {len(residues)} of {residues_file}; simulate again"
        )
    alphas, betas, backbone = [], [], []
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
        places = {atoms[at].name: at for at in reversed(group)}
        alphas += found
        betas.append(places.get("CB", found[0]))
        backbone.append([_first_of(names, places) for names in _BACKBONE])
    chains = list(dict.fromkeys(residue.chain for residue in residues))
    masses = np.array([_mass(atom, path) for atom in atoms])
    return Molecule(
        masses=masses,
        residue_of=np.repeat(np.arange(len(groups)), [len(group) for group in groups]),
        heavy=masses > MASSES["H"],
        alphas=np.array(alphas),
        betas=np.array(betas),
        backbone=np.array(backbone),
        donors=np.array([residue.code != "P" for residue in residues]),
        chains=np.array([chains.index(residue.chain) for residue in residues]),
        residues=residues,
    )


def _first_of(names: Sequence[str], places: dict[str, int]) -> int:
    """Return the place of the first of these names that has one, else -1."""
    return next((places[name] for name in names if name in places), -1)


def _read_atom(line: str) -> _Atom:
    return _Atom(line[17:27], line[17:21].strip(), line[12:16].strip(), line[76:78].strip())


def _mass(atom: _Atom, path: str | os.PathLike[str]) -> float:
    # Without an element, the name tells: 1HB, HB1 and CA begin with theirs.
    element = atom.element.upper() or atom.name.lstrip("0123456789")[:1]
    if element not in MASSES:
        raise MismatchError(
            f"{path}: atom {atom.name} of residue '{atom.residue}' is of element '{element}', "
            f"expected one of {', '.join(MASSES)}, as proteins have"
        )
    return MASSES[element]
