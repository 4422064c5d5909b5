"""Ridge regression, with features standardised over what is learnt from.

Weights w minimise |y - X w|**2 + penalty |w|**2 for centred y and features X of mean 0 and variance 1 (A. E.
Hoerl and R. W. Kennard, Technometrics 12, 55 (1970), doi:10.1080/00401706.1970.10488634). For fewer samples
than features the dual form is the cheap one, in which only products of samples appear (C. Saunders et al.,
ICML 1998); for more, sums over samples, which add up over as many of them as there are (`Sums`).
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


class Regression:
    """What is learnt from n samples of P features, whose means are 0, for any penalty.

    Parameters
    ----------
    features : (n, P)
        See `standardise`.
    target : (n,)
    """

    def __init__(self, features: Floats, target: Floats) -> None:
        self._features, self._target, self._mean = features, target, float(target.mean())
        n, n_feature = features.shape
        values, vectors = np.linalg.eigh(features @ features.T if n <= n_feature else features.T @ features)
        kept = values > 1e-12 * max(values[-1], 1e-300)
        self._values, vectors = values[kept], vectors[:, kept]
        # The principal directions of the samples, (n, R), which both forms have.
        self._basis = vectors if n <= n_feature else features @ vectors / np.sqrt(self._values)
        self._along = self._basis.T @ (target - self._mean)

    def predict(self, features: Floats, penalty: float) -> Floats:
        """Predict other samples from their features, (m, P); return (m,)."""
        weights = self._features.T @ (self._basis @ (self._along / (self._values + self._strength(penalty))))
        predicted: Floats = self._mean + features @ weights
        return predicted

    def errors_left_out(self, samples: Integers, penalty: float) -> Floats:
        """Return the errors (m,) for some of the n samples, had they not been learnt from.

        Fitted values are H y, and leaving samples S out makes their errors (1 - H_SS)**-1 (y - H y)_S, so
        that nothing needs to be learnt anew; this is exact for penalised least squares (for one sample: G.
        H. Golub et al., Technometrics 21, 215 (1979), doi:10.1080/00401706.1979.10489751).
        """
        shrinkage = self._values / (self._values + self._strength(penalty))
        basis = self._basis[samples]
        hat = (basis * shrinkage) @ basis.T + 1 / len(self._target)
        errors = self._target[samples] - self._mean - basis @ (shrinkage * self._along)
        left_out: Floats = np.linalg.solve(np.eye(len(samples)) - hat, errors)
        return left_out

    def _strength(self, penalty: float) -> float:
        return penalty * float(self._values.sum() or 1.0) / len(self._target)


@dataclass(frozen=True)
class Sums:
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
    def of(cls, features: Floats, target: Floats) -> Sums:
        """Take the sums of samples: features (n, P) and target (n,)."""
        return cls(
            len(target),
            features.sum(axis=0),
            float(target.sum()),
            features.T @ features,
            features.T @ target,
            float(target @ target),
        )

    def __add__(self, other: Sums) -> Sums:
        return self._with(other, 1)

    def __sub__(self, other: Sums) -> Sums:
        return self._with(other, -1)

    def _with(self, other: Sums, sign: int) -> Sums:
        return Sums(
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


def learn(sums: Sums, penalties: Sequence[float]) -> list[tuple[Floats, float]]:
    """Learn from sums over samples; return weights (P,) and constant for each penalty."""
    mean_x, mean_y = sums.x / sums.n, sums.y / sums.n
    covariance = sums.xx / sums.n - np.outer(mean_x, mean_x)
    sd = np.sqrt(np.maximum(np.diag(covariance), 0))
    sd[sd <= 1e-6 * (1 + np.abs(mean_x))] = np.inf
    values, vectors = np.linalg.eigh(covariance / np.outer(sd, sd))
    with_target = vectors.T @ ((sums.xy / sums.n - mean_x * mean_y) / sd)
    found = []
    for penalty in penalties:
        strength = (values.sum() or 1.0) / sums.n * penalty
        weights = vectors @ (with_target / (np.maximum(values, 0) + strength)) / sd
        found.append((weights, float(mean_y - mean_x @ weights)))
    return found
