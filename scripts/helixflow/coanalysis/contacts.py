"""Lists of contacts joined with the residues' vectors, without work per frame and vector component.

With the contact map C of a frame, the residues' vectors E and the matrix S of their cosines, nothing of
size D is worked out per contact: the mean of E over contacts is deg(C) @ E / sum(deg(C)), the mean cosine
is <C, S> / <C, 1>, and the mean over frames of C @ E is mean(C) @ E. A pair of residues i < j of N is the
number i * N + j, as in the files of measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Most pairs whose contacts are taken as features of a frame.
MOST_FEATURES = 1000


@dataclass(frozen=True)
class Features:
    """The pairs whose contacts tell frames apart.

    `pairs` (M,) ascending, of `varying` pairs that are in contact in some frames but not in all; `share`
    is what they have of the sum of these pairs' variances p (1 - p).
    """

    pairs: NDArray[np.int64]
    varying: int
    share: float


def choose_features(frequency: NDArray[np.float64], most: int = MOST_FEATURES) -> Features:
    """Choose the pairs whose contacts vary most over frames, the first ones of equals.

    Parameters
    ----------
    frequency : (N, N)
        Share of the frames in which each pair is in contact, symmetric.
    most : int
    """
    first, second = np.triu_indices(len(frequency), 1)
    share = frequency[first, second]
    variance = share * (1 - share)
    varying = np.flatnonzero((share > 0) & (share < 1))
    chosen = np.sort(varying[np.argsort(-variance[varying], kind="stable")[:most]])
    total = variance[varying].sum()
    return Features(
        pairs=(first[chosen] * len(frequency) + second[chosen]).astype(np.int64),
        varying=len(varying),
        share=float(variance[chosen].sum() / total) if total > 0 else 1.0,
    )


def weigh_residues(
    counts: NDArray[np.int64],
    pairs: NDArray[np.uint32],
    cosine: NDArray[np.float64],
    linked: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weigh residues by their contacts in each frame, and average the cosines of the pairs in contact.

    Parameters
    ----------
    counts : (F,)
        Contacts of each frame.
    pairs : (P,)
        The pairs of all frames, frame after frame.
    cosine : (N, N)
    linked : (N,) bool
        Residues that have a vector; contacts between them alone count here.

    Returns
    -------
    (F, N), (F,)
        Share of each residue in the ends of a frame's contacts, and their mean cosine; NaN without any.
    """
    n_frame, n_residue = len(counts), len(linked)
    first, second = np.divmod(pairs.astype(np.int64), n_residue)
    known = linked[first] & linked[second]
    frame = np.repeat(np.arange(n_frame), counts)[known]
    first, second = first[known], second[known]
    size = n_frame * n_residue
    degrees = np.bincount(frame * n_residue + first, minlength=size).astype(np.float64)
    degrees += np.bincount(frame * n_residue + second, minlength=size)
    number = np.bincount(frame, minlength=n_frame)
    cosines = np.bincount(frame, cosine[first, second], n_frame)
    with np.errstate(invalid="ignore"):
        weights = degrees.reshape(n_frame, n_residue) / (2 * number[:, None])
        return weights, cosines / number


def mark_features(
    counts: NDArray[np.int64], pairs: NDArray[np.uint32], features: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mark which pairs are in contact in each frame.

    Parameters
    ----------
    counts : (F,)
    pairs : (P,)
    features : (M,)
        Pairs, ascending.

    Returns
    -------
    (F, M)
        1 for a pair in contact, else 0.
    """
    marks = np.zeros((len(counts), len(features)))
    if len(features):
        frame = np.repeat(np.arange(len(counts)), counts)
        place = np.minimum(np.searchsorted(features, pairs), len(features) - 1)
        found = features[place] == pairs
        marks[frame[found], place[found]] = 1
    return marks
