"""Reads of FASTQ in batches; four lines a read, or letters and qualities in several lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from helixflow.errors import SourceError
from helixflow.sequences.formats.reading import LONGEST_LINE

#: Letters a read has at most: it is held whole, and hardly one that was ever sequenced is longer.
LONGEST_READ = 1 << 22
_NEXT_READ = "expected a read, which begins with '@'"


@dataclass
class Batch:
    """Reads in their order: as many headers, without '@', as letters, qualities and numbers.

    The numbers are those of lines where the source is text, else of records, counted from 1.
    """

    headers: list[bytes]
    letters: list[bytes]
    qualities: list[bytes]
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.headers)

    def part(self, start: int, stop: int | None = None) -> Batch:
        """Return some of the reads."""
        part = slice(start, stop)
        return Batch(self.headers[part], self.letters[part], self.qualities[part], self.numbers[part])

    def rows(self, rows: Sequence[int]) -> Batch:
        """Return the reads of some rows."""
        return Batch(
            [self.headers[row] for row in rows],
            [self.letters[row] for row in rows],
            [self.qualities[row] for row in rows],
            [self.numbers[row] for row in rows],
        )


def read_fastq(text: Iterable[bytes], origin: str) -> Iterator[Batch]:
    """Give the reads of a FASTQ text.

    Parameters
    ----------
    text : iterable of bytes
        As `read_text` gives it.
    origin : str
        What messages call the source.

    Raises
    ------
    SourceError
        Naming the line of the first read that is not whole, or above `LONGEST_READ`.
    """
    held, number = b"", 1
    for block in chain(text, [b""]):
        lines = (held + block).split(b"\n")
        # At the end of the text its last line is whole, with or without an end of its own.
        rest = lines.pop() if block or not lines[-1] else b""
        four = _read_four_lines(lines, number) if block else None
        try:
            batch, used = four or _read_any_lines(lines, number, last=not block)
        except ValueError as error:
            raise SourceError(f"{origin} {error}") from None
        if batch:
            yield batch
        number += used
        held = b"\n".join([*lines[used:], rest])
        if len(held) > 2 * (LONGEST_READ + LONGEST_LINE):
            raise SourceError(f"{origin} line {number}: the read has more than {LONGEST_READ} letters")


def _read_four_lines(lines: list[bytes], number: int) -> tuple[Batch, int] | None:
    """Read lines that are all reads of four lines; None where one of them is not.

    Letters hold no '+', so where every third line begins with one and the first line begins a read,
    each group of four is a read, also if a line of qualities begins with '@'. Behind the '+' is nothing
    or the header again.
    """
    whole = len(lines) - len(lines) % 4
    headers, letters, marks, qualities = (lines[line:whole:4] for line in range(4))
    if (
        all(header.startswith(b"@") for header in headers)
        and all(
            mark == b"+" or mark == b"+" + header[1:] for mark, header in zip(marks, headers, strict=True)
        )
        and list(map(len, letters)) == list(map(len, qualities))
    ):
        names, numbers = [header[1:] for header in headers], range(number, number + whole, 4)
        return Batch(names, letters, qualities, numbers), whole
    return None


def _read_any_lines(lines: list[bytes], number: int, last: bool) -> tuple[Batch, int]:
    """Read as many whole reads as there are, and tell how many lines they take.

    Raises
    ------
    ValueError
        At what is no read, and where the `last` one is not whole.
    """
    batch, numbers, at = Batch([], [], [], []), [], 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        if not lines[at].startswith(b"@"):
            raise ValueError(f"line {number + at}: begins with {repr(lines[at][:40])[1:]}, {_NEXT_READ}")
        read = _read_one(lines, at)
        if not read:
            if last:
                raise ValueError(f"line {number + at}: the read is cut off (fetch the file again)")
            break
        letters, quality, mark, end = read
        if mark[1:].strip() and read_name(mark[1:]) != read_name(lines[at][1:]):
            raise ValueError(
                f"line {number + at}: read {show_name(lines[at][1:])} is {show_name(mark[1:])} behind its "
                "'+', expected the same name or none"
            )
        if len(letters) != len(quality):
            raise ValueError(
                f"line {number + at}: read {show_name(lines[at][1:])} has {len(letters)} letters and "
                f"{len(quality)} qualities, expected as many"
            )
        batch.headers.append(lines[at][1:])
        batch.letters.append(letters)
        batch.qualities.append(quality)
        numbers.append(number + at)
        at = end
    batch.numbers = numbers
    return batch, at


def _read_one(lines: list[bytes], at: int) -> tuple[bytes, bytes, bytes, int] | None:
    """Return letters, qualities, the line of '+' and the number of the line behind a read.

    None where its end is not among the lines.
    """
    mark = next((line for line in range(at + 1, len(lines)) if lines[line].startswith(b"+")), None)
    if mark is None:
        return None
    letters, first = b"".join(lines[at + 1 : mark]), mark + 1
    # A read without letters has a line of qualities too, an empty one.
    end, found = first, -1
    while found < len(letters) and end < len(lines):
        found = max(found, 0) + len(lines[end])
        end += 1
    if found < len(letters):
        return None
    return letters, b"".join(lines[first:end]), lines[mark], end


def read_name(header: bytes) -> bytes:
    """Return what a header has before its first blank."""
    return header.split(None, 1)[0] if header.strip() else b""


def show_name(header: bytes) -> str:
    """Return the name of a read for a message."""
    return ascii(read_name(header)[:80].decode("utf-8", "replace"))
