"""Write sources in one normal form: indexed FASTA for sequences, plain text for structures.

DNA is upper case, U becomes T, the IUPAC letters of ambiguous bases stay. Proteins are upper case
without a terminal ``*``. Records without a sequence are set aside; anything else that is not a
letter of the alphabet is refused. What was changed and what was set aside is counted.
"""

from __future__ import annotations

import codecs
import gzip
import io
import logging
import os
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from helixflow.errors import SourceError
from helixflow.files import whole_file, write_json
from helixflow.samples import DNA_KINDS
from helixflow.sequences.fetch import Fetched, is_url

log = logging.getLogger(__name__)

DNA_LETTERS = b"ACGTRYSWKMBDHVN"
PROTEIN_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: A protein file is refused as DNA when so great a share of it is written in the letters of bases.
_SHARE_OF_BASES = 0.9
_LINE = 60
_LOWER = bytes(range(ord("a"), ord("z") + 1))
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True)
class Record:
    """One sequence, and where in the source it begins, such as "line 3"."""

    name: str
    description: str
    letters: bytes
    place: str


@dataclass
class Tally:
    """What normalising found and did."""

    records: int = 0
    residues: int = 0
    bases: int = 0
    set_aside: list[dict[str, str]] = field(default_factory=list)
    normalised: Counter[str] = field(default_factory=Counter)


def write_sequences(
    fetched: Fetched, sample: str, kind: str, fasta: str, fai: str, gzi: str, provenance: str
) -> None:
    """Write a source of DNA or proteins as bgzip FASTA with the indexes of samtools faidx.

    Parameters
    ----------
    fetched : Fetched
        FASTA or GenBank, plain or gzip.
    sample, kind : str
        Name and kind of the row of the sheet.
    fasta, fai, gzi, provenance : str
        The files to write; none is left half written.

    Raises
    ------
    SourceError
        Naming file, record and line of the first thing that is not a sequence of this kind.
    """
    import pysam

    with whole_file(fasta) as fasta_part, whole_file(fai) as fai_part, whole_file(gzi) as gzi_part:
        with _readable(fetched), pysam.BGZFile(str(fasta_part), "wb") as out:
            form, records = read_records(fetched.path)
            tally = Tally()
            for record in normalise(records, kind, fetched.origin, tally):
                _write_record(record, out)
        _check(tally, kind, fetched.origin)
        pysam.faidx(str(fasta_part), "--fai-idx", str(fai_part), "--gzi-idx", str(gzi_part))
    _write_provenance(provenance, fetched, sample, kind, form, tally)


def write_structure(fetched: Fetched, sample: str, structure: str, provenance: str) -> None:
    """Write a structure as the plain text it was found to be, PDB or mmCIF.

    Raises
    ------
    SourceError
        When the source is neither, or has no atoms.
    """
    with whole_file(structure) as part:
        with _readable(fetched), open_source(fetched.path) as source:
            text = source.read()
        form = "mmcif" if text.lstrip().startswith(b"data_") else "pdb"
        part.write_bytes(text)
        tally = _count_atoms(part, form, fetched.origin)
    _write_provenance(provenance, fetched, sample, "structure", form, tally)


@contextmanager
def open_source(path: Path) -> Iterator[BinaryIO]:
    """Open a plain or gzip file for reading bytes."""
    from isal import igzip

    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if packed:
            with igzip.GzipFile(fileobj=raw) as stream:
                yield stream
        else:
            yield raw


def read_records(path: Path) -> tuple[str, Iterator[Record]]:
    """Tell a file's format, fasta or genbank, and give its records as they stand.

    Raises
    ------
    SourceError
        When the file is empty or begins like neither.
    """
    with open_source(path) as stream:
        first = next((line for _, line in _lines(stream) if line), b"")
    if first.startswith(b">"):
        return "fasta", _read_fasta(path)
    if first.startswith(b"LOCUS"):
        return "genbank", _read_genbank(path)
    found = "an empty file" if not first else f"'{first[:40].decode('ascii', 'replace')}'"
    hint = " (a web page: is the URL right?)" if first.lower().startswith((b"<!doctype", b"<html")) else ""
    raise SourceError(f"{path}: begins with {found}{hint}, expected FASTA ('>') or GenBank ('LOCUS')")


def normalise(records: Iterable[Record], kind: str, origin: str, tally: Tally) -> Iterator[Record]:
    """Give every record that has a sequence in normal form, and count in `tally`.

    Raises
    ------
    SourceError
        For a letter that is not of the kind's alphabet, a record without a name, or a name seen before.
    """
    places: dict[str, str] = {}
    for record in records:
        where = f"{origin} {record.place}"
        if not record.name or not record.name.isprintable():
            raise SourceError(f"{where}: the record has no name (expected one behind '>')")
        if places.setdefault(record.name, record.place) != record.place:
            raise SourceError(
                f"{where}: record '{record.name}' is already at {places[record.name]} (expected unique names)"
            )
        letters = _normal_letters(record, kind, where, tally.normalised)
        if letters:
            tally.records += 1
            tally.residues += len(letters)
            tally.bases += len(letters) - len(letters.translate(None, b"ACGTN"))
            yield Record(record.name, record.description, letters, record.place)
        else:
            tally.set_aside.append({"record": record.name, "reason": "no sequence"})
            log.warning("%s: record '%s' set aside: no sequence", where, record.name)


