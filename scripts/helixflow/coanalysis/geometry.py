"""Superposition, and cosines of vectors, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def superpose(frames: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lay every frame on a reference by the rotation and translation of least squares (Kabsch).

    Parameters
    ----------
    frames : (F, N, 3)
    reference : (N, 3)

    Returns
    -------
    (F, N, 3)
    """
    centre = reference.mean(axis=0)
    centred = frames - frames.mean(axis=1, keepdims=True)
    u, _, vt = np.linalg.svd(np.swapaxes(centred, 1, 2) @ (reference - centre))  # (F, 3, 3)
    # A negative determinant is a reflection: turn the axis that matters least.
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    superposed: NDArray[np.float64] = centred @ (u @ vt) + centre
    return superposed


def cosine_matrix(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, N): the cosine of every pair of rows of (N, D); NaN where one is all zero."""
    with np.errstate(invalid="ignore"):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine: NDArray[np.float64] = unit @ unit.T
    return cosine
