"""Stores of embeddings for tests, without a language model: the vectors are random, or what a test wants."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helixflow.embeddings.index import write_index
from helixflow.embeddings.model import ModelDescription
from helixflow.embeddings.store import part_name, write_part
from helixflow.fasta import write_fasta

WIDTH = 8
MODEL = ModelDescription(
    model="random",
    revision="",
    note="random vectors",
    folder="none",
    weights="model.safetensors",
    weights_sha256="0" * 64,
    tensors_sha256="0" * 64,
    hidden_size=WIDTH,
    max_residues=4000,
    vocabulary=[],
    shape={},
)


def random_vectors(sequence: str) -> NDArray[np.float32]:
    """A vector for every residue, (L, WIDTH), always the same ones for a sequence."""
    dice = np.random.default_rng(list(sequence.encode()))
    return dice.normal(size=(len(sequence), WIDTH)).astype(np.float32)


def fill_store(
    store: Path,
    proteins: dict[str, str],
    per_part: int = 5,
    vectors: Callable[[str], NDArray[np.float32]] = random_vectors,
) -> list[Path]:
    """Write parts of some proteins each, by id; return their files."""
    paths, names = [], sorted(proteins)
    for start in range(0, len(names), per_part):
        part = {name: proteins[name] for name in names[start : start + per_part]}
        rows = [vectors(sequence) for sequence in part.values()]
        paths.append(store / MODEL.key / f"{part_name(part)}.h5")
        means = np.array([row.mean(axis=0, dtype=np.float64) for row in rows], np.float32)
        write_part(paths[-1], part, np.concatenate(rows).astype(np.float16), means, MODEL)
    return paths


def write_run(folder: Path, proteins: dict[str, str], **options: object) -> Path:
    """Write the distinct proteins of a run, a store of their vectors, and the index; return the index."""
    write_fasta(folder / "distinct.fasta.gz", sorted(proteins.items()))
    fill_store(folder / "store", proteins, **options)
    write_index(folder / "distinct.fasta.gz", folder / "index.parquet", MODEL, folder / "store")
    return folder / "index.parquet"
