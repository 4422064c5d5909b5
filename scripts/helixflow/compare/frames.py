"""Reader of trajectories: frames by their times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from helixflow.compare.atoms import superposed_rmsd
from helixflow.compare.records import Key, Measured, Number, Reader, Record, digest_of
from helixflow.errors import SourceError
from helixflow.trajectories.frames import FrameReader

Floats = NDArray[np.float64]

#: Added to times (ps), so that those before 0 can be put in order too.
_TIMES = 1e9


class Frame(NamedTuple):
    """A frame: its number from 1, time in ps, box (3, 3) and positions (A, 3), both in nm."""

    number: int
    time: float
    box: Floats
    positions: Floats


def frames_reader() -> Reader:
    """Read the frames of an XTC file by their times, with a block of them in memory."""
    return Reader("frame", _read_frames, _measure_frames, _frame_name)


def _read_frames(path: Path) -> Iterator[Record]:
    frames, number, turns, last = FrameReader(path), 0, 0, -np.inf
    for block in frames:
        for time, box, positions in zip(block.times, block.boxes, block.positions, strict=True):
            # Where time begins anew, as in trajectories that were put together, it names no frame alone.
            turns += bool(time <= last)
            number, last = number + 1, time
            content = repr(float(time)), box.tobytes(), positions.tobytes()
            frame = Frame(number, float(time), box, positions)
            yield Record((turns, _TIMES + float(time)), digest_of(*content), frame)
    if frames.damage:
        raise SourceError(f"{path} ends after frame {number} ({frames.damage}), expected a whole file")


def _frame_name(key: Key) -> str:
    return f"at {float(key[1]) - _TIMES:.7g} ps" + (f", turn {float(key[0]) + 1:g}" if key[0] else "")


def _measure_frames(a: Frame, b: Frame) -> Measured:
    """Compare two frames of one time; of several, how far they are apart at the first and at the last."""
    where = f"frame {a.number}" if a.number == b.number else f"frame {a.number} and {b.number}"
    if a.positions.shape != b.positions.shape:
        return Measured(f"{where}, atoms", (str(len(a.positions)), str(len(b.positions))))
    # Of positions that are no numbers, NaN in both is the same.
    moved = np.nan_to_num(np.linalg.norm(a.positions - b.positions, axis=1), nan=0.0)
    if not moved.any():
        boxes = [" ".join(f"{value:.5f}" for value in frame.box.ravel()) for frame in (a, b)]
        return Measured(f"{where}, box or what is no number", boxes)
    atom, rmsd = int(np.flatnonzero(moved)[0]), superposed_rmsd(a.positions, b.positions)
    told = [" ".join(f"{value:.3f}" for value in frame.positions[atom]) for frame in (a, b)]
    numbers = [
        Number("RMSD at the first frame that differs", rmsd, "nm", "first"),
        Number("RMSD at the last frame that differs", rmsd, "nm", "last"),
        Number("growth of the RMSD", rmsd, "times", "growth"),
        Number("time of the last frame that differs", a.time, "ps", "last"),
        Number("largest distance of an atom", float(moved.max()), "nm", "most"),
    ]
    return Measured(f"{where}, atom {atom + 1} (nm)", told, numbers)
