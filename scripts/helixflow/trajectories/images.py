"""Periodic images: molecules made whole along their bonds, brought together, and centred in the box.

GROMACS' box vectors are the rows of a lower triangular matrix, so that an image is found axis by axis.
That is exact for vectors shorter than half of each diagonal element of the box, as bonds and moves are.
Where there is no box, all its elements are 0, and nothing has images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Molecules whose nearest atoms are farther apart than this, in nm, have come apart and may meet again
#: through another image.
APART_NM = 1.0


@dataclass(frozen=True)
class BondTree:
    """The way through all bonds of a system.

    Attributes
    ----------
    molecules : list of (M,) int
        Atoms of each molecule, ascending; molecules in the order of their first atoms.
    molecule_of : (A,) int
        For each atom the number of its molecule.
    levels : list of ((K,) int, (K,) int)
        Atoms reached after one bond, two bonds and so on, each behind the atom it is bonded to.
    """

    molecules: list[Ints]
    molecule_of: Ints
    levels: list[tuple[Ints, Ints]]


def bond_tree(atoms: int, bonds: Sequence[tuple[int, int]]) -> BondTree:
    """Find the molecules of a system, and the order in which atoms follow from those they are bonded to."""
    neighbours: list[list[int]] = [[] for _ in range(atoms)]
    for first, second in bonds:
        neighbours[first].append(second)
        neighbours[second].append(first)
    found, distance = [-1] * atoms, [0] * atoms
    steps: list[list[tuple[int, int]]] = []
    molecules = 0
    for root in range(atoms):
        if found[root] >= 0:
            continue
        found[root], queue = molecules, [root]
        for parent in queue:
            for child in neighbours[parent]:
                if found[child] < 0:
                    found[child], distance[child] = molecules, distance[parent] + 1
                    queue.append(child)
                    if len(steps) < distance[child]:
                        steps.append([])
                    steps[distance[child] - 1].append((parent, child))
        molecules += 1
    levels = [(pairs[:, 0], pairs[:, 1]) for pairs in (np.array(step, np.int64) for step in steps)]
    member = np.array(found)
    return BondTree([np.flatnonzero(member == molecule) for molecule in range(molecules)], member, levels)


def image_shifts(vectors: Floats, boxes: Floats) -> Floats:
    """Find the lattice vectors to take away from vectors, so that the shortest image is left.

    Parameters
    ----------
    vectors : (F, K, 3)
    boxes : (F, 3, 3)

    Returns
    -------
    (F, K, 3)
        Zero where a vector is not finite.
    """
    shifts = np.zeros_like(vectors)
    for axis in (2, 1, 0):
        width = boxes[:, None, axis, axis]
        turns = np.round((vectors - shifts)[..., axis] / np.where(width > 0, width, np.inf))
        shifts += np.nan_to_num(turns, posinf=0, neginf=0)[..., None] * boxes[:, None, axis]
    return shifts


def nearest_images(vectors: Floats, box: Floats) -> Floats:
    """Return the shortest image of each vector, (K, 3), in a box, (3, 3)."""
    images: Floats = vectors - image_shifts(vectors[None], box[None])[0]
    return images


def make_whole(positions: Floats, boxes: Floats, tree: BondTree) -> Floats:
    """Put every atom beside the one it is bonded to.

    Parameters
    ----------
    positions : (F, A, 3)
    boxes : (F, 3, 3)
    tree : BondTree

    Returns
    -------
    (F, A, 3)
        The first atom of each molecule stays where it is.
    """
    whole = positions.copy()
    for parents, children in tree.levels:
        whole[:, children] -= image_shifts(whole[:, children] - whole[:, parents], boxes)
    return whole


def centre(positions: Floats, boxes: Floats) -> Floats:
    """Move the mean position of each frame, (F, A, 3), to the middle of its box; to 0 where it has none."""
    middle = boxes.sum(axis=1) / 2
    centred: Floats = positions + (middle - positions.mean(axis=1))[:, None]
    return centred


class Assembly:
    """Molecules that are together at the start, and are kept so from frame to frame.

    In the first place each molecule lies by the image of an earlier one to which one of its atoms is
    nearest. From then on it is taken from the image that moved least against that molecule since the
    frame before. Only where the two have come apart and are nearer through another image, that one is taken.
    """

    def __init__(self, tree: BondTree, atoms: Ints, start: Floats, box: Floats) -> None:
        """Find which molecule lies by which.

        Parameters
        ----------
        tree : BondTree
        atoms : (K,) int
            Those between which distances are measured, such as the C-alphas; all of a molecule without one.
        start : (A, 3)
            Whole molecules.
        box : (3, 3)
        """
        self._molecules = tree.molecules
        measured = [np.intersect1d(molecule, atoms) for molecule in tree.molecules]
        self._measured = [
            some if len(some) else all_ for some, all_ in zip(measured, tree.molecules, strict=True)
        ]
        self._order = self._partners(start, box)
        self._before: dict[int, Floats] = {}
        self.gather(start[None], box[None])

    def gather(self, whole: Floats, boxes: Floats) -> Floats:
        """Bring the whole molecules of the next frames, (F, A, 3), together."""
        if not self._order:
            return whole
        gathered = whole.copy()
        for frame, box in zip(gathered, boxes, strict=True):
            for molecule, partner in self._order:
                frame[self._molecules[molecule]] -= self._shift(frame, box, molecule, partner)
                between = self._between(frame, molecule, partner)
                if np.isfinite(between).all():
                    self._before[molecule] = between
        return gathered

    def _shift(self, frame: Floats, box: Floats, molecule: int, partner: int) -> Floats:
        shift = np.zeros(3)
        if molecule in self._before:
            moved = self._between(frame, molecule, partner) - self._before[molecule]
            shift = image_shifts(moved[None, None], box[None])[0, 0]
        vectors = (frame[self._measured[molecule]][:, None] - frame[self._measured[partner]]).reshape(-1, 3)
        if molecule not in self._before or _shortest(vectors - shift)[1] > APART_NM:
            shifts = image_shifts(vectors[None], box[None])[0]
            shift = shifts[_shortest(vectors - shifts)[0]]
        return shift

    def _between(self, frame: Floats, molecule: int, partner: int) -> Floats:
        first, second = (frame[self._molecules[one]].mean(axis=0) for one in (molecule, partner))
        between: Floats = first - second
        return between

    def _partners(self, start: Floats, box: Floats) -> list[tuple[int, int]]:
        """Give each molecule but the first with the one before it to which it is nearest."""
        count = len(self._molecules)
        nearest = np.full((count, count), np.inf)
        for one in range(count):
            for other in range(one):
                vectors = (start[self._measured[one]][:, None] - start[self._measured[other]]).reshape(-1, 3)
                nearest[one, other] = nearest[other, one] = _shortest(nearest_images(vectors, box))[1]
        placed, order = [0], []
        while len(placed) < count:
            rest = [molecule for molecule in range(count) if molecule not in placed]
            distances = nearest[np.ix_(rest, placed)]
            row, column = np.unravel_index(distances.argmin(), distances.shape)
            order.append((rest[row], placed[column]))
            placed.append(rest[row])
        return order


def _shortest(vectors: Floats) -> tuple[int, float]:
    """Index and length of the shortest vector; 0 and infinity where none is finite."""
    squares = np.nan_to_num((vectors**2).sum(axis=1), nan=np.inf)
    at = int(squares.argmin())
    return at, float(np.sqrt(squares[at]))
