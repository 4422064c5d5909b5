"""Ridge regression with features standardised on what is learnt from, in two forms that are the same.

Weights w minimise |y - X w|**2 + penalty |w|**2 for centred y and features X of mean 0 and variance 1 (A. E.
Hoerl and R. W. Kennard, Technometrics 12, 55 (1970), doi:10.1080/00401706.1970.10488634). For fewer samples
than features the dual form is the cheap one, in which only products of samples appear (C. Saunders et al.,
ICML 1998); for more, sums over samples, which add up over as many of them as there are.
Penalties are given relative to |X|**2 / n, so that they mean the same for any number of samples and features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helixflow.coanalysis.statistics.pairs import Floats, Integers

#: Penalties that are chosen from, from hardly any to hardly any trust in the features.
PENALTIES: tuple[float, ...] = tuple(10.0 ** (half / 2) for half in range(-6, 9))


def standardise(features: Floats, train: Integers) -> Floats:
    """Return features (N, P) with mean 0 and variance 1 over the training samples; constant ones are 0."""
    mean, sd = features[train].mean(axis=0), features[train].std(axis=0)
    sd[sd <= 1e-12 * (1 + np.abs(mean))] = np.inf
    scaled: Floats = (features - mean) / sd
    return scaled


def predict_dual(
    kernel: Floats, target: Floats, train: Integers, test: Integers, penalties: Sequence[float]
) -> Floats:
    """Learn from some samples and predict others.

    Parameters
    ----------
    kernel : (N, N)
        Products of the samples' features.
    target : (N,)
    train, test : (n,), (m,)
        Samples.
    penalties : sequence of float
        K of them.

    Returns
    -------
    (K, m) float64
    """
    inner, across = kernel[np.ix_(train, train)], kernel[np.ix_(test, train)]
    level = inner.mean(axis=0)
    across = across - across.mean(axis=1, keepdims=True) - level + level.mean()
    inner = inner - level - level[:, None] + level.mean()
    mean = target[train].mean()
    values, vectors = np.linalg.eigh(inner)
    weights = vectors.T @ (target[train] - mean)
    # Features that are all constant tell nothing, whatever the penalty is.
    strength = (np.trace(inner) or 1.0) / len(train) * np.array(penalties)
    shrunk = weights / (np.maximum(values, 0) + strength[:, None])
    predicted: Floats = mean + shrunk @ (across @ vectors).T
    return predicted


@dataclass(frozen=True)
class Moments:
    """Sums over n samples of P features x and a target y, which add up.

    `x` (P,) and `y` are sums, `xx` (P, P), `xy` (P,) and `yy` sums of products.
    """

    n: int
    x: Floats
    y: float
    xx: Floats
    xy: Floats
    yy: float

    @classmethod
    def of(cls, features: Floats, target: Floats) -> Moments:
        """Take the sums of samples: features (n, P) and target (n,)."""
        return cls(
            len(target),
            features.sum(axis=0),
            float(target.sum()),
            features.T @ features,
            features.T @ target,
            float(target @ target),
        )

    def __add__(self, other: Moments) -> Moments:
        return self._with(other, 1)

    def __sub__(self, other: Moments) -> Moments:
        return self._with(other, -1)

    def _with(self, other: Moments, sign: int) -> Moments:
        return Moments(
            self.n + sign * other.n,
            self.x + sign * other.x,
            self.y + sign * other.y,
            self.xx + sign * other.xx,
            self.xy + sign * other.xy,
            self.yy + sign * other.yy,
        )

    def squares(self, weights: Floats, constant: float) -> float:
        """Return the sum of squared errors of the line `constant` + x `weights` (P,) over these samples."""
        linear = self.yy + self.n * constant**2 - 2 * constant * self.y
        return float(linear + weights @ (self.xx @ weights - 2 * self.xy + 2 * constant * self.x))


def learn(moments: Moments, penalties: Sequence[float]) -> list[tuple[Floats, float]]:
    """Learn from sums over samples; return weights (P,) and constant for each penalty."""
    mean_x, mean_y = moments.x / moments.n, moments.y / moments.n
    covariance = moments.xx / moments.n - np.outer(mean_x, mean_x)
    sd = np.sqrt(np.maximum(np.diag(covariance), 0))
    sd[sd <= 1e-6 * (1 + np.abs(mean_x))] = np.inf
    values, vectors = np.linalg.eigh(covariance / np.outer(sd, sd))
    with_target = vectors.T @ ((moments.xy / moments.n - mean_x * mean_y) / sd)
    found = []
    for penalty in penalties:
        strength = (values.sum() or 1.0) / moments.n * penalty
        weights = vectors @ (with_target / (np.maximum(values, 0) + strength)) / sd
        found.append((weights, float(mean_y - mean_x @ weights)))
    return found
