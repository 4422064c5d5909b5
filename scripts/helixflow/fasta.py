"""FASTA files of this workflow: read as a stream, written whole and with the same bytes each time."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from helixflow.errors import SourceError
from helixflow.files import whole_file


def read_fasta(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Give the records of a FASTA file, one at a time.

    Parameters
    ----------
    path : path
        Gzip (or bgzip) when its name ends with ``.gz``.

    Yields
    ------
    name : str
        The header up to its first blank.
    sequence : str
        All lines of the record joined, as they are.

    Raises
    ------
    SourceError
        For text before the first header, a header without a name, or what is no text.
    """
    opener = gzip.open if os.fspath(path).endswith(".gz") else open
    name: str | None = None
    lines: list[str] = []
    with opener(path, "rt", encoding="utf-8") as stream:
        for line in _lines(stream, path):
            if line.startswith(">"):
                if name is not None:
                    yield name, "".join(lines)
                name, lines = line[1:].rstrip("\n").partition(" ")[0], []
                if not name:
                    raise SourceError(f"{path}: a header has no name (expected > and a name)")
            elif name is None and line.strip():
                raise SourceError(f"{path}: begins with {line[:20].strip()!r}, expected FASTA (> and a name)")

            else:
                lines.append(line.strip())
    if name is not None:
        yield name, "".join(lines)


def _lines(stream: Iterable[str], path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the lines of a file that must be text."""
    try:
        yield from stream
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: is no text ({error.reason}), expected FASTA") from None


def read_fastq(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Give name and sequence of the reads of a FASTQ file of four lines a read, as `read_fasta`."""
    opener = gzip.open if os.fspath(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as stream:
        for header, sequence, _, _ in zip(*[stream] * 4, strict=True):
            yield header[1:].rstrip("\n").partition(" ")[0], sequence.rstrip("\n")


def write_fasta(final: str | os.PathLike[str], records: Iterable[tuple[str, str]]) -> None:
    """Write names and sequences, two lines a record; gzip without a date when the name ends with ``.gz``."""
    zipped = os.fspath(final).endswith(".gz")
    with whole_file(final) as path, Path(path).open("wb") as raw:
        stream = gzip.GzipFile("", "wb", 6, raw, mtime=0) if zipped else raw
        for name, sequence in records:
            stream.write(f">{name}\n{sequence}\n".encode())
        if zipped:
            stream.close()
