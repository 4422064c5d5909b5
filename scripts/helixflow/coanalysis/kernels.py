"""The loops over atoms and residues of frames, compiled by numba; all arithmetic is in float64.

An array has one type, as the docstrings say; none of these calls what another file has, since what is
compiled and kept would not follow a change there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from helixflow.jit import kernel, part

#: What `find_broken` finds.
WHOLE, NOT_FINITE, TORN, STRAY, FAR, NEAR = range(6)


@kernel
def find_broken(
    positions: NDArray[np.float32],
    residue_of: NDArray[np.int64],
    alphas: NDArray[np.int64],
    chains: NDArray[np.int64],
    least_step: float,
    most_step: float,
    most_atom: float,
    most_place: float,
) -> tuple[int, int, int]:
    """Find the first frame whose molecule is not finite and whole.

    Parameters
    ----------
    positions : (F, A, 3) float32
    residue_of : (A,) int64
    alphas, chains : (N,) int64
        Atom that is the C-alpha of each residue, and number of its chain.
    least_step, most_step, most_atom, most_place : float
        Distance of the C-alphas of neighbours in a chain, at least and at most; that of an atom and its
        C-alpha, and any coordinate, at most.

    Returns
    -------
    int, int, int
        Frame; `WHOLE` where there is none, `NOT_FINITE`, `FAR`, `TORN` or `NEAR` behind a residue, or
        `STRAY`; and the atom (of `TORN` and `NEAR`: residue).
    """
    for frame in range(positions.shape[0]):
        here = positions[frame]
        for atom in range(here.shape[0]):
            if not math.isfinite(here[atom, 0] + here[atom, 1] + here[atom, 2]):
                return frame, NOT_FINITE, atom
            if max(abs(here[atom, 0]), abs(here[atom, 1]), abs(here[atom, 2])) > most_place:
                return frame, FAR, atom
        for residue in range(alphas.size - 1):
            if chains[residue] == chains[residue + 1]:
                square = _square(here, alphas[residue], alphas[residue + 1])
                if square > most_step**2:
                    return frame, TORN, residue
                if square < least_step**2:
                    return frame, NEAR, residue
        for atom in range(here.shape[0]):
            if _square(here, atom, alphas[residue_of[atom]]) > most_atom**2:
                return frame, STRAY, atom
    return 0, WHOLE, 0


@kernel
def find_contacts(
    positions: NDArray[np.float32],
    atoms: NDArray[np.int64],
    starts: NDArray[np.int64],
    chains: NDArray[np.int64],
    cutoff: float,
    separation: int,
    counts: NDArray[np.int64],
    pairs: NDArray[np.uint32],
) -> int:
    """Find the pairs of residues of which any two atoms are closer than a cutoff.

    Parameters
    ----------
    positions : (F, A, 3) float32
    atoms : (M,) int64
        The atoms that count, residue after residue.
    starts : (N + 1,) int64
        Where those of each residue begin, and where the last ones end; a residue may have none.
    chains : (N,) int64
        Number of each residue's chain.
    cutoff : float
    separation : int
        Residues of one chain are a pair where their numbers differ by that at least; those of two are always.
    counts : (F,) int64
        Filled with the number of pairs of each frame.
    pairs : (P,) uint32
        Filled with pairs i * N + j, i < j, frame after frame, ascending, as far as there is room.

    Returns
    -------
    int
        The number of pairs of all frames.
    """
    n_residue, total = chains.size, 0
    places, centres = np.empty((atoms.size, 3)), np.empty((n_residue, 3))
    radii = np.empty(n_residue)
    for frame in range(positions.shape[0]):
        before = total
        _gather(positions[frame], atoms, places)
        _enclose(places, starts, centres, radii)
        for i in range(n_residue):
            for j in range(i + 1, n_residue):
                if chains[i] == chains[j] and j - i < separation:
                    continue
                reach = radii[i] + radii[j] + cutoff
                if _square(centres, i, j) < reach * reach and _touch(
                    places, starts[i], starts[i + 1], starts[j], starts[j + 1], centres, j, radii[j], cutoff
                ):
                    if total < pairs.size:
                        pairs[total] = i * n_residue + j
                    total += 1
        counts[frame] = total - before
    return total


@kernel
def count_neighbours(
    positions: NDArray[np.float32], atoms: NDArray[np.int64], radius: float, counts: NDArray[np.int64]
) -> None:
    """Count for each of some atoms the others that are closer than a radius, over all frames.

    Parameters
    ----------
    positions : (F, A, 3) float32
    atoms : (N,) int64
    radius : float
    counts : (N,) int64
        What is found is added.
    """
    places, limit = np.empty((atoms.size, 3)), radius * radius
    for frame in range(positions.shape[0]):
        _gather(positions[frame], atoms, places)
        for i in range(atoms.size):
            for j in range(i + 1, atoms.size):
                near = _square(places, i, j) < limit
                counts[i] += near
                counts[j] += near


@kernel
def radii_of_gyration(
    positions: NDArray[np.float32], masses: NDArray[np.float64], radii: NDArray[np.float64]
) -> None:
    """Fill in the mass-weighted radius of gyration of each frame.

    Parameters
    ----------
    positions : (F, A, 3) float32
    masses : (A,) float64
    radii : (F,) float64
        Filled, in the unit of the positions.
    """
    total = masses.sum()
    for frame in range(positions.shape[0]):
        here = positions[frame]
        x = y = z = 0.0
        for atom in range(masses.size):
            x += masses[atom] * here[atom, 0]
            y += masses[atom] * here[atom, 1]
            z += masses[atom] * here[atom, 2]
        x, y, z, square = x / total, y / total, z / total, 0.0
        for atom in range(masses.size):
            square += masses[atom] * (
                (here[atom, 0] - x) ** 2 + (here[atom, 1] - y) ** 2 + (here[atom, 2] - z) ** 2
            )
        radii[frame] = math.sqrt(square / total)


@part
def _square(places: NDArray[np.float64], i: int, j: int) -> float:
    x = np.float64(places[i, 0]) - np.float64(places[j, 0])
    y = np.float64(places[i, 1]) - np.float64(places[j, 1])
    z = np.float64(places[i, 2]) - np.float64(places[j, 2])
    return float(x * x + y * y + z * z)


@part
def _gather(positions: NDArray[np.float32], atoms: NDArray[np.int64], places: NDArray[np.float64]) -> None:
    for at in range(atoms.size):
        for axis in range(3):
            places[at, axis] = positions[atoms[at], axis]


@part
def _enclose(
    places: NDArray[np.float64],
    starts: NDArray[np.int64],
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
) -> None:
    """Fill in the sphere about the mean of each residue's atoms that holds them all."""
    for residue in range(radii.size):
        centres[residue] = 0.0
        number = starts[residue + 1] - starts[residue]
        for at in range(starts[residue], starts[residue + 1]):
            for axis in range(3):
                centres[residue, axis] += places[at, axis] / number
        square = 0.0
        for at in range(starts[residue], starts[residue + 1]):
            square = max(square, _square_to(places, at, centres, residue))
        # A little more, so that no rounding leaves an atom outside.
        radii[residue] = math.sqrt(square) * (1 + 1e-9) + 1e-9


@part
def _square_to(a: NDArray[np.float64], i: int, b: NDArray[np.float64], j: int) -> float:
    x, y, z = a[i, 0] - b[j, 0], a[i, 1] - b[j, 1], a[i, 2] - b[j, 2]
    return float(x * x + y * y + z * z)


@part
def _touch(
    places: NDArray[np.float64],
    first: int,
    first_end: int,
    second: int,
    second_end: int,
    centres: NDArray[np.float64],
    other: int,
    radius: float,
    cutoff: float,
) -> bool:
    """Tell whether two stretches of atoms come closer than a cutoff; the second is in the sphere `other`."""
    limit, reach = cutoff * cutoff, (radius + cutoff) ** 2
    for i in range(first, first_end):
        if _square_to(places, i, centres, other) < reach:
            for j in range(second, second_end):
                if _square(places, i, j) < limit:
                    return True
    return False
