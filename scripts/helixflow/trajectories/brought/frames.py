"""Frames of an XTC or TRR file, one at a time, without the index that MDAnalysis would leave beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.errors import SourceError

#: Positions in nm times this are whole numbers in an XTC file as GROMACS writes it.
PRECISION = 1000.0


@dataclass(frozen=True)
class Frame:
    """One frame: its number from 0, time in ps, positions (A, 3) and box vectors (3, 3) in nm."""

    number: int
    time: float
    step: int
    positions: NDArray[np.float32]
    box: NDArray[np.float32]
    precision: float


@dataclass
class FrameFile:
    """A trajectory and what it is called in messages; `empty` counts frames without positions, once read."""

    path: Path
    form: str
    origin: str
    empty: int = 0

    def count_atoms(self) -> int:
        """Return the number of atoms of each frame.

        Raises
        ------
        SourceError
            If the file does not begin as a trajectory does.
        """
        if not self.path.stat().st_size:
            raise SourceError(f"{self.origin}: is empty, expected a trajectory with frames (bring it again)")
        with self._open() as file:
            return int(file.n_atoms)

    def read(self) -> Iterator[Frame]:
        """Give the frames that have positions.

        Raises
        ------
        SourceError
            Naming the first frame that cannot be read; or if there is none with positions.
        """
        self.empty = kept = 0
        with self._open() as file:
            for number, frame in enumerate(self._frames(file)):
                # A TRR file may have frames of velocities or forces alone.
                if not getattr(frame, "hasx", True):
                    self.empty += 1
                    continue
                kept += 1
                yield Frame(
                    number, float(frame.time), int(frame.step), frame.x, frame.box,
                    float(getattr(frame, "prec", PRECISION)) or PRECISION,
                )  # fmt: skip
        if not kept:
            raise SourceError(
                f"{self.origin}: has no frame with positions, expected at least one (bring another file)"
            )

    def _frames(self, file: Any) -> Iterator[Any]:
        number, end = 0, 0
        while True:
            try:
                frame = file.read()
            except StopIteration:
                break
            except OSError as error:
                raise self._damaged(number, str(error)) from None
            number, end = number + 1, file._bytes_tell()
            yield frame
        # A frame that is cut off within its header reads like the end of the file.
        if end != self.path.stat().st_size:
            raise self._damaged(number, "bytes are left behind the last whole frame")

    def _damaged(self, number: int, reason: str) -> SourceError:
        return SourceError(
            f"{self.origin}: frame {number} cannot be read ({reason}); it is truncated or damaged: bring it "
            "again, or cut it before that frame with gmx trjconv -e"
        )

    @contextmanager
    def _open(self) -> Iterator[Any]:
        from MDAnalysis.lib.formats.libmdaxdr import TRRFile, XTCFile

        kind = {"xtc": XTCFile, "trr": TRRFile}[self.form]
        try:
            file = kind(str(self.path))
        except OSError as error:
            raise SourceError(
                f"{self.origin}: cannot be read as {self.form.upper()} ({error}), expected a trajectory of "
                "GROMACS"
            ) from None
        with file:
            yield file
