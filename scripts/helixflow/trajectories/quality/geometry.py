"""Measures of a protein's frames: bonds, chirality, peptide bonds, and moves from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from helixflow.structures.chemistry import CHIRAL_CENTRES, natural_name
from helixflow.structures.topology import Protein

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def bond_lengths(positions: Floats, bonds: Ints) -> Floats:
    """Return (F, B): the lengths of bonds, (B, 2), in frames, (F, A, 3)."""
    lengths: Floats = np.linalg.norm(positions[:, bonds[:, 0]] - positions[:, bonds[:, 1]], axis=2)
    return lengths


def left_handed(positions: Floats, centres: Ints) -> NDArray[np.bool_]:
    """Return (F, C): the hand of chiral centres.

    Parameters
    ----------
    positions : (F, A, 3)
    centres : (C, 4) int
        Each centre and three of its neighbours.
    """
    first, second, third = (positions[:, centres[:, at]] - positions[:, centres[:, 0]] for at in (1, 2, 3))
    left: NDArray[np.bool_] = (np.cross(first, second) * third).sum(axis=2) < 0
    return left


def is_cis(positions: Floats, peptides: Ints) -> NDArray[np.bool_]:
    """Return (F, P): whether peptide bonds, (P, 4) as CA C N CA, have an omega between -90 and 90 degrees."""
    first, second, third = (
        positions[:, peptides[:, at + 1]] - positions[:, peptides[:, at]] for at in range(3)
    )
    # The cosine of the angle between the two planes has the sign of the product of their normals.
    cis: NDArray[np.bool_] = (np.cross(first, second) * np.cross(second, third)).sum(axis=2) > 0
    return cis


def steps_rmsd(positions: Floats) -> Floats:
    """Return (F - 1,): the RMSD of each frame from the one before, best superposed (Kabsch)."""
    centred = positions - positions.mean(axis=1, keepdims=True)
    before, after = centred[:-1], centred[1:]
    products = np.swapaxes(after, 1, 2) @ before  # (F - 1, 3, 3)
    products[~np.isfinite(products).all(axis=(1, 2))] = 0
    values = np.linalg.svd(products, compute_uv=False)
    values[:, 2] *= np.where(np.linalg.det(products) < 0, -1, 1)
    squares = (before**2).sum(axis=(1, 2)) + (after**2).sum(axis=(1, 2)) - 2 * values.sum(axis=1)
    rmsd: Floats = np.sqrt(np.maximum(squares, 0) / positions.shape[1])
    return rmsd


def chiral_centres(protein: Protein) -> Ints:
    """Find the chiral centres, (C, 4): every CA but glycine's, and CB of isoleucine and threonine."""
    centres = []
    for residue, atoms in enumerate(atoms_by_name(protein)):
        sides = [*CHIRAL_CENTRES[""], *CHIRAL_CENTRES.get(natural_name(protein.residues[residue][1]), [])]
        centres += [[atoms[name] for name in side] for side in sides if atoms.keys() >= set(side)]
    return np.array(centres, np.int64).reshape(-1, 4)


def peptide_bonds(protein: Protein) -> Ints:
    """Find the peptide bonds, (P, 4): CA and C, and N and CA of the residue bonded to them."""
    residues = atoms_by_name(protein)
    found = []
    for bond in protein.bonds:
        carbon, nitrogen = sorted(bond, key=lambda atom: protein.atoms[atom])
        before, after = (residues[protein.residue_of[atom]] for atom in (carbon, nitrogen))
        named = (protein.atoms[carbon], protein.atoms[nitrogen]) == ("C", "N") and before is not after
        if named and "CA" in before and "CA" in after:
            found.append([before["CA"], carbon, nitrogen, after["CA"]])
    return np.array(sorted(found), np.int64).reshape(-1, 4)


def disulfides(protein: Protein) -> Ints:
    """Find the bonds between two SG atoms, (S, 2)."""
    return pairs([bond for bond in protein.bonds if all(protein.atoms[atom] == "SG" for atom in bond)])


def heavy_atoms(protein: Protein) -> Ints:
    """Find the atoms that are no hydrogens; a name begins with its element, maybe behind a number."""
    return np.array([at for at, name in enumerate(protein.atoms) if name.lstrip("0123456789")[:1] != "H"])


def pairs(bonds: Sequence[tuple[int, int]]) -> Ints:
    """Give pairs of atoms as an array, (B, 2), also where there are none."""
    return np.array(bonds, np.int64).reshape(-1, 2)


def atoms_by_name(protein: Protein) -> list[dict[str, int]]:
    """Find the atoms of each residue by their names."""
    residues: list[dict[str, int]] = [{} for _ in protein.residues]
    for atom, (name, residue) in enumerate(zip(protein.atoms, protein.residue_of, strict=True)):
        residues[residue][name] = atom
    return residues
