"""Means and trends of values that resemble those before them, and how sure they are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Fewest blocks that a block-averaged error is taken from.
LEAST_BLOCKS = 4


def inefficiency(values: Floats) -> float:
    """Return how many successive values tell as much as one that is independent.

    It is 1 + 2 sum over lags k of (1 - k / n) c(k), where c is the autocorrelation, up to the first lag at
    which it is not positive (J. D. Chodera et al., J. Chem. Theory Comput. 3, 26 (2007)); at least 1.
    """
    n = len(values)
    centred = values - values.mean()
    size = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    sums = np.fft.irfft(power, size)[:n]
    if not sums[0] > 0 or np.ptp(values) == 0:
        return 1.0
    # Sums over n - k products each, as means of them, over the variance.
    correlation = sums / sums[0] * n / np.arange(n, 0, -1)
    ends = np.flatnonzero(~(correlation > 0))
    lags = np.arange(1, ends[0] if len(ends) else n)
    return max(1.0, 1 + 2 * float(((1 - lags / n) * correlation[lags]).sum()))


def mean_error(values: Floats) -> tuple[float, float, float]:
    """Return mean, its standard error, and to how many independent values they amount.

    The error is infinite where there are fewer than three values.
    """
    if len(values) < 3 or not np.isfinite(values).all():
        return float(values.mean()) if len(values) else math.nan, math.inf, 0.0
    independent = len(values) / inefficiency(values)
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(independent), independent


def slope_error(times: Floats, values: Floats) -> tuple[float, float]:
    """Return the slope of the least-squares line and its standard error, infinite for fewer than 4 values."""
    if len(times) < 4:
        return math.nan, math.inf
    centred = times - times.mean()
    spread = float(centred @ centred)
    slope = float(centred @ values) / spread
    rest = values - values.mean() - slope * centred
    alone = math.sqrt(float(rest @ rest) / (len(times) - 2) / spread)
    return slope, alone * math.sqrt(inefficiency(rest)) if math.isfinite(alone) else math.inf


def block_error(values: Floats) -> float:
    """Return the standard error of the mean from averages over blocks of successive values.

    Blocks of 1, 2, 4, … values are averaged; their standard error grows with their length until blocks no
    longer resemble each other (H. Flyvbjerg and H. G. Petersen, J. Chem. Phys. 91, 461 (1989),
    doi:10.1063/1.457480). The plateau is taken to begin at the shortest length B for which
    B**3 > 2 n (e(B) / e(1))**4, where e is the standard error and n the number of values: there the error of
    e by the blocks' length is as small as that by their number (R. M. Lee et al., Phys. Rev. E 83, 066706
    (2011), doi:10.1103/PhysRevE.83.066706).

    Returns
    -------
    float
        In the unit of the values; 0 where all are equal, NaN where no length with `LEAST_BLOCKS` blocks or
        more is at the plateau, since the series is too short to tell.
    """
    n, length, first = len(values), 1, math.nan
    if n >= LEAST_BLOCKS and np.ptp(values) == 0:
        return 0.0
    while n // length >= LEAST_BLOCKS:
        blocks = values[: n // length * length].reshape(-1, length).mean(axis=1)
        error = float(blocks.std(ddof=1)) / math.sqrt(len(blocks))
        first = error if length == 1 else first
        if length**3 > 2 * n * (error / first) ** 4:
            return error
        length *= 2
    return math.nan


def autocorrelation_time(values: Floats, spacing: float) -> float:
    """Return the integrated autocorrelation time, in the unit of the spacing of the values.

    It is (g - 1) / 2 spacings, where g is the `inefficiency`: 0 for values that do not resemble those before
    them. A series shorter than some ten of these times tells too short a one.
    """
    return (inefficiency(values) - 1) / 2 * spacing
