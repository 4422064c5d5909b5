"""Frames of an XTC file in blocks, so that no more of them is in memory than is measured at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Positions in memory at once, as float64 and a few copies of them.
_BLOCK_ATOMS = 500_000


@dataclass(frozen=True)
class Frames:
    """Consecutive frames: times (F,) in ps, steps (F,), boxes (F, 3, 3) and positions (F, A, 3) in nm."""

    times: Floats
    steps: NDArray[np.int64]
    boxes: Floats
    positions: Floats


class FrameReader:
    """The frames of an XTC file.

    Attributes
    ----------
    damage : str
        After the last frame that can be read, why the next one cannot; empty at the end of the file.
    """

    def __init__(self, path: str | os.PathLike[str], atoms: int) -> None:
        """Read the first `atoms` atoms of each frame."""
        self._path, self._atoms = Path(path), atoms
        self.damage = ""

    def __iter__(self) -> Iterator[Frames]:
        """Give the frames in blocks, none empty."""
        from MDAnalysis.lib.formats.libmdaxdr import XTCFile

        most = max(1, _BLOCK_ATOMS // self._atoms)
        held: list[tuple[float, int, Floats, Floats]] = []
        with XTCFile(os.fspath(self._path)) as xtc:
            frames = iter(xtc)
            while True:
                try:
                    frame = next(frames, None)
                except OSError as error:
                    self.damage, frame = str(error), None
                if frame is None:
                    break
                positions = frame.x[: self._atoms].astype(np.float64)
                held.append((frame.time, frame.step, frame.box.astype(np.float64), positions))
                if len(held) == most:
                    yield _block(held)
                    held = []
        if held:
            yield _block(held)


def _block(held: list[tuple[float, int, Floats, Floats]]) -> Frames:
    times, steps, boxes, positions = zip(*held, strict=True)
    return Frames(np.array(times), np.array(steps, np.int64), np.array(boxes), np.array(positions))
