"""Frames of an XTC file, read in blocks and checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.molecule import Molecule
from helixflow.errors import MismatchError

#: C-alphas of neighbours farther apart than this, in nm, belong to a molecule that is not whole.
MAX_NEIGHBOUR_NM = 1.0


@dataclass(frozen=True)
class Trajectory:
    """One replica: its file, where each frame begins in it, and the C-alphas of its first frame in nm."""

    path: Path
    replica: int
    offsets: NDArray[np.int64]
    reference: NDArray[np.float64]


@dataclass(frozen=True)
class Frames:
    """Consecutive frames: times (F,) in ps, positions (F, A, 3) in nm as stored, C-alphas (F, N, 3)."""

    times: NDArray[np.float64]
    positions: NDArray[np.float32]
    alphas: NDArray[np.float64]


def open_trajectory(path: str | os.PathLike[str], replica: int, molecule: Molecule) -> Trajectory:
    """Find the frames of an XTC file, without the index file that MDAnalysis would leave beside it.

    Raises
    ------
    MismatchError
        If the file is not of this molecule, has no frames, or does not end with a whole frame.
    """
    path = Path(path)
    with _open(path) as xtc, _readable(path, "the last frame"):
        if xtc.n_atoms != len(molecule.masses):
            raise MismatchError(
                f"{path}: {xtc.n_atoms} atoms, expected the {len(molecule.masses)} of its topology; run again"
            )
        offsets = np.array(xtc.offsets, np.int64)
        xtc.seek(len(offsets) - 1)
        xtc.read()
        # What is left is a frame cut off within its header, which the count of frames leaves out.
        if xtc._bytes_tell() != path.stat().st_size:
            raise OSError("bytes are left after it")
    first = read_frames(Trajectory(path, replica, offsets, np.empty((0, 3))), 0, 1, molecule)
    return Trajectory(path, replica, offsets, first.alphas[0])


def read_frames(trajectory: Trajectory, start: int, stop: int, molecule: Molecule) -> Frames:
    """Read frames `start` to `stop` (exclusive, from 0).

    Raises
    ------
    MismatchError
        Naming the first frame that cannot be read, or whose molecule is not finite and whole.
    """
    times = np.empty(stop - start)
    positions = np.empty((stop - start, len(molecule.masses), 3), np.float32)
    with _open(trajectory.path) as xtc:
        xtc.set_offsets(trajectory.offsets)
        for frame in range(start, stop):
            with _readable(trajectory.path, f"frame {frame}"):
                xtc.seek(frame)
                content = xtc.read()
            times[frame - start], positions[frame - start] = content.time, content.x
    frames = Frames(times, positions, positions[:, molecule.alphas].astype(np.float64))
    _check_finite(frames, trajectory.path, start)
    _check_whole(frames, trajectory.path, start, molecule)
    return frames


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    with _readable(path, "the header"):
        xtc = XTCFile(os.fspath(path))
    with xtc:
        yield xtc


@contextmanager
def _readable(path: Path, what: str) -> Iterator[None]:
    """Say in one line what of a file cannot be read."""
    try:
        yield
    except OSError as error:
        raise MismatchError(
            f"{path}: {what} cannot be read ({error}); the file is truncated or damaged, make it again"
        ) from None


def _check_finite(frames: Frames, path: Path, start: int) -> None:
    broken = np.argwhere(~np.isfinite(frames.positions))
    if len(broken):
        frame, atom, _ = broken[0]
        raise MismatchError(
            f"{path}: frame {start + frame} ({frames.times[frame]:g} ps) has no finite position of atom "
            f"{atom + 1}; the simulation failed there, run it again"
        )


def _check_whole(frames: Frames, path: Path, start: int, molecule: Molecule) -> None:
    residues = molecule.neighbours()
    steps = frames.alphas[:, residues + 1] - frames.alphas[:, residues]
    distances = np.linalg.norm(steps, axis=2)
    broken = np.argwhere(distances > MAX_NEIGHBOUR_NM)
    if len(broken):
        frame, at = broken[0]
        raise MismatchError(
            f"{path}: frame {start + frame} ({frames.times[frame]:g} ps) has {distances[frame, at]:.2f} nm "
            f"between the C-alphas of {molecule.residues[residues[at]]} and of the next residue, expected at "
            f"most {MAX_NEIGHBOUR_NM:g}; make the molecules whole"
        )
