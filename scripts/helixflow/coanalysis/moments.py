"""Moments of many rows, block by block: their number, mean, and products of what they deviate from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Moments of rows of F numbers.

    `count` is how many rows there are, `mean` (F,) their mean, and `products` (F, F) the sum over rows of
    the outer product of a row's deviation from it.
    """

    count: int
    mean: NDArray[np.float64]
    products: NDArray[np.float64]

    @staticmethod
    def nothing(width: int) -> Moments:
        """Return the moments of no rows of so many numbers."""
        return Moments(0, np.zeros(width), np.zeros((width, width)))

    @staticmethod
    def of(rows: NDArray[np.float64]) -> Moments:
        """Return the moments of (R, F) rows."""
        if not len(rows):
            return Moments.nothing(rows.shape[1])
        mean = rows.mean(axis=0)
        deviation = rows - mean
        return Moments(len(rows), mean, deviation.T @ deviation)

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows.

        By Chan, Golub & LeVeque 1983 (doi:10.1080/00031305.1983.10483115), which does not subtract large
        numbers that are nearly equal.
        """
        if not (self.count and other.count):
            return self if self.count else other
        count, step = self.count + other.count, other.mean - self.mean
        products = np.multiply.outer(step, step)
        products *= self.count * other.count / count
        products += self.products
        products += other.products
        return Moments(count, self.mean + step * (other.count / count), products)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(F, F): mean product of deviations, over the number of rows; zero where there are none."""
        return self.products / max(self.count, 1)
