"""Proteins through the model, pack by pack, part by part into the store.

Reading, computing and writing overlap: the next records are read, and the part before is written, while
a part is computed. In memory are the weights, a pack, and the two parts.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.embeddings.calibration import Rates, find_rates
from helixflow.embeddings.encoder import Encoder, embed_packs
from helixflow.embeddings.model import ModelDescription
from helixflow.embeddings.plan import check_length
from helixflow.embeddings.store import Stored, offsets, open_store, part_name, write_part
from helixflow.embeddings.summary import ShardSummary, summarise
from helixflow.errors import EmbeddingError
from helixflow.fasta import read_fasta
from helixflow.progress import progress
from helixflow.proteins.names import normalise, protein_id

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]
Records = Iterable[tuple[str, str]]

#: Columns of a shard's table and their Arrow types.
ADDED_TYPES = {"protein": "string", "length": "int32", "part": "string", "flagged": "bool"}

#: Bytes of vectors that a part may have: what is computed and what is written are in memory.
PART_BYTES = 1 << 28
_READ_AHEAD = 256


class Added(NamedTuple):
    """A protein of a shard: the part that holds it, flagged when longer than the model was trained on."""

    protein: str
    length: int
    part: str
    flagged: bool


def embed_fasta(
    fasta: StrPath,
    model: ModelDescription,
    store: StrPath,
    *,
    token_budget: int,
    part_seconds: float,
    threads: int,
    rates: Rates | None = None,
) -> ShardSummary:
    """Embed the proteins of a FASTA file that the store does not have by now.

    Parameters
    ----------
    fasta : path
        Normalised proteins named by their digests.
    model : ModelDescription
    store : path
    token_budget : int
        Most tokens of a pack; a longer protein goes alone.
    part_seconds : float
        Predicted seconds of work after which a part ends; one is lost when the job is killed.
    threads : int
        CPU threads.
    rates : Rates, optional
        What proteins cost; by default as measured on this machine.

    Returns
    -------
    ShardSummary

    Raises
    ------
    EmbeddingError
        For a protein that is too long for the model or not named by its digest, or vectors that
        are not finite numbers in float16.
    """
    with open_store(store, model.key) as stored:
        n_record, n_lacking, n_residue = _count(fasta, stored)
        if not n_lacking:
            return summarise(model, threads, n_record)
        rates = rates or find_rates(model, threads)
        encoder, summary = Encoder(model, threads), summarise(model, threads, n_record)
        lacking = (record for record in _checked(fasta, model) if stored.find(record[0]) is None)
        most = PART_BYTES // (2 * model.hidden_size)
        start, done = time.monotonic(), 0

        def advance(residues: int) -> None:
            nonlocal done
            done += residues
            tell(done)

        with progress("embedding", n_residue, "residue") as tell, _writer(model, stored) as write:
            for part in cut_parts(lacking, rates, part_seconds, most):
                # It is there when another run wrote it since this one began.
                if not stored.path(part_name(part)).exists():
                    write(part, *embed_part(encoder, part, token_budget, tell=advance))
                    summary.count(part, token_budget)
                stored.add(part_name(part), part)
        summary.finish(time.monotonic() - start)
        _, n_lost, _ = _count(fasta, stored)
    if n_lost:
        raise EmbeddingError(
            f"{fasta}: {n_lost} of {n_record} proteins were not embedded, expected as many out as in; "
            "did the file change? run again with --forcerun plan_shards"
        )
    return summary


def list_added(
    fasta: StrPath, model: ModelDescription, store: StrPath, max_length_trained: int
) -> Iterator[Added]:
    """Give every protein of a FASTA file with the part that holds it now.

    Raises
    ------
    EmbeddingError
        When the store lacks one.
    """
    with open_store(store, model.key) as stored:
        for protein, sequence in read_fasta(fasta):
            flagged = len(sequence) > max_length_trained
            if flagged:
                log.warning(
                    "protein %s has %d residues; the model was trained on at most %d",
                    protein, len(sequence), max_length_trained,
                )  # fmt: skip
            yield Added(protein, len(sequence), stored.get(protein).part, flagged)


def embed_part(
    encoder: Encoder,
    sequences: Mapping[str, str],
    token_budget: int,
    tell: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Embed N proteins with R residues in all; `tell` is told the residues of each that is done.

    Returns
    -------
    residue : (R, D) float16
        Vectors of the residues, protein after protein in the order of `sequences`.
    mean : (N, D) float32
        Mean vector of each protein, taken before the cast.

    Raises
    ------
    EmbeddingError
        For a protein with a value that float16 cannot hold, or without vectors.
    """
    first = dict(zip(sequences, offsets(sequences.values()), strict=False))
    number = {protein: index for index, protein in enumerate(sequences)}
    width = encoder.description.hidden_size
    residue = np.empty((sum(map(len, sequences.values())), width), np.float16)
    mean = np.empty((len(sequences), width), np.float32)
    for protein, vectors in embed_packs(encoder, sequences, token_budget):
        rows = residue[first[protein] : first[protein] + len(vectors)]
        with np.errstate(over="ignore"):
            rows[:] = vectors
        if not np.isfinite(rows).all():
            raise EmbeddingError(
                f"protein {protein}: its embedding has values that are not finite in float16 "
                f"(largest {np.abs(vectors).max()}); is {encoder.description.folder} the right model?"
            )
        mean[number[protein]] = vectors.mean(axis=0, dtype=np.float64)
        del number[protein]
        if tell:
            tell(len(rows))
    if number:
        raise EmbeddingError(
            f"{len(number)} of {len(sequences)} proteins got no vectors, such as {min(number)}"
        )
    return residue, mean


