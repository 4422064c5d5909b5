"""Frames of XTC and TRR files in blocks, so that no more of them is in memory than is measured at once.

No index is left beside a file, as MDAnalysis' own readers do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from helixflow.trajectories.headers import frame_fault

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Positions in memory at once, as float64 and a few copies of them.
_BLOCK_ATOMS = 500_000
#: Positions in nm times this are whole numbers in an XTC file, unless it says otherwise.
_PRECISION = 1000.0
#: Greater whole numbers stand in an XTC file for a position that is not finite, or are none it can hold.
_MOST = 2.1e9
#: Room that an atom takes at least, in nm3; a box with less than this an atom is none, but what a format
#: demands where there is no box (a cube of 1 Å).
_ATOM_NM3 = 0.005


@dataclass(frozen=True)
class Frames:
    """Consecutive frames.

    Attributes
    ----------
    times, steps : (F,)
        In ps, and of the integrator.
    boxes : (F, 3, 3)
        In nm; 0 where there is none.
    positions : (F, A, 3)
        In nm; NaN where the file has none that is finite.
    precisions : (F,)
        To so many steps of a nanometre positions are rounded.
    """

    times: Floats
    steps: Ints
    boxes: Floats
    positions: Floats
    precisions: Floats


class FrameReader:
    """The frames of a file, of which each pass gives those that have positions.

    Attributes
    ----------
    damage : str
        After the last frame that can be read, why the next one cannot; empty at the end of the file.
    empty : int
        Frames so far that have no positions, such as those of a TRR file with velocities alone.
    """

    def __init__(
        self, path: str | os.PathLike[str], atoms: int | Ints | None = None, form: str = "xtc"
    ) -> None:
        """Choose what is read.

        Parameters
        ----------
        path : path
        atoms : int or (A,) int, optional
            The first so many atoms of each frame, or those of these indices; all where left out.
        form : str
            xtc or trr.
        """
        self._path, self._form = Path(path), form
        self._atoms = atoms if isinstance(atoms, np.ndarray) else slice(atoms)
        self.damage, self.empty = "", 0

    def count_atoms(self) -> int:
        """Return the number of atoms of each frame of the file; OSError if it does not begin as it should."""
        with self._open() as file:
            return int(file.n_atoms)

    def first(self) -> Frames | None:
        """Read the first frame; None if there is none."""
        frame = next(self._read(), None)
        return None if frame is None else _block([frame])

    def __iter__(self) -> Iterator[Frames]:
        """Give the frames in blocks, none empty."""
        held: list[tuple[Any, ...]] = []
        for frame in self._read():
            held.append(frame)
            if (len(held) + 1) * len(frame[3]) > _BLOCK_ATOMS:
                yield _block(held)
                held = []
        if held:
            yield _block(held)

    def _read(self) -> Iterator[tuple[Any, ...]]:
        """Give the values of each frame, in the order of `Frames`."""
        self.damage, self.empty, end = "", 0, 0
        try:
            with self._open() as file, self._path.open("rb") as stream:
                while (frame := self._next(file, stream, end)) is not None:
                    end = file._bytes_tell()
                    if getattr(frame, "hasx", True):
                        yield self._values(frame, file.n_atoms)
                    else:
                        self.empty += 1
        except (OSError, ValueError, OverflowError) as error:  # what these readers raise on damage
            self.damage = str(error)
            return
        # A frame that is cut off within its header reads like the end of the file.
        if end != self._path.stat().st_size:
            self.damage = "bytes are left behind the last whole frame"

    def _next(self, file: Any, stream: BinaryIO, start: int) -> Any:
        """Read the frame that begins at a byte, None at the end; OSError if its header cannot be."""
        if fault := frame_fault(stream, start, self._form, file.n_atoms):
            raise OSError(fault)
        return next(file, None)

    def _values(self, frame: Any, atoms: int) -> tuple[Any, ...]:
        positions = frame.x[self._atoms].astype(np.float64)
        precision = float(getattr(frame, "prec", _PRECISION)) or _PRECISION
        if self._form == "xtc":
            positions[np.abs(positions) * precision > _MOST] = np.nan
        return frame.time, frame.step, _periodic(frame.box.astype(np.float64), atoms), positions, precision

    def _open(self) -> Any:
        """Open the file; OSError if its first frame cannot be."""
        from MDAnalysis.lib.formats.libmdaxdr import TRRFile, XTCFile

        with self._path.open("rb") as stream:
            if fault := frame_fault(stream, 0, self._form):
                raise OSError(fault)
        return {"xtc": XTCFile, "trr": TRRFile}[self._form](os.fspath(self._path))


def _periodic(box: Floats, atoms: int) -> Floats:
    """Return a box, 0 where it is none; OSError if it is not as GROMACS has it."""
    if not np.isfinite(box).all() or abs(np.linalg.det(box)) < _ATOM_NM3 * atoms:
        return np.zeros((3, 3))
    if np.abs(np.triu(box, 1)).max() > 1e-3 or box.diagonal().min() < 0:
        raise OSError("its box vectors are not in the lower triangle, where GROMACS has them")
    return box


def _block(held: list[tuple[Any, ...]]) -> Frames:
    times, steps, boxes, positions, precisions = map(np.array, zip(*held, strict=True))
    return Frames(times, steps.astype(np.int64), boxes, positions, precisions)
