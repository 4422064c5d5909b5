"""The embeddings of a run in the layouts of other tools: copies, made on request.

One dataset per label is UniProt's layout, which bio_embeddings and biotrainer read too; ``embed`` is
that of scikit-bio.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from helixflow.embeddings.index import read_embedded
from helixflow.embeddings.labels import name_labels
from helixflow.embeddings.reading import map_part, open_embedding, open_letters, split_uri
from helixflow.embeddings.store import MODEL_ATTRIBUTES, open_part
from helixflow.files import whole_file
from helixflow.tables import read_rows

if TYPE_CHECKING:
    import h5py

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]


def export_per_accession(index: StrPath, occurrences: StrPath, path: StrPath) -> None:
    """Write an HDF5 file with one dataset per label: ``file[label][:]`` is (L, D) float16.

    Several labels of one sequence are hard links to one dataset, whose attribute ``protein`` is the id
    of what was embedded. For the names see `helixflow.embeddings.labels.name_labels`. Labels of proteins
    that were not embedded themselves, but a near-duplicate of theirs, are left out: they are counted in
    the attribute ``left_out`` and the log.

    Parameters
    ----------
    index : path
        Parquet, as `helixflow.embeddings.index.write_index` writes it.
    occurrences : path
        Parquet of every place each protein was seen at, with its label there.
    path : path
        HDF5 file to write.

    Raises
    ------
    EmbeddingError
        For two names that HDF5 cannot tell apart.
    """
    import h5py

    folder = Path(index).parent
    with (
        name_labels(index, occurrences) as labels,
        whole_file(path) as temporary,
        h5py.File(temporary, "w", locking=False) as file,
    ):
        first, last, left_out = "", "", 0
        for uri, name, protein in labels:
            if split_uri(uri)[1] != protein:
                left_out += 1
                continue
            if uri == last:
                file[name] = file[first]
                continue
            if not last:
                _describe(file, folder, uri)
            first, last = name, uri
            dataset = file.create_dataset(name, data=open_embedding(uri, folder))
            dataset.attrs["protein"] = protein
        file.attrs["left_out"] = left_out
    if left_out:
        log.warning(
            "%s: left out are %d labels of proteins whose near-duplicates were embedded", path, left_out
        )


def export_skbio(index: StrPath, path: StrPath) -> None:
    """Write an HDF5 file that ``skbio.read(path, format="embed", constructor=ProteinEmbedding)`` reads.

    Every protein that was embedded itself is there once, in the order of the index. The layout knows a
    protein by its sequence, and vectors as float32 or float64; ``/protein``, which scikit-bio passes
    over, has the ids in the same order.

    Parameters
    ----------
    index, path : path
        As of `export_per_accession`.
    """
    import h5py
    import numpy as np

    folder = Path(index).parent
    names, lengths = _list_embedded(index)
    ends = np.cumsum(lengths, dtype=np.int64)
    residues = int(ends[-1]) if names else 0
    with whole_file(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        width = 0
        if names:
            uri = next(read_embedded(index))[1]
            width = _describe(file, folder, uri)
        file.attrs.update({"format": "embedding", "format-version": "1.0", "dtype": "float32", "dim": width})
        file["protein"] = np.array(names, "S35")
        # Where each protein ends among the letters, and among the vectors: the same, one for each residue.
        file["idptr"] = file["embedding_ptr"] = ends
        letters = file.create_dataset("id", (residues,), np.uint8, fill_time="never")
        vectors = file.create_dataset("embedding", (residues, width), np.float32, fill_time="never")
        for (_, uri), end, length in zip(read_embedded(index), ends, lengths, strict=True):
            letters[end - length : end] = open_letters(uri, folder)
            vectors[end - length : end] = open_embedding(uri, folder).astype(np.float32)


def _list_embedded(index: StrPath) -> tuple[list[bytes], list[int]]:
    """Return ids and lengths of the proteins of an index that were embedded themselves."""
    names, lengths = [], []
    for protein, length, embedded in read_rows(index, ["protein", "length", "embedded"]):
        if protein == embedded:
            names.append(protein.encode("ascii"))
            lengths.append(length)
    return names, lengths


def _describe(file: h5py.File, folder: Path, uri: str) -> int:
    """Say in a file with which model the vectors were made; return their width."""
    name, _ = split_uri(uri)
    with open_part(folder / name) as part:
        file.attrs.update({attribute: part.attrs[attribute] for attribute in MODEL_ATTRIBUTES})
    return int(map_part(str(folder / name)).residue.shape[1])
