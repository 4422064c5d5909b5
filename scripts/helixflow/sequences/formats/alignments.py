"""Reads of BAM and CRAM in batches, as the sequencer gave them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from helixflow.errors import SourceError
from helixflow.sequences.formats.fastq import Batch
from helixflow.sequences.formats.reading import BLOCK, Reading

#: Flags of SAM.
_REVERSE, _FIRST, _SECOND, _NOT_PRIMARY = 0x10, 0x40, 0x80, 0x900
_HARD_CLIP = "H"
#: Complements of all codes of bases.
_COMPLEMENT = bytes.maketrans(b"ACGTRYSWKMBDHVN", b"TGCAYRSWMKVHDBN")
#: Qualities as the characters of FASTQ; there are none above 93.
_CHARACTERS = bytes(min(quality + 33, 127) for quality in range(256))
#: What samtools writes where a read has no qualities.
_NO_QUALITY = b"B"
_ENDS = {_FIRST: b"/1", _SECOND: b"/2"}
#: In the container that ends CRAM, since version 2.1.
_CRAM_END = b"\xe0EOF\x00\x00\x00\x00\x01\x00"


def read_alignments(
    source: Path, form: str, reading: Reading, reference: str, counts: Counter[str]
) -> Iterator[Batch]:
    """Give the reads of BAM or CRAM in the order of the file, as ``samtools fastq -N`` does.

    Secondary and supplementary alignments are left out. What was aligned to the reverse strand is
    turned back. The names of mates end with ``/1`` and ``/2``.

    Parameters
    ----------
    source : Path
    form : str
        bam or cram.
    reading : Reading
    reference : str
        FASTA that CRAM was aligned to; empty where the file holds it, or has only unaligned reads.
    counts : Counter of str
        Gets how many alignments were left out and how many qualities are missing.

    Raises
    ------
    SourceError
        When the file is cut off or damaged, or the reference is not found.
    """
    import pysam

    if form == "cram":
        _check_cram(source, reading, reference)
    with source.open("rb") as raw:
        try:
            file = pysam.AlignmentFile(
                raw, "rb" if form == "bam" else "rc", check_sq=False, reference_filename=reference or None
            )
            with file:
                if form == "cram" and not reference:
                    _check_header(file.header.to_dict(), reading.origin)
                for batch in _read_batches(file.fetch(until_eof=True), counts):
                    # pysam reads through a descriptor that shares its position with this one.
                    reading.advance(raw.seek(0, 1))
                    yield batch
        except (OSError, ValueError) as error:
            raise SourceError(_unreadable(reading.origin, form, reference, error)) from None


def _read_batches(alignments: Iterable[Any], counts: Counter[str]) -> Iterator[Batch]:
    """Put alignments together until they have a block of letters."""
    batch, numbers, size = Batch([], [], [], []), [], 0
    for number, alignment in enumerate(alignments, 1):
        if alignment.flag & _NOT_PRIMARY:
            counts["secondary and supplementary alignments left out"] += 1
            continue
        header, letters, quality = _read_alignment(alignment, counts)
        batch.headers.append(header)
        batch.letters.append(letters)
        batch.qualities.append(quality)
        numbers.append(number)
        size += len(letters) + len(header)
        if size > BLOCK // 4:
            batch.numbers = numbers
            yield batch
            batch, numbers, size = Batch([], [], [], []), [], 0
    batch.numbers = numbers
    if batch:
        yield batch


def _read_alignment(alignment: Any, counts: Counter[str]) -> tuple[bytes, bytes, bytes]:
    letters = (alignment.query_sequence or "").encode()
    if _HARD_CLIP in (alignment.cigarstring or ""):
        counts["reads without their hard-clipped ends, which are not in the file"] += 1
    # Not query_qualities_str: pysam 0.24 builds that of a read of one base within an object that
    # Python shares, the bytes of its first quality, which then are others everywhere.
    qualities = alignment.query_qualities
    quality = b"" if qualities is None else qualities.tobytes().translate(_CHARACTERS)
    if letters and not quality:
        counts["reads without qualities"] += 1
        quality = _NO_QUALITY * len(letters)
    if alignment.flag & _REVERSE:
        letters, quality = letters.translate(_COMPLEMENT)[::-1], quality[::-1]
    name = (alignment.query_name or "*").encode()
    return name + _ENDS.get(alignment.flag & (_FIRST | _SECOND), b""), letters, quality


def _check_cram(source: Path, reading: Reading, reference: str) -> None:
    """Refuse CRAM that is cut off between two containers, which htslib does not notice."""
    if reference and not Path(f"{reference}.fai").is_file():
        # htslib would make it, and other jobs read it half made.
        raise SourceError(
            f"config: sequences/cram_reference '{reference}' has no index (expected FASTA, and its .fai "
            "beside it: samtools faidx)"
        )
    with source.open("rb") as raw:
        raw.seek(-min(38, source.stat().st_size), 2)
        if _CRAM_END not in raw.read():
            raise SourceError(
                f"{reading.origin}: is cut off: the container that ends CRAM is missing (fetch it again)"
            )


def _check_header(header: dict[str, Any], origin: str) -> None:
    """Refuse to have htslib open a file of this machine because a header names it."""
    for sequence in header.get("SQ", ()):
        place = str(sequence.get("UR", "")).removeprefix("file:")
        if place and "://" not in place and os.path.lexists(place):
            raise SourceError(
                f"{origin}: its header names the reference '{place}', which is not opened unasked: set "
                "sequences/cram_reference to the FASTA it was aligned to"
            )


def _unreadable(origin: str, form: str, reference: str, error: Exception) -> str:
    reason = " ".join(str(error).split())
    if form == "bam":
        return f"{origin}: the BAM data are damaged or cut off ({reason}): fetch the file again"
    if reference:
        return (
            f"{origin}: the CRAM data cannot be read ({reason}): sequences/cram_reference, {reference}, is "
            "not the FASTA they were aligned to, or they are damaged"
        )
    return (
        f"{origin}: the CRAM data cannot be read ({reason}): set sequences/cram_reference to the FASTA they "
        "were aligned to, or fetch the file again where it is damaged"
    )
