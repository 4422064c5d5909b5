"""The datasets of ``/statistics``, each with its unit and meaning."""

from __future__ import annotations

import h5py
from numpy.typing import ArrayLike

from helixflow.coanalysis.datasets import write_dataset

#: What is followed in time in each replica's table, and its unit.
REPLICA_SERIES = {"rmsd_nm": "nm", "rg_nm": "nm", "contacts": "1", "coherence": "1"}

_LISTED = {
    "first": ("1", "first residue of the pair, counted from 0"),
    "second": ("1", "second residue of the pair"),
    "predicted": ("1", "what the model's attention gives the pair"),
    "frequency": ("1", "share of the frames in which the pair is in contact"),
}
#: By path below ``/statistics``: unit and meaning.
DATASETS = {
    "contact_cosine/pairs": ("", "pairs of linked residues that are compared"),
    "contact_cosine/number": ("1", "how many they are"),
    "contact_cosine/spearman": ("1", "rank correlation of contact frequency and embedding cosine"),
    "contact_cosine/null_mean": ("1", "mean correlation with cosines shuffled within each separation"),
    "contact_cosine/null_sd": ("1", "standard deviation of these"),
    "contact_cosine/effect": ("1", "(spearman - null_mean) / null_sd"),
    "contact_cosine/p": ("1", "two-sided p of the correlation among those of shuffled cosines"),
    "contact_cosine/shift_p": ("1", "two-sided p among embeddings moved along the chains as on a ring"),
    "contact_cosine/shift_effect": ("1", "sum that shift_p is of, less the moves' mean, over their sd"),
    "contact_cosine/shifts": ("1", "number of such moves"),
    "contact_cosine/null": ("1", "(B, permutations) correlation of each permutation"),
    "series/name": ("", "what is followed in time"),
    "series/mean": ("", "mean over all frames, in the unit of the name (1 where it has none)"),
    "series/error": ("", "standard error of the mean, from the autocorrelation within replicas"),
    "series/block_error": ("", "the same from averages over blocks; NaN where there is no plateau"),
    "series/autocorrelation_ps": ("ps", "integrated autocorrelation time, mean over all frames"),
    "series/effective": ("1", "number of independent frames that the frames amount to"),
    "series/frames": ("1", "number of frames that have a value"),
    "series/frames_left_out": ("1", "number of frames that have none"),
    "series/replica_mean": ("", "mean of the replicas' means"),
    "series/replica_sd": ("", "standard deviation of the replicas' means; NaN for one replica"),
    "series/replica_error": ("", "standard error of replica_mean; NaN for one replica"),
    "replica/replica": ("1", "number of the replica"),
    "replica/frames": ("1", "number of its frames"),
    "attention/against": ("", "contacts that the prediction is held against: start or persistent"),
    "attention/top": ("", "how many of the strongest predicted pairs"),
    "attention/number": ("1", "the same in numbers"),
    "attention/precision": ("1", "share of these that are contacts"),
    "attention/expected": ("1", "share of random pairs of the same separations that are contacts"),
    **{f"attention/never_formed/{name}": words for name, words in _LISTED.items()},
    **{f"attention/not_predicted/{name}": words for name, words in _LISTED.items()},
    "rmsf/predictor": ("", "what the RMSF of a residue is predicted from"),
    "rmsf/r2": ("1", "1 - squared errors / squares about the training mean, in segments left out"),
    "rmsf/predicted": ("nm", "(N,) RMSF from the residue's embedding, its segment left out; NaN without"),
}
for _name, _unit in REPLICA_SERIES.items():
    DATASETS[f"replica/{_name}"] = (_unit, "mean over its frames that have a value")
    DATASETS[f"replica/{_name}_autocorrelation_ps"] = ("ps", "integrated autocorrelation time")
    DATASETS[f"replica/{_name}_effective"] = ("1", "number of independent frames")


def put(file: h5py.File, name: str, values: ArrayLike) -> None:
    """Write a dataset of `DATASETS`."""
    write_dataset(file, f"statistics/{name}", values, *DATASETS[name])
