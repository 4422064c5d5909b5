"""The idea behind every comparison: a file is records with ascending keys and digests of their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from helixflow.tables import private_database

#: Names a record; of texts and of numbers from 0, see `place`.
Key = tuple[str | float, ...]


class Record(NamedTuple):
    """A record of a file: its key, the digest of its content, and what a difference is measured by."""

    key: Key
    digest: bytes
    value: Any


class Number(NamedTuple):
    """An amount by which two records differ, and how those of all records are put into one.

    how: sum, most, least, mean, first, last, or growth (the last in units of the first).
    """

    name: str
    value: float
    unit: str
    how: str


class Measured(NamedTuple):
    """Where two records differ first, what is shown of each there, and by how much they differ.

    `rounding` says that it is within what this workflow promises of sums taken in another order.
    """

    where: str
    shown: Sequence[str]
    numbers: Sequence[Number] = ()
    rounding: bool = False


def key_words(key: Key) -> str:
    """Name a record by the parts of its key."""
    return " ".join(part_words(part) for part in key if part != "")


def part_words(part: str | float) -> str:
    """Write a part of a key, a number without what it does not need."""
    return part if isinstance(part, str) else f"{part:.10g}"


def itself(path: Path) -> Iterable[Path]:
    """Name the only file that holds the records of a file."""
    return [path]


def nothing_more(_a: Path, _b: Path) -> Sequence[Number]:
    """Measure nothing beside what is measured of each record."""
    return ()


@dataclass(frozen=True)
class Reader:
    """How the records of one kind of file are read, named and measured.

    Attributes
    ----------
    noun : str
        What a record is.
    read : function
        From a file to its records, with ascending keys.
    measure : function
        From the values of two records that differ to where and by how much.
    name : function
        From a key to the name of a record.
    overall : function
        From two files that differ to amounts that no single record has.
    files : function
        All files that the records are in; where these have the same bytes, the records are not read.
    """

    noun: str
    read: Callable[[Path], Iterator[Record]]
    measure: Callable[[Any, Any], Measured]
    name: Callable[[Key], str] = key_words
    overall: Callable[[Path, Path], Sequence[Number]] = nothing_more
    files: Callable[[Path], Iterable[Path]] = itself


def digest_of(*content: bytes | memoryview | str) -> bytes:
    """Return a digest of content, in which no piece can be taken for a part of another."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in content:
        raw = piece.encode() if isinstance(piece, str) else piece
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.digest()


def sort_records(records: Iterable[Record]) -> Iterator[Record]:
    """Give records in the order of their keys, whatever their number; values are text or bytes.

    Of records with one key, the number of those before it becomes the last part of the key, so that all
    are told apart.
    """
    with private_database() as database:
        database.execute("CREATE TABLE record (place, key, digest, value)")
        rows = ((place(key), json.dumps(key), digest, value) for key, digest, value in records)
        database.executemany("INSERT INTO record VALUES (?, ?, ?, ?)", rows)
        last, again = "", 0
        for key, digest, value in database.execute(
            "SELECT key, digest, value FROM record ORDER BY place, digest"
        ):
            again = again + 1 if key == last else 0
            last = key
            yield Record((*json.loads(key), again), digest, value)


def place(key: Key) -> str:
    """Write a key as a text by which keys are put in order."""
    return "\x01".join(part if isinstance(part, str) else f"{part:027.6f}" for part in key)


def without_copy(key: Key) -> str:
    """Name a record that `sort_records` gave: the last part of its key tells copies apart."""
    *parts, again = key
    return key_words(tuple(parts)) + (f" (copy {int(again) + 1})" if again else "")


def merge(a: Iterator[Record], b: Iterator[Record]) -> Iterator[tuple[Record | None, Record | None]]:
    """Pair the records of two files by their keys, with None where one has none; one of each is held."""
    left, right = next(a, None), next(b, None)
    while left or right:
        if right is None or (left is not None and place(left.key) < place(right.key)):
            yield left, None
            left = next(a, None)
        elif left is None or place(right.key) < place(left.key):
            yield None, right
            right = next(b, None)
        else:
            yield left, right
            left, right = next(a, None), next(b, None)
