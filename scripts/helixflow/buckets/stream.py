"""Read the files of members as blocks of codes of bounded size, and run work on blocks in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from helixflow import ordered
from helixflow.buckets.sketches import EMPTY
from helixflow.errors import SourceError
from helixflow.members import Member

#: Codes of a block.
BLOCK = 1 << 17
#: Bytes that are read at a time.
_TEXT = 1 << 18
#: Records that begin in a block at most, and bytes of their names for a start.
_RECORDS = 1 << 11
_NAMES = 1 << 17

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Block:
    """A stretch of a member's codes, behind those that windows of the block reach back to.

    Attributes
    ----------
    codes : (n,) uint8
        See `parsing`.
    first : int
        Where what is new begins.
    starts : (r,) int64
        Where in `codes` units begin.
    letters : (r + 1,) int64
        Letters that are new, of the unit that goes on and of those that begin.
    names : list of str
        Of the units that begin.
    head, tail : (1,) uint32
        What the unit that goes on, and the one that goes on behind, know of the largest value their
        sketch will have.
    """

    codes: NDArray[np.uint8]
    first: int
    starts: NDArray[np.int64]
    letters: NDArray[np.int64]
    names: list[str]
    head: NDArray[np.uint32]
    tail: NDArray[np.uint32]


def read_member(member: Member, reach: int, size: int = BLOCK) -> Iterator[Block]:
    """Give the codes of a member in blocks.

    Parameters
    ----------
    member : Member
        One unit, or a metagenome, whose records are units that are called ``member/record``.
    reach : int
        Codes of the block before that a block begins with, if there are as many.
    size : int
        New codes of a block at most.

    Yields
    ------
    Block

    Raises
    ------
    SourceError
        When a file is cut off or damaged.
    """
    buffers = _Buffers(member, reach, size)
    for path in member.paths:
        buffers.open(path)
        for text in _read_text(path):
            yield from buffers.parse(np.frombuffer(text, np.uint8))
        buffers.close(path)
    yield buffers.take()


def _read_text(path: Path) -> Iterator[bytes]:
    """Give the unpacked bytes of a file; gzip of any number of members when its name ends with ``.gz``."""
    from isal import igzip, igzip_lib

    # Its stubs call the class an instance.
    damage: Any = igzip_lib.IsalError
    opener = igzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rb") as stream:
            while text := stream.read(_TEXT):
                yield text
    except (EOFError, OSError, damage) as error:
        raise SourceError(f"{path}: cannot be read whole: {error} (fetch it again)") from None


class _Buffers:
    """What a kernel that parses writes to, and what becomes of it."""

    def __init__(self, member: Member, reach: int, size: int) -> None:
        from helixflow.buckets import parsing

        self._parsing = parsing
        self._member, self._reach, self._size = member, reach, size
        self._split = member.kind == "metagenome"
        self._state = np.zeros(4, np.int64)
        self._parse = parsing.parse_fasta
        self._limit = np.full(1, EMPTY)
        self._names = np.zeros(_NAMES, np.uint8)
        self._fresh(np.full(parsing.PAD, parsing.BREAK, np.uint8))
        self._new = not self._split

    def open(self, path: Path) -> None:
        """Begin with a file."""
        fastq = path.name.removesuffix(".gz").endswith((".fastq", ".fq"))
        parsing = self._parsing
        self._parse = parsing.parse_fastq if fastq else parsing.parse_fasta
        self._state[parsing.MODE] = parsing.LINE if fastq else parsing.NOTHING

    def close(self, path: Path) -> None:
        """Refuse a FASTQ file that ends within a read."""
        parsing, mode = self._parsing, self._state[self._parsing.MODE]
        if self._parse is parsing.parse_fastq and mode not in (parsing.LINE, parsing.QUALITY):
            raise SourceError(f"{path}: ends within a read (expected four lines each; fetch it again)")

    def parse(self, text: NDArray[np.uint8]) -> Iterator[Block]:
        """Take text, and give the blocks that it fills."""
        at = 0
        while True:
            at = self._parse(
                text, at, self._state, self._codes, self._starts, self._letters, self._names, self._split
            )
            if at == len(text):
                return
            if self._state[self._parsing.N_NAME] == len(self._names):
                self._names = np.concatenate([self._names, np.zeros_like(self._names)])
            else:
                yield self.take()

    def take(self) -> Block:
        """Return what is held as a block, and begin the next one."""
        n_code, n_start, n_name, _ = (int(number) for number in self._state)
        codes, starts, letters = self._codes[:n_code], self._starts[:n_start], self._letters[: n_start + 1]
        names = [
            f"{self._member.name}/{name}" for name in self._names[:n_name].tobytes().decode().split("\n")[1:]
        ]
        if self._new:
            starts, letters = np.array([self._first]), np.append(np.int64(0), letters)
            names, self._new = [self._member.name], False
        head, first = self._limit, self._first
        self._limit = np.full(1, EMPTY) if names else head
        self._fresh(codes[max(0, len(codes) - self._reach - self._parsing.PAD) :])
        return Block(codes, first, starts, letters, names, head, self._limit)

    def _fresh(self, before: NDArray[np.uint8]) -> None:
        """Make new buffers that begin with codes of the block before."""
        self._first = len(before)
        self._codes = np.empty(self._first + self._size, np.uint8)
        self._codes[: self._first] = before
        self._codes[: self._parsing.PAD] = self._parsing.BREAK
        self._starts = np.empty(_RECORDS if self._split else 1, np.int64)
        self._letters = np.zeros(len(self._starts) + 1, np.int64)
        self._state[: self._parsing.MODE] = self._first, 0, 0


def in_order(work: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """Do work on items in threads, a few ahead, and give the results in the order of the items."""
    if threads == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from ordered.in_order(pool, work, items, 2 * threads + 1)
