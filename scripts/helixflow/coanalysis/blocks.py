"""The analysis of one block of frames, which is what a rank does at a time.

With the contact map C of a frame, the residues' vectors E and the matrix S of their cosines, nothing of
size D is worked out per contact: the mean of E over contacts is deg(C) @ E, the mean cosine is
<C, S> / <C, 1>, and the mean over frames of C @ E is mean(C) @ E.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.embedding import Embedding
from helixflow.coanalysis.geometry import contact_map, radius_of_gyration, superpose
from helixflow.coanalysis.molecule import Molecule
from helixflow.coanalysis.trajectory import Trajectory, read_frames

#: Frames of a block; fixed, so that sums do not depend on the number of ranks.
BLOCK_FRAMES = 64


@dataclass(frozen=True)
class Task:
    """What every rank knows: `eligible` (N, N) bool is which pairs can be contacts."""

    molecule: Molecule
    embedding: Embedding
    trajectories: list[Trajectory]
    eligible: NDArray[np.bool_]
    cutoff_nm: float
    min_separation: int

    def blocks(self) -> list[Block]:
        """Cut all trajectories into blocks."""
        return [
            Block(number, start, min(start + BLOCK_FRAMES, len(trajectory.offsets)))
            for number, trajectory in enumerate(self.trajectories)
            for start in range(0, len(trajectory.offsets), BLOCK_FRAMES)
        ]


@dataclass(frozen=True)
class Block:
    """Frames `start` to `stop` (exclusive) of a trajectory, by its number in the task."""

    trajectory: int
    start: int
    stop: int


@dataclass(frozen=True)
class Contacts:
    """Contacts of F frames.

    `count` (F,) pairs in contact; `coherence` (F,) their mean cosine and `embedding` (F, D) the mean
    vector of the residues in contact, both among linked residues and NaN without a contact;
    `pairs` (N, N) in how many of the frames each pair is in contact.
    """

    count: NDArray[np.int64]
    coherence: NDArray[np.float64]
    embedding: NDArray[np.float64]
    pairs: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """What is known of the frames of a block.

    `time_ps`, `rmsd_nm` and `rg_nm` are (F,); of the C-alphas' deviations from the first frame of the
    trajectory after superposition, `shift` (N, 3) is the sum and `square` (N,) that of the squares.
    """

    block: Block
    time_ps: NDArray[np.float64]
    rmsd_nm: NDArray[np.float64]
    rg_nm: NDArray[np.float64]
    contacts: Contacts
    shift: NDArray[np.float64]
    square: NDArray[np.float64]


def analyse_block(block: Block, task: Task) -> Part:
    """Read the frames of a block and analyse them."""
    trajectory = task.trajectories[block.trajectory]
    frames = read_frames(trajectory, block.start, block.stop, task.molecule)
    deviation = superpose(frames.alphas, trajectory.reference) - trajectory.reference
    square = (deviation**2).sum(axis=2)  # (F, N)
    return Part(
        block=block,
        time_ps=frames.times,
        rmsd_nm=np.sqrt(square.mean(axis=1)),
        rg_nm=np.array([radius_of_gyration(frame, task.molecule.masses) for frame in frames.positions]),
        contacts=count_contacts(frames.alphas, task.cutoff_nm, task.eligible, task.embedding),
        shift=deviation.sum(axis=0),
        square=square.sum(axis=0),
    )


def count_contacts(
    alphas: NDArray[np.float64], cutoff: float, eligible: NDArray[np.bool_], embedding: Embedding
) -> Contacts:
    """Count the contacts of frames, and weigh the residues' vectors with them.

    Parameters
    ----------
    alphas : (F, N, 3)
    cutoff : float
        In the unit of `alphas`.
    eligible : (N, N) bool
    embedding : Embedding
    """
    linked_pairs = np.logical_and.outer(embedding.linked, embedding.linked)
    degrees = np.empty(alphas.shape[:2])
    cosines, count = np.empty(len(alphas)), np.empty(len(alphas), np.int64)
    pairs = np.zeros(eligible.shape, np.int64)
    for frame, positions in enumerate(alphas):
        contact = contact_map(positions, cutoff, eligible)
        pairs += contact
        count[frame] = contact.sum() // 2
        linked = contact & linked_pairs
        degrees[frame] = linked.sum(axis=1)
        cosines[frame] = embedding.cosine[linked].sum()
    total = degrees.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return Contacts(count, cosines / total, degrees @ embedding.vectors / total[:, None], pairs)
