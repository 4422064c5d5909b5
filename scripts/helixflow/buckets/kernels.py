"""The loops over bases and ids, compiled by numba.

No compiled function calls what another file has, since a change of that would not renew what is compiled of
the caller. An array has one type at every call, or there would be several compilations.

A kernel that hashes is called with ``(codes, first, starts, marks, ids, *tables)``, codes being those of
`parsing`: it writes the ids of all windows that end at `first` or behind, in order, and how many of them lie
before each of `starts`, places in `codes` in ascending order. It returns the number of ids.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from helixflow.buckets.parsing import BREAK, PAD
from helixflow.jit import kernel, part

#: Bases of a word, the row of a table of planes at most.
WORD = 5
#: Ends of windows whose words are made at a time.
_TILE = 4096
#: Codes that are looked at together for a break.
_STRIDE = 32


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _sides(
    context: Any, table: Any, words: Any, at: Any, whole: Any, width: Any, rest: Any, lanes: Any
) -> Any:
    """Add rows of a table lane by lane, and return which lanes of the sum are below zero, a bit each.

    The rows are those of the words of `width` bases that end at ``at``, ``at - width``, ... (`whole` of
    them), then that of the low bits, `rest`, of the one before. LLVM's vectors, unlike loops over an
    array, keep all lanes of the sum in registers, and give all signs in one instruction.
    """
    n_lane = lanes.literal_value
    signature = types.uint64(table, words, types.uint64, types.uint64, types.uint64, types.uint64, lanes)

    def generate(target: Any, builder: Any, call: Any, arguments: Any) -> Any:
        rows, word = (
            target.make_array(kind)(target, builder, value).data
            for kind, value in zip(call.args[:2], arguments[:2], strict=True)
        )
        at, whole, width, rest = arguments[2:6]
        count = ir.IntType(64)
        words_of_chunk = builder.shl(count(1), builder.shl(width, count(1)))
        vector = ir.VectorType(ir.IntType(table.dtype.bitwidth), n_lane)

        def row(chunk: Any, low: Any = None) -> Any:
            place = builder.sub(at, builder.mul(chunk, width))
            found = builder.zext(builder.load(builder.gep(word, [place])), count)
            found = builder.and_(found, low) if low else found
            number = builder.add(builder.mul(chunk, words_of_chunk), found)
            begin = builder.gep(rows, [builder.mul(number, count(n_lane))])
            lanes_of_row = builder.load(builder.bitcast(begin, vector.as_pointer()))
            lanes_of_row.align = table.dtype.bitwidth // 8
            return lanes_of_row

        total = cgutils.alloca_once_value(builder, row(whole, rest))
        with cgutils.for_range(builder, whole) as loop:
            builder.store(builder.add(builder.load(total), row(loop.index)), total)
        zero = ir.Constant(vector, [0] * n_lane)
        signs = builder.icmp_signed("<", builder.load(total), zero)
        bits = builder.bitcast(signs, ir.IntType(n_lane))
        return bits if n_lane == 64 else builder.zext(bits, count)

    return signature, generate


@part
def _run_end(codes: NDArray[np.uint8], begin: int) -> int:
    """Return where the next break is, looking at many codes at a time."""
    end = np.uint64(begin)
    while end + np.uint64(_STRIDE) <= np.uint64(codes.size):
        any_bits = np.uint8(0)
        for offset in range(np.uint64(_STRIDE)):
            any_bits |= codes[end + offset]
        if any_bits >= BREAK:
            break
        end += np.uint64(_STRIDE)
    while end < np.uint64(codes.size) and codes[end] < BREAK:
        end += np.uint64(1)
    return int(end)


@part
def _planes(
    codes: NDArray[np.uint8],
    first: int,
    starts: NDArray[np.int64],
    marks: NDArray[np.int64],
    ids: NDArray[np.uint32],
    table: NDArray[Any],
    k: int,
    width: int,
    strands: int,
    modulus: int,
) -> int:
    """Hash by hyperplanes: bit j of an id says whether lane j of the sum of rows is below zero.

    Parameters
    ----------
    table : (chunks * 4^width * lanes,) int8 or int64
        A row for every word of every chunk of `width` bases, the last chunk of a k-mer first. Of 64
        lanes, the first 32 are of the strand that is read, the others of the other one, and the smaller
        of the two is the id; of one strand, all 32 are.
    modulus : int
        What the ids of both strands are taken modulo, 0 for nothing.
    """
    fold = np.uint64(modulus)
    words = np.zeros(_TILE + 64, np.uint16)
    whole = np.uint64((k - 1) // width)
    mask = np.uint16((1 << (2 * width)) - 1)
    rest = np.uint64((1 << (2 * (k - (k - 1) // width * width))) - 1)
    n, record, begin = np.uint64(0), 0, PAD
    while begin < codes.size:
        while record < starts.size and starts[record] <= begin:
            marks[record] = n
            record += 1
        end = _run_end(codes, begin)
        for tile in range(max(begin + k - 1, first), end, _TILE):
            back = tile - k + 1
            stop = min(tile + _TILE, end)
            _fill_words(codes[back - PAD : stop], words, mask)
            for at in range(np.uint64(k - 1), np.uint64(stop - back)):
                if strands == 2:
                    sides = _sides(table, words, at, whole, np.uint64(width), rest, 64)
                    one, other = sides & np.uint64(0xFFFFFFFF), sides >> np.uint64(32)
                    if fold:
                        one, other = one % fold, other % fold
                    ids[n] = min(one, other)
                else:
                    ids[n] = _sides(table, words, at, whole, np.uint64(width), rest, 32)
                n += np.uint64(1)
        begin = end + 1
    marks[record:] = n
    return int(n)


@kernel
def planes(
    codes: NDArray[np.uint8],
    first: int,
    starts: NDArray[np.int64],
    marks: NDArray[np.int64],
    ids: NDArray[np.uint32],
    table: NDArray[np.int8],
    k: int,
    width: int,
    strands: int,
) -> int:
    """Hash by planes whose sums have 8 bits; see `_planes`."""
    return _planes(codes, first, starts, marks, ids, table, k, width, strands, 0)


@kernel
def wide_planes(
    codes: NDArray[np.uint8],
    first: int,
    starts: NDArray[np.int64],
    marks: NDArray[np.int64],
    ids: NDArray[np.uint32],
    table: NDArray[np.int64],
    k: int,
    width: int,
    strands: int,
    modulus: int,
) -> int:
    """Hash by planes whose sums have 64 bits; see `_planes`."""
    return _planes(codes, first, starts, marks, ids, table, k, width, strands, modulus)


@part
def _fill_words(codes: NDArray[np.uint8], words: NDArray[np.uint16], mask: np.uint16) -> None:
    """Write the last bases, at most 5, at every place but the first 4, two bits each."""
    for i in range(np.uint64(codes.size - PAD)):
        word = np.uint16(codes[i] & 3)
        for back in range(1, WORD):
            word = np.uint16(word << 2 | (codes[i + np.uint64(back)] & 3))
        words[i] = word & mask


@part
def _mix64(value: np.uint64) -> np.uint64:
    """Hash 64-bit integers one to one (the finaliser of MurmurHash3, Appleby, public domain)."""
    value = np.uint64(value)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@kernel
def short_hash(
    codes: NDArray[np.uint8],
    first: int,
    starts: NDArray[np.int64],
    marks: NDArray[np.int64],
    ids: NDArray[np.uint32],
    k: int,
    bits: int,
    seed: np.uint64,
) -> int:
    """Hash canonical k-mers of at most 32 bases, a number of 2k bits, to the upper `bits` of 64."""
    two, three, place = np.uint64(2), np.uint64(3), np.uint64(2 * (k - 1))
    mask, drop = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - 2 * k), np.uint64(64 - bits)
    salt, kmers = _mix64(seed), np.empty(_TILE, np.uint64)
    n, record, begin = np.uint64(0), 0, max(PAD, first - k + 1)
    while begin < codes.size:
        while record < starts.size and starts[record] <= begin:
            marks[record] = n
            record += 1
        kmer = other = np.uint64(0)
        end, whole = _run_end(codes, begin), max(begin + k - 1, first)
        for at in range(begin, min(whole, end)):
            base = np.uint64(codes[at])
            kmer = (kmer << two | base) & mask
            other = other >> two | (three - base) << place
        for tile in range(whole, end, _TILE):
            # Apart, since a loop without a number that is carried on becomes vectors.
            size = np.uint64(min(_TILE, end - tile))
            for i in range(size):
                base = np.uint64(codes[np.uint64(tile) + i])
                kmer = (kmer << two | base) & mask
                other = other >> two | (three - base) << place
                kmers[i] = min(kmer, other)
            for i in range(size):
                ids[n + i] = _mix64(kmers[i] ^ salt) >> drop
            n += size
        begin = end + 1
    marks[record:] = n
    return int(n)


@kernel
def long_hash(
    codes: NDArray[np.uint8],
    first: int,
    starts: NDArray[np.int64],
    marks: NDArray[np.int64],
    ids: NDArray[np.uint32],
    k: int,
    bits: int,
    seed: np.uint64,
) -> int:
    """Hash canonical k-mers of 33 to 63 bases, two numbers of 64 bits, as `short_hash` does one."""
    two, three, top = np.uint64(2), np.uint64(3), np.uint64(62)
    place, mask = np.uint64(2 * (k - 33)), np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(128 - 2 * k)
    n, record, begin = 0, 0, max(PAD, first - k + 1)
    while begin < codes.size:
        while record < starts.size and starts[record] <= begin:
            marks[record] = n
            record += 1
        high = low = other_high = other_low = np.uint64(0)
        at, whole = begin, max(begin + k - 1, first)
        while at < codes.size and codes[at] < BREAK:
            base = np.uint64(codes[at])
            high = (high << two | low >> top) & mask
            low = low << two | base
            other_low = other_low >> two | other_high << top
            other_high = other_high >> two | (three - base) << place
            if at >= whole:
                smaller = high < other_high or (high == other_high and low < other_low)
                upper, lower = (high, low) if smaller else (other_high, other_low)
                ids[n] = _mix64(lower ^ _mix64(upper ^ seed)) >> np.uint64(64 - bits)
                n += 1
            at += 1
        begin = at + 1
    marks[record:] = n
    return n


@kernel
def spaced(
    codes: NDArray[np.uint8],
    first: int,
    starts: NDArray[np.int64],
    marks: NDArray[np.int64],
    ids: NDArray[np.uint32],
    spans: NDArray[np.int64],
    pieces: NDArray[np.int64],
    shifts: NDArray[np.uint64],
    masks: NDArray[np.uint64],
    bitmap: NDArray[np.uint64],
    ranks: NDArray[np.uint32],
    places: NDArray[np.int64],
) -> int:
    """Hash by patterns: the chosen bits of the smaller strand, ranked among those that occur, a table each.

    Parameters
    ----------
    spans : (t,) int64
        Bases that the pattern of each table spans, at most 32.
    pieces : (t + 1,) int64
        Where in `shifts` and `masks` the pieces of each pattern begin.
    shifts, masks : (p,) uint64
        A piece is the bits ``kmer >> shift & mask``, ``mask`` being 2^w - 1; the first is the highest.
    bitmap : (b,) uint64
        The values of each pattern that occur, from ``64 * places[t]`` on.
    ranks : (b,) uint32
        Ids below those of each word of `bitmap`, of all tables before included.
    places : (t,) int64
        Where in `bitmap` each table begins.
    """
    longest = spans.max()
    two, three, top = np.uint64(2), np.uint64(3), np.uint64(2 * (longest - 1))
    n, record, begin = 0, 0, max(PAD, first - longest + 1)
    while begin < codes.size:
        while record < starts.size and starts[record] <= begin:
            marks[record] = n
            record += 1
        kmer = other = np.uint64(0)
        at = begin
        while at < codes.size and codes[at] < BREAK:
            base = np.uint64(codes[at])
            kmer = kmer << two | base
            other = other >> two | (three - base) << top
            if at >= first:
                for table in range(spans.size):
                    if at - begin + 1 < spans[table]:
                        continue
                    reverse = other >> np.uint64(2 * (longest - spans[table]))
                    value = other_value = np.uint64(0)
                    for piece in range(pieces[table], pieces[table + 1]):
                        width = _popcount(masks[piece])
                        value = value << width | (kmer >> shifts[piece] & masks[piece])
                        other_value = other_value << width | (reverse >> shifts[piece] & masks[piece])
                    value = min(value, other_value)
                    word = places[table] + np.int64(value >> np.uint64(6))
                    below = (np.uint64(1) << (value & np.uint64(63))) - np.uint64(1)
                    ids[n] = ranks[word] + _popcount(bitmap[word] & below)
                    n += 1
            at += 1
        begin = at + 1
    marks[record:] = n
    return n


@intrinsic  # type: ignore[untyped-decorator]
def _popcount(context: Any, value: Any) -> Any:
    """Count the bits that are set."""
    return types.uint64(types.uint64), lambda _, builder, call, values: builder.ctpop(values[0])


@kernel
def count(ids: NDArray[np.uint32], n: int, counts: NDArray[np.uint32]) -> None:
    """Count the first `n` ids."""
    for i in range(np.uint64(n)):
        counts[ids[i]] += np.uint32(1)
