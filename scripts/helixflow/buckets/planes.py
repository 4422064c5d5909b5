"""Planes that divide k-mers: random ones, those of LSHVec, and the table of rows that a kernel adds up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.settings import MOST_BITS, BucketSettings
from helixflow.errors import ConfigError

#: Lanes of a strand in a row of a table.
LANES = 32
#: What the integers of a plane add up to at most, so that no sum leaves 8 bits.
_LARGEST = 127
#: What the largest number of one of LSHVec's planes becomes as an integer.
_FIXED = 2.0**40
#: A pivot below this is of k-mers that lie on more than one plane.
_SINGULAR = 1e-6
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
    is open in that, a complex factor, is random in its angle. There is no function here whose last digit
    depends on the machine, so that all machines have the same planes.

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
        turn = complex(*dice.integers(-(1 << 20), 1 << 20, 2))
        solution = _solve(kmers, turn) if 0 < abs(turn) <= 1 << 20 else None
        if solution is not None:
            normals.append(solution.conj())
            offsets.append(turn)
    return np.array(normals), np.array(offsets)


def _solve(matrix: NDArray[np.complex128], side: complex) -> NDArray[np.complex128] | None:
    """Return x (k,) with ``matrix @ x == side`` in every row, or None where it is near to having none.

    Gauss-Jordan elimination of the real system of twice the size. BLAS adds up in an order of its own on each
    kind of processor; here are only products and differences of two numbers, which are the same everywhere.
    """
    k = len(matrix)
    rows = np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])
    rows = np.column_stack([rows, np.repeat([side.real, side.imag], k)])
    for column in range(2 * k):
        pivot = column + int(np.abs(rows[column:, column]).argmax())
        rows[[column, pivot]] = rows[[pivot, column]]
        if abs(rows[column, column]) < _SINGULAR:
            return None
        rows[column] /= rows[column, column]
        factors = rows[:, column].copy()
        factors[column] = 0
        rows -= np.multiply.outer(factors, rows[column])
    solution: NDArray[np.complex128] = rows[:k, -1] + 1j * rows[k:, -1]
    return solution


def read_planes(path: str, k: int) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Read the planes of a model: arrays ``normals`` (m, k) and ``offsets`` (m,) of an .npz.

    Raises
    ------
    ConfigError
        When there is no such file, or it does not hold planes for k-mers.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = [file[name] for name in ("normals", "offsets")]
        if any(array.dtype.kind not in "iufc" for array in found):
            raise ValueError
    except OSError as error:
        raise ConfigError(f"buckets/planes: {path} cannot be read ({error.strerror or error})") from None
    except Exception:
        # Archives break in many ways, and numpy's advice on them is to trust the file.
        raise ConfigError(
            f"buckets/planes: {path} cannot be read as an .npz with arrays of numbers normals and offsets"
        ) from None
    normals, offsets = (array.astype(complex) for array in found)
    if normals.ndim != 2 or normals.shape[1] != k or offsets.shape != normals.shape[:1]:
        raise ConfigError(
            f"buckets/planes: {path} has normals {normals.shape} and offsets {offsets.shape}, expected "
            f"(m, {k}) and (m,) for k = {k} (buckets/k, or buckets/sketch_k where they are sketched)"
        )
    if not 1 <= len(normals) <= MOST_BITS:
        raise ConfigError(f"buckets/planes: {path} has {len(normals)} planes, expected 1 to {MOST_BITS}")
    size = _sizes(normals, offsets)
    if not ((size > 1 / _EXTREME) & (size < _EXTREME)).all():
        raise ConfigError(
            f"buckets/planes: {path} has a plane of which all numbers are 0, or one is not finite or far too "
            f"large or small (expected {1 / _EXTREME:g} to {_EXTREME:g})"
        )
    return normals, offsets


def _sizes(normals: NDArray[np.complex128], offsets: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return the largest real or imaginary part (m,) of the numbers of each plane."""
    numbers = np.column_stack([normals, offsets])
    largest: NDArray[np.float64] = np.maximum(np.abs(numbers.real), np.abs(numbers.imag)).max(axis=1)
    return largest


def fixed_planes(
    normals: NDArray[np.complex128], offsets: NDArray[np.complex128]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return weights (k, 4, m) and offsets (m,) of planes as integers; only real parts are compared."""
    scale = _FIXED / _sizes(normals, offsets)
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
