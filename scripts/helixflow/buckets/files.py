"""HDF5 files of the spectrum and the units of a row of the sheet: written in one pass, and merged."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from helixflow.buckets.families import Encoding
from helixflow.buckets.settings import BucketSettings
from helixflow.buckets.sketches import EMPTY, SATURATED, fullness
from helixflow.buckets.spectra import Pass, Spectrum
from helixflow.buckets.units import Units, merge_units
from helixflow.errors import MismatchError
from helixflow.files import remove_leftovers, whole_file
from helixflow.members import Member

log = logging.getLogger(__name__)

#: Values that are stored together, and rows of sketches.
_CHUNK, _ROWS = 1 << 13, 64


def hash_members(
    members: Iterable[Member], output: str | os.PathLike[str], settings: BucketSettings, threads: int = 1
) -> None:
    """Write the bucket spectrum of a row of DNA or reads and the sketch of each of its units.

    Parameters
    ----------
    members : iterable of Member
        The members of the row. One is one unit; of a metagenome, every record is one, ``member/record``.
    output : path
        HDF5: ``/spectrum/bucket`` uint32 ascending, ``/spectrum/count`` uint64, ``/unit/name``,
        ``/unit/residues`` int64, ``/unit/sketch`` (n_unit, s) uint32; the families of both as attributes.
    settings : BucketSettings
    threads : int
    """
    import h5py

    remove_leftovers(output)
    all_kmers = Pass(members, settings, threads)
    units, letters, saturated = 0, 0, 0
    with whole_file(output) as path, h5py.File(path, "w") as h5:
        h5.attrs.update(describe(all_kmers.spectrum, all_kmers.sketched))
        writer = _UnitWriter(h5, settings.sketch_size)
        for batch in all_kmers.units():
            writer.append(batch)
            units, letters = units + len(batch.names), letters + int(batch.residues.sum())
            saturated += _count_saturated(batch, settings.sketch_size, all_kmers.sketched.n_bucket)
        _write_spectrum(h5, all_kmers.counts.stretches())
        used = len(h5["/spectrum/bucket"])
    log.info(
        "%s: %d units of %d letters, %d of %d buckets in use",
        output, units, letters, used, all_kmers.spectrum.n_bucket,
    )  # fmt: skip
    if saturated:
        log.warning(
            "%s: %d of %d units fill more than %d %% of the buckets that are sketched, so unrelated ones "
            "look alike; raise buckets/sketch_k and buckets/sketch_bits",
            output, saturated, units, round(100 * SATURATED),
        )  # fmt: skip


class _UnitWriter:
    """Write units to an open HDF5 file: ``/unit/name``, ``/unit/residues`` and ``/unit/sketch``.

    Parameters
    ----------
    h5 : h5py.File
    size : int
        Values of a sketch.
    """

    def __init__(self, h5: Any, size: int) -> None:
        import h5py

        self._size = size
        open_ended = {"maxshape": (None,), "chunks": (16 * _ROWS,)}
        self._name = h5.create_dataset("/unit/name", (0,), h5py.string_dtype(), **open_ended)
        self._residues = h5.create_dataset("/unit/residues", (0,), np.int64, **open_ended)
        self._sketch = h5.create_dataset(
            "/unit/sketch", (0, size), np.uint32, maxshape=(None, size), chunks=(_ROWS, size),
            compression="gzip", compression_opts=1,
        )  # fmt: skip

    def append(self, units: Units) -> None:
        """Write units behind those that are there."""
        _append(self._name, units.names)
        _append(self._residues, units.residues)
        _append(self._sketch, units.matrix(self._size))


def _read_units(h5: Any) -> Units:
    """Read the units of an open HDF5 file."""
    sketches = h5["/unit/sketch"][:]
    kept = sketches != EMPTY
    bounds = np.append(0, np.cumsum(kept.sum(axis=1)))
    return Units(h5["/unit/name"].asstr()[:].tolist(), h5["/unit/residues"][:], sketches[kept], bounds)


def _write_spectrum(h5: Any, stretches: Iterable[Spectrum]) -> None:
    """Write stretches of a spectrum in their order."""
    bucket, count = (
        h5.create_dataset(f"/spectrum/{name}", (0,), kind, maxshape=(None,), chunks=(_CHUNK,))
        for name, kind in (("bucket", np.uint32), ("count", np.uint64))
    )
    for buckets, counts in stretches:
        _append(bucket, buckets)
        _append(count, counts)


def _append(dataset: Any, rows: Any) -> None:
    begin = len(dataset)
    dataset.resize(begin + len(rows), axis=0)
    dataset[begin:] = rows


def describe(spectrum: Encoding, sketched: Encoding) -> dict[str, Any]:
    """Return the attributes that tell by which families a file was made."""
    about = spectrum.about | {"buckets": spectrum.n_bucket}
    sketch_about = sketched.about | {"buckets": sketched.n_bucket}
    return about | {f"sketch_{key}": value for key, value in sketch_about.items()}


def _count_saturated(units: Units, size: int, n_bucket: int) -> int:
    """Count units that have more than `SATURATED` of all buckets."""
    largest = units.values[units.bounds[1:][np.diff(units.bounds) == size] - 1]
    return int((fullness(largest, size, n_bucket) > SATURATED).sum())


def merge_files(files: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str]) -> None:
    """Write what `hash_members` would of all members of several files: spectra add, sketches are merged.

    Parameters
    ----------
    files : iterable of path
        At least one, all of the same families; units of one name are parts of one unit.
    output : path

    Raises
    ------
    MismatchError
        When two files were made with other settings.
    """
    import h5py

    first, *others = [Path(file) for file in files]
    with h5py.File(first) as h5:
        about, size = dict(h5.attrs), h5["/unit/sketch"].shape[1]
        spectrum, units = (h5["/spectrum/bucket"][:], h5["/spectrum/count"][:]), _read_units(h5)
    for file in others:
        with h5py.File(file) as h5:
            if dict(h5.attrs) != about or h5["/unit/sketch"].shape[1] != size:
                raise MismatchError(
                    f"{file}: was made with other settings than {first} (hash both with one config)"
                )
            spectrum = merge_spectra(spectrum, (h5["/spectrum/bucket"][:], h5["/spectrum/count"][:]))
            units = merge_units(units, _read_units(h5), size)
    with whole_file(output) as path, h5py.File(path, "w") as h5:
        h5.attrs.update(about)
        _UnitWriter(h5, size).append(units)
        _write_spectrum(h5, [spectrum])


def merge_spectra(a: Spectrum, b: Spectrum) -> Spectrum:
    """Add two spectra, each of buckets, ascending, and their counts."""
    buckets, places = np.unique(np.concatenate([a[0], b[0]]), return_inverse=True)
    counts = np.zeros(len(buckets), np.uint64)
    np.add.at(counts, places, np.concatenate([a[1], b[1]]))
    return buckets, counts
