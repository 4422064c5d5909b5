"""Frames of XTC and TRR files, looked at before the library that reads them gets them.

It believes what a frame says of its size, and where that is wrong it writes beyond its memory, so that the
whole program ends with no message.
"""

from __future__ import annotations

import math
import os
import struct
from contextlib import suppress
from typing import BinaryIO, NamedTuple

import numpy as np

_XTC, _TRR = 1995, b"\x00\x00\x07\xc9\x00\x00\x00\x0d\x00\x00\x00\x0cGMX_trn_file"
#: Magic number, atoms, step, time, box, atoms again.
XTC_HEAD = struct.Struct(">iiif9fi")
#: Precision, least and greatest whole numbers, bits of a small step, and bytes.
PACKED = struct.Struct(">f3i3iii")
#: Behind the name of the format the bytes of ten parts (the third is the box; the last three positions,
#: velocities and forces), and atoms.
TRR_HEAD = struct.Struct(">10ii")
#: Bytes of the longest header, that of a TRR frame of double precision.
_LONGEST_HEAD = len(_TRR) + TRR_HEAD.size + 8 + 2 * 8
#: Frames of so few atoms are not packed.
FEW = 9


def frame_fault(stream: BinaryIO, start: int, form: str, atoms: int = 0) -> str:
    """Tell what is wrong with a frame.

    Parameters
    ----------
    stream : binary file
    start : int
        Where the frame begins.
    form : str
        xtc or trr.
    atoms : int, optional
        Those of the first frame; any number where left out.

    Returns
    -------
    str
        Empty where nothing is; also where the file ends within the frame's header.
    """
    fault = header_fault(stream, start, form, atoms)
    return fault or (_packed_fault(stream, start) if form == "xtc" else "")


def header_fault(stream: BinaryIO, start: int, form: str, atoms: int = 0) -> str:
    """Tell what is wrong with the header of a frame; parameters and what is returned as of `frame_fault`."""
    stream.seek(start)
    return {"xtc": _xtc_fault, "trr": _trr_fault}[form](stream, start, atoms)


def _trr_fault(stream: BinaryIO, start: int, atoms: int) -> str:
    name, head = stream.read(len(_TRR)), stream.read(TRR_HEAD.size)
    if not _TRR.startswith(name):
        return f"no TRR frame begins at byte {start}"
    if len(head) < TRR_HEAD.size:
        return ""
    *parts, found = TRR_HEAD.unpack(head)
    if found < 1 or found != (atoms or found):
        return f"it has {found} atoms, expected {atoms or 'at least 1'}"
    whole = [12 * found, 24 * found]
    if parts[2] not in (0, 36, 72) or any(part not in (0, *whole) for part in parts[-3:]):
        return f"its header has parts of {parts[2:3] + parts[-3:]} bytes for {found} atoms"
    return ""


def _xtc_fault(stream: BinaryIO, start: int, atoms: int) -> str:
    head = stream.read(XTC_HEAD.size)
    if len(head) < XTC_HEAD.size:
        return ""
    magic, first, *_, second = XTC_HEAD.unpack(head)
    if magic != _XTC:
        return f"no XTC frame begins at byte {start}"
    if first < 1 or (first, second) != (atoms or first, first):
        return f"it has {second if first == atoms else first} atoms, expected {atoms or second}"
    packed = stream.read(PACKED.size)
    if first <= FEW or len(packed) < PACKED.size:
        return ""
    precision, *numbers, _, length = PACKED.unpack(packed)
    sizes = [most - least + 1 for least, most in zip(numbers[:3], numbers[3:], strict=True)]
    if not 0 < precision < math.inf or min(sizes) < 1:
        return f"its header has precision {precision:g} and positions over {sizes} steps"
    left = os.fstat(stream.fileno()).st_size - stream.tell()
    return "" if 0 < length <= left else f"of {length} bytes of positions the XTC file has {left}"


def _packed_fault(stream: BinaryIO, start: int) -> str:
    """Tell what is wrong with the packed positions of a frame of an XTC file whose header is right."""
    # Loaded when it is needed: importing this file stays cheap.
    from helixflow.trajectories.packed import unpack_frame

    stream.seek(start)
    head = stream.read(XTC_HEAD.size + PACKED.size)
    if len(head) < XTC_HEAD.size + PACKED.size:
        return ""
    frame = head + stream.read(PACKED.unpack_from(head, XTC_HEAD.size)[-1])
    atoms = XTC_HEAD.unpack_from(head)[1]
    # An atom takes a bit at least; else no room is taken for as many as a damaged header tells of.
    if atoms <= FEW or (atoms < 8 * len(frame) and unpack_frame(frame, np.empty((atoms, 3), np.float32))):
        return ""
    return "its packed positions are damaged"


class Extent(NamedTuple):
    """Where a frame has its positions, in bytes from where it begins, and what else its header tells.

    `positions` is where they begin, 0 where it has none; `width` the bytes of a number; `size` of the frame;
    `precision` the steps of a nm that packed ones are told in, 0 of others.
    """

    time: float
    positions: int
    width: int
    size: int
    precision: float = 0.0


def frame_extent(stream: BinaryIO, start: int, form: str) -> Extent | None:
    """Read the extent of a frame that `header_fault` finds no fault in; None if its header is cut off."""
    stream.seek(start)
    head = stream.read(_LONGEST_HEAD)
    with suppress(struct.error):
        return {"xtc": _xtc_extent, "trr": _trr_extent}[form](head)
    return None


def _xtc_extent(head: bytes) -> Extent:
    _, atoms, _, time, *_ = XTC_HEAD.unpack_from(head)
    if atoms <= FEW:
        return Extent(time, XTC_HEAD.size, 4, XTC_HEAD.size + 12 * atoms)
    precision, *_, length = PACKED.unpack_from(head, XTC_HEAD.size)
    begin = XTC_HEAD.size + PACKED.size
    return Extent(time, begin, 4, begin + (length + 3) // 4 * 4, precision)


def _trr_extent(head: bytes) -> Extent:
    *parts, atoms = TRR_HEAD.unpack_from(head, len(_TRR))
    width = 8 if parts[2] == 72 or 24 * atoms in parts[-3:] else 4
    at = len(_TRR) + TRR_HEAD.size + 8  # behind step and number of energies
    (time,) = struct.unpack_from(">d" if width == 8 else ">f", head, at)
    begin = at + 2 * width + sum(parts[:7])
    return Extent(time, begin if parts[7] else 0, width, begin + sum(parts[7:]))
