"""Planes that divide k-mers: random ones, those of LSHVec, and the table of rows that a kernel adds up."""

from __future__ import annotations

import zlib
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.settings import BucketSettings
from helixflow.errors import ConfigError

#: Lanes of a strand in a row of a table.
LANES = 32
#: What the integers of a plane add up to at most, so that no sum leaves 8 bits.
_LARGEST = 127
#: What a float of LSHVec's planes, 1 at most, is multiplied by to become an integer.
_FIXED = 2.0**40
#: Between this and its inverse lie the largest numbers of the planes of a file.
_EXTREME = 1e100


def plane_weights(settings: BucketSettings) -> NDArray[np.int64]:
    """Return what a base at each position adds to the score of each plane through the origin.

    The normals are Gaussian, each scaled so that its integers are as large as 8 bits allow. Symmetric
    normals give a k-mer and its reverse complement one score: ``weights[i, b] == weights[k-1-i, 3-b]``.

    Returns
    -------
    (k, 4, bits) int64
        Scores are in -127..127; bit j of the id is set where score j is above 0.
    """
    k, bits = settings.k, settings.bits
    normals = np.random.default_rng(settings.seed).normal(size=(2, k, bits))
    if settings.symmetric:
        normals -= normals[:, ::-1]
    largest = np.abs(normals).max(axis=0).sum(axis=0)
    scale = _LARGEST / largest
    while (over := _largest_score(np.rint(normals * scale)) > _LARGEST).any():
        scale = np.where(over, scale * 0.999, scale)
    return _weights(np.rint(normals * scale).astype(np.int64))


def _largest_score(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    largest: NDArray[np.float64] = np.abs(normals).max(axis=0).sum(axis=0)
    return largest


def _weights(normals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return Re(x conj(p)) for the four bases x, (k, 4, m), from the parts (2, k, m) of normals p."""
    real, imaginary = normals
    return np.stack([-real, -imaginary, imaginary, real], axis=1)


def sample_planes(k: int, bits: int, seed: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return affine planes as LSHVec makes them, but through random k-mers in place of some of the data.

    Each is the affine hull of k k-mers: normal p and offset c with ``x . conj(p) = c`` for all of them. What
    is open in that, a complex factor, is of length 1 and random.

    Returns
    -------
    normals : (bits, k) complex128
    offsets : (bits,) complex128
    """
    dice = np.random.default_rng(seed)
    bases = np.array([-1, -1j, 1j, 1])
    normals: list[NDArray[np.complex128]] = []
    offsets: list[complex] = []
    while len(normals) < bits:
        kmers = bases[dice.integers(0, 4, (k, k))]
        turn = np.exp(2j * np.pi * dice.random())
        if np.linalg.cond(kmers) < 1e6:
            normal = np.linalg.solve(kmers, np.full(k, turn)).conj()
            length = np.linalg.norm(normal)
            normals.append(normal / length)
            offsets.append(turn / length)
    return np.array(normals), np.array(offsets)


def read_planes(path: str, k: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Read the planes of a model: arrays ``normals`` (m, k) and ``offsets`` (m,) of an .npz, complex.

    Raises
    ------
    ConfigError
        When there is no such file, or it does not hold planes for k-mers.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            normals, offsets = (np.asarray(file[name], complex) for name in ("normals", "offsets"))
    except OSError as error:
        raise ConfigError(f"buckets/planes: {path} cannot be read ({error.strerror})") from None
    except (KeyError, ValueError, TypeError, EOFError, BadZipFile, zlib.error):
        raise ConfigError(
            f"buckets/planes: {path} cannot be read as an .npz with arrays of numbers normals and offsets"
        ) from None
    if normals.ndim != 2 or normals.shape[1] != k or offsets.shape != normals.shape[:1] or not len(normals):
        raise ConfigError(
            f"buckets/planes: {path} has normals {normals.shape} and offsets {offsets.shape}, expected "
            f"(m, {k}) and (m,) for k = {k} (buckets/k, or buckets/sketch_k where they are sketched)"
        )
    size = np.maximum(np.abs(normals).max(axis=1), np.abs(offsets))
    if not ((size > 1 / _EXTREME) & (size < _EXTREME)).all():
        raise ConfigError(
            f"buckets/planes: {path} has a plane of which all numbers are 0, or one is not finite or far too "
            f"large or small (expected {1 / _EXTREME:g} to {_EXTREME:g})"
        )
    return normals, offsets


def fixed_planes(
    normals: NDArray[np.complex128], offsets: NDArray[np.complex128]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return weights (k, 4, m) and offsets (m,) of planes as integers; only real parts are compared."""
    size = np.maximum(np.abs(normals).max(axis=1), np.abs(offsets))
    scale = _FIXED / np.where(size > 0, size, 1)
    parts = np.rint(np.stack([normals.real, normals.imag]) * scale[:, None]).astype(np.int64)
    return _weights(parts.transpose(0, 2, 1)), np.rint(offsets.real * scale).astype(np.int64)


def plane_table(
    weights: NDArray[np.int64], thresholds: NDArray[np.int64], strands: int, width: int
) -> NDArray[np.int64]:
    """Return the rows that `kernels.planes` adds: what is left of a threshold when scores are taken off.

    Returns
    -------
    (chunks * 4^width, lanes) int64
        The last chunk of a k-mer first, the thresholds being in the one that is least full.
    """
    both = [weights, weights[::-1, ::-1]][:strands]
    bits = weights.shape[2]
    rows = []
    for stop in range(len(weights), 0, -width):
        row = np.zeros((4**width, len(both), LANES), np.int64)
        for strand, each in enumerate(both):
            words = -_word_sums(each[max(0, stop - width) : stop])
            row[: len(words), strand, :bits] = words
        rows.append(row)
    rows[-1][:, :, :bits] += thresholds
    return np.concatenate(rows).reshape(-1, len(both) * LANES)


def _word_sums(weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sums (4^w, m) of every word over w positions, the first base most significant."""
    sums = np.zeros((1, weights.shape[2]), np.int64)
    for position in weights:
        sums = (sums[:, None, :] + position[None, :, :]).reshape(-1, weights.shape[2])
    return sums


def aligned(table: NDArray[Any]) -> NDArray[Any]:
    """Return a flat copy that begins where a cache line does, so that no row of 64 bytes is in two."""
    room = np.zeros(table.nbytes + 64, np.uint8)
    begin = -room.ctypes.data % 64
    flat: NDArray[Any] = room[begin : begin + table.nbytes].view(table.dtype)
    flat[:] = table.ravel()
    return flat
