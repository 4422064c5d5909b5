"""Motion of the C-alphas of all replicas, laid on one reference: mean structure and cross-correlation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.geometry import superpose
from helixflow.coanalysis.moments import Moments

#: Variance of a coordinate, in nm², that positions stored as float32 can have where nothing moves.
LEAST_VARIANCE_NM2 = 1e-13


def lay(alphas: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lay frames (F, N, 3) on a reference (N, 3); return their coordinates as rows, (F, 3N)."""
    return superpose(alphas, reference).reshape(len(alphas), -1)


def rmsd_to(alphas: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (F,): the RMSD of frames (F, N, 3) to a reference (N, 3), laid on it."""
    deviation = superpose(alphas, reference) - reference
    rmsd: NDArray[np.float64] = np.sqrt((deviation**2).sum(axis=2).mean(axis=1))
    return rmsd


def cross_correlation(moments: Moments) -> NDArray[np.float64]:
    """Return the dynamic cross-correlation of residues.

    That of two residues is <di . dj> / sqrt(<di . di> <dj . dj>), with d the deviation of a C-alpha from
    its mean position and means over frames (Ichiye & Karplus 1991, doi:10.1002/prot.340110305).

    Parameters
    ----------
    moments : Moments
        Of the coordinates (3N,) of frames that were laid on one reference.

    Returns
    -------
    (N, N)
        -1 to 1; NaN for a residue that does not move.
    """
    covariance, n_residue = moments.covariance, len(moments.mean) // 3
    products = np.einsum("iaja->ij", covariance.reshape(n_residue, 3, n_residue, 3))
    square = products.diagonal().copy()
    square[square < 3 * LEAST_VARIANCE_NM2] = np.nan
    correlation: NDArray[np.float64] = products / np.sqrt(np.multiply.outer(square, square))
    return np.clip(correlation, -1, 1)
