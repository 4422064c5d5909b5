"""Means and trends of values that resemble those before them, and how sure they are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
    if not sums[0] > 0:
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
