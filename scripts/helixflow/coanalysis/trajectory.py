"""Frames of XTC and TRR files, found by one rank, read by all in blocks, and checked.

No index is left beside a file, as MDAnalysis' readers do. What is damaged is found here: nothing that a file
says of itself is believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from helixflow.coanalysis.kernels import FAR, NEAR, NOT_FINITE, TORN, WHOLE, find_broken
from helixflow.coanalysis.molecule import Molecule
from helixflow.errors import MismatchError
from helixflow.trajectories.headers import FEW, Extent, frame_extent, header_fault
from helixflow.trajectories.packed import unpack_frame

#: C-alphas of neighbours nearer than this, in nm, are none of a protein; cis ones are 0.29 nm apart.
MIN_NEIGHBOUR_NM = 0.2
#: No box reaches this far, in nm.
MAX_PLACE_NM = 1e5
#: C-alphas of neighbours farther apart than this, in nm, belong to a molecule that is not whole.
MAX_NEIGHBOUR_NM = 1.0
#: So does an atom farther from its residue's C-alpha; that of a stretched arginine is at 0.9 nm at most.
MAX_ATOM_NM = 1.5
#: Positions of a block at most, so that memory is bounded for molecules of any size.
_BLOCK_ATOMS = 500_000
#: Frames of a block at most; fixed, so that sums do not depend on the number of ranks.
BLOCK_FRAMES = 64


@dataclass(frozen=True)
class Trajectory:
    """A file of T frames of A atoms.

    Attributes
    ----------
    path : Path
    form : str
        xtc or trr.
    atoms : int
    offsets : (T + 1,)
        Where each frame begins, and where the last one ends.
    times : (T,)
        In ps.
    """

    path: Path
    form: str
    atoms: int
    offsets: NDArray[np.int64]
    times: NDArray[np.float64]

    def blocks(self) -> list[tuple[int, int]]:
        """Cut the frames into blocks: the first of each, and that behind its last."""
        step = max(1, min(BLOCK_FRAMES, _BLOCK_ATOMS // self.atoms))
        return [(start, min(start + step, len(self.times))) for start in range(0, len(self.times), step)]

    def place(self, frame: int) -> str:
        """Name the file and a frame."""
        return f"{self.path}: frame {frame} ({self.times[frame]:g} ps)"


def find_frames(path: str | os.PathLike[str], atoms: int) -> Trajectory:
    """Walk over the headers of a trajectory.

    Parameters
    ----------
    path : path
        An XTC or TRR file.
    atoms : int
        Those that each frame must have.

    Raises
    ------
    MismatchError
        If the file has no frames, is of another molecule, does not end with a whole frame, has a frame
        without positions or of another precision, or its times do not ascend.
    """
    path = Path(path)
    with _open(path) as stream:
        form = "trr" if stream.read(4) == b"\x00\x00\x07\xc9" else "xtc"
        extents = list(_walk(stream, path, form, atoms))
    if not extents:
        raise MismatchError(f"{path}: no frame, expected one at least; simulate again")
    offsets = np.cumsum([0, *(extent.size for extent in extents)])
    times = np.array([extent.time for extent in extents])
    trajectory = Trajectory(path, form, atoms, offsets, times)
    _check_times(trajectory)
    return trajectory


def read_frames(trajectory: Trajectory, start: int, stop: int, molecule: Molecule) -> NDArray[np.float32]:
    """Read frames `start` to `stop` (exclusive, from 0).

    Returns
    -------
    (F, A, 3) float32
        In nm.

    Raises
    ------
    MismatchError
        Naming the first frame that cannot be read, or whose molecule is not finite and whole.
    """
    positions = np.empty((stop - start, trajectory.atoms, 3), np.float32)
    with _open(trajectory.path) as stream:
        for frame in range(start, stop):
            fault = _read_frame(stream, trajectory, frame, positions[frame - start])
            if fault:
                raise MismatchError(
                    f"{trajectory.place(frame)} cannot be read ({fault}); the file is damaged, make it again"
                )
    _check(trajectory, positions, start, molecule)
    return positions


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise MismatchError(f"{path}: cannot be opened ({error.strerror}); make it again") from None


def _walk(stream: BinaryIO, path: Path, form: str, atoms: int) -> Iterator[Extent]:
    """Give the extent of each frame."""
    end, start, number, time, precision = os.fstat(stream.fileno()).st_size, 0, 0, "", 0.0
    while start < end:
        fault = header_fault(stream, start, form, atoms)
        extent = None if fault else frame_extent(stream, start, form)
        if extent is None or start + extent.size > end:
            fault = fault or f"the file ends {end - start} bytes behind where it begins"
            raise MismatchError(
                f"{path}: frame {number}{time} cannot be read ({fault}); the file is truncated, damaged or "
                "of another molecule, make it again"
            )
        if not extent.positions:
            raise MismatchError(
                f"{path}: frame {number} ({extent.time:g} ps) has no positions, expected those of {atoms} "
                "atoms; write a trajectory of the frames that have some"
            )
        precision = precision or extent.precision
        if extent.precision != precision:
            raise MismatchError(
                f"{path}: frame {number} ({extent.time:g} ps) has precision {extent.precision:g}, expected "
                f"{precision:g} as the first frame; the file is damaged or joined of two kinds, make it again"
            )
        yield extent
        start, number, time = start + extent.size, number + 1, f" (behind {extent.time:g} ps)"


def _check_times(trajectory: Trajectory) -> None:
    times = trajectory.times
    ascending = np.diff(times, prepend=-np.inf) > 0
    wrong = np.flatnonzero(~(ascending & np.isfinite(times)))
    if len(wrong):
        before = f" behind one of {times[wrong[0] - 1]:g} ps" if wrong[0] else ""
        raise MismatchError(
            f"{trajectory.place(wrong[0])} stands{before}, expected times that ascend and are finite; its "
            "parts were joined wrongly, join them again (gmx trjcat)"
        )


def _read_frame(stream: BinaryIO, trajectory: Trajectory, frame: int, positions: NDArray[np.float32]) -> str:
    """Read positions (A, 3) of a frame; return what is wrong with them."""
    begin, end = (int(offset) for offset in trajectory.offsets[frame : frame + 2])
    extent = frame_extent(stream, begin, trajectory.form)
    if extent is None or extent.size != end - begin or extent.time != trajectory.times[frame]:
        return "it is another than at first"
    stream.seek(begin)
    content = stream.read(end - begin)
    if trajectory.form == "xtc" and trajectory.atoms > FEW:
        return "" if unpack_frame(content, positions) else "its packed positions are damaged"
    kind: Any = np.dtype(">f8" if extent.width == 8 else ">f4")
    positions[:] = np.frombuffer(content, kind, positions.size, extent.positions).reshape(-1, 3)
    return ""


def _check(trajectory: Trajectory, positions: NDArray[np.float32], start: int, molecule: Molecule) -> None:
    """Raise MismatchError for the first frame whose molecule is not finite and whole."""
    frame, kind, at = find_broken(
        positions, molecule.residue_of, molecule.alphas, molecule.chains,
        MIN_NEIGHBOUR_NM, MAX_NEIGHBOUR_NM, MAX_ATOM_NM, MAX_PLACE_NM,
    )  # fmt: skip
    if kind == WHOLE:
        return
    place, of_frame = trajectory.place(start + frame), positions[frame]
    if kind == NOT_FINITE:
        raise MismatchError(
            f"{place} has no finite position of atom {at + 1}; the simulation failed there, run it again"
        )
    if kind == FAR:
        raise MismatchError(
            f"{place} has atom {at + 1} at {np.abs(of_frame[at]).max():g} nm, expected at most "
            f"{MAX_PLACE_NM:g}; the file is damaged, make it again"
        )
    if kind == NEAR:
        near = np.linalg.norm(np.subtract(*of_frame[molecule.alphas[at : at + 2]]))
        raise MismatchError(
            f"{place} has {near:.2f} nm between the C-alphas of {molecule.residues[at]} and of the "
            f"next residue, expected at least {MIN_NEIGHBOUR_NM:g}; the file is damaged, make it again"
        )
    alpha = of_frame[molecule.alphas[at if kind == TORN else molecule.residue_of[at]]]
    advice = "make the molecules whole (gmx trjconv -pbc whole)"
    if kind == TORN:
        other, most = of_frame[molecule.alphas[at + 1]], MAX_NEIGHBOUR_NM
        what = f"the C-alphas of {molecule.residues[at]} and of the next residue"
        advice += (
            "; if a loop is missing there or the chain breaks, model it or give its parts chains of their own"
        )
    else:
        other, most = of_frame[at], MAX_ATOM_NM
        what = f"atom {at + 1} and the C-alpha of its residue {molecule.residues[molecule.residue_of[at]]}"
    raise MismatchError(
        f"{place} has {np.linalg.norm(other - alpha):.2f} nm between {what}, expected at most {most:g}; "
        f"{advice}"
    )
