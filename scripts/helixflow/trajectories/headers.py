"""Frames of XTC and TRR files, looked at before the library that reads them gets them.

It believes what a frame says of its size, and where that is wrong it writes beyond its memory, so that the
whole program ends with no message.
"""

from __future__ import annotations

import math
import os
import struct
from typing import BinaryIO

_XTC, _TRR = 1995, b"\x00\x00\x07\xc9\x00\x00\x00\x0d\x00\x00\x00\x0cGMX_trn_file"
#: Magic number, atoms, step, time, box, atoms again.
_XTC_HEAD = struct.Struct(">iiif9fi")
#: Precision, least and greatest whole numbers, bits of a small step, and bytes.
_PACKED = struct.Struct(">f3i3iii")
#: Behind the name of the format the bytes of ten parts (the third is the box; the last three positions,
#: velocities and forces), and atoms.
_TRR_HEAD = struct.Struct(">10ii")
#: Frames of so few atoms are not packed.
_FEW = 9
#: Bits that a small step can have.
_LEAST_BITS, _MOST_BITS = 9, 72
#: Positions whose product would be too large are packed one by one.
_TOGETHER = 0xFFFFFF


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
    stream.seek(start)
    return {"xtc": _xtc_fault, "trr": _trr_fault}[form](stream, start, atoms)


def _trr_fault(stream: BinaryIO, start: int, atoms: int) -> str:
    name, head = stream.read(len(_TRR)), stream.read(_TRR_HEAD.size)
    if not _TRR.startswith(name):
        return f"no TRR frame begins at byte {start}"
    if len(head) < _TRR_HEAD.size:
        return ""
    *parts, found = _TRR_HEAD.unpack(head)
    if found < 1 or found != (atoms or found):
        return f"it has {found} atoms, expected {atoms or 'at least 1'}"
    whole = [12 * found, 24 * found]
    if parts[2] not in (0, 36, 72) or any(part not in (0, *whole) for part in parts[-3:]):
        return f"its header has parts of {parts[2:3] + parts[-3:]} bytes for {found} atoms"
    return ""


def _xtc_fault(stream: BinaryIO, start: int, atoms: int) -> str:
    head = stream.read(_XTC_HEAD.size)
    if len(head) < _XTC_HEAD.size:
        return ""
    magic, first, *_, second = _XTC_HEAD.unpack(head)
    if magic != _XTC:
        return f"no XTC frame begins at byte {start}"
    if first < 1 or (first, second) != (atoms or first, first):
        return f"it has {second if first == atoms else first} atoms, expected {atoms or second}"
    packed = stream.read(_PACKED.size)
    if first <= _FEW or len(packed) < _PACKED.size:
        return ""
    precision, *numbers, bits, length = _PACKED.unpack(packed)
    sizes = [most - least + 1 for least, most in zip(numbers[:3], numbers[3:], strict=True)]
    if not 0 < precision < math.inf or min(sizes) < 1:
        return f"its header has precision {precision:g} and positions over {sizes} steps"
    left = os.fstat(stream.fileno()).st_size - stream.tell()
    if not 0 < length <= left:
        return f"of {length} bytes of positions the XTC file has {left}"
    return "" if _fits(stream.read(length), first, sizes, bits) else "its packed positions are damaged"


def _fits(packed: bytes, atoms: int, sizes: list[int], bits: int) -> bool:
    """Walk over packed positions, and see that they are those of so many atoms and no more.

    A position is followed by a bit; where it is set five more tell how many of the next atoms are given as
    small steps, and how the bits of a small step change.
    """
    if max(sizes) > _TOGETHER:
        wide = sum(size.bit_length() for size in sizes)
    else:
        wide = math.prod(sizes).bit_length()
    end, at, steps = 8 * len(packed), 0, 0
    packed += bytes(2)
    while atoms > 0:
        at += wide
        if at >= end or not _LEAST_BITS <= bits <= _MOST_BITS:
            return False
        byte, shift = divmod(at, 8)
        six = (packed[byte] << 8 | packed[byte + 1]) >> (10 - shift) & 63
        at += 1
        change = 0
        if six > 31:
            steps, change = divmod(six - 32, 3)
            change -= 1
            at += 5
        atoms -= 1 + steps
        at += steps * bits
        bits += change
    return atoms == 0 and at <= end
