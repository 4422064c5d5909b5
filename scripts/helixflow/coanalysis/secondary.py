"""Secondary structure of frames after Kabsch and Sander (Biopolymers 22, 2577, 1983).

A residue is helix, strand or neither. A hydrogen bond goes from the C=O of one residue to the N-H of another.
Two of them in line, `n` residues apart, are the beginning of a helix of 3, 4 or 5 residues a turn; two
between stretches of three residues are a bridge, and the residues of bridges are strand, unless they are
helix. The hydrogen is put where the bonds of N leave room (a plane, 120 degrees, 0.101 nm), as pydssp does,
so that molecules without hydrogens are treated alike. Stretches end where C and the next N are not bonded;
residues without one of N, CA, C, O are neither.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from helixflow.jit import kernel, part

#: Energy of charges, 0.42 and 0.20 of an electron's, in kcal/mol nm.
_CHARGES = 0.084 * 33.2
#: A bond is stronger than this, in kcal/mol, between N and O closer than that, in nm.
_STRONGEST, _SEARCH = -0.5, 0.5
#: C and the next N are bonded where they are closer, in nm; DSSP sees a gap in the chain else.
_BONDED = 0.25
_NH = 0.101


@kernel
def assign(
    positions: NDArray[np.float32],
    backbone: NDArray[np.int64],
    donors: NDArray[np.bool_],
    chains: NDArray[np.int64],
    helix: NDArray[np.bool_],
    strand: NDArray[np.bool_],
) -> None:
    """Tell the helices and strands of frames.

    Parameters
    ----------
    positions : (F, A, 3) float32
        In nm.
    backbone : (N, 4) int64
        Atoms N, CA, C and O of each residue; -1 where there is none.
    donors : (N,) bool
        Whether a residue's N has a hydrogen.
    chains : (N,) int64
        Number of its chain.
    helix, strand : (F, N) bool
        Filled; no residue is both.
    """
    n_residue = chains.size
    places, hydrogens = np.empty((n_residue, 4, 3)), np.empty((n_residue, 3))
    known = np.empty(n_residue, np.bool_)
    # Number of the stretch of bonded residues that each one is in.
    stretch = np.empty(n_residue, np.int64)
    bond = np.zeros((n_residue, n_residue), np.bool_)
    bonds = np.empty((8 * n_residue, 2), np.int64)
    for frame in range(positions.shape[0]):
        _gather(positions[frame], backbone, places, known)
        _join(places, known, chains, stretch)
        _add_hydrogens(places, stretch, donors, hydrogens)
        n_bond, bonds = _find_bonds(places, hydrogens, stretch, known, bond, bonds)
        _find_helices(bond, stretch, helix[frame])
        _find_strands(bond, bonds[:n_bond], stretch, strand[frame])
        for residue in range(n_residue):
            helix[frame, residue] &= known[residue]
            strand[frame, residue] &= known[residue] and not helix[frame, residue]
        for at in range(n_bond):
            bond[bonds[at, 0], bonds[at, 1]] = False


@part
def _gather(
    positions: NDArray[np.float32],
    backbone: NDArray[np.int64],
    places: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> None:
    for residue in range(known.size):
        known[residue] = backbone[residue].min() >= 0
        if known[residue]:
            for atom in range(4):
                for axis in range(3):
                    places[residue, atom, axis] = positions[backbone[residue, atom], axis]


@part
def _join(
    places: NDArray[np.float64],
    known: NDArray[np.bool_],
    chains: NDArray[np.int64],
    stretch: NDArray[np.int64],
) -> None:
    stretch[0] = 0
    for residue in range(1, known.size):
        joined = (
            known[residue - 1]
            and known[residue]
            and chains[residue - 1] == chains[residue]
            and _distance(places[residue - 1, 2], places[residue, 0]) < _BONDED
        )
        stretch[residue] = stretch[residue - 1] + (not joined)


@part
def _add_hydrogens(
    places: NDArray[np.float64],
    stretch: NDArray[np.int64],
    donors: NDArray[np.bool_],
    hydrogens: NDArray[np.float64],
) -> None:
    """Place the hydrogen of each backbone nitrogen; NaN where it has none."""
    hydrogens[0] = np.nan
    for residue in range(1, donors.size):
        if not donors[residue] or stretch[residue] != stretch[residue - 1]:
            hydrogens[residue] = np.nan
            continue
        nitrogen, alpha, carbon = places[residue, 0], places[residue, 1], places[residue - 1, 2]
        from_carbon, from_alpha = _distance(nitrogen, carbon), _distance(nitrogen, alpha)
        length = 0.0
        for axis in range(3):
            away = (nitrogen[axis] - carbon[axis]) / from_carbon + (nitrogen[axis] - alpha[axis]) / from_alpha
            hydrogens[residue, axis] = away
            length += away * away
        for axis in range(3):
            hydrogens[residue, axis] = nitrogen[axis] + _NH * hydrogens[residue, axis] / math.sqrt(length)


@part
def _find_bonds(
    places: NDArray[np.float64],
    hydrogens: NDArray[np.float64],
    stretch: NDArray[np.int64],
    known: NDArray[np.bool_],
    bond: NDArray[np.bool_],
    bonds: NDArray[np.int64],
) -> tuple[int, NDArray[np.int64]]:
    """Mark the bonds from acceptor to donor, and list them; return how many they are, and the list."""
    count = 0
    for donor in range(known.size):
        if not math.isfinite(hydrogens[donor, 0]):
            continue
        x, y, z = places[donor, 0, 0], places[donor, 0, 1], places[donor, 0, 2]
        for acceptor in range(known.size):
            square = (
                (places[acceptor, 3, 0] - x) ** 2
                + (places[acceptor, 3, 1] - y) ** 2
                + (places[acceptor, 3, 2] - z) ** 2
            )
            if square >= _SEARCH**2 or not known[acceptor]:
                continue
            near = 0 <= donor - acceptor <= 2 and stretch[donor] == stretch[acceptor]
            if not near and _energy(places[donor, 0], hydrogens[donor], places[acceptor]) < _STRONGEST:
                bond[acceptor, donor] = True
                if count == len(bonds):
                    bonds = np.concatenate((bonds, bonds))
                bonds[count, 0], bonds[count, 1] = acceptor, donor
                count += 1
    return count, bonds


@part
def _energy(
    nitrogen: NDArray[np.float64], hydrogen: NDArray[np.float64], acceptor: NDArray[np.float64]
) -> float:
    """Return the energy of a bond from N-H to the C=O of a residue (4, 3)."""
    carbon, oxygen = acceptor[2], acceptor[3]
    return _CHARGES * (
        1 / _distance(oxygen, nitrogen)
        + 1 / _distance(carbon, hydrogen)
        - 1 / _distance(oxygen, hydrogen)
        - 1 / _distance(carbon, nitrogen)
    )


@part
def _find_helices(bond: NDArray[np.bool_], stretch: NDArray[np.int64], helix: NDArray[np.bool_]) -> None:
    """Mark helices: those of four residues a turn first, others where there is none of these."""
    n_residue = stretch.size
    four = np.zeros(n_residue + 1, np.bool_)
    for residue in range(1, n_residue - 4):
        if _turns(bond, stretch, residue, 4):
            four[residue : residue + 4] = True
    helix[:] = four[:n_residue]
    for size in (3, 5):
        for residue in range(1, n_residue - size):
            if not four[residue] and not four[residue + 1] and _turns(bond, stretch, residue, size):
                helix[residue : residue + size] = True


@part
def _turns(bond: NDArray[np.bool_], stretch: NDArray[np.int64], residue: int, size: int) -> bool:
    """Tell whether a turn begins at a residue, and another one at that before it."""
    return bool(
        bond[residue - 1, residue - 1 + size]
        and bond[residue, residue + size]
        and stretch[residue - 1] == stretch[residue + size]
    )


@part
def _find_strands(
    bond: NDArray[np.bool_],
    bonds: NDArray[np.int64],
    stretch: NDArray[np.int64],
    strand: NDArray[np.bool_],
) -> None:
    """Mark the residues of bridges; each kind has two bonds, of which one or the other is in the list."""
    strand[:] = False
    last = stretch.size - 1
    for at in range(len(bonds)):
        acceptor, donor = bonds[at, 0], bonds[at, 1]
        # Side by side: (i - 1, j) and (j, i + 1).
        if acceptor + 2 <= last and bond[donor, acceptor + 2]:
            _bridge(acceptor + 1, donor, stretch, strand)
        # Opposed: (i, j) and (j, i), or (i - 1, j + 1) and (j - 1, i + 1).
        if bond[donor, acceptor]:
            _bridge(acceptor, donor, stretch, strand)
        if donor >= 2 and acceptor + 2 <= last and bond[donor - 2, acceptor + 2]:
            _bridge(acceptor + 1, donor - 1, stretch, strand)


@part
def _bridge(i: int, j: int, stretch: NDArray[np.int64], strand: NDArray[np.bool_]) -> None:
    if abs(i - j) >= 3 and _is_middle(i, stretch) and _is_middle(j, stretch):
        strand[i] = strand[j] = True


@part
def _is_middle(residue: int, stretch: NDArray[np.int64]) -> bool:
    return bool(
        0 < residue < stretch.size - 1
        and stretch[residue - 1] == stretch[residue]
        and stretch[residue] == stretch[residue + 1]
    )


@part
def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return math.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2)
