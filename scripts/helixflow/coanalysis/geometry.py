"""Superposition, radius of gyration and contacts, in float64 and nm."""

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


def radius_of_gyration(positions: NDArray[np.float32], masses: NDArray[np.float64]) -> float:
    """Return the mass-weighted radius of gyration of one frame.

    Parameters
    ----------
    positions : (A, 3)
    masses : (A,)
    """
    weights = masses / masses.sum()
    centred = positions - weights @ positions
    return float(np.sqrt(weights @ (centred**2).sum(axis=1)))


def contact_map(alphas: NDArray[np.float64], cutoff: float, eligible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (N, N): the eligible pairs of residues whose C-alphas are closer than the cutoff.

    Parameters
    ----------
    alphas : (N, 3)
    cutoff : float
        In the unit of `alphas`.
    eligible : (N, N) bool
        Symmetric.
    """
    squares = np.zeros(eligible.shape)
    for axis in alphas.T:
        squares += np.subtract.outer(axis, axis) ** 2
    return (squares < cutoff**2) & eligible


def cosine_matrix(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, N): the cosine of every pair of rows of (N, D); NaN where one is all zero."""
    with np.errstate(invalid="ignore"):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine: NDArray[np.float64] = unit @ unit.T
    return cosine
