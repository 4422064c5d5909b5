"""What the store lacks, shared out to jobs that take about the same time."""

from __future__ import annotations

import heapq
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from helixflow.embeddings.calibration import Rates, find_rates
from helixflow.embeddings.model import ModelDescription
from helixflow.embeddings.store import Stored, open_store
from helixflow.errors import EmbeddingError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.tables import private_database

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

#: What the longest shard may have of the mean.
EVEN = 1.05


def plan_shards(
    proteins: StrPath,
    shards: Sequence[StrPath],
    model: ModelDescription,
    store: StrPath,
    threads: int = 1,
    rates: Rates | None = None,
) -> None:
    """Share out the proteins that the store lacks.

    Parameters
    ----------
    proteins : path
        FASTA, every distinct protein once.
    shards : sequence of path
        FASTA files to write, one a job, each longest protein first; empty where nothing is missing.
    model : ModelDescription
    store : path
    threads : int
        CPU threads of an embedding job.
    rates : Rates, optional
        What proteins cost; by default as measured on this machine, unless the store lacks none.

    Raises
    ------
    EmbeddingError
        For a protein that is longer than the model has positions.
    """
    with open_store(store, model.key) as stored, private_database() as database:
        database.execute("CREATE TABLE lacking (protein, sequence)")
        database.execute("CREATE TABLE planned (shard, protein, sequence)")
        database.executemany("INSERT INTO lacking VALUES (?, ?)", _lacking(stored, proteins, model))
        (count,) = database.execute("SELECT count(*) FROM lacking").fetchone()
        log.info("%d proteins are not in %s/%s yet", count, store, model.key)
        if count:
            rates = rates or find_rates(model, threads)
            planned = _shared_out(database, len(shards), rates)
            database.executemany("INSERT INTO planned VALUES (?, ?, ?)", planned)
        _remove_others(shards)
        for shard, path in enumerate(shards):
            chosen = "SELECT protein, sequence FROM planned WHERE shard = ? ORDER BY rowid"
            write_fasta(path, database.execute(chosen, (shard,)))


def _remove_others(shards: Sequence[StrPath]) -> None:
    """Remove what a run with more shards left, lest it be read with what there is now."""
    names = {Path(path).stem for path in shards}
    plan = Path(shards[0]).parent
    number = "[0-9][0-9][0-9]"
    for path in (
        *plan.glob(f"{number}.fasta"),
        *plan.parent.glob(f"{number}.*"),
        *plan.parent.glob(f"contacts/{number}.parquet"),
    ):
        if path.stem not in names:
            path.unlink()


def check_length(protein: str, length: int, model: ModelDescription) -> None:
    """Refuse a protein the model has no positions for.

    Raises
    ------
    EmbeddingError
        Naming it.
    """
    if length > model.max_residues:
        raise EmbeddingError(
            f"protein {protein} has {length} residues, expected at most the {model.max_residues} that "
            f"model {model.model} has positions for; find where it comes from in "
            "results/proteins/occurrences.parquet (or embeddings/neighbours_query) and remove it there, or "
            "choose another model"
        )


def _lacking(stored: Stored, proteins: StrPath, model: ModelDescription) -> Iterator[tuple[str, str]]:
    for protein, sequence in read_fasta(proteins):
        check_length(protein, len(sequence), model)
        if stored.find(protein) is None:
            yield protein, sequence


def _shared_out(database: sqlite3.Connection, n_shard: int, rates: Rates) -> Iterator[tuple[int, str, str]]:
    """Give each lacking protein, longest first, to the shard with the least work so far."""
    loads = [(0.0, shard) for shard in range(n_shard)]
    longest = 0.0
    for protein, sequence in database.execute(
        "SELECT * FROM lacking ORDER BY length(sequence) DESC, protein"
    ):
        load, shard = loads[0]
        cost = rates.cost(len(sequence))
        longest = max(longest, cost)
        heapq.heapreplace(loads, (load + cost, shard))
        yield shard, protein, sequence
    _say_balance([load for load, _ in loads], longest)


def _say_balance(loads: Sequence[float], longest: float) -> None:
    """Log how even the shards are, and why where they are not."""
    mean = sum(loads) / len(loads)
    log.info(
        "predicted work: %.0f s in %d shards, the longest %.3f of the mean",
        sum(loads), len(loads), max(loads) / mean,
    )  # fmt: skip
    if max(loads) > EVEN * mean:
        log.warning(
            "a shard has more than %.2f of the mean work: the longest protein alone takes %.2f of it",
            EVEN, longest / mean,
        )  # fmt: skip