def _normal_letters(record: Record, kind: str, where: str, counts: Counter[str]) -> bytes:
    """Return a record's letters in normal form, counting what was changed."""
    letters = record.letters.upper()
    counts["lower case"] += len(letters) - len(record.letters.translate(None, _LOWER))
    if kind in DNA_KINDS:
        alphabet, hint = DNA_LETTERS, "a base or IUPAC code; for proteins set kind proteins"
        counts["U to T"] += letters.count(b"U")
        letters = letters.replace(b"U", b"T")
        counts["ambiguous bases kept"] += len(letters.translate(None, b"ACGT"))
    else:
        alphabet, hint = PROTEIN_LETTERS, "a letter, or * at the end"
        counts["terminal * stripped"] += letters.endswith(b"*")
        letters = letters.removesuffix(b"*")
    strange = letters.translate(None, alphabet)
    if strange:
        position = letters.index(strange[:1]) + 1
        raise SourceError(
            f"{where}: record '{record.name}' has {strange[:1].decode('latin-1')!r} at position {position}, "
            f"expected {hint}"
        )
    return letters


def _read_fasta(path: Path) -> Iterator[Record]:
    with open_source(path) as stream:
        header, start = b"", 0
        lines: list[bytes] = []
        for number, line in _lines(stream):
            if line.startswith(b">"):
                if start:
                    yield _fasta_record(header, lines, start)
                header, start, lines = line[1:], number, []
            else:
                lines.append(b"".join(line.split()))
        yield _fasta_record(header, lines, start)


def _fasta_record(header: bytes, lines: list[bytes], start: int) -> Record:
    name, *description = header.decode("utf-8", "replace").split() or [""]
    return Record(name, _printable(" ".join(description)), b"".join(lines), f"line {start}")


def _lines(stream: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Give lines with their numbers, whether they end with LF, CRLF or, as on old Macs, CR."""
    texts = (line for text in stream for line in text.removesuffix(b"\n").removesuffix(b"\r").split(b"\r"))
    for number, line in enumerate(texts, 1):
        yield number, line.removeprefix(codecs.BOM_UTF8).strip()


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _read_genbank(path: Path) -> Iterator[Record]:
    from Bio import BiopythonParserWarning, SeqIO
    from Bio.Seq import UndefinedSequenceError

    with open_source(path) as stream, io.TextIOWrapper(stream) as text, warnings.catch_warnings():
        # The parser only warns of a sequence that is not as long as its LOCUS line says.
        damaged = "Expected sequence length|Premature end of file"
        warnings.filterwarnings("error", damaged, BiopythonParserWarning)
        try:
            for number, entry in enumerate(SeqIO.parse(text, "genbank"), 1):
                yield Record(entry.id, _printable(entry.description), bytes(entry.seq), f"entry {number}")
        except UndefinedSequenceError:
            raise SourceError(
                f"{path}: a GenBank entry has no sequence (expected one behind ORIGIN)"
            ) from None
        except (ValueError, BiopythonParserWarning) as error:
            reason = " ".join(str(error).split())
            raise SourceError(f"{path}: is not a whole GenBank file ({reason})") from None


def _write_record(record: Record, out: BinaryIO) -> None:
    """Write a FASTA record in lines of one width, as faidx needs them."""
    out.write(f">{f'{record.name} {record.description}'.strip()}\n".encode())
    for start in range(0, len(record.letters), _LINE):
        out.write(record.letters[start : start + _LINE] + b"\n")


def _check(tally: Tally, kind: str, origin: str) -> None:
    """Refuse a source without a sequence, and DNA that was declared as proteins."""
    if not tally.records:
        raise SourceError(f"{origin}: no record has a sequence, expected at least one")
    if kind not in DNA_KINDS and tally.bases > _SHARE_OF_BASES * tally.residues:
        raise SourceError(
            f"{origin}: {tally.bases} of {tally.residues} letters are A, C, G, T or N, expected proteins; "
            "for DNA set kind genome or metagenome"
        )


def _count_atoms(path: Path, form: str, origin: str) -> Tally:
    """Count atoms and residues of the first model, which shows that the file is a structure."""
    from Bio.PDB import MMCIFParser, PDBParser
    from Bio.PDB.PDBExceptions import PDBConstructionException

    parser = MMCIFParser(QUIET=True) if form == "mmcif" else PDBParser(QUIET=True)
    try:
        with warnings.catch_warnings(action="ignore"):
            model = next(iter(parser.get_structure("", str(path))))
    except (StopIteration, KeyError, ValueError, PDBConstructionException) as error:
        reason = str(error) or "no atoms"
        raise SourceError(
            f"{origin}: is not a structure ({reason}), expected PDB or mmCIF with atoms"
        ) from None
    return Tally(records=sum(1 for _ in model.get_atoms()), residues=sum(1 for _ in model.get_residues()))


@contextmanager
def _readable(fetched: Fetched) -> Iterator[None]:
    """Name the source when it turns out not to be readable, such as a truncated gzip file."""
    try:
        yield
    except _DAMAGED as error:
        raise SourceError(f"{fetched.origin}: cannot be read to its end ({error})") from None


def _write_provenance(
    path: str | os.PathLike[str], fetched: Fetched, sample: str, kind: str, form: str, tally: Tally
) -> None:
    write_json(
        path,
        {
            "sample": sample,
            "kind": kind,
            "source": fetched.source,
            "url": fetched.origin if is_url(fetched.origin) else "",
            "sha256": fetched.sha256,
            "bytes": fetched.size,
            "date": fetched.date,
            "format": form,
            "records": tally.records,
            "residues": tally.residues,
            "set_aside": tally.set_aside,
            "normalised": {change: count for change, count in tally.normalised.items() if count},
        },
    )
