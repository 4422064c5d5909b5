"""What the store lacks, shared out to jobs that take about the same time."""

from __future__ import annotations

import heapq
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence

from helixflow.embeddings.model import ModelDescription
from helixflow.embeddings.store import Stored, open_store
from helixflow.errors import EmbeddingError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.tables import private_database

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]


def plan_shards(
    proteins: StrPath, shards: Sequence[StrPath], model: ModelDescription, store: StrPath
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

    Raises
    ------
    EmbeddingError
        For a protein that is longer than the model has positions.
    """
    with open_store(store, model.key) as stored, private_database() as database:
        database.execute("CREATE TABLE lacking (protein, sequence)")
        database.execute("CREATE TABLE planned (shard, protein, sequence)")
        database.executemany("INSERT INTO lacking VALUES (?, ?)", _lacking(stored, proteins, model))
        database.executemany(
            "INSERT INTO planned VALUES (?, ?, ?)", _shared_out(database, len(shards), model)
        )
        for shard, path in enumerate(shards):
            chosen = "SELECT protein, sequence FROM planned WHERE shard = ? ORDER BY rowid"
            write_fasta(path, database.execute(chosen, (shard,)))
        (count,) = database.execute("SELECT count(*) FROM planned").fetchone()
    log.info("%d proteins are not in %s/%s yet", count, store, model.key)


def cost(length: int, hidden_size: int) -> float:
    """Tell the work a protein makes, in units of one residue of a short protein.

    Of the 24 D^2 multiplications that each residue takes in a layer of width D, whatever the
    protein's length, attention adds 4 D for each residue it looks at.
    """
    return length * (1 + length / (6 * hidden_size))


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
            "results/proteins/occurrences.parquet and remove it there, or choose another model"
        )


def _lacking(stored: Stored, proteins: StrPath, model: ModelDescription) -> Iterator[tuple[str, str]]:
    for protein, sequence in read_fasta(proteins):
        check_length(protein, len(sequence), model)
        if stored.find(protein) is None:
            yield protein, sequence


def _shared_out(
    database: sqlite3.Connection, n_shard: int, model: ModelDescription
) -> Iterator[tuple[int, str, str]]:
    """Give each lacking protein, longest first, to the shard with the least work so far."""
    loads = [(0.0, shard) for shard in range(n_shard)]
    for protein, sequence in database.execute(
        "SELECT * FROM lacking ORDER BY length(sequence) DESC, protein"
    ):
        load, shard = loads[0]
        heapq.heapreplace(loads, (load + cost(len(sequence), model.hidden_size), shard))
        yield shard, protein, sequence
