"""The analyses of a run: which structure and temperature each is of, its proteins and its residues."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.embedding import read_vector
from helixflow.coanalysis.statistics.pairs import Floats
from helixflow.coanalysis.statistics.rmsf import end_distance, one_hot
from helixflow.embeddings import open_embedding
from helixflow.errors import EmbeddingError

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Analysis:
    """One analysis: its file, structure and temperature, which is empty where a run has one.

    `linked` is the number of residues that have an embedding, `proteins` are those they are linked to, and
    `chains` the sequences of the structure's chains.
    """

    path: Path
    structure: str
    temperature_K: str
    linked: int
    proteins: frozenset[str]
    chains: tuple[str, ...]


def open_analyses(paths: Sequence[StrPath], folder: StrPath) -> list[Analysis]:
    """Read of which structures analyses are, by structure and temperature.

    Parameters
    ----------
    paths : sequence of path
        ``{structure}.h5``, or ``{structure}/{temperature}K.h5`` where there are several temperatures.
    folder : path
        That these are in.
    """
    found = [_open_analysis(Path(path), Path(path).relative_to(folder)) for path in paths]
    return sorted(found, key=lambda each: (each.structure, float(each.temperature_K or 0)))


def _open_analysis(path: Path, name: Path) -> Analysis:
    parts = name.with_suffix("").parts if name.suffix == ".h5" else name.parts
    temperature = parts[1].removesuffix("K") if len(parts) > 1 else ""
    with h5py.File(path) as file:
        proteins = {protein.decode() for protein in file["residue/protein"][:]} - {""}
        chain, codes = (np.char.decode(file[f"residue/{of}"][:], "utf-8") for of in ("chain", "code"))
        linked = int((file["residue/row"][:] > 0).sum())
    chains = tuple("".join(codes[chain == each]) for each in dict.fromkeys(chain.tolist()))
    return Analysis(path, parts[0], temperature, linked, frozenset(proteins), chains)


class Embeddings:
    """The embeddings of a run's proteins, whose vectors must all be as wide as those of the first one opened.

    Parameters
    ----------
    uris : mapping of str to str
        The embedding of each protein, as the index of `folder` has it.
    folder : path
    """

    def __init__(self, uris: Mapping[str, str], folder: StrPath) -> None:
        self.uris, self._folder = uris, folder
        self._first: tuple[int, str] | None = None

    def open(self, protein: str) -> NDArray[np.float16]:
        """Open the embedding of a protein, (L, D).

        Raises
        ------
        EmbeddingError
            If it cannot be read, or is of another width.
        """
        embedding, uri = open_embedding(self.uris[protein], self._folder), self.uris[protein]
        width, first = self._first = self._first or (embedding.shape[1], uri)
        if embedding.shape[1] != width:
            raise EmbeddingError(
                f"{uri}: vectors of {embedding.shape[1]} numbers, expected {width} as {first} has; embed all "
                "proteins with one model (run again with --forcerun plan_shards)"
            )
        return embedding


def read_features(analysis: Analysis, embeddings: Embeddings) -> tuple[dict[str, Floats], Floats]:
    """Read what RMSF is predicted from, and RMSF, of the residues of a structure that have an embedding.

    Parameters
    ----------
    analysis : Analysis
    embeddings : Embeddings

    Returns
    -------
    features : dict of str to (n, P) float64
        By predictor: D numbers of the embedding, 20 kinds of amino acids, 1 number of neighbours, 1
        distance from the end of the chain in residues.
    target : (n,) float64
        RMSF, in nm.
    """
    with h5py.File(analysis.path) as file:
        row = file["residue/row"][:]
        linked = np.flatnonzero(row > 0)
        ends = end_distance(file["residue/chain"][:])
        protein = np.char.decode(file["residue/protein"][:], "utf-8")[linked]
        codes = np.char.decode(file["residue/code"][:], "utf-8")[linked].tolist()
        neighbours, target = file["residue/neighbours"][:][linked], file["residue/rmsf_nm"][:][linked]
    vectors: list[Floats] = [np.empty(0)] * len(linked)
    for name in np.unique(protein):
        embedding = embeddings.open(str(name))
        for at in np.flatnonzero(protein == name):
            residue = f"residue {linked[at] + 1} of {analysis.path}"
            vectors[at] = read_vector(embedding, int(row[linked[at]]), embeddings.uris[str(name)], residue)
    features = {
        "embedding": np.array(vectors),
        "amino acid": one_hot(codes),
        "neighbours": neighbours[:, None].astype(np.float64),
        "chain end": ends[linked],
    }
    return features, target
