"""The protein of a topology that was brought along: its residues by natural names, chains and bonds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from helixflow.errors import SourceError
from helixflow.structures.modified import MODIFIED, natural_residue
from helixflow.structures.residues import Residue
from helixflow.structures.topology import Protein
from helixflow.trajectories.brought.bonds import DISULFIDE_NM, HEAVY_NM, Pair, bonds_within, closer
from helixflow.trajectories.brought.naming import name_residues
from helixflow.trajectories.brought.topology import Group, Topology
from helixflow.trajectories.images import bond_tree

Floats = NDArray[np.float64]

_BACKBONE = ("N", "CA", "C")


@dataclass(frozen=True)
class BroughtProtein:
    """The protein of a trajectory, with atoms in the order of the file.

    `indices` is (A,), those of its atoms in the whole system, and `elements` theirs; `left_out` counts
    residues (or virtual sites) by name, `renamed` residues by both names.
    """

    indices: NDArray[np.int64]
    molecule: Protein
    elements: list[str]
    residues: list[Residue]
    bonds_from: str
    left_out: dict[str, int]
    renamed: dict[str, int]


def find_protein(topology: Topology, positions: Floats, box: Floats, origin: str) -> BroughtProtein:
    """Take the protein out of a system.

    Parameters
    ----------
    topology : Topology
    positions : (A, 3)
        Those of the first frame, in nm, by which bonds are found that the topology does not tell.
    box : (3, 3)
        0 where there is none.
    origin : str
        What the topology is called in messages.

    Raises
    ------
    SourceError
        If there is no protein, or a residue of it is unknown, incomplete or torn.
    """
    groups = _select(topology, origin)
    kept = [atom for group in groups for atom in group.atoms if topology.elements[atom]]
    place = {atom: number for number, atom in enumerate(kept)}
    members = [[place[atom] for atom in group.atoms if atom in place] for group in groups]
    names, elements = [topology.names[atom] for atom in kept], [topology.elements[atom] for atom in kept]
    here = positions[kept]
    backbone = [_backbone(group, atoms, names, origin) for group, atoms in zip(groups, members, strict=True)]
    told = None if topology.bonds is None else _translate(topology.bonds, place)
    bonds = _find_bonds(members, backbone, groups, elements, here, box, told, origin)
    bonded = set(bonds)
    joined = [
        (min(c, n), max(c, n)) in bonded and one.molecule == other.molecule
        for ((_, _, c), (n, _, _)), (one, other) in zip(pairwise(backbone), pairwise(groups), strict=True)
    ]
    residues = name_residues(groups, joined)
    residue_of = [at for at, atoms in enumerate(members) for _ in atoms]
    numbers = [(f"{residue.number}{residue.insertion}", residue.name) for residue in residues]
    return BroughtProtein(
        indices=np.array(kept),
        molecule=Protein(names, residue_of, numbers, bonds),
        elements=elements,
        residues=residues,
        bonds_from="distances in the first frame" if told is None else "topology",
        left_out=_left_out(topology, groups),
        renamed=_renamed(residues),
    )


def _select(topology: Topology, origin: str) -> list[Group]:
    """Pick the residues of proteins; one that looks like them and is unknown is refused."""
    found = []
    for group in topology.groups:
        if natural_residue(group.name):
            found.append(group)
        elif {topology.names[atom] for atom in group.atoms}.issuperset(_BACKBONE):
            raise SourceError(
                f"{origin}: residue {group.name} {group.number} has the backbone of an amino acid but is not "
                "known, expected one of the twenty, a state of it in a force field, or one of "
                f"{', '.join(sorted(MODIFIED))}; take it out with gmx convert-tpr and trjconv, or rename it"
            )
    if not found:
        names = Counter(group.name for group in topology.groups).most_common(8)
        raise SourceError(
            f"{origin}: has no protein, expected residues of amino acids (found "
            f"{', '.join(name for name, _ in names)})"
        )
    return found


def _backbone(group: Group, atoms: Sequence[int], names: Sequence[str], origin: str) -> tuple[int, int, int]:
    places = {name: [atom for atom in atoms if names[atom] == name] for name in _BACKBONE}
    for name, found in places.items():
        if len(found) != 1:
            raise SourceError(
                f"{origin}: residue {group.name} {group.number} has {len(found)} atoms {name}, expected one "
                "each of N, CA and C, as all-atom and united-atom proteins have"
            )
    return places["N"][0], places["CA"][0], places["C"][0]


def _translate(bonds: NDArray[np.int64], place: Mapping[int, int]) -> list[Pair]:
    """Return the bonds between atoms of the protein, by their numbers in it."""
    return [(place[a], place[b]) for a, b in bonds.tolist() if a in place and b in place]


def _find_bonds(
    members: Sequence[Sequence[int]],
    backbone: Sequence[tuple[int, int, int]],
    groups: Sequence[Group],
    elements: Sequence[str],
    positions: Floats,
    box: Floats,
    told: list[Pair] | None,
    origin: str,
) -> list[Pair]:
    """Give the bonds that are told, or found by distance, ascending; every atom must hang on its CA."""
    if told is None:
        bonds = [pair for atoms in members for pair in bonds_within(atoms, elements, positions, box)]
        peptide = [(c, n) for (_, _, c), (n, _, _) in pairwise(backbone)]
        sulphurs = [atom for atom, element in enumerate(elements) if element == "S"]
        bonds += closer(peptide, HEAVY_NM, positions, box)
        bonds += closer(combinations(sulphurs, 2), DISULFIDE_NM, positions, box)
    else:
        # Atoms may hang on a virtual site alone, which is left out.
        residues = {residue for residue, _ in _loose(members, backbone, told)}
        more = [pair for at in residues for pair in bonds_within(members[at], elements, positions, box)]
        bonds = [*told, *more]
    for residue, atom in _loose(members, backbone, bonds):
        group = groups[residue]
        raise SourceError(
            f"{origin}: residue {group.name} {group.number}: atom {atom - members[residue][0] + 1} of it is "
            "bonded to none of the others in the first frame, expected one molecule; is this the topology "
            "that the trajectory was written with?"
        )
    return sorted({(min(pair), max(pair)) for pair in bonds})


def _loose(
    members: Sequence[Sequence[int]], backbone: Sequence[tuple[int, int, int]], bonds: Sequence[Pair]
) -> Iterator[Pair]:
    """Give residue and atom of those that are not joined to the CA of their residue."""
    molecule_of = bond_tree(sum(map(len, members)), bonds).molecule_of
    for residue, (atoms, (_, alpha, _)) in enumerate(zip(members, backbone, strict=True)):
        for atom in atoms:
            if molecule_of[atom] != molecule_of[alpha]:
                yield residue, atom


def _left_out(topology: Topology, groups: Sequence[Group]) -> dict[str, int]:
    taken = {id(group) for group in groups}
    counts = Counter(group.name for group in topology.groups if id(group) not in taken)
    sites = sum(not topology.elements[atom] for group in groups for atom in group.atoms)
    return dict(sorted(counts.items())) | ({"virtual sites of the protein": sites} if sites else {})


def _renamed(residues: Sequence[Residue]) -> dict[str, int]:
    counts = Counter(f"{residue.deposited} to {residue.name}" for residue in residues if residue.deposited)
    return dict(sorted(counts.items()))
