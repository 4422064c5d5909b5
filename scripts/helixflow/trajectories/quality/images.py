"""The distance of a protein from its own periodic images."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Neighbours of a box; that on the other side of each is as far away.
_HALF = np.array([shift for shift in product((-1, 0, 1), repeat=3) if shift > (0, 0, 0)])
#: Of so many atoms one is among the few that are searched first.
_COARSE = 32


def image_distance(positions: Floats, box: Floats) -> float:
    """Return the least distance of an atom from one of another image of the same protein.

    All atoms count, and the 26 images around the box: one farther away is nearer only for a molecule that
    winds around those in between.

    Parameters
    ----------
    positions : (A, 3)
        Whole molecules that are together.
    box : (3, 3)

    Returns
    -------
    float
        NaN where a position is not finite, or the box is 0: there is none.
    """
    from scipy.spatial import cKDTree

    if not np.isfinite(positions).all() or not box.any():
        return float("nan")
    low, high = positions.min(axis=0), positions.max(axis=0)
    shifts = _HALF @ box
    # The boxes around the protein and its image are at least this far apart; the nearest are searched first.
    apart = np.linalg.norm(np.maximum(np.abs(shifts) - (high - low), 0), axis=1)
    tree, nearest = cKDTree(positions), np.inf
    # A few atoms give a bound, within which few atoms have to be searched for.
    for some in (slice(None, None, _COARSE), slice(None)):
        for at in np.argsort(apart):
            if apart[at] > nearest:
                break
            image = positions[some] + shifts[at]
            near = (image >= low - nearest).all(axis=1) & (image <= high + nearest).all(axis=1)
            distances, _ = tree.query(image[near], distance_upper_bound=np.nextafter(nearest, np.inf))
            nearest = min(nearest, float(distances.min(initial=np.inf)))
    return float(nearest)
