"""What one pass over the frames of a protein finds, kept for each bond, centre and frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helixflow.structures.topology import Protein
from helixflow.trajectories.frames import Frames
from helixflow.trajectories.quality import geometry
from helixflow.trajectories.quality.images import image_distance

Floats = NDArray[np.float64]


@dataclass
class Extremes:
    """The greatest value of each of K things, and the time of it in ps."""

    values: Floats
    times: Floats

    @classmethod
    def of(cls, number: int) -> Extremes:
        """Begin without any frame."""
        return cls(np.full(number, -np.inf), np.full(number, np.nan))

    def update(self, values: Floats, times: Floats) -> None:
        """Take the values (F, K) of further frames in; those that are no number do not count."""
        if not values.size:
            return
        known = np.nan_to_num(values, nan=-np.inf)
        at, every = known.argmax(axis=0), np.arange(values.shape[1])
        greater = known[at, every] > self.values
        self.values[greater] = known[at, every][greater]
        self.times[greater] = times[at][greater]


@dataclass
class Changes:
    """In how many frames each of K things was not as at the start, and the time of the first, in ps."""

    frames: NDArray[np.int64]
    first: Floats

    @classmethod
    def of(cls, number: int) -> Changes:
        """Begin without any frame."""
        return cls(np.zeros(number, np.int64), np.full(number, np.nan))

    def update(self, changed: NDArray[np.bool_], times: Floats) -> None:
        """Take in what changed, (F, K), in further frames."""
        new = changed.any(axis=0) & (self.frames == 0)
        self.first[new] = times[changed.argmax(axis=0)][new]
        self.frames += changed.sum(axis=0)


class FrameMeasures:
    """Measures of all frames, taken in block by block.

    Attributes
    ----------
    times : list of float
        Of each frame, in ps.
    image_nm, steps_nm : list of float
        Of each frame the distance from its images, and the RMSD from the frame before it; that of the
        first is left out.
    lost : list of float
        Times of frames with a position that is not finite.
    bonds : Extremes
        nm of each bond.
    stretch : Extremes or None
        Of each bond, how many times it was as long as at rest, or as short; None where that is not known.
    hands, peptides : Changes
        Of each chiral centre and each peptide bond.
    start_cis : (P,) bool
        Peptide bonds that are cis at the start.
    """

    def __init__(self, protein: Protein, lengths_nm: Floats | None, start: Floats) -> None:
        """Prepare for the frames of a protein.

        Parameters
        ----------
        protein : Protein
        lengths_nm : (B,), optional
            Of each bond of the protein at rest.
        start : (A, 3)
            Whole molecules, to which hands and peptide bonds are compared.
        """
        self._lengths = lengths_nm
        self._pairs = geometry.pairs(protein.bonds)
        self.heavy = geometry.heavy_atoms(protein)
        self.centres = geometry.chiral_centres(protein)
        self.peptide_atoms = geometry.peptide_bonds(protein)
        self._start_left = geometry.left_handed(start[None], self.centres)[0]
        self.start_cis = geometry.is_cis(start[None], self.peptide_atoms)[0]
        self.times: list[float] = []
        self.image_nm: list[float] = []
        self.steps_nm: list[float] = []
        self.lost: list[float] = []
        self.bonds = Extremes.of(len(self._pairs))
        self.stretch = None if lengths_nm is None else Extremes.of(len(self._pairs))
        self.hands, self.peptides = Changes.of(len(self.centres)), Changes.of(len(self.peptide_atoms))
        self._last: Floats = np.empty((0, len(self.heavy), 3))

    def update(self, frames: Frames) -> None:
        """Take in a block of frames, whose molecules are whole and together."""
        positions, times = frames.positions, frames.times
        finite = np.asarray(np.isfinite(positions).all(axis=(1, 2)))
        self.times += times.tolist()
        self.lost += times[~finite].tolist()
        lengths = geometry.bond_lengths(positions, self._pairs)
        self.bonds.update(lengths, times)
        if self.stretch is not None and self._lengths is not None:
            with np.errstate(divide="ignore"):
                self.stretch.update(np.maximum(lengths / self._lengths, self._lengths / lengths), times)
        left = geometry.left_handed(positions, self.centres)
        cis = geometry.is_cis(positions, self.peptide_atoms)
        # What is not finite has neither hand, and is told as such.
        self.hands.update(np.logical_xor(left, self._start_left) & finite[:, None], times)
        self.peptides.update(np.logical_xor(cis, self.start_cis) & finite[:, None], times)
        self.image_nm += [image_distance(*frame) for frame in zip(positions, frames.boxes, strict=True)]
        joined = np.concatenate([self._last, positions[:, self.heavy]])
        self.steps_nm += geometry.steps_rmsd(joined).tolist() if len(joined) > 1 else []
        self._last = joined[-1:]
