"""RMSF learnt from embeddings of some structures and tried on others that are no relatives of theirs.

Groups of relatives are left out, a tenth of them at a time where there are more than `FOLDS`, so that what
is tried was never near what was learnt from. The penalty is chosen in the same way among the folds that are
learnt from; where that is one alone, it is `ONE_FOLD_PENALTY`. A structure at several temperatures has
several ensembles with the same embeddings; all are learnt from and tried, always on the same side. The kind
of amino acid and the number of neighbours are tried beside the embedding. RMSF is in nm as it is, so that a
structure that moves more than all others is told badly by all of them.

Only sums over the residues of each fold are kept, so that memory does not follow the number of structures.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from helixflow.coanalysis.across.structures import Analysis, read_features
from helixflow.coanalysis.statistics.pairs import Floats
from helixflow.coanalysis.statistics.ridge import PENALTIES, Sums, learn
from helixflow.errors import MismatchError
from helixflow.tables import read_rows

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

PREDICTORS = ("embedding", "amino acid", "neighbours")
#: Most folds that the groups are divided into.
FOLDS = 10
#: Penalty where there is but one fold to learn from, so that none can be left out to choose it.
ONE_FOLD_PENALTY = 1.0

#: Weights (P,) and constant.
Line = tuple[Floats, float]
Reader = Callable[[Analysis], tuple[dict[str, Floats], Floats]]


class Squares:
    """Sums over residues of squared errors by predictor, and of squares about the mean learnt from."""

    def __init__(self) -> None:
        self.residues, self.total = 0, 0.0
        self.errors = dict.fromkeys(PREDICTORS, 0.0)

    def add(
        self, features: Mapping[str, Floats], target: Floats, lines: Mapping[str, Line], mean: float
    ) -> None:
        """Add residues: features (n, P) by predictor, target (n,)."""
        self.residues += len(target)
        self.total += float(((target - mean) ** 2).sum())
        for name, (weights, constant) in lines.items():
            self.errors[name] += float(((target - constant - features[name] @ weights) ** 2).sum())

    def __add__(self, other: Squares) -> Squares:
        both = Squares()
        both.residues, both.total = self.residues + other.residues, self.total + other.total
        both.errors = {name: self.errors[name] + other.errors[name] for name in PREDICTORS}
        return both

    def r2(self) -> dict[str, float | None]:
        """Return R2 by predictor; None where RMSF does not vary."""
        return {
            name: 1 - error / self.total if self.total > 0 else None for name, error in self.errors.items()
        }


def learn_across(analyses: Sequence[Analysis], groups: Mapping[str, int], index: StrPath) -> dict[str, Any]:
    """Learn RMSF of all groups of relatives but some, and try it on these.

    Parameters
    ----------
    analyses : sequence of Analysis
    groups : dict of str to int
        The group of each structure.
    index : path
        Parquet with the embedding of each protein.

    Returns
    -------
    dict
        ``r2`` by predictor over all residues; the same for each of ``groups``, with its structures and number
        of residues; ``note`` says what limits it. Where nothing can be told ``r2`` is None, and the note says
        why.

    Raises
    ------
    MismatchError
        If the index lacks a protein.
    """
    known = [analysis for analysis in analyses if analysis.proteins]
    members: dict[int, list[Analysis]] = {}
    for analysis in known:
        members.setdefault(groups[analysis.structure], []).append(analysis)
    if len(members) < 2:
        return _describe(members, {}, _alone(analyses, members))
    read = partial(read_features, uris=_read_uris(index, known), folder=Path(index).parent)
    folds = divide({number: sum(analysis.linked for analysis in of) for number, of in members.items()})
    sums = [_sum_up([analysis for number in fold for analysis in members[number]], read) for fold in folds]
    tried = {number: Squares() for number in members}
    for at, fold in enumerate(folds):
        others = [each for number, each in enumerate(sums) if number != at]
        lines = {name: choose_line([each[name] for each in others]) for name in PREDICTORS}
        mean = sum(each["embedding"].y for each in others) / sum(each["embedding"].n for each in others)
        for number in fold:
            for analysis in members[number]:
                tried[number].add(*read(analysis), lines, mean)
    note = f"two groups alone: the penalty is {ONE_FOLD_PENALTY:g}, not chosen" if len(folds) == 2 else ""
    return _describe(members, tried, note)


def divide(sizes: Mapping[int, int]) -> list[list[int]]:
    """Divide groups into at most `FOLDS` folds of about as many residues; `sizes` are those of each group."""
    folds: list[list[int]] = [[] for _ in range(min(FOLDS, len(sizes)))]
    loads = [0] * len(folds)
    for number in sorted(sizes, key=lambda number: (-sizes[number], number)):
        lightest = loads.index(min(loads))
        folds[lightest].append(number)
        loads[lightest] += sizes[number]
    return folds


def choose_line(folds: Sequence[Sums]) -> Line:
    """Learn from folds, with the penalty that tells each best from the others; the greatest of equal ones."""
    total = reduce(add, folds)
    if len(folds) == 1:
        return learn(total, [ONE_FOLD_PENALTY])[0]
    errors = np.zeros(len(PENALTIES))
    for fold in folds:
        errors += [fold.squares(*line) for line in learn(total - fold, PENALTIES)]
    best = len(PENALTIES) - 1 - int(np.argmin(errors[::-1]))
    return learn(total, [PENALTIES[best]])[0]


def _sum_up(analyses: Sequence[Analysis], read: Reader) -> dict[str, Sums]:
    """Sum over the residues of some structures, read one after the other."""
    total: dict[str, Sums] = {}
    for analysis in analyses:
        features, target = read(analysis)
        for name in PREDICTORS:
            own = Sums.of(features[name], target)
            total[name] = total[name] + own if name in total else own
    return total


def _read_uris(index: StrPath, analyses: Sequence[Analysis]) -> dict[str, str]:
    wanted = {protein: analysis.path for analysis in analyses for protein in analysis.proteins}
    uris = {protein: uri for protein, uri in read_rows(index, ["protein", "uri"]) if protein in wanted}
    for protein in sorted(set(wanted) - set(uris)):
        raise MismatchError(f"{index}: no protein {protein}, which {wanted[protein]} names; run again")
    return uris


def _alone(analyses: Sequence[Analysis], members: Mapping[int, list[Analysis]]) -> str:
    """Say why nothing can be learnt across."""
    if not analyses:
        return "no structure in the sheet"
    if not members:
        return "no structure has a residue with an embedding"
    names = ", ".join(dict.fromkeys(analysis.structure for of in members.values() for analysis in of))
    return f"{names}: one group of relatives, expected at least two, to learn of one and try the other"


def _describe(
    members: Mapping[int, list[Analysis]], tried: Mapping[int, Squares], note: str
) -> dict[str, Any]:
    groups: list[dict[str, Any]] = [
        {
            "group": number,
            "structures": list(dict.fromkeys(analysis.structure for analysis in members[number])),
            "residues": sum(analysis.linked for analysis in members[number]),
            "r2": tried[number].r2() if tried else None,
        }
        for number in sorted(members)
    ]
    if note:
        log.info("%s", note)
    return {
        "predictors": list(PREDICTORS),
        "structures": len({name for group in groups for name in group["structures"]}),
        "residues": sum(group["residues"] for group in groups),
        "r2": reduce(add, tried.values()).r2() if tried else None,
        "note": note,
        "groups": groups,
    }
