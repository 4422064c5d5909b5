"""All statistics of one structure, from its analysis file into it, by all ranks of a communicator."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from helixflow.coanalysis.measures import CRITERIA
from helixflow.coanalysis.statistics.attention import write_attention
from helixflow.coanalysis.statistics.datasets import put
from helixflow.coanalysis.statistics.nulls import Shifts, Shuffles, effect_size, two_sided
from helixflow.coanalysis.statistics.over_time import write_series
from helixflow.coanalysis.statistics.pairs import Floats, Pairs, choose_pairs
from helixflow.coanalysis.statistics.rmsf import Residues, predict_rmsf, read_residues, write_rmsf
from helixflow.links.status import STATUSES

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StatisticsSettings:
    """How many permutations the correlation of contacts with embeddings is held against, and their seed."""

    permutations: int
    seed: int


@dataclass(frozen=True)
class _Correlations:
    """What is known of B bins: correlations (B,) and those of n permutations (B, n); the same for shifts."""

    observed: Floats
    null: Floats
    moved: Floats
    moved_null: Floats


def write_statistics(
    comm: Intracomm,
    file: h5py.File | None,
    settings: StatisticsSettings,
    vectors: NDArray[np.float64] | None,
) -> None:
    """Work out the statistics of a structure and write them into its file; every rank calls this.

    The ranks share permutations and segments. What is written is the same for any number of them, since
    a permutation is decided by the seed and its number, and done whole by one rank.

    Parameters
    ----------
    comm : communicator
    file : h5py.File or None
        The analysis on rank 0, open for writing, with all but ``/statistics``; None on the others.
    settings : StatisticsSettings
    vectors : (N, D) or None
        On rank 0 the embedding of each residue, of which those of residues without one do not count.
    """
    task: tuple[Pairs, Residues] | None = None
    if file is not None:
        assert vectors is not None, "rank 0 has the file and the vectors"
        task = _read_pairs(file), read_residues(file, vectors)
    pairs, residues = comm.bcast(task)
    correlations = _correlate(comm, pairs, settings)
    predictions = predict_rmsf(comm, residues)
    if file is not None:
        _write_correlations(file, pairs, correlations, settings)
        write_series(file)
        write_attention(file, _read_frequency(file))
        write_rmsf(file, residues, predictions)
        _write_counts(file)
        log.info("%d pairs, %d permutations, %d shifts", len(pairs.first), settings.permutations,
                 correlations.moved_null.shape[1])  # fmt: skip


def _read_pairs(file: h5py.File) -> Pairs:
    return choose_pairs(
        _read_frequency(file),
        file["pair/embedding_cosine"][:],
        file["residue/row"][:] > 0,
        np.unique(file["residue/chain"][:], return_inverse=True)[1],
        int(file.attrs["min_separation"]),
    )


def _read_frequency(file: h5py.File) -> Floats:
    """Read (N, N): in what share of the frames each pair is in contact by the criterion asked for."""
    frequency: Floats = file[CRITERIA[file.attrs["criterion"]].frequency][:]
    return frequency


def _correlate(comm: Intracomm, pairs: Pairs, settings: StatisticsSettings) -> _Correlations:
    """Correlate as it is and by both nulls, which are whole on rank 0 alone."""
    shuffles, shifts = Shuffles(pairs, settings.seed), Shifts(pairs)
    moves = shifts.moves(settings.permutations, settings.seed)
    mine = [shuffles.shuffled(number) for number in range(comm.rank, settings.permutations, comm.size)]
    mine_moved = [shifts.moved(move) for move in moves[comm.rank :: comm.size]]
    n_bin = len(pairs.bins)
    return _Correlations(
        shuffles.observed(),
        _deal(comm.gather(mine), n_bin),
        shifts.moved(),
        _deal(comm.gather(mine_moved), n_bin),
    )


def _deal(gathered: list[list[Floats]] | None, n_bin: int) -> Floats:
    """Put what ranks did by turns into order, (B, n)."""
    hands = gathered or []
    null = np.empty((n_bin, sum(map(len, hands))))
    for rank, hand in enumerate(hands):
        if hand:
            null[:, rank :: len(hands)] = np.transpose(hand)
    return null


def _write_correlations(
    file: h5py.File, pairs: Pairs, found: _Correlations, settings: StatisticsSettings
) -> None:
    mean, sd, effect = effect_size(found.observed, found.null)
    columns: dict[str, ArrayLike] = {
        "pairs": list(pairs.bins),
        "number": [int(chosen.sum()) for chosen in pairs.bins.values()],
        "spearman": found.observed,
        "null_mean": mean,
        "null_sd": sd,
        "effect": effect,
        "p": two_sided(found.observed, found.null),
        "shift_p": two_sided(found.moved, found.moved_null),
        "shift_effect": effect_size(found.moved, found.moved_null)[2],
        "shifts": [found.moved_null.shape[1]] * len(pairs.bins),
        "null": found.null,
    }
    for name, values in columns.items():
        put(file, f"contact_cosine/{name}", values)
    file["statistics/contact_cosine"].attrs.update(permutations=settings.permutations, seed=settings.seed)


def _write_counts(file: h5py.File) -> None:
    """Write what was counted, as attributes of ``/statistics``."""
    frequency, linked = _read_frequency(file), file["residue/row"][:] > 0
    statuses = Counter(status.decode() for status in file["residue/status"][:])
    file["statistics"].attrs.update(
        frames=len(file["frame/time_ps"]),
        frames_without_embedding=int(np.isnan(file["frame/coherence"][:]).sum()),
        contacts_per_frame=frequency.sum() / 2,
        contacts_per_frame_left_out=frequency[~np.logical_and.outer(linked, linked)].sum() / 2,
        **{name: statuses[name] for name in STATUSES},
    )
