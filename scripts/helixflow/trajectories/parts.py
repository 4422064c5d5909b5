"""Frames of .xtc and .edr files by step, without unpacking them, so that parts are joined byte for byte.

mdrun writes a part at every start. A part begins with the state of the checkpoint, whose frame may be the
last of the part before; a part that was killed has frames behind its last checkpoint, and perhaps half a
frame at its end; one that was told to stop has an energy frame at whatever step that was.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from helixflow.errors import SimulationError
from helixflow.files import whole_file

_BLOCK = 1 << 20
_XTC = 1995
#: What GROMACS 2023 writes where a frame may be larger than 2 GB: its length is of 8 bytes.
_XTC_LARGE = 2023
_EDR_NAMES = -55555
_EDR_FRAME = -7777777
#: Bytes of the values of an energy block, by its type: int, float, double, int64, char.
_EDR_TYPES = {0: 4, 1: 4, 2: 8, 3: 8, 4: 4}


class Frame(NamedTuple):
    """One frame: its step, where its bytes begin and end, and over how many steps its energies are summed."""

    step: int
    start: int
    end: int
    steps: int = 0


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
        step, _, steps = struct.unpack(">qiq", _bytes(stream, start + 20, 20))
        yield Frame(step, start, end, steps)
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


def join_frames(parts: Sequence[Path], final: Path, frame_steps: int, last_step: int) -> int:
    """Join the parts of a trajectory or of its energies so that every frame is there once.

    Parameters
    ----------
    parts : sequence of Path
        In the order they were written; where two have a step, the later one's frame stands.
    final : Path
        Written, of the same kind as the parts by its suffix.
    frame_steps, last_step : int
        Frames are at the multiples of the first up to the second.

    Returns
    -------
    int
        Frames.

    Raises
    ------
    SimulationError
        If a frame is missing.
    """
    reader: FrameReader = xtc_frames if final.suffix == ".xtc" else edr_frames
    chosen = choose_frames(parts, reader, frame_steps)
    steps = [frame.step for frames in chosen for frame in frames]
    expected = list(range(0, last_step + 1, frame_steps))
    if steps != expected:
        lost = sorted(set(expected) - set(steps))
        raise SimulationError(
            f"{parts[0] if parts else final}: its parts have {len(steps)} frames, expected {len(expected)}"
            f"{f'; the first missing is at step {lost[0]}' if lost else ''}; remove the segments to run again"
        )
    with whole_file(final) as path, path.open("wb") as out:
        for number, (part, frames) in enumerate(zip(parts, chosen, strict=True)):
            with part.open("rb") as stream:
                if final.suffix == ".edr" and number == 0:
                    _copy(stream, 0, edr_header(stream), out)
                for start, end in _spans(frames):
                    _copy(stream, start, end, out)
    return len(steps)


def choose_frames(parts: Sequence[Path], reader: FrameReader, frame_steps: int) -> list[list[Frame]]:
    """Choose of every part the frames that no later part has, at multiples of `frame_steps`.

    The energies a part begins with sum no steps up, so there the frame of the part before stands.
    """
    chosen: list[list[Frame]] = []
    begin: Frame | None = None
    for part in reversed(parts):
        with part.open("rb") as stream:
            frames = [frame for frame in reader(stream) if frame.step % frame_steps == 0]
        kept = [frame for frame in frames if begin is None or frame.step < begin.step]
        if begin and begin.steps == 1 and begin.step in {frame.step for frame in frames}:
            kept.append(next(frame for frame in frames if frame.step == begin.step))
            later = next(frames for frames in reversed(chosen) if frames)
            later.remove(begin)
        chosen.append(kept)
        begin = kept[0] if kept else begin
    return chosen[::-1]


def _spans(frames: Sequence[Frame]) -> Iterator[tuple[int, int]]:
    """Give frames that lie side by side as one span."""
    span: tuple[int, int] | None = None
    for frame in frames:
        if span and span[1] == frame.start:
            span = (span[0], frame.end)
            continue
        if span:
            yield span
        span = (frame.start, frame.end)
    if span:
        yield span


def _copy(stream: BinaryIO, start: int, end: int, out: BinaryIO) -> None:
    stream.seek(start)
    while start < end:
        block = stream.read(min(_BLOCK, end - start))
        out.write(block)
        start += len(block)


def _read(stream: BinaryIO, start: int, kind: str) -> tuple[int, ...] | None:
    read = _bytes(stream, start, struct.calcsize(kind))
    return struct.unpack(kind, read) if len(read) == struct.calcsize(kind) else None


def _bytes(stream: BinaryIO, start: int, count: int) -> bytes:
    stream.seek(start)
    return stream.read(count)
