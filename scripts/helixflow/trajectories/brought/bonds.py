"""Which atoms of a protein are bonded, where its topology does not tell: those that are close enough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from helixflow.trajectories.images import nearest_images

Floats = NDArray[np.float64]
Pair = tuple[int, int]

#: Atoms closer than this, in nm, are bonded: two heavy atoms, a heavy atom and a hydrogen, two sulphurs.
HEAVY_NM, HYDROGEN_NM, DISULFIDE_NM = 0.2, 0.15, 0.25


def bonds_within(atoms: Sequence[int], elements: Sequence[str], positions: Floats, box: Floats) -> list[Pair]:
    """Find the bonds of one residue by the distances of its atoms.

    Parameters
    ----------
    atoms : sequence of int
        Indices into `elements` and `positions`, (A, 3) in nm.
    box : (3, 3)
    """
    pairs = list(combinations(atoms, 2))
    hydrogens = [(elements[first] == "H") + (elements[second] == "H") for first, second in pairs]
    limits = np.array([HEAVY_NM, HYDROGEN_NM, 0.0])[hydrogens]
    return closer(pairs, limits, positions, box)


def closer(pairs: Iterable[Pair], limits: float | Floats, positions: Floats, box: Floats) -> list[Pair]:
    """Return the pairs of atoms that are closer than a limit, in nm, or each than its own."""
    known = list(pairs)
    first, second = np.array(known, np.int64).reshape(-1, 2).T
    distances = np.linalg.norm(nearest_images(positions[first] - positions[second], box), axis=1)
    return [pair for pair, close in zip(known, distances < limits, strict=True) if close]
