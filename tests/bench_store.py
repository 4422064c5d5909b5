"""The store against one HDF5 dataset per protein, UniProt's layout, read and written with h5py alone."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from measuring import best_times

#: ProtBERT's width, and as many residues as make half a gigabyte.
WIDTH, RESIDUES = 1024, 250_000


def lengths() -> list[int]:
    """Log-normal lengths of median 300, as of a proteome."""
    dice, found = random.Random(4), []
    while sum(found) < RESIDUES:
        found.append(max(30, int(dice.lognormvariate(np.log(300), 0.6))))
    return found


def named_proteins() -> dict[str, str]:
    from helixflow.proteins import protein_id

    dice = random.Random(5)
    sequences = ["".join(dice.choices("ACDEFGHIKLMNPQRSTVWY", k=length)) for length in lengths()]
    return dict(sorted((protein_id(sequence), sequence) for sequence in sequences))


def vectors_of(proteins: dict[str, str]) -> NDArray[np.float16]:
    residues = sum(map(len, proteins.values()))
    return np.random.default_rng(6).standard_normal((residues, WIDTH), np.float32).astype(np.float16)


def split(proteins: dict[str, str], vectors: NDArray[np.float16], per_part: int = 200) -> list[tuple]:
    """The proteins of every part, with their vectors."""
    names, start, found = list(proteins), 0, []
    for at in range(0, len(names), per_part):
        part = {name: proteins[name] for name in names[at : at + per_part]}
        size = sum(map(len, part.values()))
        found.append((part, vectors[start : start + size]))
        start += size
    return found


def write_store(folder: Path, parts: list[tuple]) -> None:
    from helixflow.embeddings.store import part_name, write_part
    from stores import MODEL

    for proteins, vectors in parts:
        means = np.zeros((len(proteins), WIDTH), np.float32)
        write_part(
            folder / "store" / MODEL.key / f"{part_name(proteins)}.h5", proteins, vectors, means, MODEL
        )


def write_one_each(path: Path, parts: list[tuple]) -> None:
    with h5py.File(path, "w") as file:
        for proteins, vectors in parts:
            start = 0
            for name, sequence in proteins.items():
                file[name] = vectors[start : start + len(sequence)]
                start += len(sequence)


def read_store(uris: list[str]) -> None:
    """Copy every embedding, as who computes with it does."""
    from helixflow.embeddings import open_embeddings

    room = np.empty((max(lengths()), WIDTH), np.float16)
    for vectors in open_embeddings(uris):
        room[: len(vectors)] = vectors


def open_only(uris: list[str]) -> None:
    from helixflow.embeddings import open_embeddings

    for _ in open_embeddings(uris):
        pass


def read_one_each(path: Path, names: list[str]) -> None:
    with h5py.File(path, "r") as file:
        for name in names:
            file[name][:]


def bench_store(folder: Path) -> None:
    from helixflow.embeddings import read_index
    from helixflow.embeddings.index import write_index
    from helixflow.fasta import write_fasta
    from stores import MODEL

    proteins = named_proteins()
    vectors = vectors_of(proteins)
    parts = split(proteins, vectors)
    rows: list[tuple[str, Callable[[], None]]] = [
        ("write, helixflow, digests and fsync included", partial(write_store, folder, parts)),
        ("write, one dataset per protein", partial(write_one_each, folder / "each.h5", parts)),
    ]
    size = f"{len(vectors)} residues, {len(parts)} parts, {vectors.nbytes / 1e9:.2f} GB"
    print(f"\nstore: {len(proteins)} proteins, {size}")
    print(f"  {'best of 5':50} {'GB/s':>8} {'GB/CPU s':>10} {'us/protein':>12} {'CPU us':>8}")
    _show(rows, vectors.nbytes, len(proteins))

    write_fasta(folder / "distinct.fasta", proteins.items())
    write_index(folder / "distinct.fasta", folder / "index.parquet", MODEL, folder / "store")
    index = read_index(folder / "index.parquet")
    names = random.Random(7).sample(list(proteins), len(proteins))
    uris = [index[name] for name in names]
    rows = [
        ("open at random, helixflow (nothing read yet)", partial(open_only, uris)),
        ("read at random, helixflow, copied", partial(read_store, uris)),
        ("read at random, one dataset per protein", partial(read_one_each, folder / "each.h5", names)),
    ]
    _show(rows, vectors.nbytes, len(proteins))


def _show(rows: list[tuple[str, Callable[[], None]]], size: int, count: int) -> None:
    for name, work in rows:
        wall, cpu = best_times(work)
        rates = f"{size / wall / 1e9:8.2f} {size / cpu / 1e9:10.2f}"
        print(f"  {name:50} {rates} {wall / count * 1e6:12.1f} {cpu / count * 1e6:8.1f}")
