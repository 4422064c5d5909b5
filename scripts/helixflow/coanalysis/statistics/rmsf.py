"""How much of the residues' RMSF can be told from their embeddings alone, or from plain things.

A ridge regression learns from the residues of some segments of the chains and is tried on those of another.
Segments are contiguous, about ten in all and none over two chains. Residues near in sequence move alike and
have alike embeddings, and so do the same residues of two copies of a chain; so those within `GAP` residues of
a segment that is left out, in the structure or in the protein they are linked to, are not learnt from either,
or what is told would be that neighbours are alike. The penalty is chosen by the same rule within the segments
that are learnt from. What embeddings tell counts for as much as it exceeds the plain predictors on the
same segments: the kind of the residue, how many neighbours it has in space, and how far it is from its
chain's end.

One structure has few residues and they are no sample of proteins: a transformer's vector of a residue is also
made of all others of the chain. A value here says what can be told within this chain; what can be told of
another protein is in across.json.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.statistics.datasets import put
from helixflow.coanalysis.statistics.pairs import Floats, Integers
from helixflow.coanalysis.statistics.ridge import PENALTIES, Regression, standardise

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

#: Segments that are aimed at, and fewest residues of one.
SEGMENTS, LEAST_RESIDUES = 10, 5
#: Residues this near to a segment that is left out are not learnt from.
GAP = 3
#: Fewest residues that anything is learnt from.
LEAST_LEARNT = 3
#: Below so many residues, or segments, there is a warning.
FEW_RESIDUES, FEW_SEGMENTS = 100, 5
#: Letters of residues; another one is of none of these kinds.
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


@dataclass(frozen=True)
class Residues:
    """What is known of the M residues that have an embedding.

    `target` (M,) is their RMSF in nm, `features` by predictor (M, P), `segment` (M,) their segment, and
    `close` (M, M) says which are too near to each other to be on both sides of a division.
    """

    target: Floats
    features: dict[str, Floats]
    segment: Integers
    close: NDArray[np.bool_]


def one_hot(codes: list[str]) -> Floats:
    """Return (N, 20): 1 for the kind of each residue, by its one-letter code."""
    return np.array([[float(code == letter) for letter in AMINO_ACIDS] for code in codes]).reshape(-1, 20)


def end_distance(chain: Integers) -> Floats:
    """Return (N, 1): how many residues each is from the nearer end of its chain, given those of all, (N,)."""
    distance = np.zeros((len(chain), 1))
    for each in np.unique(chain):
        place = np.arange((chain == each).sum())
        distance[chain == each, 0] = np.minimum(place, place[::-1])
    return distance


def cut_segments(chain: Integers) -> Integers:
    """Divide residues into segments, given the chain of each, (M,); return the segment of each, (M,)."""
    length = max(LEAST_RESIDUES, math.ceil(len(chain) / SEGMENTS))
    segment, number = np.zeros(len(chain), np.int64), 0
    for each in dict.fromkeys(chain.tolist()):
        members = np.flatnonzero(chain == each)
        for part in np.array_split(members, max(1, round(len(members) / length))):
            segment[part], number = number, number + 1
    return segment


def find_close(chain: Integers, index: Integers, protein: Integers, row: Integers) -> NDArray[np.bool_]:
    """Return (M, M): residues within `GAP` of each other, in one chain or in one protein they are linked to.

    Parameters
    ----------
    chain, index : (M,)
        Chain and place in the structure.
    protein, row : (M,)
        Number of the protein that the residue is linked to, and its place there.
    """
    near = np.abs(np.subtract.outer(index, index)) <= GAP
    near_rows = np.abs(np.subtract.outer(row, row)) <= GAP
    return (near & np.equal.outer(chain, chain)) | (near_rows & np.equal.outer(protein, protein))


def leave_out(features: Floats, residues: Residues, number: int) -> tuple[Floats, float]:
    """Predict the residues of one segment from the others.

    Returns
    -------
    predicted : (m,) float64
        RMSF of the segment's residues, in nm; NaN where too few are left to learn from.
    mean : float
        Of the RMSF that was learnt from.
    """
    test = np.flatnonzero(residues.segment == number)
    train = np.flatnonzero(~residues.close[test].any(axis=0))
    if len(train) < LEAST_LEARNT:
        return np.full(len(test), np.nan), math.nan
    scaled = standardise(features, train)
    regression = Regression(scaled[train], residues.target[train])
    penalty = _choose_penalty(regression, residues, train)
    return regression.predict(scaled[test], penalty), float(residues.target[train].mean())


def _choose_penalty(regression: Regression, residues: Residues, train: Integers) -> float:
    """Return the penalty of the least squared error over segments left out of what is learnt from."""
    errors = np.zeros(len(PENALTIES))
    for number in np.unique(residues.segment[train]):
        segment = np.flatnonzero(residues.segment[train] == number)
        close = np.flatnonzero(residues.close[np.ix_(train[segment], train)].any(axis=0))
        if len(train) - len(close) < LEAST_LEARNT:
            continue
        within = np.isin(close, segment)
        left_out = [regression.errors_left_out(close, penalty)[within] for penalty in PENALTIES]
        errors += np.square(left_out).sum(axis=1)
    # The greatest of equal ones, which trusts the features least.
    best = len(PENALTIES) - 1 - int(np.argmin(errors[::-1]))
    return PENALTIES[best]


def r_squared(target: Floats, predicted: Floats, mean: Floats) -> float:
    """Return 1 - SSE / SST of values (n,), SST about the mean that was learnt from (n,); NaN where it is 0.

    It is negative where the prediction is worse than the mean of what was learnt from.
    """
    known = np.isfinite(predicted)
    total = float(((target - mean)[known] ** 2).sum())
    return 1 - float(((target - predicted)[known] ** 2).sum()) / total if total > 0 else math.nan


def warn(residues: Residues, r2: float) -> str:
    """Say in words what limits the meaning of the result; empty where nothing does."""
    n, segments = len(residues.target), len(np.unique(residues.segment))
    if not math.isfinite(r2):
        return (
            f"{n} residues with an embedding in {segments} segments are too few to learn from, or their RMSF "
            "does not vary: R2 is not known"
        )
    if n < FEW_RESIDUES or segments < FEW_SEGMENTS:
        return (
            f"{n} residues in {segments} segments have an embedding; below {FEW_RESIDUES} residues or "
            f"{FEW_SEGMENTS} segments R2 depends on few residues, and may be far off, also by its sign"
        )
    return ""


def predict_rmsf(comm: Intracomm, residues: Residues) -> dict[str, tuple[Floats, Floats]]:
    """Predict every segment from the others, by all predictors; the ranks share the segments.

    Returns
    -------
    dict
        On rank 0, by predictor, the predictions and the means that were learnt from, both (M,).
    """
    mine = [
        (name, number, leave_out(features, residues, number))
        for number in np.unique(residues.segment)[comm.rank :: comm.size]
        for name, features in residues.features.items()
    ]
    n = len(residues.target)
    results = {name: (np.zeros(n), np.zeros(n)) for name in residues.features}
    for name, number, (predicted, mean) in (one for part in comm.gather(mine) or [] for one in part):
        members = residues.segment == number
        results[name][0][members], results[name][1][members] = predicted, mean
    return results


def read_residues(file: h5py.File, vectors: Floats) -> Residues:
    """Gather the residues of an analysis that have an embedding; `vectors` is (N, D)."""
    of = file["residue"]
    index = np.flatnonzero(of["row"][:] > 0)
    chain = np.unique(of["chain"][:], return_inverse=True)[1][index]
    protein = np.unique(of["protein"][:], return_inverse=True)[1][index]
    codes = [code.decode() for code in of["code"][:][index]]
    return Residues(
        target=of["rmsf_nm"][:][index],
        features={
            "embedding": vectors[index].astype(np.float64),
            "amino acid": one_hot(codes),
            "neighbours": of["neighbours"][:][index][:, None],
            "chain end": end_distance(of["chain"][:])[index],
        },
        segment=cut_segments(chain),
        close=find_close(chain, index, protein, of["row"][:][index].astype(np.int64)),
    )


def write_rmsf(file: h5py.File, residues: Residues, results: dict[str, tuple[Floats, Floats]]) -> None:
    """Write ``/statistics/rmsf``: R2 of each predictor, and what the embedding predicts of each residue."""
    r2 = [r_squared(residues.target, *results[name]) for name in residues.features]
    linked = file["residue/row"][:] > 0
    predicted = np.full(len(linked), np.nan)
    predicted[linked] = results["embedding"][0]
    put(file, "rmsf/predictor", list(residues.features))
    put(file, "rmsf/r2", r2)
    put(file, "rmsf/predicted", predicted)
    file["statistics/rmsf"].attrs.update(
        segments=len(np.unique(residues.segment)),
        residues=len(residues.target),
        gap=GAP,
        warning=warn(residues, r2[0]),
    )
