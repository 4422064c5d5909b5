"""One pass over DNA or reads: how often each bucket occurs, the sketch of every unit, ids in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from helixflow.buckets.families import make_encoding
from helixflow.buckets.settings import BucketSettings
from helixflow.buckets.stream import BLOCK, Block, in_order, read_member
from helixflow.buckets.units import Joiner, Part, Units
from helixflow.members import Member

#: Bytes of a member up to which one thread takes all of it, however many there are.
_SMALL = 1 << 24
#: K-mers after which counters are looked at: those of 32 bits that passed 2^31 give it away.
_HALF = 1 << 31
#: Buckets that are looked at together, so that little memory is used beside the counters.
_STRETCH = 1 << 18

#: Buckets, ascending, and how often they occur, uint32 and uint64.
Spectrum = tuple[NDArray[np.uint32], NDArray[np.uint64]]


@dataclass(frozen=True)
class Ids:
    """The buckets of a stretch of a member, in order.

    Attributes
    ----------
    ids : (n,) uint32
    runs : (r,) int64
        Where in `ids` k-mers begin that do not go on from the one before.
    names : list of str
        Of the units that begin in it; the first one of all begins in the first stretch.
    marks : (u,) int64
        Where in `ids` they begin.
    """

    ids: NDArray[np.uint32]
    runs: NDArray[np.int64]
    names: list[str]
    marks: NDArray[np.int64]


class Counts:
    """How often each bucket occurs, in 4 bytes each; threads may add to it.

    Parameters
    ----------
    n_bucket : int
    """

    def __init__(self, n_bucket: int) -> None:
        self._counts = np.zeros(n_bucket, np.uint32)
        self._since = 0
        self._passed: dict[int, int] = {}
        self._lock = threading.Lock()

    def add(self, ids: NDArray[np.uint32], n: int) -> None:
        """Count the first `n` ids."""
        from helixflow.buckets.kernels import count

        with self._lock:
            if self._since + n >= _HALF:
                self._relieve()
            self._since += n
            count(ids, n, self._counts)

    def _relieve(self) -> None:
        """Take 2^31 off the counters that passed it, so that none can overflow before the next time."""
        for begin in range(0, len(self._counts), _STRETCH):
            stretch = self._counts[begin : begin + _STRETCH]
            for place in np.flatnonzero(stretch >= _HALF).tolist():
                stretch[place] -= np.uint32(_HALF)
                self._passed[begin + place] = self._passed.get(begin + place, 0) + _HALF
        self._since = 0

    def stretches(self) -> Iterator[Spectrum]:
        """Give the buckets that occur, ascending, and how often, a stretch of all buckets at a time."""
        for begin in range(0, len(self._counts), _STRETCH):
            counts = self._counts[begin : begin + _STRETCH].astype(np.uint64)
            for bucket in [bucket for bucket in self._passed if begin <= bucket < begin + _STRETCH]:
                counts[bucket - begin] += np.uint64(self._passed[bucket])
            used = np.flatnonzero(counts)
            yield (used + begin).astype(np.uint32), counts[used]


class Pass:
    """One pass over the k-mers of members.

    Parameters
    ----------
    members : iterable of Member
    settings : BucketSettings
    threads : int
        They change nothing but the time that it takes.
    block : int
        Bases that are hashed at a time.

    Attributes
    ----------
    spectrum, sketched : Encoding
        What k-mers are counted by, and what is sketched.
    counts : Counts
        Of all that was given so far, and of a little more.
    """

    def __init__(
        self, members: Iterable[Member], settings: BucketSettings, threads: int = 1, block: int = BLOCK
    ) -> None:
        self.spectrum = make_encoding(settings)
        sketched = make_encoding(settings.of_sketch())
        self.sketched = self.spectrum if sketched.about == self.spectrum.about else sketched
        self.counts = Counts(self.spectrum.n_bucket)
        self._members, self._size, self._threads = members, settings.sketch_size, threads
        both = (self.spectrum, self.sketched)
        self._reach = max(encoding.span for encoding in both)
        self._block = max(1, block // max(encoding.per_window for encoding in both))
        self._room = self._block * max(encoding.per_window for encoding in both)
        self._own = threading.local()

    def units(self) -> Iterator[Units]:
        """Count all k-mers, and give the sketches of units as they become whole."""
        joiner = Joiner(self._size)
        for part in in_order(self._take, self._items(), self._threads):
            yield from joiner.add(part)
        yield from joiner.end()

    def ids(self, keep: Callable[[Units], object] = lambda _: None) -> Iterator[Ids]:
        """Count all k-mers, and give their buckets in order; `keep` gets the units as they become whole."""
        joiner = Joiner(self._size)
        blocks = (block for member in self._members for block in self._read(member))
        for ids, part in in_order(self._list, blocks, self._threads):
            yield ids
            for units in joiner.add(part):
                keep(units)
        for units in joiner.end():
            keep(units)

    def _read(self, member: Member) -> Iterator[Block]:
        return read_member(member, self._reach, self._block)

    def _items(self) -> Iterator[Member | Block]:
        """Give small members whole, and the blocks of large ones and of those with many units."""
        for member in self._members:
            if member.kind == "metagenome" or sum(path.stat().st_size for path in member.paths) > _SMALL:
                yield from self._read(member)
            else:
                yield member

    def _take(self, item: Member | Block) -> Part:
        if isinstance(item, Block):
            return self._sketch(item)
        joiner = Joiner(self._size)
        for block in self._read(item):
            joiner.add(self._sketch(block))
        (unit,) = joiner.end()
        bounds = np.append(0, unit.bounds)
        units = Units(["", *unit.names], np.append(0, unit.residues), unit.values, bounds)
        return Part(units, np.zeros(1, np.uint32))

    def _sketch(self, block: Block) -> Part:
        """Count the ids of a block, and sketch its units."""
        ids, marks = self._buffer(), np.zeros(len(block.starts), np.int64)
        n = self._count(block, block.starts, marks, ids)
        return self._smallest(block, ids, n, marks)

    def _list(self, block: Block) -> tuple[Ids, Part]:
        """Count the ids of a block, copy them, and sketch its units."""
        from helixflow.buckets.parsing import BREAK

        ids, begins = self._buffer(), np.flatnonzero(block.codes == BREAK) + 1
        marks = np.zeros(len(begins), np.int64)
        n = self._count(block, begins, marks, ids)
        units = np.append(marks, n)[np.searchsorted(begins, block.starts)]
        # A run whose first k-mer ends before the block is one that goes on.
        runs = marks[(begins > block.first - self.spectrum.shortest) & (marks < n)]
        listed = Ids(ids[:n].copy(), np.unique(runs), block.names, units)
        return listed, self._smallest(block, ids, n, units)

    def _smallest(self, block: Block, ids: NDArray[np.uint32], n: int, marks: NDArray[np.int64]) -> Part:
        """Sketch the units of a block, whose ids are overwritten."""
        from helixflow.buckets.matching import bottom

        if self.sketched is not self.spectrum:
            marks = np.zeros(len(block.starts), np.int64)
            n = self.sketched.hash(block.codes, block.first, block.starts, marks, ids)
        bounds = np.zeros(len(marks) + 2, np.int64)
        bottom(ids, n, marks, block.head[0], self._size, bounds)
        units = Units(["", *block.names], block.letters, ids[: bounds[-1]].copy(), bounds)
        return Part(units, block.tail)

    def _count(
        self, block: Block, starts: NDArray[np.int64], marks: NDArray[np.int64], ids: NDArray[np.uint32]
    ) -> int:
        n = self.spectrum.hash(block.codes, block.first, starts, marks, ids)
        self.counts.add(ids, n)
        return n

    def _buffer(self) -> NDArray[np.uint32]:
        """Return the thread's own room for ids."""
        if not hasattr(self._own, "ids"):
            self._own.ids = np.empty(self._room, np.uint32)
        ids: NDArray[np.uint32] = self._own.ids
        return ids
