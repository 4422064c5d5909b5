"""K-mers into buckets by hyperplane LSH, and the spectrum of a file.

Bases are the complex numbers A = -1, T = +1, C = -i, G = +i of LSHVec (Shi & Chen, ACM BCB 2021), so
that the complement is the negative. A bucket's bit j says on which side of hyperplane j a k-mer lies;
the planes have random integer normals and go through the origin. Integer sums are exact, so a bucket
depends neither on the order of the sum nor on the machine. The bucket of a k-mer is the smaller one of
its two strands, so both strands give the same.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.sketches import EMPTY, SATURATED, merge, sketch
from helixflow.files import whole_file
from helixflow.members import Member

log = logging.getLogger(__name__)

_CHUNK = 4
_WINDOWS = 1 << 16
_SCALE = 1024
_BREAK = 4
_CODES = np.full(256, _BREAK, np.uint8)
for _code, _letters in enumerate((b"Aa", b"Cc", b"Gg", b"TtUu")):
    _CODES[list(_letters)] = _code


@dataclass(frozen=True)
class BucketSettings:
    """What decides the bucket of a k-mer, and the size of a sketch."""

    k: int
    bits: int
    family: str
    seed: int
    sketch_size: int


class Hyperplanes:
    """Hyperplanes through the space of k-mers, for both strands at once.

    Parameters
    ----------
    k : int
        Length of a k-mer.
    bits : int
        Number of planes m.
    seed : int
        Seed of the normals.

    Attributes
    ----------
    weights : (k, 4, m) int32
        What base A, C, G, T at each position adds to the score of each plane.
    """

    def __init__(self, k: int, bits: int, seed: int) -> None:
        self.k, self.bits = k, bits
        normals = np.rint(np.random.default_rng(seed).normal(scale=_SCALE, size=(2, k, bits))).astype(
            np.int32
        )
        real, imaginary = normals
        self.weights = np.stack([-real, -imaginary, imaginary, real], axis=1)
        reverse = self.weights[::-1, ::-1]
        both = np.concatenate([self.weights, reverse], axis=2)
        self._tables = [_chunk_table(both[start : start + _CHUNK]) for start in range(0, k, _CHUNK)]
        self._powers = np.left_shift(np.uint32(1), np.arange(bits, dtype=np.uint32))

    def buckets(self, letters: bytes) -> Iterator[NDArray[np.uint32]]:
        """Give the buckets of the k-mers of a sequence, in order, in blocks of bounded size.

        Parameters
        ----------
        letters : bytes
            DNA; every k-mer with a letter other than A, C, G, T, U is left out.

        Yields
        ------
        (n,) uint32
        """
        codes = _CODES[np.frombuffer(letters, np.uint8)]
        for start in range(0, len(codes) - self.k + 1, _WINDOWS):
            yield self._block(codes[start : start + _WINDOWS + self.k - 1])

    def _block(self, codes: NDArray[np.uint8]) -> NDArray[np.uint32]:
        n_window = len(codes) - self.k + 1
        breaks = np.concatenate([[0], np.cumsum(codes == _BREAK)])
        whole = np.flatnonzero(breaks[self.k :] == breaks[:n_window])
        scores = np.zeros((len(whole), 2 * self.bits), np.int32)
        bases = np.minimum(codes, 3).astype(np.int32)
        for chunk, table in enumerate(self._tables):
            width = min(_CHUNK, self.k - chunk * _CHUNK)
            words = np.zeros(n_window, np.int32)
            for offset in range(chunk * _CHUNK, chunk * _CHUNK + width):
                words = words * 4 + bases[offset : offset + n_window]
            scores += table[words[whole]]
        sides = (scores > 0).reshape(len(whole), 2, self.bits)
        strands = (sides * self._powers).sum(axis=2, dtype=np.uint32)
        smaller: NDArray[np.uint32] = strands.min(axis=1)
        return smaller


def hash_members(members: Iterable[Member], output: str | os.PathLike[str], settings: BucketSettings) -> None:
    """Write the bucket spectrum of a row of DNA or reads and the sketch of each of its units.

    Parameters
    ----------
    members : iterable of Member
        The members of the row. One is one unit; of a metagenome, every record is one, ``member/record``.
    output : path
        HDF5: ``/spectrum/bucket`` uint32 ascending, ``/spectrum/count`` uint64, ``/unit/name``,
        ``/unit/residues`` int64, ``/unit/sketch`` (n_unit, s) uint32.
    settings : BucketSettings
    """
    planes = Hyperplanes(settings.k, settings.bits, settings.seed)
    units = (unit for member in members for unit in _units(member))
    counts, names, residues, sketches = _count_units(planes, units, settings.sketch_size)
    spectrum = np.flatnonzero(counts).astype(np.uint32)
    if len(spectrum) > SATURATED * len(counts):
        log.warning(
            "%s: %d of %d buckets are in use, so unrelated units look alike; raise buckets/bits",
            output, len(spectrum), len(counts),
        )  # fmt: skip
    _write_buckets(output, settings, spectrum, counts[spectrum], names, residues, sketches)


def _units(member: Member) -> Iterator[tuple[str, str]]:
    """Give the sequences of a member with the names of their units."""
    for name, sequence in member.records():
        yield f"{member.name}/{name}" if member.kind == "metagenome" else member.name, sequence


def _chunk_table(weights: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the sums (4^w, lanes) of every word over w positions, the first base most significant."""
    table = np.zeros((1, weights.shape[2]), np.int32)
    for position in weights:
        table = (table[:, None, :] + position[None, :, :]).reshape(-1, weights.shape[2])
    return table


def _count_units(
    planes: Hyperplanes, units: Iterable[tuple[str, str]], size: int
) -> tuple[NDArray[np.uint64], list[str], list[int], list[NDArray[np.uint32]]]:
    """Count buckets over all records; sketch every unit, whose records follow one another."""
    counts = np.zeros(1 << planes.bits, np.uint64)
    names: list[str] = []
    residues: list[int] = []
    sketches: list[NDArray[np.uint32]] = []
    for name, letters in units:
        if not names or names[-1] != name:
            names.append(name)
            residues.append(0)
            sketches.append(np.full(size, EMPTY))
        residues[-1] += len(letters)
        for block in planes.buckets(letters.encode()):
            buckets, times = np.unique(block, return_counts=True)
            counts[buckets] += times.astype(np.uint64)
            sketches[-1] = merge(sketches[-1], sketch(buckets, size))
    return counts, names, residues, sketches


def _write_buckets(
    output: str | os.PathLike[str],
    settings: BucketSettings,
    buckets: NDArray[np.uint32],
    counts: NDArray[np.uint64],
    names: list[str],
    residues: list[int],
    sketches: list[NDArray[np.uint32]],
) -> None:
    import h5py

    with whole_file(output) as path, h5py.File(path, "w") as h5:
        h5.attrs.update(
            {"k": settings.k, "bits": settings.bits, "family": settings.family, "seed": settings.seed}
        )
        h5["/spectrum/bucket"] = buckets
        h5["/spectrum/count"] = counts
        h5["/unit/name"] = np.array(names, dtype=h5py.string_dtype())
        h5["/unit/residues"] = np.array(residues, np.int64)
        h5["/unit/sketch"] = np.array(sketches, np.uint32).reshape(len(names), settings.sketch_size)
