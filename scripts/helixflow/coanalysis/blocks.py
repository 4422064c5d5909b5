"""The analysis of one block of frames, which is what a rank does at a time.

Frames are passed over twice: `survey_block` gives what belongs to each frame and the moments that mean
structure and components follow from, `project_block` what is told about them.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.components import Components
from helixflow.coanalysis.contacts import Features, mark_features, weigh_residues
from helixflow.coanalysis.embedding import Embedding
from helixflow.coanalysis.explained import cut_segments, segment_moments
from helixflow.coanalysis.measures import Measures
from helixflow.coanalysis.moments import Moments
from helixflow.coanalysis.motion import lay, rmsd_to

#: Frames of a block; fixed, so that sums do not depend on the number of ranks.
BLOCK_FRAMES = 512


@dataclass
class Task:
    """What every rank knows.

    `measures` are the replicas', `embedding` the residues' vectors, `features` the pairs whose contacts
    tell frames apart, and `reference` (N, 3) is what frames are laid on, in nm.
    """

    measures: list[Measures]
    embedding: Embedding
    criterion: str
    features: Features
    reference: NDArray[np.float64]

    @cached_property
    def firsts(self) -> list[int]:
        """The row of each replica's first frame among all."""
        return [0, *accumulate(measures.frames for measures in self.measures)]

    @cached_property
    def segments(self) -> list[tuple[int, int]]:
        """The segments of time that motion is explained in, see `helixflow.coanalysis.explained`."""
        return cut_segments([measures.frames for measures in self.measures])

    @property
    def segment_replicas(self) -> list[int]:
        """The replica of each of these segments, by its number."""
        return [bisect_right(self.firsts, start) - 1 for start, _ in self.segments]

    def blocks(self) -> list[Block]:
        """Cut all replicas into blocks."""
        return [
            Block(number, start, min(start + BLOCK_FRAMES, measures.frames))
            for number, measures in enumerate(self.measures)
            for start in range(0, measures.frames, BLOCK_FRAMES)
        ]


@dataclass(frozen=True)
class Block:
    """Frames `start` to `stop` (exclusive) of a replica, by its place among the measures."""

    replica: int
    start: int
    stop: int


@dataclass(frozen=True)
class Survey:
    """What is known of the frames of a block.

    `coherence` (F,) is the mean cosine of the pairs in contact and `embedding` (F, D) the mean vector of
    the residues in contact, both among linked residues and NaN without a contact. The moments are those of
    the coordinates (3N,) of frames laid on the reference, of the linked residues' weights (M,), and of the
    contacts (of `Features.pairs`).
    """

    block: Block
    coherence: NDArray[np.float64]
    embedding: NDArray[np.float32]
    motion: Moments
    weights: Moments
    contact: Moments


@dataclass(frozen=True)
class Spaces:
    """Mean structure (N, 3) of all replicas in nm, and the components that frames are projected on.

    `shuffled` has, for each shuffle of the M linked residues' vectors, what every residue's weight adds to a
    frame's coordinates along the components of the frames with these, (M, K).
    """

    mean: NDArray[np.float64]
    motion: Components
    embedding: Components
    contact: Components
    shuffled: list[NDArray[np.float64]]

    def by_name(self) -> dict[str, Components]:
        """Return the components by the name of their space."""
        return {"motion": self.motion, "embedding": self.embedding, "contact": self.contact}


@dataclass(frozen=True)
class Projection:
    """What is told of the frames of a block: RMSD to the mean structure (F,), and (F, K) in each space.

    `moments` are those of coordinates in a space and of motion, side by side, by the name of the space
    (of shuffled vectors: by their number) and by the number of the segment of time.
    """

    block: Block
    rmsd_nm: NDArray[np.float64]
    along: dict[str, NDArray[np.float64]]
    moments: dict[str | int, dict[int, Moments]]


def survey_block(block: Block, task: Task) -> Survey:
    """Read the contacts and C-alphas of a block of frames and sum them up."""
    weights, coherence, marks = _read_contacts(block, task)
    alphas = task.measures[block.replica].alphas(block.start, block.stop)
    rows = weights[:, task.embedding.linked]
    return Survey(
        block=block,
        coherence=coherence,
        embedding=(weights @ task.embedding.vectors).astype(np.float32),
        motion=Moments.of(lay(alphas, task.reference)),
        weights=Moments.of(rows[~np.isnan(coherence)]),
        contact=Moments.of(marks),
    )


def project_block(block: Block, task: Task, spaces: Spaces) -> Projection:
    """Read the contacts and C-alphas of a block of frames and project them."""
    weights, _, marks = _read_contacts(block, task)
    alphas = task.measures[block.replica].alphas(block.start, block.stop)
    rows = {
        "motion": lay(alphas, task.reference),
        "embedding": weights @ task.embedding.vectors,
        "contact": marks,
    }
    along = {name: space.project(rows[name]) for name, space in spaces.by_name().items()}
    explaining: dict[str | int, NDArray[np.float64]] = {
        name: along[name] for name in ("embedding", "contact")
    }
    explaining |= dict(enumerate(weights[:, task.embedding.linked] @ each for each in spaces.shuffled))
    first = task.firsts[block.replica] + block.start
    moments = {
        name: segment_moments(rows, along["motion"], first, task.segments)
        for name, rows in explaining.items()
    }
    return Projection(block, rmsd_to(alphas, spaces.mean), along, moments)


def _read_contacts(
    block: Block, task: Task
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the residues' weights (F, N), the coherence (F,) and the marks of the features (F, M)."""
    measures, embedding = task.measures[block.replica], task.embedding
    counts, pairs = measures.contacts(task.criterion, block.start, block.stop)
    weights, coherence = weigh_residues(counts, pairs, embedding.cosine, embedding.linked)
    return weights, coherence, mark_features(counts, pairs, task.features.pairs)
