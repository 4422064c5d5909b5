"""Reads of two files side by side, each with its mate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from helixflow.errors import SourceError
from helixflow.sequences.formats.fastq import Batch, read_name, show_name
from helixflow.sequences.formats.reading import Reading


def read_mates(streams: Sequence[Iterator[Batch]], readings: Sequence[Reading]) -> Iterator[list[Batch]]:
    """Give the reads of two files in batches of the same length.

    Parameters
    ----------
    streams : sequence of two iterators of Batch
    readings : sequence of two Reading

    Raises
    ------
    SourceError
        Where the names of mates differ, or one file ends before the other.
    """
    held: list[Batch | None] = [None, None]
    while True:
        held = [batch or next(stream, None) for batch, stream in zip(held, streams, strict=True)]
        first, second = held
        if first is None or second is None:
            break
        number = min(len(first), len(second))
        mates = [first.part(0, number), second.part(0, number)]
        _check_mates(mates, readings)
        yield mates
        held = [first.part(number), second.part(number)]
    for batch, reading, other in zip(held, readings, reversed(readings), strict=True):
        if batch:
            raise SourceError(
                f"{reading.origin} line {batch.numbers[0]}: read {show_name(batch.headers[0])} has no mate "
                f"in {other.origin}, which ends before (expected as many reads in both)"
            )


def _check_mates(mates: Sequence[Batch], readings: Sequence[Reading]) -> None:
    """Refuse mates of different names, but for ``/1`` and ``/2`` and what is behind a blank."""
    ends = [read_name(batch.headers[0])[-2:] for batch in mates]
    if ends[0] == b"/2" or ends[1] == b"/1":
        raise SourceError(
            f"{readings[0].origin}: has reads {ends[0].decode('ascii', 'replace')}, expected those of mate 1 "
            f"first (give it behind {readings[1].origin})"
        )
    names = [[_stem(header) for header in batch.headers] for batch in mates]
    if names[0] == names[1]:
        return
    row = next(row for row, (one, other) in enumerate(zip(*names, strict=True)) if one != other)
    found = [
        f"{reading.origin} line {batch.numbers[row]} has read {show_name(batch.headers[row])}"
        for batch, reading in zip(mates, readings, strict=True)
    ]
    raise SourceError(f"{', '.join(found)}: expected the same name (are they mates, in the same order?)")


def _stem(header: bytes) -> bytes:
    name = read_name(header)
    return name[:-2] if name.endswith((b"/1", b"/2")) else name