def cut_parts(records: Records, rates: Rates, seconds: float, most: int) -> Iterator[dict[str, str]]:
    """Cut a stream of records into parts of so much predicted work, each by ascending id.

    A part has at most `most` residues, unless one protein has more. The cuts do not depend on parts
    before them that are left out, so a repeated job makes the same parts.
    """
    part: dict[str, str] = {}
    work, residues = 0.0, 0
    for name, sequence in records:
        cost = rates.cost(len(sequence))
        if part and (work + cost > seconds or residues + len(sequence) > most):
            yield dict(sorted(part.items()))
            part, work, residues = {}, 0.0, 0
        part[name] = sequence
        work, residues = work + cost, residues + len(sequence)
    if part:
        yield dict(sorted(part.items()))


def _count(fasta: StrPath, stored: Stored) -> tuple[int, int, int]:
    """Count the proteins of a file, those the store lacks, and the residues of these."""
    n_record = n_lacking = n_residue = 0
    for protein, sequence in read_fasta(fasta):
        n_record += 1
        if stored.find(protein) is None:
            n_lacking, n_residue = n_lacking + 1, n_residue + len(sequence)
    return n_record, n_lacking, n_residue


def _checked(fasta: StrPath, model: ModelDescription) -> Iterator[tuple[str, str]]:
    """Read and check records, a few hundred ahead in a thread of their own."""
    records = read_fasta(fasta)

    def next_few() -> list[tuple[str, str]]:
        few = list(islice(records, _READ_AHEAD))
        for protein, sequence in few:
            _check(protein, sequence, fasta, model)
        return few

    with ThreadPoolExecutor(1, "reader") as reader:
        coming = reader.submit(next_few)
        while few := coming.result():
            coming = reader.submit(next_few)
            yield from few


def _check(protein: str, sequence: str, fasta: StrPath, model: ModelDescription) -> None:
    """Make sure that the store gets an embedding under the right name."""
    where = f"{fasta}: record '{protein}'"
    if not sequence or normalise(sequence, where) != sequence or protein_id(sequence) != protein:
        raise EmbeddingError(
            f"{where} is not a normalised protein under its digest, expected {protein_id(sequence)}; "
            "run again with --forcerun collect_proteins"
        )
    check_length(protein, len(sequence), model)


@contextmanager
def _writer(model: ModelDescription, stored: Stored) -> Iterator[Callable[..., None]]:
    """Give a function that writes a part while the caller goes on; it waits for the part before.

    A failure to write is raised at the next part, or at the end.
    """

    def write_one(
        path: Path, chunk: Mapping[str, str], residue: NDArray[np.float16], mean: NDArray[np.float32]
    ) -> None:
        if not path.exists():
            write_part(path, chunk, residue, mean, model)
            log.info("wrote %s: %d proteins, %d residues", path, len(chunk), len(residue))

    writing: list[Future[None]] = []

    def wait() -> None:
        for each in writing:
            each.result()
        writing.clear()

    with ThreadPoolExecutor(1, "writer") as pool:

        def write(chunk: Mapping[str, str], residue: NDArray[np.float16], mean: NDArray[np.float32]) -> None:
            wait()
            writing.append(pool.submit(write_one, stored.path(part_name(chunk)), chunk, residue, mean))

        yield write
        wait()
