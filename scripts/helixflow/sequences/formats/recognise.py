"""Tell the format of a source by what it holds, never by its name; name what is not read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from helixflow.errors import SourceError
from helixflow.sequences.formats.reading import Reading, find_packing, read_blocks

SEQUENCES = ("fasta", "genbank", "embl")
READS = ("fastq", "bam", "cram")
STRUCTURES = ("pdb", "mmcif")

#: Names of formats in messages.
_NAMES = {
    "fasta": "FASTA", "genbank": "GenBank", "embl": "EMBL", "fastq": "FASTQ",
    "bam": "BAM", "cram": "CRAM", "pdb": "PDB", "mmcif": "mmCIF",
}  # fmt: skip
#: What to do with a source whose format is read, but not for the kind of its row.
_HINTS = {
    **dict.fromkeys(SEQUENCES, "which has no base qualities; set kind genome, metagenome or proteins"),
    **dict.fromkeys(READS, "which holds reads; set kind reads"),
    **dict.fromkeys(STRUCTURES, "which holds a structure; set kind structure"),
}
#: Bytes by which a format is told.
_HEAD = 4096
_BLANK_LINES = re.compile(rb"\A(\xef\xbb\xbf)?(\s*[\n\r])?")

_PDB_RECORDS = (
    b"HEADER|OBSLTE|TITLE|SPLIT|CAVEAT|COMPND|SOURCE|KEYWDS|EXPDTA|NUMMDL|MDLTYP|AUTHOR|REVDAT|SPRSDE|JRNL|"
    b"REMARK|DBREF|SEQADV|SEQRES|MODRES|HET|HELIX|SHEET|SSBOND|LINK|CISPEP|SITE|CRYST1|ORIGX[123]|SCALE[123]|"
    b"MTRIX[123]|MODEL|ATOM|HETATM"
)


def _compile(patterns: dict[str, bytes]) -> dict[str, re.Pattern[bytes]]:
    return {name: re.compile(pattern) for name, pattern in patterns.items()}


#: How formats begin that are not read. Asked first, since some begin like one that is.
_FOREIGN = _compile({
    "an HTML page (is the URL right?)": rb"(?i)\s*(<!doctype html|<html|<head|<body)",
    "XML": rb"\s*<\?xml|\s*<[A-Za-z!]",
    "JSON": rb"\s*(\{\s*[\"}]|\[\s*[\[{\"\]\d])",
    "VCF (variants)": rb"##fileformat=VCF",
    "BCF (variants)": rb"BCF[\x02\x04]",
    "SAM text (convert it to BAM: samtools view -b)":
        rb"@(HD|SQ|RG|PG)\t[A-Z]{2}:|@CO\t|[^\s>@]\S*\t\d+\t\S+\t\d+\t\d+\t(\*|[\dMIDNSHPX=]+)\t",
    "GFF or GTF (annotation)":
        rb"##gff-version|(#[^\n]*\n)*[^\t\n>@]+\t[^\t\n]+\t[^\t\n]+\t\d+\t\d+\t[^\t\n]+\t[-+.?]\t",
    "BED (intervals)": rb"((track|browser)[ \t][^\n]*\n)*[^\t\n>@]+\t\d+\t\d+[\t\n]",
    "a Stockholm alignment": rb"# STOCKHOLM",
    "a Clustal alignment": rb"CLUSTAL",
    "a NEXUS file": rb"(?i)#NEXUS",
    "SRA (convert it to FASTQ: fasterq-dump)": rb"NCBI\.sra",
    "2bit (convert it to FASTA: twoBitToFa)": rb"\x43\x27\x41\x1a|\x1a\x41\x27\x43",
    "HDF5, such as fast5 (base-call it to FASTQ)": rb"\x89HDF\r\n\x1a\n",
    "POD5 (base-call it to FASTQ)": rb"\x8bPOD\r\n\x1a\n",
    "a zip archive (unpack it)": rb"PK(\x03\x04|\x05\x06|\x07\x08)",
    "a tar archive (unpack it)": rb"(?s).{257}ustar",
    "a 7z archive (unpack it)": rb"7z\xbc\xaf\x27\x1c",
    "a rar archive (unpack it)": rb"Rar!\x1a\x07",
    "compress data, .Z (unpack it)": rb"\x1f\x9d",
    "lz4 data (unpack it)": rb"\x04\x22\x4d\x18",
    "PDF": rb"%PDF-",
    "an index (BAI, CSI or TBI), not the data": rb"(BAI|CSI|TBI)\x01",
    "text in UTF-16 (save it as UTF-8 or ASCII)": rb"\xff\xfe|\xfe\xff|([\t\n\r -~]\0){4}|(\0[\t\n\r -~]){4}",
})  # fmt: skip
#: How the formats begin that are read.
_KNOWN = _compile({
    "fasta": rb">",
    "genbank": rb"LOCUS\s",
    "embl": rb"ID   ",
    "fastq": rb"@",
    "bam": rb"BAM\x01",
    "cram": rb"CRAM[\x01-\x04]",
    "mmcif": rb"([ \t]*(#[^\n]*)?\n)*data_",
    "pdb": rb"(" + _PDB_RECORDS + rb")[ \d\n]",
})  # fmt: skip


def recognise(source: Path, reading: Reading, wanted: Sequence[str]) -> str:
    """Tell the format of a source.

    Parameters
    ----------
    source : Path
    reading : Reading
    wanted : sequence of str
        `SEQUENCES`, `READS` or `STRUCTURES`.

    Returns
    -------
    str
        One of `wanted`.

    Raises
    ------
    SourceError
        When the source is empty, compressed twice, or of another format; the message names which.
    """
    origin, expected = reading.origin, _list(wanted)
    head = _read_head(source, reading)
    with source.open("rb") as raw:
        packing = find_packing(raw.read(_HEAD))
    if not head.strip():
        raise SourceError(f"{origin}: is empty, expected {expected}")
    inner = find_packing(head)
    if inner and packing:
        raise SourceError(
            f"{origin}: is compressed twice ({inner.name} in {packing.name}), expected {expected} compressed "
            "once: unpack it"
        )
    foreign = next((name for name, pattern in _FOREIGN.items() if pattern.match(head)), None)
    if foreign:
        raise SourceError(f"{origin}: is {foreign}, expected {expected}")
    known = next((name for name, pattern in _KNOWN.items() if pattern.match(head)), None)
    if not known:
        raise SourceError(f"{origin}: begins with {repr(head[:40])[1:]}, expected {expected}")
    if known in SEQUENCES and wanted == STRUCTURES:
        raise SourceError(f"{origin}: is {_NAMES[known]}, expected a structure in {expected}")
    if known not in wanted:
        raise SourceError(f"{origin}: is {_NAMES[known]}, {_HINTS[known]} (expected {expected})")
    if packing and packing.name != {"bam": "gzip", "cram": ""}.get(known, packing.name):
        raise SourceError(f"{origin}: is {_NAMES[known]} compressed once more with {packing.name}: unpack it")
    return known


def _read_head(source: Path, reading: Reading) -> bytes:
    """Return the first bytes behind a byte order mark and blank lines."""
    head = b""
    for block in read_blocks(source, reading.unwatched()):
        head = _BLANK_LINES.sub(b"", head + block, count=1)
        if len(head) >= _HEAD:
            break
    return head[:_HEAD]


def _list(formats: Sequence[str]) -> str:
    *first, last = (_NAMES[name] for name in formats)
    return f"{', '.join(first)} or {last}"
