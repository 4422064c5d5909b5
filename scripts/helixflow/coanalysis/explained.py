"""How much of the motion the components of embeddings and of contacts explain, in frames left out.

The embedding of a frame weighs the vectors of residues by their numbers of contacts, which themselves tell
much of the motion: any vectors, also random ones, carry that over. So it stands beside what the same vectors
explain when they are shuffled over the residues; what is of the embedding is what exceeds that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.moments import Moments

#: Segments of time that all replicas together are cut into, at least.
SEGMENTS = 10
#: How often vectors are shuffled over the residues, to see what of the motion they then explain.
SHUFFLES = 10


def cut_segments(frames: Sequence[int]) -> list[tuple[int, int]]:
    """Cut replicas into segments of time, each as first and last (exclusive) row of the pooled frames.

    Every replica is cut into as many, so that there are at least `SEGMENTS` in all, of which each has a
    frame.

    Parameters
    ----------
    frames : sequence of int
        Number of frames of each replica.
    """
    each, begin, segments = -(-SEGMENTS // len(frames)), 0, []
    for number in frames:
        edges = [begin + number * at // each for at in range(each + 1)]
        segments += [(start, stop) for start, stop in pairwise(edges) if stop > start]
        begin += number
    return segments


def segment_moments(
    features: NDArray[np.float64],
    targets: NDArray[np.float64],
    first: int,
    segments: Sequence[tuple[int, int]],
) -> dict[int, Moments]:
    """Return the moments of features (R, K) and targets (R, M), side by side, of each segment they are of.

    `first` is the row of the pooled frames that the first of these is. Rows with a NaN are left out.
    """
    rows = np.hstack([features, targets])
    known = np.flatnonzero(np.isfinite(rows).all(axis=1))
    found = {}
    for number, (start, stop) in enumerate(segments):
        own = known[(known >= start - first) & (known < stop - first)]
        if len(own):
            found[number] = Moments.of(rows[own])
    return found


def about_replicas(parts: Mapping[int, Moments], replicas: Sequence[int]) -> list[Moments]:
    """Take the mean of each replica off its segments: where replicas stand apart is no motion.

    Parameters
    ----------
    parts : mapping of int to Moments
        By the number of the segment.
    replicas : sequence of int
        The replica of each segment.
    """
    whole: dict[int, Moments] = {}
    for number, part in parts.items():
        replica = replicas[number]
        whole[replica] = whole[replica] + part if replica in whole else part
    return [
        replace(part, mean=part.mean - whole[replicas[number]].mean) for number, part in sorted(parts.items())
    ]


def explain(parts: Sequence[Moments], n_target: int) -> NDArray[np.float64]:
    """Predict targets from features by linear regression, each segment from all others.

    Parameters
    ----------
    parts : sequence of Moments
        Of features and targets, side by side, of each segment.
    n_target : int

    Returns
    -------
    (n_target,)
        R2: 1 less the sum of squared errors over all segments, over that of predicting the mean of the
        others. NaN where there is nothing to learn from or nothing to predict.
    """
    parts = [part for part in parts if part.count]
    error, spread = np.zeros(n_target), np.zeros(n_target)
    for left_out, part in enumerate(parts):
        train = Moments.nothing(len(part.mean))
        for at, other in enumerate(parts):
            train = train if at == left_out else train + other
        n_feature = len(part.mean) - n_target
        if n_feature == 0 or train.count < n_feature + 2:
            return np.full(n_target, np.nan)
        squares = _errors(train, part, n_feature)
        error, spread = error + squares[0], spread + squares[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, 1 - error / spread, np.nan)


def _errors(train: Moments, test: Moments, n_feature: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the squared errors in a segment, of the regression and of the mean, summed over its rows.

    Both follow from the moments: with the residual r = y - x B of a row, the sum of (r - c)² is that of the
    deviations of r from its mean, plus the number of rows times the square of what its mean differs by.
    """
    x, y = slice(None, n_feature), slice(n_feature, None)
    slopes, *_ = np.linalg.lstsq(train.products[x, x], train.products[x, y], rcond=1e-10)  # (K, targets)
    within = test.products[y, y].diagonal() - 2 * (slopes * test.products[x, y]).sum(axis=0)
    within = within + (slopes * (test.products[x, x] @ slopes)).sum(axis=0)
    shift = test.mean[y] - train.mean[y]
    residual = shift - (test.mean[x] - train.mean[x]) @ slopes
    error = np.maximum(within, 0) + test.count * residual**2
    return error, test.products[y, y].diagonal() + test.count * shift**2
