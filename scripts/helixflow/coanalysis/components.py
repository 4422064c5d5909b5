"""Principal components of motion, frame embeddings and contacts, and how much one explains of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.moments import Moments

#: Components with less than this share of the variance are rounding.
LEAST_SHARE = 1e-12


@dataclass(frozen=True)
class Components:
    """The first principal components of some rows of F numbers.

    `variance` (K,) descending, over the number of rows; `total` is the variance of all components; `mean`
    (F,), and `modes` (K, F) of unit length, with the entry of largest magnitude positive.
    """

    variance: NDArray[np.float64]
    total: float
    mean: NDArray[np.float64]
    modes: NDArray[np.float64]

    @property
    def share(self) -> NDArray[np.float64]:
        """(K,): share of each component in the total variance."""
        return self.variance / self.total if len(self.variance) else self.variance

    def project(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (R, K): the coordinates of (R, F) rows along the components."""
        return (rows - self.mean) @ self.modes.T


def find_components(moments: Moments, number: int, least_variance: float = 0.0) -> Components:
    """Find the principal components of rows whose moments are known.

    Parameters
    ----------
    moments : Moments
    number : int
        Components wanted; there are fewer where fewer have a variance above rounding.
    least_variance : float
        Variance that rounding alone can have, below which a component is none.
    """
    covariance = moments.covariance
    variance, vectors = _largest(covariance, number)
    return _assemble(variance, vectors.T, float(np.trace(covariance)), moments.mean, least_variance)


def find_weighted_components(
    moments: Moments, vectors: Sequence[NDArray[np.float64]], number: int, least_variance: float = 0.0
) -> list[Components]:
    """Find the principal components of ``weights @ vectors`` from the moments of the weights.

    The covariance of the products, (D, D), has the same eigenvalues above zero as one of the size of the
    weights, (M, M); the smaller one is taken.

    Parameters
    ----------
    moments : Moments
        Of rows of M weights.
    vectors : sequence of (M, D)
        Each is weighted by the same weights.
    number, least_variance
        As of `find_components`.
    """
    spread, axes = np.linalg.eigh(moments.covariance)
    spreading = (axes * np.sqrt(np.maximum(spread, 0))).T  # (M, M)
    # The products are as much spread as the rows of a root, (M, D).
    roots = ((spreading @ each, moments.mean @ each) for each in vectors)
    return [_find_of_root(root, mean, number, least_variance) for root, mean in roots]


def _find_of_root(
    root: NDArray[np.float64], mean: NDArray[np.float64], number: int, least_variance: float
) -> Components:
    """Find the components of rows of covariance ``root.T @ root``, by the smaller matrix of products."""
    if root.shape[1] < root.shape[0]:
        variance, vectors = _largest(root.T @ root, number)
        modes = vectors.T
    else:
        variance, inner = _largest(root @ root.T, number)
        with np.errstate(divide="ignore", invalid="ignore"):
            modes = (inner / np.sqrt(np.maximum(variance, 0))).T @ root
    return _assemble(variance, modes, float((root**2).sum()), mean, least_variance)


def _largest(matrix: NDArray[np.float64], number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalues of a symmetric matrix, descending, and their vectors as columns."""
    from scipy.linalg import eigh

    size = len(matrix)
    if not size:
        return np.empty(0), np.empty((0, 0))
    values, vectors = eigh(matrix, subset_by_index=(max(size - number, 0), size - 1))
    return values[::-1], vectors[:, ::-1]


def _assemble(
    variance: NDArray[np.float64],
    modes: NDArray[np.float64],
    total: float,
    mean: NDArray[np.float64],
    least_variance: float,
) -> Components:
    """Leave out what is rounding, and turn the modes so that their largest entry is positive."""
    real = variance > max(LEAST_SHARE * total, least_variance)
    variance, modes = variance[real], modes[real].reshape(int(real.sum()), len(mean))
    largest = np.abs(modes).argmax(axis=1) if len(modes) else np.empty(0, np.int64)
    signs = np.where(modes[np.arange(len(modes)), largest] < 0, -1.0, 1.0)
    return Components(variance, total, mean, modes * signs[:, None])
