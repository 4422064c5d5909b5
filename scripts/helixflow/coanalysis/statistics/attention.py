"""Contacts that a language model's attention predicts, held against those of the structure and its motion.

As is usual for predicted contacts, pairs at least 6 residues apart are looked at, and the precision of the L,
L/2 and L/5 strongest is told, L being the number of residues (e.g. B. Monastyrskyy et al., Proteins 84, 131
(2016), doi:10.1002/prot.24943; for attention R. Rao et al., ICLR 2021, doi:10.1101/2020.12.15.422761).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.statistics.datasets import put
from helixflow.coanalysis.statistics.pairs import Floats, Integers

#: Least separation in sequence of the pairs that are looked at.
LEAST_SEPARATION = 6
#: A contact in at least this share of the frames persists.
PERSISTENT_FROM = 0.5
#: Most pairs that are listed of each kind.
MOST_LISTED = 100
#: Names of how many of the strongest pairs are looked at, and the part of L that they are.
TOPS = {"L": 1, "L/2": 2, "L/5": 5}


@dataclass(frozen=True)
class Prediction:
    """The P pairs that have a prediction, the strongest first, of L residues.

    `first`, `second` are residues of the structure, `predicted` the model's value, `frequency` the share of
    frames in contact, `start` whether they are in contact in the first frame.
    """

    length: int
    first: Integers
    second: Integers
    predicted: Floats
    frequency: Floats
    start: NDArray[np.bool_]

    @property
    def persistent(self) -> NDArray[np.bool_]:
        """Whether each pair's contact persists, (P,)."""
        return self.frequency >= PERSISTENT_FROM


class Precision(NamedTuple):
    """The columns of ``/statistics/attention``."""

    against: str
    top: str
    number: int
    precision: float
    expected: float


def choose_predicted(
    predicted: Floats, frequency: Floats, start: NDArray[np.bool_], least: int
) -> Prediction:  # fmt: skip
    """Choose the pairs that have a prediction and are at least some residues apart.

    Parameters
    ----------
    predicted, frequency, start : (N, N)
        Symmetric; `predicted` is NaN for a pair that has none, as all of two chains.
    least : int
        Least separation.
    """
    first, second = np.nonzero(np.triu(np.isfinite(predicted), least))
    # Of equal ones that of the first residues.
    order = np.argsort(-predicted[first, second], kind="stable")
    first, second = first[order], second[order]
    return Prediction(
        length=int(np.isfinite(predicted).any(axis=1).sum()),
        first=first,
        second=second,
        predicted=predicted[first, second].astype(np.float64),
        frequency=frequency[first, second],
        start=start[first, second],
    )


def precisions(pairs: Prediction) -> list[Precision]:
    """Return the precision of the strongest L, L/2 and L/5 pairs against both kinds of contacts.

    Beside each stands what random pairs of the same separations would have: the mean over the pairs chosen of
    the share of contacts among all pairs as far apart. NaN where there are no pairs.
    """
    separation = pairs.second - pairs.first
    number = np.maximum(np.bincount(separation), 1)
    rows = []
    for against, contact in (("start", pairs.start), ("persistent", pairs.persistent)):
        rate = (np.bincount(separation, contact) / number)[separation]
        for top, part in TOPS.items():
            chosen = slice(min(max(1, pairs.length // part), len(contact)))
            rows.append(Precision(against, top, chosen.stop, _mean(contact[chosen]), _mean(rate[chosen])))
    return rows


def never_formed(pairs: Prediction) -> Integers:
    """Return those of the L strongest pairs that are in contact in no frame, the strongest first."""
    return np.flatnonzero(pairs.frequency[: pairs.length] == 0)


def not_predicted(pairs: Prediction) -> Integers:
    """Return the pairs that persist but are not of the L strongest, the most persistent first."""
    missed = pairs.length + np.flatnonzero(pairs.persistent[pairs.length :])
    return missed[np.argsort(-pairs.frequency[missed], kind="stable")]


def write_attention(file: h5py.File, frequency: Floats) -> None:
    """Write ``/statistics/attention`` where the file has predicted contacts; `frequency` is (N, N)."""
    if "pair/predicted_contact" not in file:
        return
    least = max(LEAST_SEPARATION, int(file.attrs["min_separation"]))
    pairs = choose_predicted(
        file["pair/predicted_contact"][:], frequency, file["pair/start_contact"][:], least
    )
    rows = precisions(pairs)
    for column, values in zip(Precision._fields, zip(*rows, strict=True), strict=True):
        put(file, f"attention/{column}", values)
    for name, chosen in (("never_formed", never_formed(pairs)), ("not_predicted", not_predicted(pairs))):
        for column in ("first", "second", "predicted", "frequency"):
            put(file, f"attention/{name}/{column}", getattr(pairs, column)[chosen[:MOST_LISTED]])
        file[f"statistics/attention/{name}"].attrs["total"] = len(chosen)
    file["statistics/attention"].attrs.update(
        length=pairs.length, min_separation=least, persistent_from=PERSISTENT_FROM
    )


def _mean(values: Floats | NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
