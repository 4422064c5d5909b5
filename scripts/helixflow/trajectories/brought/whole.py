"""Make a protein whole over the periodic box, bring its parts together, and put it into the middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helixflow.trajectories.brought.bonds import Tree

#: Room that an atom of a protein takes at least, in nm3; a box with less than this an atom is none, but what
#: a format demands where there is no box (a cube of 1 Å).
ATOM_NM3 = 0.005


def periodic_box(box: NDArray[np.float32], atoms: int) -> NDArray[np.float64] | None:
    """Return box vectors, (3, 3) in nm; None where they span no box that so many atoms fit into."""
    vectors = box.astype(np.float64)
    if not np.isfinite(vectors).all() or abs(np.linalg.det(vectors)) < ATOM_NM3 * atoms:
        return None
    return vectors


@dataclass(frozen=True)
class Whole:
    """Positions (n, 3) in nm as they should be, and whether atoms had to be moved over the box."""

    positions: NDArray[np.float64]
    mended: bool


class Maker:
    """Makes frame after frame whole.

    Parameters
    ----------
    tree : Tree
        Of the protein's atoms.
    alphas : (N,) int
        Its C-alphas, by which parts that are not bonded are brought together.
    """

    def __init__(self, tree: Tree, alphas: NDArray[np.int64]) -> None:
        self._tree = tree
        self._jumps = _jumps(tree.parents)
        units = tree.units[alphas]
        self._parts = {int(unit): alphas[units == unit] for unit in np.unique(units)}

    def __call__(self, positions: NDArray[np.float32], box: NDArray[np.float64] | None) -> Whole:
        """Return one frame whole; without a box, it is moved to the origin and is as it was otherwise.

        Parameters
        ----------
        positions : (n, 3)
            In nm, any atom in any image of the box.
        box : (3, 3), optional
            Box vectors in nm.
        """
        exact = positions.astype(np.float64)
        if box is None:
            return Whole(exact - exact.mean(axis=0), False)
        images = self._images(exact, box)
        whole = exact + images @ box
        moved = self._gather(whole, box)
        whole += moved @ box
        images += moved
        return Whole(whole - whole.mean(axis=0) + box.sum(axis=0) / 2, bool(np.ptp(images, axis=0).any()))

    def _images(self, positions: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 3): by how many box vectors each atom must move to be beside those it is bonded to.

        Sums along the tree, of what each bond demands, by doubling the length of the paths.
        """
        steps = positions - positions[self._tree.parents]
        images: NDArray[np.float64] = np.negative(np.round(steps @ np.linalg.inv(box)), dtype=np.float64)
        for ancestors in self._jumps:
            images = images + images[ancestors]
        return images

    def _gather(self, positions: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 3): by how many box vectors each part must move to be beside the others.

        Beginning with the largest part, the one nearest to those in place is put beside them.
        """
        images = np.zeros_like(positions)
        if len(self._parts) == 1:
            return images
        waiting = sorted(self._parts, key=lambda unit: (-len(self._parts[unit]), unit))
        placed = waiting.pop(0)
        nearest = {unit: (np.inf, np.zeros(3)) for unit in waiting}
        while waiting:
            here = positions[self._parts[placed]] + images[self._parts[placed]] @ box
            for unit in waiting:
                found = _nearest_image(here, positions[self._parts[unit]], box)
                nearest[unit] = min(nearest[unit], found, key=lambda pair: pair[0])
            placed = min(waiting, key=lambda unit: (nearest[unit][0], unit))
            waiting.remove(placed)
            images[self._tree.units == placed] = nearest[placed][1]
        return images


def _jumps(parents: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return for each atom its ancestor 1, 2, 4 … steps up the tree, until all are roots."""
    jumps, ancestors = [], parents
    while True:
        jumps.append(ancestors)
        further = ancestors[ancestors]
        if np.array_equal(further, ancestors):
            return jumps
        ancestors = further


def _nearest_image(
    here: NDArray[np.float64], there: NDArray[np.float64], box: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the least distance of two sets of positions over all images, and the image of the second."""
    from MDAnalysis.lib.distances import distance_array, minimize_vectors
    from MDAnalysis.lib.mdamath import triclinic_box

    dimensions = triclinic_box(*box)
    distances = distance_array(here, there, box=dimensions)
    first, second = np.unravel_index(np.argmin(distances), distances.shape)
    vector = there[second] - here[first]
    shift = minimize_vectors(vector[None], dimensions)[0] - vector
    image = np.round(shift @ np.linalg.inv(box))
    return float(distances[first, second]), image.astype(np.float64)
