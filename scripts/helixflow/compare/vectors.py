"""Reader of embeddings: the vectors of every protein of an index, wherever the store keeps them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.compare.records import Measured, Number, Reader, Record, digest_of, sort_records
from helixflow.compare.settings import without_folder
from helixflow.embeddings.contact_reading import open_contacts
from helixflow.embeddings.reading import open_embedding, open_pooled, open_stored
from helixflow.tables import read_rows

Floats = NDArray[np.float64]

#: What another order of sums may change in a vector: 2e-5 before the cast, and with it a unit of float16's
#: last place where it is at the border of two.
_ROUNDING, _LAST_PLACE = 2e-5, 2.0**-10
#: Attributes of a part that are of its other proteins, or of the programs that wrote it.
_OF_THE_PART = {"digest", "helixflow", "torch", "transformers"}


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
    """Read of every protein of an index the residue and mean vectors, the letters and what the model was."""
    return Reader("protein", _read, _measure, files=_files)


def _read(path: Path) -> Iterator[Record]:
    folder = path.parent.absolute()
    rows = (Record((protein,), b"", uri) for protein, uri in read_rows(path, ["protein", "uri"]))
    for (protein, _), _, uri in sort_records(rows):
        whole = _absolute(uri, folder)
        yield Record((protein,), vectors_digest(uri, folder), Place(whole, folder))


def vectors_digest(uri: str, folder: Path) -> bytes:
    """Return a digest of what a part has of a protein, which is named as in an index of a folder."""
    whole = _absolute(uri, folder)
    residue = np.ascontiguousarray(open_embedding(whole))
    about = json.dumps(_about(whole))
    return digest_of(str(residue.shape), residue.tobytes(), open_pooled([whole]).tobytes(), about)


def _about(uri: str) -> dict[str, str]:
    """Return the letters that an embedding was made for, and what its part tells of the model."""
    stored = open_stored(uri)
    told = {name: str(stored.model[name]) for name in sorted(stored.model) if name not in _OF_THE_PART}
    if told.get("model", "/").count("/") != 1:
        told["model"] = without_folder(told.get("model", ""))
    return {"letters": stored.sequence, **told}


def _files(path: Path) -> Iterator[Path]:
    """Give the index and the parts of the store that it names, in its order."""
    yield path
    # What lies in S3 has the same content under the same name, since parts never change.
    parts = dict.fromkeys(uri.rpartition("#")[0] for (uri,) in read_rows(path, ["uri"]))
    yield from (path.parent / part for part in parts if "://" not in part)


def _absolute(uri: str, folder: Path) -> str:
    return uri if "://" in uri else os.path.normpath(folder / uri)


def _measure(a: Place, b: Place) -> Measured:
    """Compare the vectors of one protein, residue by residue, then its mean, letters and model."""
    left, right = (open_embedding(place.uri).astype(np.float64) for place in (a, b))
    if left.shape != right.shape:
        return Measured("shape", [f"{rows} residues x {width}" for rows, width in (left.shape, right.shape)])
    means = [open_pooled([place.uri])[0] for place in (a, b)]
    one, other = _about(a.uri), _about(b.uri)
    difference, mean_difference = _apart(left, right), _apart(*means)
    allowed = _ROUNDING + _LAST_PLACE * np.maximum(np.abs(left), np.abs(right))
    within = bool((difference <= allowed).all() and (mean_difference <= _ROUNDING).all()) and one == other
    numbers = _amounts(left, right, difference)
    if difference.any():
        row, place = (int(index) for index in np.argwhere(difference)[0])
        shown = [f"{vectors[row, place]:.6g} ({where.words})" for vectors, where in ((left, a), (right, b))]
        return Measured(f"residue {row + 1}, component {place + 1}", shown, numbers, within)
    if mean_difference.any():
        place = int(np.flatnonzero(mean_difference)[0])
        shown = [f"{mean[place]:.7g}" for mean in means]
        return Measured(f"mean vector, component {place + 1}", shown, numbers, within)
    for name in [*one, *other]:
        if one.get(name) != other.get(name):
            return Measured(name, (one.get(name, "none"), other.get(name, "none")))
    return Measured("sign of zero, or kind of NaN", ("", ""), (), within)


def _apart(a: Any, b: Any) -> Floats:
    """Return how far numbers are apart: 0 where both are the same or NaN, NaN where one of them is."""
    with np.errstate(invalid="ignore"):
        return np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))


def _amounts(a: Floats, b: Floats, difference: Floats) -> list[Number]:
    """Measure vectors, (L, D) each, by the residues and values that are numbers in both."""
    lost = int((~np.isfinite(difference)).sum())
    numbers = [Number("values of which one is no number", lost, "", "sum")] if lost else []
    known = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
    if known.any():
        cosines = _cosines(a[known], b[known])
        numbers += [
            Number("least cosine of a residue", float(cosines.min()), "", "least"),
            Number("mean cosine of the proteins that differ", float(cosines.mean()), "", "mean"),
        ]
    most = float(np.max(difference, initial=0.0, where=np.isfinite(difference)))
    return [*numbers, Number("largest difference", most, "", "most")]


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
    difference = _apart(left, right)
    first, second = (int(index) for index in np.argwhere(difference)[0])
    values = [f"{values[first, second]:.6g}" for values in (left, right)]
    most = float(np.max(difference, initial=0.0, where=np.isfinite(difference)))
    numbers = [Number("largest difference", most, "", "most")]
    return Measured(f"residues {first + 1} and {second + 1}", values, numbers)
