"""Packed positions of a frame of an XTC file, taken apart without believing what they say of themselves.

The packing is that of `xdr3dfcoord` of GROMACS: positions are whole numbers, given in as many bits as the
range of the frame's needs, or as small steps from the atom before. No byte is read or written that is not
there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from helixflow.jit import kernel, part
from helixflow.trajectories.headers import PACKED, XTC_HEAD

#: Of steps of so many bits, how many there are along each axis.
RANGES = np.array(
    [
        *[0] * 9,
        *(8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 101, 128, 161, 203, 256, 322, 406, 512, 645, 812, 1024),
        *(1290, 1625, 2048, 2580, 3250, 4096, 5060, 6501, 8192, 10321, 13003, 16384, 20642, 26007, 32768),
        *(41285, 52015, 65536, 82570, 104031, 131072, 165140, 208063, 262144, 330280, 416127, 524287, 660561),
        *(832255, 1048576, 1321122, 1664510, 2097152, 2642245, 3329021, 4194304, 5284491, 6658042, 8388607),
        *(10568983, 13316085, 16777216),
    ],
    np.int64,
)
#: Positions whose range is wider are packed one number at a time.
_TOGETHER = 0xFFFFFF
#: Greater whole numbers stand for a position that is not finite, or are none that the format can hold.
_MOST = 2_100_000_000
#: Whole numbers of so many bits are told apart by floats.
_EXACT = 52
#: Bits of a small step at least.
_LEAST_BITS = 9


def unpack_frame(frame: bytes, positions: NDArray[np.float32]) -> bool:
    """Unpack the positions of a whole frame of an XTC file, whose header is right; see `unpack`."""
    precision, *numbers, bits, length = PACKED.unpack_from(frame, XTC_HEAD.size)
    begin = XTC_HEAD.size + PACKED.size
    packed = np.frombuffer(frame[begin : begin + length] + bytes(8), np.uint8)
    least, most = np.array(numbers[:3], np.int64), np.array(numbers[3:], np.int64)
    return unpack(packed, least, most - least + 1, np.int64(bits), precision, RANGES, positions)


@kernel
def unpack(
    packed: NDArray[np.uint8],
    least: NDArray[np.int64],
    sizes: NDArray[np.int64],
    bits: np.int64,
    precision: float,
    ranges: NDArray[np.int64],
    positions: NDArray[np.float32],
) -> bool:
    """Unpack the positions of one frame.

    Parameters
    ----------
    packed : (B + 8,) uint8
        Eight bytes more than there are.
    least, sizes : (3,) int64
        Of each axis the least whole number, and how many there are from it on.
    bits : int64
        Of the first small step.
    precision : float
        To so many steps of a nanometre positions are rounded.
    ranges : (73,) int64
        `RANGES`.
    positions : (A, 3) float32
        Filled, in nm; NaN where there is none that is finite.

    Returns
    -------
    bool
        Whether these are the positions of so many atoms and no more.
    """
    together = max(sizes[0], sizes[1], sizes[2]) <= _TOGETHER
    width_x, width_y, width_z = _bit_length(sizes[0]), _bit_length(sizes[1]), _bit_length(sizes[2])
    wide = _product_bits(sizes) if together else width_x + width_y + width_z
    inverse = np.float32(1.0) / np.float32(precision)
    end, at, atom, steps = 8 * (packed.size - 8), np.int64(0), np.int64(0), np.int64(0)
    while atom < positions.shape[0]:
        if at + wide + 1 > end or bits < _LEAST_BITS or bits >= ranges.size:
            return False
        if together:
            x, y, z = _read_three(packed, at, wide, sizes[1], sizes[2])
        else:
            x = np.int64(_read(packed, at, width_x))
            y = np.int64(_read(packed, at + width_x, width_y))
            z = np.int64(_read(packed, at + width_x + width_y, width_z))
        x, y, z = x + least[0], y + least[1], z + least[2]
        at += wide + 1
        change = np.int64(0)
        if _read(packed, at - 1, 1):
            if at + 5 > end:
                return False
            code = np.int64(_read(packed, at, 5))
            steps, change = code // 3, code % 3 - 1
            at += 5
        if atom + 1 + steps > positions.shape[0] or at + steps * bits > end:
            return False
        # The first two of a run are interchanged, as oxygen and hydrogen of water pack better so.
        _put(positions, atom + (steps > 0), x, y, z, inverse)
        size, half = ranges[bits], ranges[bits] // 2
        for number in range(steps):
            step_x, step_y, step_z = _read_three(packed, at, bits, size, size)
            x, y, z = x + step_x - half, y + step_y - half, z + step_z - half
            _put(positions, atom + (number + 1 if number else 0), x, y, z, inverse)
            at += bits
        atom += 1 + steps
        bits += change
    return True


@part
def _put(
    positions: NDArray[np.float32], atom: np.int64, x: np.int64, y: np.int64, z: np.int64, inverse: np.float32
) -> None:
    if max(abs(x), abs(y), abs(z)) > _MOST:
        positions[atom] = np.nan
    else:
        positions[atom, 0] = np.float32(x) * inverse
        positions[atom, 1] = np.float32(y) * inverse
        positions[atom, 2] = np.float32(z) * inverse


@part
def _word(packed: NDArray[np.uint8], byte: np.uint64) -> np.uint64:
    """Read eight bytes, the greatest first; a compiler makes one instruction of this."""
    # Unsigned places, so that none is looked at for counting from the end.
    return (
        np.uint64(packed[byte]) << np.uint64(56)
        | np.uint64(packed[byte + np.uint64(1)]) << np.uint64(48)
        | np.uint64(packed[byte + np.uint64(2)]) << np.uint64(40)
        | np.uint64(packed[byte + np.uint64(3)]) << np.uint64(32)
        | np.uint64(packed[byte + np.uint64(4)]) << np.uint64(24)
        | np.uint64(packed[byte + np.uint64(5)]) << np.uint64(16)
        | np.uint64(packed[byte + np.uint64(6)]) << np.uint64(8)
        | np.uint64(packed[byte + np.uint64(7)])
    )


@part
def _read(packed: NDArray[np.uint8], at: np.int64, bits: int | np.int64) -> np.uint64:
    """Read 1 to 57 bits, the greatest first."""
    word = _word(packed, np.uint64(at >> 3)) << np.uint64(at & 7)
    return word >> np.uint64(64 - bits)


@part
def _read_three(
    packed: NDArray[np.uint8], at: np.int64, bits: int | np.int64, size_y: np.int64, size_z: np.int64
) -> tuple[np.int64, np.int64, np.int64]:
    """Read three numbers that are packed into one, whose bytes come with the least first."""
    if bits > _EXACT:
        return _read_three_wide(packed, at, bits, size_y, size_z)
    word, whole = _word(packed, np.uint64(at >> 3)) << np.uint64(at & 7), np.uint64(bits & ~7)
    last = (word << whole) >> np.uint64(56) >> np.uint64(8 - (bits & 7))
    value = np.int64(_turn(word) & ((np.uint64(1) << whole) - np.uint64(1)) | last << whole)
    value, z = _split(value, size_z)
    x, y = _split(value, size_y)
    return x, y, z


@part
def _split(value: np.int64, size: np.int64) -> tuple[np.int64, np.int64]:
    """Divide numbers below 2**52 by floats, which is faster and off by one at most."""
    quotient = np.int64(np.float64(value) / np.float64(size))
    rest = value - quotient * size
    if rest < 0:
        return quotient - 1, rest + size
    return quotient, rest


@part
def _turn(word: np.uint64) -> np.uint64:
    """Turn the order of eight bytes; a compiler makes one instruction of this."""
    byte, two, four = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF), np.uint64(32)
    word = (word & byte) << np.uint64(8) | (word >> np.uint64(8)) & byte
    word = (word & two) << np.uint64(16) | (word >> np.uint64(16)) & two
    return word << four | word >> four


@part
def _read_three_wide(
    packed: NDArray[np.uint8], at: np.int64, bits: int | np.int64, size_y: np.int64, size_z: np.int64
) -> tuple[np.int64, np.int64, np.int64]:
    """Do the same with up to 72 bits."""
    low, high = np.uint64(0), np.uint64(0)
    for shift in range(0, bits, 8):
        byte = _read(packed, at + shift, min(8, int(bits) - shift))
        if shift < 64:
            low |= byte << np.uint64(shift)
        else:
            high |= byte << np.uint64(shift - 64)
    low, high, z = _divide(low, high, np.uint64(size_z))
    low, high, y = _divide(low, high, np.uint64(size_y))
    return np.int64(low), np.int64(y), np.int64(z)


@part
def _divide(low: np.uint64, high: np.uint64, size: np.uint64) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Divide a number of up to 72 bits by one of up to 24: quotient (low and high bits) and rest."""
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    rest = high % size
    upper = (rest << half) | (low >> half)
    lower = ((upper % size) << half) | (low & mask)
    return ((upper // size) << half) | (lower // size), high // size, lower % size


@part
def _bit_length(value: np.int64) -> int:
    length = 0
    while value > 0:
        value >>= 1
        length += 1
    return length


@part
def _product_bits(sizes: NDArray[np.int64]) -> int:
    """Return the length in bits of the product of three numbers of up to 24 bits each."""
    first = np.uint64(sizes[0]) * np.uint64(sizes[1])
    low, mask = first & np.uint64(0xFFFFFF), np.uint64(0xFFFFFF)
    size = np.uint64(sizes[2])
    lower = low * size
    upper = (first >> np.uint64(24)) * size + (lower >> np.uint64(24))
    top = _bit_length(np.int64(upper))
    return top + 24 if top else _bit_length(np.int64(lower & mask))
