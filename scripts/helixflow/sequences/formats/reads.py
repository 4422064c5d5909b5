"""Write sources of reads in one normal form: FASTQ of four lines a read, bgzip.

Letters are upper case, U becomes T, ``.`` becomes N, the IUPAC letters of ambiguous bases stay.
Headers are kept. Reads without letters are set aside, of mates both. Names may repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from helixflow.errors import SourceError
from helixflow.files import whole_file
from helixflow.sequences.formats.alignments import read_alignments
from helixflow.sequences.formats.bgzf import BgzfWriter
from helixflow.sequences.formats.fastq import LONGEST_READ, Batch, read_fastq, read_name, show_name
from helixflow.sequences.formats.letters import AMBIGUOUS, BASES
from helixflow.sequences.formats.mates import read_mates
from helixflow.sequences.formats.normalise import Tally
from helixflow.sequences.formats.reading import Reading, read_text
from helixflow.sequences.formats.recognise import READS, recognise

_ALPHABET = BASES + AMBIGUOUS
_LOWER = _ALPHABET.lower()
_LETTERS = _ALPHABET + _LOWER + b"."
_QUALITIES = bytes(range(33, 127))
_PRINTABLE = bytes(range(32, 127)) + b"\t"


def write_reads(
    sources: Sequence[Path],
    readings: Sequence[Reading],
    outputs: Sequence[Path],
    cram_reference: str,
    accept: Callable[[Tally], None],
) -> Tally:
    """Write reads as bgzip FASTQ.

    Parameters
    ----------
    sources : sequence of Path
        One file of FASTQ, BAM or CRAM, or two of FASTQ with the mates in the same order.
    readings : sequence of Reading
    outputs : sequence of Path
        As many as sources; none is left half written.
    cram_reference : str
        See `read_alignments`.
    accept : callable
        Given what was found before the files take their names; may raise.

    Returns
    -------
    Tally
        Its records are all reads, those of mates as well.

    Raises
    ------
    SourceError
        Naming file, line (of BAM and CRAM record) and name of the first read that is not right.
    """
    tally, origin = Tally(), readings[0].origin
    streams = [
        _read(source, reading, cram_reference, tally, len(sources))
        for source, reading in zip(sources, readings, strict=True)
    ]
    batches = read_mates(streams, readings) if len(streams) == 2 else ([batch] for batch in streams[0])
    with ExitStack() as finals:
        parts = [finals.enter_context(whole_file(output)) for output in outputs]
        _write((_drop_empty(mates, tally, origin) for mates in batches), parts, tally)
        if not tally.records:
            raise SourceError(f"{origin}: no read has letters, expected at least one")
        tally.normalised = +tally.normalised
        accept(tally)
    return tally


def _read(source: Path, reading: Reading, cram_reference: str, tally: Tally, files: int) -> Iterator[Batch]:
    """Give the reads of one source in normal form."""
    tally.format = recognise(source, reading, READS)
    if tally.format == "fastq":
        batches, unit = read_fastq(read_text(source, reading), reading.origin), "line"
    elif files == 1:
        batches = read_alignments(source, tally.format, reading, cram_reference, tally.normalised)
        unit = "record"
    else:
        raise SourceError(
            f"{reading.origin}: is {tally.format.upper()}, which holds both mates: give it as the only file"
        )
    size, written = source.stat().st_size, 0
    for batch in batches:
        written += 2 * sum(map(len, batch.letters)) + sum(map(len, batch.headers))
        reading.check_size(written, size)
        yield _normalise(batch, f"{reading.origin} {unit}", tally)


def _normalise(batch: Batch, where: str, tally: Tally) -> Batch:
    """Check a batch and bring its letters into normal form, all at once."""
    letters, qualities = b"\n".join(batch.letters), b"\n".join(batch.qualities)
    rest = letters.translate(None, b"ACGT\n")
    if (
        rest.translate(None, _LETTERS)
        or qualities.translate(None, _QUALITIES + b"\n")
        or not _are_headers(batch.headers)
        or max(map(len, batch.letters)) > LONGEST_READ
    ):
        raise SourceError(_find_fault(batch, where))
    if not rest:
        return batch
    counts = tally.normalised
    counts["lower case"] += len(rest) - len(rest.translate(None, _LOWER))
    counts["U to T"] += rest.count(b"U") + rest.count(b"u")
    counts[". to N"] += rest.count(b".")
    counts["ambiguous bases kept"] += len(rest.translate(None, BASES + BASES.lower() + b"."))
    normal = letters.upper().replace(b"U", b"T").replace(b".", b"N")
    return Batch(batch.headers, normal.split(b"\n"), batch.qualities, batch.numbers)


def _are_headers(headers: list[bytes]) -> bool:
    """Tell whether all headers begin with a name, and can be printed."""
    if not all(header[:1] > b" " for header in headers):
        return False
    text = b"\n".join(headers)
    if text.isascii():
        return not text.translate(None, _PRINTABLE + b"\n")
    try:
        return all(header.decode().replace("\t", " ").isprintable() for header in headers)
    except UnicodeDecodeError:
        return False


def _find_fault(batch: Batch, where: str) -> str:
    """Return the message on the first read of a batch that is not right."""
    for header, letters, quality, number in zip(
        batch.headers, batch.letters, batch.qualities, batch.numbers, strict=True
    ):
        place = f"{where} {number}: read {show_name(header)} has"
        strange = letters.translate(None, _LETTERS)[:1]
        unsound = quality.translate(None, _QUALITIES)[:1]
        if not _are_headers([header]):
            return f"{place} a header that does not begin with a name, or cannot be printed (expected UTF-8)"
        if len(letters) > LONGEST_READ:
            return f"{place} {len(letters)} letters, expected at most {LONGEST_READ}"
        if strange:
            at = letters.index(strange) + 1
            return f"{place} {repr(strange)[1:]} at position {at}, expected a base or IUPAC code"
        if unsound:
            at = quality.index(unsound) + 1
            return f"{place} quality {repr(unsound)[1:]} at position {at}, expected '!' to '~'"
    raise AssertionError("a batch was refused without a fault")


def _drop_empty(mates: list[Batch], tally: Tally, origin: str) -> list[Batch]:
    """Leave out reads without letters, with their mates."""
    if all(all(batch.letters) for batch in mates):
        return mates
    kept = []
    for row, letters in enumerate(zip(*(batch.letters for batch in mates), strict=True)):
        if all(letters):
            kept.append(row)
        else:
            tally.leave(read_name(mates[0].headers[row]).decode(), "no letters", origin)
    return [batch.rows(kept) for batch in mates]


def _write(batches: Iterable[list[Batch]], parts: Sequence[Path], tally: Tally) -> None:
    """Write and count reads, four lines each."""
    with ExitStack() as files:
        out = [files.enter_context(part.open("wb")) for part in parts]
        writers = [files.enter_context(BgzfWriter(stream)) for stream in out]
        for batch, writer in (pair for mates in batches for pair in zip(mates, writers, strict=True)):
            if batch:
                reads = zip(batch.headers, batch.letters, batch.qualities, strict=True)
                writer.write(b"".join([b"@%b\n%b\n+\n%b\n" % read for read in reads]))
                tally.keep(read_name(batch.headers[0]).decode(), len(batch), sum(map(len, batch.letters)))
