"""Reader of embeddings: the vectors of every protein of an index, wherever the store keeps them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.compare.records import Measured, Number, Reader, Record, digest_of
from helixflow.embeddings.contact_reading import open_contacts
from helixflow.embeddings.reading import open_embedding, open_pooled
from helixflow.tables import read_rows

Floats = NDArray[np.float64]

#: What another order of sums may change in a vector: 2e-5 before the cast, and with it a unit of float16's
#: last place where it is at the border of two.
_ROUNDING, _LAST_PLACE = 2e-5, 2.0**-10


class Place(NamedTuple):
    """The URI of a protein's vectors, and the folder of the index that names it."""

    uri: str
    folder: Path

    @property
    def words(self) -> str:
        """Name the part, and the shard whose job wrote it if a job of this run did."""
        part = self.uri.rpartition("#")[0].rpartition("/")[2].removesuffix(".h5")
        shard = _shards(self.folder).get(part)
        return f"part {part}" + (f" of shard {shard}" if shard else "")


@lru_cache(2)
def _shards(folder: Path) -> dict[str, str]:
    """Return the shard whose job wrote each part, of those that jobs of a run wrote."""
    tables = sorted(folder.glob("[0-9][0-9][0-9].parquet"))
    return {part: table.stem for table in tables for (part,) in read_rows(table, ["part"])}


def vectors_reader() -> Reader:
    """Read the residue and mean vectors of every protein of an index, in the order of their ids."""
    return Reader("protein", _read, _measure, files=_files)


def _read(path: Path) -> Iterator[Record]:
    folder = path.parent.absolute()
    for protein, uri in read_rows(path, ["protein", "uri"]):
        whole = _absolute(uri, folder)
        yield Record((protein,), vectors_digest(uri, folder), Place(whole, folder))


def vectors_digest(uri: str, folder: Path) -> bytes:
    """Return a digest of the residue and mean vectors of a protein, named as in an index of a folder."""
    whole = _absolute(uri, folder)
    residue = np.ascontiguousarray(open_embedding(whole))
    return digest_of(str(residue.shape), residue.tobytes(), open_pooled([whole]).tobytes())


def _files(path: Path) -> Iterator[Path]:
    """Give the index and the parts of the store that it names, in its order."""
    yield path
    # What lies in S3 has the same content under the same name, since parts never change.
    parts = dict.fromkeys(uri.rpartition("#")[0] for (uri,) in read_rows(path, ["uri"]))
    yield from (path.parent / part for part in parts if "://" not in part)


def _absolute(uri: str, folder: Path) -> str:
    return uri if "://" in uri else os.path.normpath(folder / uri)


def _measure(a: Place, b: Place) -> Measured:
    """Compare the vectors of one protein, residue by residue."""
    left, right = (open_embedding(place.uri).astype(np.float64) for place in (a, b))
    if left.shape != right.shape:
        return Measured("shape", [f"{rows} residues x {width}" for rows, width in (left.shape, right.shape)])
    cosines, difference = _cosines(left, right), np.abs(left - right)
    numbers = [
        Number("least cosine of a residue", float(cosines.min()), "", "least"),
        Number("mean cosine of the proteins that differ", float(cosines.mean()), "", "mean"),
        Number("largest difference", float(difference.max()), "", "most"),
    ]
    means = [open_pooled([place.uri])[0] for place in (a, b)]
    allowed = _ROUNDING + _LAST_PLACE * np.maximum(np.abs(left), np.abs(right))
    within = bool((difference <= allowed).all() and np.abs(means[0] - means[1]).max() <= _ROUNDING)
    if not difference.any():
        place = int(np.flatnonzero(means[0] != means[1])[0])
        shown = [f"{mean[place]:.7g}" for mean in means]
        return Measured(f"mean vector, component {place + 1}", shown, numbers, within)
    row, place = (int(index) for index in np.argwhere(difference)[0])
    shown = [f"{vectors[row, place]:.6g} ({where.words})" for vectors, where in ((left, a), (right, b))]
    return Measured(f"residue {row + 1}, component {place + 1}", shown, numbers, within)


def _cosines(a: Floats, b: Floats) -> Floats:
    """Return the cosine of each pair of rows; 0 where one is a vector of zeros."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: Floats = np.divide((a * b).sum(axis=1), norms, out=np.zeros(len(a)), where=norms > 0)
    return cosines


def maps_reader() -> Reader:
    """Read the contact maps that a shard's table names."""
    return Reader("protein", _read_maps, _measure_maps, files=_files)


def _read_maps(path: Path) -> Iterator[Record]:
    folder = path.parent.absolute()
    uris = {protein: _absolute(uri, folder) for protein, uri in read_rows(path, ["protein", "uri"])}
    for protein, uri in sorted(uris.items()):
        yield Record((protein,), digest_of(open_contacts(uri).tobytes()), uri)


def _measure_maps(a: str, b: str) -> Measured:
    left, right = (open_contacts(uri).astype(np.float64) for uri in (a, b))
    if left.shape != right.shape:
        return Measured("residues", [str(len(left)), str(len(right))])
    difference = np.abs(left - right)
    first, second = (int(index) for index in np.argwhere(difference)[0])
    values = [f"{values[first, second]:.6g}" for values in (left, right)]
    numbers = [Number("largest difference", float(difference.max()), "", "most")]
    return Measured(f"residues {first + 1} and {second + 1}", values, numbers)
