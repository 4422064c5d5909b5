"""What the dimensions of the closed-form model stand for, and the coordinates that are written into them."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

H, HEADS, POSITIONS = 768, 16, 2560
HEAD = H // HEADS
#: The twenty amino acids in the order of their tokens, and how often they occur in Swiss-Prot, in percent.
AMINO_ACIDS = "LAGVESIKRDTPNQFYMHCW"
PERCENT = (9.65, 8.25, 7.07, 6.86, 6.71, 6.65, 5.91, 5.80, 5.53, 5.46,
            5.36, 4.74, 4.06, 3.93, 3.86, 2.92, 2.41, 2.27, 1.38, 1.10)  # fmt: skip
#: A head for each.
OFFSETS = (*range(-8, 0), *range(1, 9))
#: Coordinates that a head carries: all but the last, which is nearly the same for all words, or the first.
NEAR, FAR = 19, 8
NEAR_OFFSETS = tuple(offset for offset in OFFSETS if abs(offset) <= 4)
N_WORD, N_FREQUENCY = 20, 23
SPECIAL, CLS, REFERENCE, POSITION = 20, 21, 22, 23
WINDOW = POSITION + 2 * N_FREQUENCY
_N_WINDOW = FAR * len(OFFSETS) + (NEAR - FAR) * len(NEAR_OFFSETS)
PAIR = WINDOW + _N_WINDOW
N_PAIR = H - PAIR
# The FFN has a unit for each sum of two coordinates, and one for each coordinate.
_N_SINGLE = FAR + FAR * 8
FFN = N_PAIR + _N_SINGLE
TOKEN_NORM2 = N_WORD + N_FREQUENCY

# Draws of the frequencies, of which the best is taken.
_N_DRAW, _SEED = 400, 1


class Pair(NamedTuple):
    """Coordinate `first` of a residue times coordinate `second` of the one `separation` places behind."""

    first: int
    second: int
    separation: int


def word_coordinates() -> tuple[Matrix, Matrix]:
    """Return the coordinates of the twenty amino acids, and what each coordinate weighs in BLOSUM62.

    Returns
    -------
    words : (20, 20) float64
        A row of norm sqrt(20) per amino acid, in the order of `AMINO_ACIDS`.
    eigenvalues : (20,) float64
        Descending; the last is negative, and its coordinate nearly the same for all words.
    """
    from Bio.Align import substitution_matrices

    blosum = substitution_matrices.load("BLOSUM62")
    scores = np.array([[blosum[one][other] for other in AMINO_ACIDS] for one in AMINO_ACIDS])
    eigenvalues, vectors = np.linalg.eigh(scores)
    # An eigenvector has no sign of its own.
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(N_WORD)]
    return np.sqrt(N_WORD) * (vectors * np.sign(largest))[:, ::-1], eigenvalues[::-1]


def chosen_pairs(eigenvalues: Matrix) -> list[Pair]:
    """Choose as many pairs as there is room for, those of the weightiest coordinates first."""
    every = [Pair(*pair) for pair in product(range(FAR), range(FAR), range(1, 9))]
    weight = {pair: eigenvalues[pair.first] * eigenvalues[pair.second] for pair in every}
    return sorted(sorted(every, key=lambda pair: (-weight[pair], pair.separation, pair))[:N_PAIR])


def position_frequencies() -> Matrix:
    """Draw the frequencies of which the positions are told apart best, (23,) in radians a residue."""
    draws = np.random.default_rng(_SEED).uniform(0, np.pi, (_N_DRAW, N_FREQUENCY))
    return min(draws, key=largest_wrong)


def largest_wrong(frequencies: Matrix) -> float:
    """Return the largest product of two different positions; that of a position with itself is 23."""
    return float(np.cos(np.outer(np.arange(1, POSITIONS), frequencies)).sum(axis=1).max())


def carried(offset: int) -> int:
    """Return how many coordinates the head of an offset carries."""
    return NEAR if offset in NEAR_OFFSETS else FAR


def offsets_of(coordinate: int) -> tuple[int, ...]:
    """Return the offsets at which a coordinate is known."""
    return OFFSETS if coordinate < FAR else NEAR_OFFSETS


def window_of(coordinate: int) -> NDArray[np.int64]:
    """Return the dimensions of a coordinate's window, as many as it has offsets."""
    first = WINDOW + sum(len(offsets_of(before)) for before in range(coordinate))
    return np.arange(first, first + len(offsets_of(coordinate)))


def cosine_transform(n: int) -> Matrix:
    """Return the orthonormal cosine transform, (n, n) from offsets to terms."""
    terms: Matrix = np.sqrt(2 / n) * np.cos(np.pi / n * np.outer(np.arange(n), np.arange(n) + 0.5))
    terms[0] /= np.sqrt(2)
    return terms
