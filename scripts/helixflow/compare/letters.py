"""Readers of sequences: FASTA and FASTQ by the names of their records, other files by lines or bytes."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import IO

import numpy as np

from helixflow.compare.records import (
    Measured,
    Number,
    Reader,
    Record,
    digest_of,
    sort_records,
    without_copy,
)

#: Letters of a record that are kept to be compared; a longer one is read again where it differs.
_HELD = 1 << 22
#: Letters that are compared at once of a record that is read again, or bytes.
_PIECE = 1 << 20
#: Begins the value of a record that is too long to be held: no letter, then its name and file.
_ELSEWHERE = "\0"
#: Letters around a place that are shown.
_SHOWN = 10


def fasta_reader(noun: str) -> Reader:
    """Read the records of a FASTA file, names and descriptions; a line is in memory, or 4 MB."""
    return Reader(noun, lambda path: sort_records(_fasta(path)), _measure_records, without_copy)


def fastq_reader() -> Reader:
    """Read the reads of a FASTQ file, in the order of their names: descriptions, letters, qualities."""
    return Reader("read", lambda path: sort_records(_fastq(path)), _measure_records, without_copy)


def lines_reader(noun: str) -> Reader:
    """Read the lines of a text file by their numbers."""

    def read(path: Path) -> Iterator[Record]:
        with _open(path) as stream:
            for number, line in enumerate(stream, 1):
                yield Record((number,), digest_of(line), line.rstrip("\n"))

    return Reader(noun, read, measure_letters)


def bytes_reader() -> Reader:
    """Read a file of any kind, a megabyte a record."""

    def read(path: Path) -> Iterator[Record]:
        with path.open("rb") as stream:
            number = 0
            while block := stream.read(_PIECE):
                number += 1
                yield Record((number,), digest_of(block), block)

    return Reader("megabyte", read, _measure_bytes)


def _measure_bytes(a: bytes, b: bytes) -> Measured:
    """Find the first byte at which two blocks differ."""
    found = measure_letters(a.decode("latin-1"), b.decode("latin-1"))
    where, shown = found.where.replace("position", "byte"), [repr(text)[1:-1] for text in found.shown]
    return Measured(where, shown, [number._replace(name="bytes that differ") for number in found.numbers])


def _open(path: Path) -> IO[str]:
    return (
        gzip.open(path, "rt", encoding="utf-8")
        if path.name.endswith(".gz")
        else path.open(encoding="utf-8", errors="backslashreplace")
    )


def _fasta(path: Path) -> Iterator[Record]:
    """Give the records of a FASTA file as they come: description, end of line, letters or where they are."""
    name, about, digest, kept, length = "", "", hashlib.blake2b(digest_size=16), [""], 0
    with _open(path) as stream:
        for line in stream:
            if line.startswith(">"):
                if name:
                    yield Record((name,), digest.digest(), about + _value(path, name, kept, length))
                (name, about), kept, length = _header(line), [], 0
                digest = hashlib.blake2b(about.encode(), digest_size=16)
                continue
            letters = line.strip()
            digest.update(letters.encode())
            length += len(letters)
            if length <= _HELD:
                kept.append(letters)
    if name:
        yield Record((name,), digest.digest(), about + _value(path, name, kept, length))


def _header(line: str) -> tuple[str, str]:
    """Split the line above a sequence into its name and its description, which an end of line is put to."""
    name, _, about = line[1:].partition(" ")
    return name.strip(), f"{about.strip()}\n"


def _value(path: Path, name: str, kept: list[str], length: int) -> str:
    return "".join(kept) if length <= _HELD else f"{_ELSEWHERE}{name}\n{path}"


def _fastq(path: Path) -> Iterator[Record]:
    with _open(path) as stream:
        for header, sequence, _, quality in zip(*[stream] * 4, strict=True):
            name, about = _header(header)
            text = about + sequence.rstrip("\n") + "\t" + quality.strip()
            yield Record((name,), digest_of(text), text)


def _measure_records(a: str, b: str) -> Measured:
    """Compare two sequences, and their descriptions where the letters are the same."""
    (about, _, letters), (other, _, others) = a.partition("\n"), b.partition("\n")
    found = measure_letters(letters, others)
    if about == other or any(number.value for number in found.numbers):
        return found
    return Measured("description", (about or "none", other or "none"))


def measure_letters(a: str, b: str) -> Measured:
    """Find the first position at which two sequences differ, and count such positions.

    Where the lengths differ, the positions behind an insertion do not face each other, so it is the
    difference of the lengths that is told.
    """
    first, differing, at, ends = -1, 0, 0, [0, 0]
    shown = ["", ""]
    for pieces in zip_longest(_pieces(a), _pieces(b), fillvalue=""):
        shared = min(map(len, pieces))
        left, right = (np.frombuffer(piece[:shared].encode("utf-32-le"), np.uint32) for piece in pieces)
        places = np.flatnonzero(left != right)
        if first < 0 and (len(places) or len(pieces[0]) != len(pieces[1])):
            place = int(places[0]) if len(places) else shared
            first, shown = at + place, [piece[place : place + _SHOWN] or "its end" for piece in pieces]
        differing += len(places)
        at += shared
        ends = [end + len(piece) for end, piece in zip(ends, pieces, strict=True)]
    numbers = [Number("positions that differ", differing, "", "sum")]
    if ends[0] != ends[1]:
        numbers = [Number("difference of length", abs(ends[0] - ends[1]), "", "sum")]
    return Measured(f"position {first + 1}", _shorten(*shown), numbers)


def _shorten(a: str, b: str) -> tuple[str, str]:
    """Leave out of what is shown all behind the first letter, where the rest is the same."""
    return (a[0], b[0]) if a[1:] == b[1:] and a[:1] != b[:1] else (a, b)


def _pieces(letters: str) -> Iterator[str]:
    """Give the letters of a record, a megabyte at a time where it is in its file."""
    if not letters.startswith(_ELSEWHERE):
        yield letters
        return
    name, _, path = letters[1:].partition("\n")
    held, wanted = "", False
    with _open(Path(path)) as stream:
        for line in stream:
            if line.startswith(">"):
                if wanted:
                    break
                wanted = line[1:].partition(" ")[0].strip() == name
            elif wanted:
                held += line.strip()
                while len(held) >= _PIECE:
                    yield held[:_PIECE]
                    held = held[_PIECE:]
    yield held
