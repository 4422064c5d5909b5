"""How two files differ: records of one alone, records of other content, the first of them, by how much."""

from __future__ import annotations

import csv
import filecmp
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helixflow.compare.records import Measured, Number, Reader, Record, merge, place
from helixflow.errors import HelixflowError, SourceError

#: Records that only one run has, of which the names are told.
MOST_NAMED = 5

#: What readers raise on a file that is cut short, or another than its name says.
_DAMAGE = (
    OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError,
    MemoryError, zlib.error, struct.error, csv.Error,
)  # fmt: skip


@dataclass
class OneSided:
    """Records that only one run has: how many, and the names of the first."""

    number: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count a record."""
        self.number += 1
        if len(self.first) < MOST_NAMED:
            self.first.append(name)


@dataclass
class Contrast:
    """How the records of two files differ.

    Attributes
    ----------
    noun : str
        What a record is.
    compared, differing : int
        Records that both have, and those of them with other content.
    only_in_a, only_in_b : OneSided
    record, where, a, b : str
        Of the first record that differs: its name, the place in it, and what stands there in each run.
    numbers : list of dict
        name, value and unit of the amounts over all records that differ.
    rounding : bool
        Whether all of it is within what is promised of sums taken in another order.
    """

    noun: str
    compared: int = 0
    differing: int = 0
    only_in_a: OneSided = field(default_factory=OneSided)
    only_in_b: OneSided = field(default_factory=OneSided)
    record: str = ""
    where: str = ""
    a: str = ""
    b: str = ""
    numbers: list[dict[str, Any]] = field(default_factory=list)
    rounding: bool = True

    def note(self, name: str, measured: Measured) -> None:
        """Take note of a record of both that differs."""
        self.differing += 1
        self.rounding &= measured.rounding
        if not self.record:
            self.record, self.where = name, measured.where
            self.a, self.b = measured.shown

    def note_missing(self, name: str, in_a: bool) -> None:
        """Take note of a record that only one run has."""
        (self.only_in_a if in_a else self.only_in_b).add(name)
        self.rounding = False
        if not self.record:
            self.record = name
            self.a, self.b = ("there", "missing") if in_a else ("missing", "there")


class Totals:
    """Amounts of many records, put together by their names."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Number, tuple[float, ...]]] = {}

    def add(self, numbers: Iterable[Number]) -> None:
        """Add the amounts of a record that are numbers; of each, six values are kept."""
        for number in numbers:
            if not math.isfinite(number.value):
                continue
            value, known = number.value, self._found.get(number.name)
            least, most, total, count, first, _ = (
                known[1] if known else (value, value, 0.0, 0.0, value, value)
            )
            kept = (min(least, value), max(most, value), total + value, count + 1, first, value)
            self._found[number.name] = number, kept

    def finish(self) -> list[dict[str, Any]]:
        """Return name, value (six digits) and unit of each amount, in the order they came in."""
        return [
            {"name": name, "value": float(f"{_total(number.how, kept):.6g}"), "unit": number.unit}
            for name, (number, kept) in self._found.items()
        ]


def _total(how: str, kept: Sequence[float]) -> float:
    least, most, total, count, first, last = kept
    growth = last / first if first else 1.0
    known = {"sum": total, "least": least, "most": most, "mean": total / count, "first": first, "last": last}
    return growth if how == "growth" else known[how]


def contrast(reader: Reader, a: Path, b: Path) -> Contrast | None:
    """Tell how two files differ; None where they have the same content.

    Raises
    ------
    SourceError
        Naming the file that cannot be read.
    """
    if same_bytes(reader, a, b):
        return None
    found, totals = Contrast(reader.noun), Totals()
    for left, right in merge(_read(reader, a), _read(reader, b)):
        if left is None or right is None:
            only = left or right
            assert only is not None
            found.note_missing(reader.name(only.key), in_a=left is not None)
            continue
        found.compared += 1
        if left.digest != right.digest:
            with readable(a, b):
                measured = reader.measure(left.value, right.value)
            found.note(reader.name(left.key), measured)
            totals.add(measured.numbers)
    if not found.record:
        return None
    with readable(a, b):
        totals.add(reader.overall(a, b))
    found.numbers = totals.finish()
    return found


def same_bytes(reader: Reader, a: Path, b: Path) -> bool:
    """Tell whether the files behind two files have the same bytes."""
    files: list[Sequence[Path]] = []
    for path in (a, b):
        with readable(path):
            files.append(list(reader.files(path)))
    return len(files[0]) == len(files[1]) and all(map(_equal, *files))


def _equal(a: Path, b: Path) -> bool:
    with readable(a, b):
        return a.samefile(b) or filecmp.cmp(a, b, shallow=False)


def _read(reader: Reader, path: Path) -> Iterator[Record]:
    """Give the records of a file, whose keys must ascend for them to be paired."""
    last: str | None = None
    with readable(path):
        for record in reader.read(path):
            here = place(record.key)
            if last is not None and here <= last:
                raise ValueError(f"{reader.noun} {reader.name(record.key)} is not in order, or twice")
            last = here
            yield record


@contextmanager
def readable(*paths: Path) -> Iterator[None]:
    """Name the file, or the two of which it is one, in the error of what cannot be read."""
    try:
        yield
    except HelixflowError as error:
        raise SourceError(f"cannot compare {' with '.join(map(str, paths))}: {error}") from None
    except _DAMAGE as error:
        told = " ".join(f"{type(error).__name__} {error}".split())
        raise SourceError(
            f"{' or '.join(map(str, paths))}: cannot be read ({told}), expected a whole file of a run; "
            "make it again, or take it from a copy"
        ) from None
