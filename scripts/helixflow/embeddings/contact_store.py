"""Contact maps in the store: beside the parts, a file for each, written whole and never changed.

``{store}/{model key}/contacts/{heads and limit}/{part}.h5``, where the folder's name is a digest:

/protein  (N,) 35 bytes     ids of the part's proteins that are short enough, ascending
/length   (N,) int32        L, their residues
/offset   (N + 1,) int64    the map of protein i is offset[i] to offset[i + 1] of the next, row after row
/contact  (sum of L^2,) float16
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from helixflow import __version__
from helixflow.embeddings.reading import split_uri
from helixflow.embeddings.store import DIGEST, content_digest, open_part
from helixflow.errors import EmbeddingError
from helixflow.files import whole_file

# Whoever reads needs h5py and numpy alone, so what computes is imported where it is needed.
if TYPE_CHECKING:
    from helixflow.embeddings.contacts import ContactHeads
    from helixflow.embeddings.encoder import Encoder
    from helixflow.embeddings.model import ModelDescription

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

#: Columns of a shard's table of contact maps and their Arrow types.
CONTACT_TYPES = {"protein": "string", "length": "int32", "uri": "string"}
_ATTRIBUTES = ("model", "revision", "note", "weights_sha256", "normalisation", "compute_dtype")
#: Datasets of a file of maps, in the order of its digest.
CONTACT_DATASETS = ("protein", "length", "offset", "contact")
_METHOD = "attention, symmetrised, average product corrected, summed over heads (Rao et al. 2020)"


def add_contacts(
    uris: Sequence[str], table: StrPath, model: ModelDescription, heads: str, below: int, threads: int
) -> Iterator[tuple[str, int, str]]:
    """Put the contact maps of parts into the store where it lacks them.

    Parameters
    ----------
    uris : sequence of str
        Embeddings whose proteins are wanted; a part's other proteins get their maps too.
    table : path
        Of the file that will hold what this gives: URIs are relative to its folder.
    model : ModelDescription
    heads : str
        See `read_heads`.
    below : int
        Residues that a protein must be below.
    threads : int
        CPU threads.

    Yields
    ------
    (str, int, str)
        Protein, length and URI of each map that was wanted.
    """
    from helixflow.embeddings.contacts import contacts_folder, read_heads
    from helixflow.embeddings.encoder import Encoder

    chosen = read_heads(heads, model.shape["num_hidden_layers"], model.shape["num_attention_heads"])
    wanted = set(uris)
    encoder: Encoder | None = None
    for part in sorted({split_uri(uri)[0] for uri in uris}):
        path = Path(part).parent / contacts_folder(chosen, below) / Path(part).name
        if not path.exists():
            encoder = encoder or Encoder(model, threads)
            write_contacts(path, part, encoder, chosen, below)
        name = os.path.relpath(path, Path(table).parent)
        for protein, length in _held(path):
            if f"{part}#{protein}" in wanted:
                yield protein, length, f"{name}#{protein}"


def share_of_parts(index: StrPath, shard: int, n_shard: int, below: int) -> list[str]:
    """Return the URIs of a job's share of an index: of every n-th part, the proteins below a length."""
    from helixflow.tables import read_rows

    folder = Path(index).parent.absolute()
    parts = {split_uri(uri)[0] for (uri,) in read_rows(index, ["uri"])}
    own = set(sorted(parts, key=os.path.basename)[shard::n_shard])
    rows = read_rows(index, ["uri", "length"])
    short = (uri for uri, length in rows if length < below and split_uri(uri)[0] in own)
    return [os.path.normpath(folder / uri) for uri in short]


def write_contacts(path: Path, part: StrPath, encoder: Encoder, heads: ContactHeads, below: int) -> None:
    """Write the contact maps of a part's proteins that are below a length; one map is in memory."""
    import h5py
    import numpy as np

    from helixflow.embeddings.contacts import map_contacts

    short = _short(part, below)
    lengths = [len(sequence) for sequence in short.values()]
    offsets = [0, *accumulate(length**2 for length in lengths)]
    with whole_file(path) as temporary, h5py.File(temporary, "w", locking=False) as h5:
        h5["protein"] = np.array([protein.encode("ascii") for protein in short], "S35")
        h5["length"], h5["offset"] = np.array(lengths, np.int32), np.array(offsets, np.int64)
        contact = h5.create_dataset("contact", (offsets[-1],), np.float16, fill_time="never")
        for (first, last), (protein, sequence) in zip(pairwise(offsets), short.items(), strict=True):
            found = map_contacts(encoder, sequence, heads).astype(np.float16)
            if not np.isfinite(found).all():
                raise EmbeddingError(f"protein {protein}: its contact map has values that are not finite")
            contact[first:last] = found.ravel()
        h5.attrs.update({name: getattr(encoder.description, name) for name in _ATTRIBUTES})
        h5.attrs.update(
            method=_METHOD, heads=json.dumps(heads.weights), heads_sha256=heads.digest, below=below,
            intercept="none" if heads.intercept is None else heads.intercept, helixflow=__version__,
        )  # fmt: skip
        h5.attrs[DIGEST] = content_digest(h5, h5.attrs, CONTACT_DATASETS)
    log.info("wrote %s: contact maps of %d proteins", path, len(short))


def _short(part: StrPath, below: int) -> dict[str, str]:
    """Return the proteins of a part that are below a length."""
    with open_part(Path(part)) as h5:
        letters = h5["sequence"][:].tobytes().decode("ascii")
        proteins, offsets = h5["protein"][:], h5["offset"][:].tolist()
    names = (protein.decode("ascii") for protein in proteins)
    places = zip(names, pairwise(offsets), strict=True)
    return {name: letters[first:last] for name, (first, last) in places if last - first < below}


def _held(path: Path) -> list[tuple[str, int]]:
    """Return the proteins that have a map in a file, and their lengths."""
    with open_part(path) as h5:
        return [
            (name.decode("ascii"), int(length))
            for name, length in zip(h5["protein"][:], h5["length"][:], strict=True)
        ]
