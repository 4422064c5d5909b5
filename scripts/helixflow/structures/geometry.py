"""Whether a protein's geometry can be: bonds, clashes, pierced rings, hands, peptide bonds, disulfides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from helixflow.structures.chemistry import BONDS, CHIRAL_CENTRES, RINGS
from helixflow.structures.deposit import Atom, name_of

#: Longest disulfide bond, in ångström.
DISULFIDE_BOND = 2.5
#: Shortest and longest bond of two heavy atoms, and the longest of sulfur, in ångström.
SHORTEST_BOND, LONGEST_BOND, LONGEST_OF_SULFUR = 1.1, 1.8, 2.1
#: Least distance of heavy atoms that are not bonded, in ångström; a force field's minimiser copes with more.
CLASH = 1.3
#: Least volume that a centre spans with three neighbours, in cubic ångström; a tetrahedral one has 2.5.
FLAT = 0.5
#: Least torsion of a trans peptide bond, in degrees.
TRANS = 120.0

Residues = Sequence[list[Atom]]


def find_disulfides(residues: Residues) -> list[tuple[int, int]]:
    """Find the pairs of cysteines whose sulfur atoms are bonded, as indices of residues, ascending."""
    sulfurs = [
        (index, atom)
        for index, residue in enumerate(residues)
        for atom in residue
        if (atom.residue, atom.name) == ("CYS", "SG")
    ]
    return [
        (first, second)
        for (first, a), (second, b) in combinations(sulfurs, 2)
        if math.dist(a.xyz, b.xyz) < DISULFIDE_BOND
    ]


def hand(residue: list[Atom], centre: tuple[str, str, str, str]) -> float:
    """Return the volume that a centre spans with its neighbours, in cubic ångström.

    It is positive for the hand of natural residues, and 0 where an atom is missing.
    """
    places = {atom.name: np.array(atom.xyz) for atom in residue}
    if not places.keys() >= set(centre):
        return 0.0
    middle, *others = (places[name] for name in centre)
    first, second, third = (other - middle for other in others)
    return float(np.dot(first, np.cross(second, third)))


def find_d_residues(residues: Iterable[list[Atom]]) -> list[Atom]:
    """Find residues of the wrong hand at CA; an atom of each."""
    (centre,) = CHIRAL_CENTRES[""]
    return [residue[0] for residue in residues if hand(residue, centre) < -FLAT]


def torsion(points: Sequence[Sequence[float]]) -> float:
    """Return the torsion angle of four points, in degrees from -180 to 180."""
    a, b, c, d = map(np.array, points)
    axis = (c - b) / np.linalg.norm(c - b)
    first, second = (a - b) - np.dot(a - b, axis) * axis, (d - c) - np.dot(d - c, axis) * axis
    return math.degrees(math.atan2(np.dot(np.cross(axis, first), second), np.dot(first, second)))


def omega(before: list[Atom], after: list[Atom]) -> float:
    """Return the torsion of the peptide bond between two whole residues, in degrees."""
    first, second = ({atom.name: atom.xyz for atom in residue} for residue in (before, after))
    return torsion([first["CA"], first["C"], second["N"], second["CA"]])


def find_faults(chains: Sequence[Residues]) -> list[str]:
    """Find what cannot be where atoms were built; each fault in a few words with the residues' names.

    Parameters
    ----------
    chains : sequence of sequences of residues
        Whole natural residues; what concerns atoms of the file alone is not judged.
    """
    faults = [fault for residues in chains for fault in _bond_faults(residues)]
    faults += [fault for residues in chains for fault in _hand_faults(residues)]
    faults += [fault for residues in chains for fault in _peptide_faults(residues)]
    everything = [residue for residues in chains for residue in residues]
    return [*faults, *_clashes(chains), *_pierced_rings(everything)]


def bonds_of(residues: Residues) -> Iterator[tuple[Atom, Atom]]:
    """Give the bonds of a chain within its residues and between them."""
    for residue in residues:
        atoms = {atom.name: atom for atom in residue}
        for first, second in BONDS[residue[0].residue]:
            if first in atoms and second in atoms:
                yield atoms[first], atoms[second]
    for before, after in pairwise(residues):
        ends = [atom for atom in before if atom.name == "C"], [atom for atom in after if atom.name == "N"]
        if all(ends):
            yield ends[0][0], ends[1][0]


def _bond_faults(residues: Residues) -> Iterator[str]:
    for first, second in bonds_of(residues):
        longest = LONGEST_OF_SULFUR if "S" in (first.name[0], second.name[0]) else LONGEST_BOND
        length = math.dist(first.xyz, second.xyz)
        if (first.built or second.built) and not SHORTEST_BOND <= length <= longest:
            yield f"bond {name_of(first)} {first.name} to {name_of(second)} {second.name} of {length:.2f} Å"


def _hand_faults(residues: Residues) -> Iterator[str]:
    for residue in residues:
        atoms = {atom.name: atom for atom in residue}
        for centre in [*CHIRAL_CENTRES[""], *CHIRAL_CENTRES.get(residue[0].residue, [])]:
            there = atoms.keys() >= set(centre)
            if there and any(atoms[name].built for name in centre) and hand(residue, centre) < FLAT:
                yield f"{name_of(residue[0])} has the wrong hand at {centre[0]}"


def _peptide_faults(residues: Residues) -> Iterator[str]:
    for before, after in pairwise(residues):
        if any(atom.built for atom in [*before, *after] if atom.name in ("CA", "C", "N")):
            angle = omega(before, after)
            if abs(angle) < TRANS:
                names = f"{name_of(before[0])} to {name_of(after[0])}"
                yield f"peptide bond {names} is not trans ({angle:.0f} degrees)"


def _clashes(chains: Sequence[Residues]) -> Iterator[str]:
    """Give pairs of atoms too close to each other, one of them built."""
    atoms = [atom for residues in chains for residue in residues for atom in residue]
    places = np.array([atom.xyz for atom in atoms])
    number = {id(atom): at for at, atom in enumerate(atoms)}
    bonded = {
        frozenset((number[id(first)], number[id(second)]))
        for residues in chains
        for first, second in bonds_of(residues)
    }
    for at, atom in enumerate(atoms):
        if not atom.built:
            continue
        near = np.flatnonzero(np.linalg.norm(places - places[at], axis=1) < CLASH)
        for other in map(int, near):
            # A pair of built atoms is told once.
            again = other == at or (atoms[other].built and other < at)
            if not again and frozenset((at, other)) not in bonded:
                distance = math.dist(atom.xyz, atoms[other].xyz)
                yield (
                    f"{name_of(atom)} {atom.name} is {distance:.2f} Å from "
                    f"{name_of(atoms[other])} {atoms[other].name}"
                )


def _pierced_rings(residues: Residues) -> Iterator[str]:
    """Give rings that a bond goes through, where ring or bond was built; no minimiser gets it out."""
    bonds = [pair for residue in residues for pair in bonds_of([residue])]
    bonds += [pair for before, after in pairwise(residues) for pair in _joint(before, after)]
    ends = np.array([(first.xyz, second.xyz) for first, second in bonds])
    built = np.array([first.built or second.built for first, second in bonds])
    for residue in residues:
        atoms = {atom.name: atom for atom in residue}
        for names in RINGS.get(residue[0].residue, []):
            if not atoms.keys() >= set(names):
                continue
            ring = np.array([atoms[name].xyz for name in names])
            members = {id(atoms[name]) for name in names}
            near = np.linalg.norm(ends.mean(axis=1) - ring.mean(axis=0), axis=1) < 2.0
            judged = near & (built | any(atoms[name].built for name in names))
            for at in map(int, np.flatnonzero(judged)):
                first, second = bonds[at]
                if not {id(first), id(second)} & members and _goes_through(ring, ends[at]):
                    bond = f"{name_of(first)} {first.name} to {name_of(second)} {second.name}"
                    yield f"bond {bond} goes through the ring of {name_of(residue[0])}"


def _joint(before: list[Atom], after: list[Atom]) -> Iterator[tuple[Atom, Atom]]:
    first = [atom for atom in before if atom.name == "C"]
    second = [atom for atom in after if atom.name == "N"]
    if first and second and math.dist(first[0].xyz, second[0].xyz) < LONGEST_BOND:
        yield first[0], second[0]


def _goes_through(ring: NDArray[np.float64], bond: NDArray[np.float64]) -> bool:
    """Tell whether a bond (2, 3) crosses one of the triangles of a ring (n, 3) with its centre."""
    centre = ring.mean(axis=0)
    return any(_crosses(centre, ring[at - 1], ring[at], bond[0], bond[1]) for at in range(len(ring)))


def _crosses(*points: NDArray[np.float64]) -> bool:
    """Tell whether the line between the last two points crosses the triangle of the first three."""
    a, b, c, start, end = points
    matrix = np.column_stack([b - a, c - a, start - end])
    if abs(np.linalg.det(matrix)) < 1e-9:
        return False
    u, v, t = np.linalg.solve(matrix, start - a)
    return bool(u >= 0 and v >= 0 and u + v <= 1 and 0 <= t <= 1)
