"""The measures of one replica, from its frames to a file, by all ranks of a communicator.

A frame is read once, by one rank. Blocks of frames are the same whatever the number of ranks, and rank 0 adds
up what is known of them in their order, so that any number of ranks writes the same bytes.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis import kernels, secondary
from helixflow.coanalysis.geometry import superpose
from helixflow.coanalysis.molecule import Molecule, read_molecule
from helixflow.coanalysis.parallel import agree, map_in_order
from helixflow.coanalysis.trajectory import Trajectory, find_frames, read_frames
from helixflow.errors import LimitError
from helixflow.structures.residues import read_residues

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

log = logging.getLogger(__name__)

#: Residues at most; a pair of them is kept as one number of 32 bits.
MOST_RESIDUES = 65_535


@dataclass(frozen=True)
class Settings:
    """What a contact is, and a neighbour; see `helixflow.coanalysis.measures`."""

    cutoff_nm: float
    heavy_cutoff_nm: float
    min_separation: int
    neighbour_radius_nm: float


@dataclass(frozen=True)
class Task:
    """What every rank knows; `reference` (N, 3) are the C-alphas of the first frame, in nm.

    `heavy` are the molecule's heavy atoms, and `heavy_starts` (N + 1,) where those of each residue begin.
    """

    molecule: Molecule
    trajectory: Trajectory
    settings: Settings
    reference: NDArray[np.float64]
    heavy: NDArray[np.int64]
    heavy_starts: NDArray[np.int64]


@dataclass(frozen=True)
class Contacts:
    """Pairs of residues in contact: how many in each frame (F,), and which, i * N + j, frame after frame."""

    counts: NDArray[np.int64]
    pairs: NDArray[np.uint32]


@dataclass(frozen=True)
class Part:
    """What is known of F frames.

    Attributes
    ----------
    rmsd_nm, rg_nm : (F,)
    contacts : dict of Contacts
        By criterion: alphas, heavy.
    helix, strand : (F, N) bool
    alphas : (F, N, 3) float32
        In nm, as the trajectory has them.
    neighbours : (N,) int64
        Sum over the frames.
    shift, square : (N, 3), (N,)
        Of the C-alphas' deviations from the reference after superposition, the sum and that of the squares.
    """

    rmsd_nm: NDArray[np.float64]
    rg_nm: NDArray[np.float64]
    contacts: dict[str, Contacts]
    helix: NDArray[np.bool_]
    strand: NDArray[np.bool_]
    alphas: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    shift: NDArray[np.float64]
    square: NDArray[np.float64]


def measure_replica(
    comm: Intracomm,
    residues: str,
    topology: str,
    trajectory: str,
    settings: Settings,
    output: str | os.PathLike[str],
) -> None:
    """Measure all frames of a replica; every rank calls this.

    Raises
    ------
    MismatchError, LimitError
        The same on all ranks; of several, that of the first frame.
    OSError
        On rank 0, where there is no room for the output.
    """
    task = comm.bcast(
        agree(comm, lambda: prepare(residues, topology, trajectory, settings) if comm.rank == 0 else None)
    )
    parts = map_in_order(comm, partial(measure_block, task=task), task.trajectory.blocks())
    if comm.rank > 0:
        deque(parts, maxlen=0)
        return
    # What writes is not needed by the other ranks.
    from helixflow.coanalysis.recording import write_measures
    from helixflow.coanalysis.whole import whole_h5

    with whole_h5(output) as file:
        write_measures(file, parts, task)
    log.info(
        "%d frames, %d residues, %d atoms, %d ranks",
        len(task.trajectory.times), len(task.molecule.residues), task.trajectory.atoms, comm.size,
    )  # fmt: skip


def prepare(residues: str, topology: str, trajectory: str, settings: Settings) -> Task:
    """Read and check everything but the frames behind the first."""
    known = read_residues(residues)
    if len(known) > MOST_RESIDUES:
        raise LimitError(
            f"{residues}: {len(known)} residues, expected {MOST_RESIDUES} at most; leave this structure out"
        )
    molecule = read_molecule(topology, known, residues)
    found = find_frames(trajectory, len(molecule.masses))
    first = read_frames(found, 0, 1, molecule)
    heavy = np.flatnonzero(molecule.heavy)
    task = Task(
        molecule=molecule,
        trajectory=found,
        settings=settings,
        reference=first[0, molecule.alphas].astype(np.float64),
        heavy=heavy,
        heavy_starts=np.searchsorted(molecule.residue_of[heavy], np.arange(len(known) + 1)),
    )
    # What is compiled for this frame is kept, so that the other ranks need not compile it too.
    measure_block((0, 1), task)
    return task


def measure_block(block: tuple[int, int], task: Task) -> Part:
    """Read the frames of a block and measure them."""
    molecule, settings = task.molecule, task.settings
    positions = read_frames(task.trajectory, *block, molecule)
    alphas = positions[:, molecule.alphas]
    deviation = superpose(alphas.astype(np.float64), task.reference) - task.reference
    square = (deviation**2).sum(axis=2)  # (F, N)
    helix, strand = (np.empty(alphas.shape[:2], np.bool_) for _ in range(2))
    secondary.assign(positions, molecule.backbone, molecule.donors, molecule.chains, helix, strand)
    radii, neighbours = np.empty(len(positions)), np.zeros(len(molecule.residues), np.int64)
    kernels.radii_of_gyration(positions, molecule.masses, radii)
    kernels.count_neighbours(positions, molecule.betas, settings.neighbour_radius_nm, neighbours)
    return Part(
        rmsd_nm=np.sqrt(square.mean(axis=1)),
        rg_nm=radii,
        contacts={
            "alphas": find_contacts(
                positions, molecule.alphas, np.arange(len(molecule.alphas) + 1), molecule.chains,
                settings.cutoff_nm, settings.min_separation,
            ),
            "heavy": find_contacts(
                positions, task.heavy, task.heavy_starts, molecule.chains,
                settings.heavy_cutoff_nm, settings.min_separation,
            ),
        },
        helix=helix,
        strand=strand,
        alphas=alphas,
        neighbours=neighbours,
        shift=deviation.sum(axis=0),
        square=square.sum(axis=0),
    )  # fmt: skip


def find_contacts(
    positions: NDArray[np.float32],
    atoms: NDArray[np.int64],
    starts: NDArray[np.int64],
    chains: NDArray[np.int64],
    cutoff: float,
    separation: int,
) -> Contacts:
    """Find the contacts of frames; see `helixflow.coanalysis.kernels.find_contacts`."""
    counts = np.empty(len(positions), np.int64)
    room = 8 * len(positions) * len(chains)
    while True:
        pairs = np.empty(room, np.uint32)
        found = kernels.find_contacts(
            positions, atoms, starts, chains, float(cutoff), separation, counts, pairs
        )
        if found <= room:
            return Contacts(counts, pairs[:found].copy())
        room = found
