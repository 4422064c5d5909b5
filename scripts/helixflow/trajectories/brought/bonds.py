"""Which atoms of a protein are bonded, and the tree along which it is made whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]

#: Atoms closer than this, in nm, are bonded: two heavy atoms, a heavy atom and a hydrogen, two sulphurs.
HEAVY_NM, HYDROGEN_NM, DISULFIDE_NM = 0.2, 0.15, 0.25


@dataclass(frozen=True)
class Tree:
    """A tree over each set of bonded atoms.

    `parents` is (n,), the atom each is reached from, a root from itself; `units` is (n,), the number of
    each atom's set; `bonds` is (m, 2).
    """

    parents: NDArray[np.int64]
    units: NDArray[np.int64]
    bonds: NDArray[np.int64]


def grow_tree(atoms: int, bonds: Iterable[Pair]) -> Tree:
    """Join atoms 0 to `atoms` - 1 along their bonds, breadth first from the first atom of each set."""
    pairs = np.array(sorted({(min(pair), max(pair)) for pair in bonds}), np.int64).reshape(-1, 2)
    neighbours: list[list[int]] = [[] for _ in range(atoms)]
    for first, second in pairs.tolist():
        neighbours[first].append(second)
        neighbours[second].append(first)
    parents, units = np.full(atoms, -1), np.full(atoms, -1)
    unit = 0
    for root in range(atoms):
        if parents[root] >= 0:
            continue
        parents[root], units[root] = root, unit
        reached = deque([root])
        while reached:
            atom = reached.popleft()
            for other in neighbours[atom]:
                if parents[other] < 0:
                    parents[other], units[other] = atom, unit
                    reached.append(other)
        unit += 1
    return Tree(parents, units, pairs)


def nearest_image(vectors: NDArray[np.float64], box: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return (…, 3): vectors that are short against the box, without whole box vectors in them."""
    if box is None:
        return vectors
    images: NDArray[np.float64] = vectors - np.round(vectors @ np.linalg.inv(box)) @ box
    return images


def bonds_within(
    atoms: Sequence[int],
    elements: Sequence[str],
    positions: NDArray[np.float64],
    box: NDArray[np.float64] | None,
) -> Iterator[Pair]:
    """Give the bonds of one residue by the distances of its atoms.

    Parameters
    ----------
    atoms : sequence of int
        Indices into `elements` and `positions`, (n, 3) in nm.
    box : (3, 3), optional
    """
    here = positions[list(atoms)]
    distances = np.linalg.norm(nearest_image(here[:, None] - here[None], box), axis=2)
    hydrogen = np.array([elements[atom] == "H" for atom in atoms])
    hydrogens = np.add.outer(hydrogen.astype(int), hydrogen.astype(int))
    limits = np.choose(hydrogens, [HEAVY_NM, HYDROGEN_NM, 0.0])
    for first, second in np.argwhere(np.triu(distances < limits, 1)):
        yield atoms[first], atoms[second]


def closer(
    pairs: Iterable[Pair], limit: float, positions: NDArray[np.float64], box: NDArray[np.float64] | None
) -> list[Pair]:
    """Return the pairs of atoms that are closer than a limit, in nm."""
    known = list(pairs)
    first, second = np.array(known, np.int64).reshape(-1, 2).T
    distances = np.linalg.norm(nearest_image(positions[first] - positions[second], box), axis=1)
    return [pair for pair, distance in zip(known, distances, strict=True) if distance < limit]
