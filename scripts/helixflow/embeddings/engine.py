"""Proteins through the model, in padded batches of similar length, part by part into the store.

Axes: B proteins of a batch, T tokens with padding, L residues of a protein, D hidden size.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.embeddings.model import ModelDescription, load_model, warn_of_note
from helixflow.embeddings.plan import check_length
from helixflow.embeddings.store import offsets, open_store, part_name, write_part
from helixflow.embeddings.tokens import encode, token_table
from helixflow.errors import EmbeddingError
from helixflow.fasta import read_fasta
from helixflow.proteins.names import normalise, protein_id

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

#: Columns of a shard's table and their Arrow types.
ADDED_TYPES = {"protein": "string", "length": "int32", "part": "string", "flagged": "bool"}


class Added(NamedTuple):
    """A protein of a shard: the part that holds it, flagged when longer than the model was trained on."""

    protein: str
    length: int
    part: str
    flagged: bool


class Encoder:
    """A loaded model with its tokens: normalised proteins in, float32 vectors of their residues out."""

    def __init__(self, description: ModelDescription, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.description = description
        self._tokens = token_table(description.vocabulary)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = load_model(description).to(self._device)
        log.info("model %s on %s, %d threads", description.model, self._device, threads)
        warn_of_note(description)

    def __call__(self, sequences: list[str]) -> list[NDArray[np.float32]]:
        """Return the last hidden layer of each protein, (L, D) without special tokens."""
        import torch

        tokens, mask = encode(sequences, self._tokens)  # (B, T)
        with torch.inference_mode():
            hidden = self._model(
                input_ids=torch.from_numpy(tokens).to(self._device),
                attention_mask=torch.from_numpy(mask).to(self._device),
            ).last_hidden_state  # (B, T, D)
        vectors = hidden.cpu().numpy()
        return [rows[1 : len(sequence) + 1] for rows, sequence in zip(vectors, sequences, strict=True)]


def embed_fasta(
    fasta: StrPath,
    model: ModelDescription,
    store: StrPath,
    *,
    token_budget: int,
    part_residues: int,
    threads: int,
) -> None:
    """Embed the proteins of a FASTA file that the store does not have by now.

    Parameters
    ----------
    fasta : path
        Normalised proteins named by their digests.
    model : ModelDescription
    store : path
    token_budget : int
        Most tokens of a batch, padding included; a longer protein goes alone.
    part_residues : int
        Residues of a part; one part is in memory, and one is lost when the job is killed.
    threads : int
        CPU threads.

    Raises
    ------
    EmbeddingError
        For a protein that is too long for the model or not named by its digest, or vectors that
        are not finite numbers in float16.
    """
    encoder: Encoder | None = None
    residues, seconds = 0, 0.0
    with open_store(store, model.key) as stored:
        lacking = (record for record in read_fasta(fasta) if stored.find(record[0]) is None)
        for chunk in _chunks(lacking, part_residues):
            name = part_name(chunk)
            path = stored.path(name)
            # It is there when another run wrote it since this one began.
            if not path.exists():
                _check(chunk, fasta, model)
                encoder = encoder or Encoder(model, threads)
                start = time.monotonic()
                residue, mean = embed_part(encoder, chunk, token_budget)
                write_part(path, chunk, residue, mean, model)
                residues, seconds = residues + len(residue), seconds + time.monotonic() - start
                log.info("wrote %s: %d proteins, %d residues", path, len(chunk), len(residue))
            stored.add(name, chunk)
    if residues:
        log.info("%d residues in %.1f s, %.0f residues/s", residues, seconds, residues / seconds)


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
    encoder: Encoder, sequences: Mapping[str, str], token_budget: int
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Embed N proteins with R residues in all.

    Returns
    -------
    residue : (R, D) float16
        Vectors of the residues, protein after protein in the order of `sequences`.
    mean : (N, D) float32
        Mean vector of each protein, taken before the cast.

    Raises
    ------
    EmbeddingError
        For a protein with a value that float16 cannot hold.
    """
    first = dict(zip(sequences, offsets(sequences.values()), strict=False))
    number = {protein: index for index, protein in enumerate(sequences)}
    width = encoder.description.hidden_size
    residue = np.empty((sum(map(len, sequences.values())), width), np.float16)
    mean = np.empty((len(sequences), width), np.float32)
    for protein, vectors in embed_batches(encoder, sequences, token_budget):
        rows = residue[first[protein] : first[protein] + len(vectors)]
        with np.errstate(over="ignore"):
            rows[:] = vectors
        if not np.isfinite(rows).all():
            raise EmbeddingError(
                f"protein {protein}: its embedding has values that are not finite in float16 "
                f"(largest {np.abs(vectors).max()}); is {encoder.description.folder} the right model?"
            )
        mean[number[protein]] = vectors.mean(axis=0, dtype=np.float64)
    return residue, mean


def embed_batches(
    encoder: Encoder, sequences: Mapping[str, str], token_budget: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Give each protein's name and (L, D) vectors, longest first."""
    for batch in batches({name: len(sequence) for name, sequence in sequences.items()}, token_budget):
        yield from zip(batch, encoder([sequences[name] for name in batch]), strict=True)


def batches(lengths: Mapping[str, int], token_budget: int) -> Iterator[list[str]]:
    """Group proteins of similar length into batches that keep to a budget of tokens, padding included."""
    batch: list[str] = []
    tokens = 0
    for name in sorted(lengths, key=lambda name: (-lengths[name], name)):
        if batch and (len(batch) + 1) * tokens > token_budget:
            yield batch
            batch = []
        if not batch:
            tokens = lengths[name] + 2
        batch.append(name)
    if batch:
        yield batch


def _chunks(records: Iterable[tuple[str, str]], part_residues: int) -> Iterator[dict[str, str]]:
    """Cut a stream of records into pieces of at most `part_residues` residues, each by ascending id.

    The cuts do not depend on pieces before them that are left out, so a repeated job makes the same parts.
    """
    chunk: dict[str, str] = {}
    residues = 0
    for name, sequence in records:
        if chunk and residues + len(sequence) > part_residues:
            yield dict(sorted(chunk.items()))
            chunk, residues = {}, 0
        chunk[name] = sequence
        residues += len(sequence)
    if chunk:
        yield dict(sorted(chunk.items()))


def _check(chunk: Mapping[str, str], fasta: StrPath, model: ModelDescription) -> None:
    """Make sure that the store gets every embedding under the right name."""
    for protein, sequence in chunk.items():
        where = f"{fasta}: record '{protein}'"
        if not sequence or normalise(sequence, where) != sequence or protein_id(sequence) != protein:
            raise EmbeddingError(
                f"{where} is not a normalised protein under its digest, expected {protein_id(sequence)}; "
                "run again with --forcerun collect_proteins"
            )
        check_length(protein, len(sequence), model)
