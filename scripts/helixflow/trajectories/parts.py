"""Parts of the files that mdrun writes, cut at the ends of segments and joined byte for byte.

mdrun appends to files that it finds as its checkpoint says: their length and a checksum of their last
mebibyte. So a segment begins with files that have a hole where the segments before wrote, and their end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from helixflow.errors import SimulationError
from helixflow.files import whole_file

_BLOCK = 1 << 20
#: What is kept of a file's end for mdrun's checksum; GROMACS 2022 looks at a little more than a mebibyte.
TAIL = 4 << 20
_XTC = 1995
#: What GROMACS 2023 writes where a frame may be larger than 2 GB: its length is of 8 bytes.
_XTC_LARGE = 2023
_EDR_NAMES = -55555
_EDR_FRAME = -7777777
#: Bytes of the values of an energy block, by its type: int, float, double, int64, char.
_EDR_TYPES = {0: 4, 1: 4, 2: 8, 3: 8, 4: 4}


class Frame(NamedTuple):
    """One frame: its step, and where its bytes begin and end."""

    step: int
    start: int
    end: int


FrameReader = Callable[[BinaryIO], Iterator[Frame]]


def xtc_frames(stream: BinaryIO) -> Iterator[Frame]:
    """Give the whole frames of a compressed trajectory; half a frame at the end is left out."""
    size = os.fstat(stream.fileno()).st_size
    start = 0
    while (head := _read(stream, start, ">iii")) is not None:
        magic, atoms, step = head
        if magic not in (_XTC, _XTC_LARGE):
            raise SimulationError(f"{stream.name}: no .xtc frame at byte {start}; the file is damaged")
        # After the box and the number of atoms; up to nine atoms are not compressed.
        length_at, kind, width = start + 88, ">q" if magic == _XTC_LARGE else ">i", 4
        if atoms <= 9:
            end = start + 56 + 12 * atoms
        else:
            width = struct.calcsize(kind)
            length = _read(stream, length_at, kind)
            end = size + 1 if length is None else length_at + width + (length[0] + 3) // 4 * 4
        if end > size:
            return
        yield Frame(step, start, end)
        start = end


def edr_frames(stream: BinaryIO) -> Iterator[Frame]:
    """Give the whole frames of an energy file, of which the first begins behind the names of the terms."""
    size = os.fstat(stream.fileno()).st_size
    start = edr_header(stream)
    while (end := _edr_end(stream, start)) is not None and end <= size:
        # Behind the first real number, the magic number, the version and the time.
        yield Frame(struct.unpack(">q", _bytes(stream, start + 20, 8))[0], start, end)
        start = end


def edr_header(stream: BinaryIO) -> int:
    """Return how many bytes the names of the terms take at the begin of an energy file; 0 if not whole."""
    head = _read(stream, 0, ">iii")
    if head is None:
        return 0
    magic, _, terms = head
    if magic != _EDR_NAMES:
        raise SimulationError(f"{stream.name}: not an .edr file in single precision of GROMACS 4.6 or newer")
    at = 12
    for _ in range(2 * terms):
        length = _read(stream, at, ">i")
        if length is None:
            return 0
        at += 4 + (length[0] + 3) // 4 * 4
    return at


def _edr_end(stream: BinaryIO, start: int) -> int | None:
    """Find where an energy frame ends; None where the file ends before that is known."""
    # First number, magic, version, time, step, summed steps, steps, time step, terms, 0, blocks.
    head = _read(stream, start, ">fiidqiqdiii")
    if head is None or start == 0:
        return None
    if head[1] != _EDR_FRAME or head[2] != 5:
        raise SimulationError(f"{stream.name}: no .edr frame of version 5 at byte {start}")
    sums, terms, blocks = head[5], head[8], head[10]
    at = start + struct.calcsize(">fiidqiqdiii")
    inside = 0
    for _ in range(blocks):
        parts = _read(stream, at, ">ii")
        at += 8
        for _ in range(parts[1] if parts else 0):
            part = _read(stream, at, ">ii")
            if part is None:
                return None
            if part[0] not in _EDR_TYPES:
                raise SimulationError(f"{stream.name}: an energy block of type {part[0]} cannot be joined")
            inside += _EDR_TYPES[part[0]] * part[1]
            at += 8
    # Three integers end the header; a term has its value, and where there are sums, two more.
    return at + 12 + 4 * terms * (3 if sums > 0 else 1) + inside


def frame_steps(path: Path) -> list[int]:
    """Give the steps of the frames of an .xtc or .edr file."""
    reader: FrameReader = xtc_frames if path.suffix == ".xtc" else edr_frames
    with path.open("rb") as stream:
        return [frame.step for frame in reader(stream)]


def begin_part(tail: Path, length: int, final: Path) -> None:
    """Make a file of `length` bytes that ends as `tail` does, with a hole before."""
    with whole_file(final) as path, path.open("wb") as out:
        out.truncate(length)
        out.seek(length - tail.stat().st_size)
        with tail.open("rb") as stream:
            shutil.copyfileobj(stream, out, _BLOCK)


def end_part(grown: Path, begin: int, part: Path, tail: Path) -> None:
    """Take of a file what came after its first `begin` bytes, and its end for the part after."""
    length = grown.stat().st_size
    for start, final in ((begin, part), (max(0, length - TAIL), tail)):
        with grown.open("rb") as stream, whole_file(final) as path, path.open("wb") as out:
            stream.seek(start)
            shutil.copyfileobj(stream, out, _BLOCK)


def first_difference(grown: Path, tail: Path, length: int) -> int:
    """Find where a file that had `length` bytes and ended as `tail` does first became another one."""
    before = tail.read_bytes()
    start = length - len(before)
    now = _slice(grown, start, length)
    same = next((at for at, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), len(now))
    return start + same


def _slice(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as stream:
        return _bytes(stream, start, end - start)


def join_parts(parts: Sequence[Path], final: Path, interval: int, last_step: int) -> int:
    """Join the parts of a trajectory or of its energies, and see that every frame is there once.

    Parameters
    ----------
    parts : sequence of Path
        In the order they were written.
    final : Path
        Written, of the same kind as the parts by its suffix; one part alone is linked where that can be.
    interval, last_step : int
        Frames are at the multiples of the first up to the second.

    Returns
    -------
    int
        Frames.

    Raises
    ------
    SimulationError
        If a frame is missing, or there twice.
    """
    concatenate(parts, final)
    steps = frame_steps(final)
    expected = list(range(0, last_step + 1, interval))
    if steps != expected:
        pairs = zip([*steps, None], [*expected, None], strict=False)
        found, wanted = next((pair for pair in pairs if pair[0] != pair[1]), (None, None))
        raise SimulationError(
            f"{final}: its parts have {len(steps)} frames, expected {len(expected)}; where step {wanted} "
            f"should be there is {'none' if found is None else found}; remove the segments to run again"
        )
    return len(steps)


def concatenate(parts: Sequence[Path], final: Path) -> None:
    """Join files; one alone is linked where that can be."""
    with whole_file(final) as path:
        if len(parts) == 1:
            with contextlib.suppress(OSError):
                os.link(parts[0], path)
                return
        with path.open("wb") as out:
            for part in parts:
                with part.open("rb") as stream:
                    shutil.copyfileobj(stream, out, _BLOCK)


def _read(stream: BinaryIO, start: int, kind: str) -> tuple[int, ...] | None:
    read = _bytes(stream, start, struct.calcsize(kind))
    return struct.unpack(kind, read) if len(read) == struct.calcsize(kind) else None


def _bytes(stream: BinaryIO, start: int, count: int) -> bytes:
    stream.seek(start)
    return stream.read(count)
