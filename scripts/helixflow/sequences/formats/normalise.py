"""Write sources of sequences in one normal form: FASTA in lines of 60 letters, bgzip, indexed.

DNA is upper case, U becomes T, the IUPAC letters of ambiguous bases stay. Proteins are upper case
without a terminal ``*``. Records without a sequence are set aside; anything else that is not a
letter of the alphabet is refused. What was changed and what was set aside is counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from helixflow.errors import SourceError
from helixflow.files import whole_file
from helixflow.sequences.formats.entries import SKIPPED, read_entries
from helixflow.sequences.formats.letters import BLANKS, Letters
from helixflow.sequences.formats.names import Names
from helixflow.sequences.formats.reading import Flaw, Reading, find_line, placed, read_text
from helixflow.sequences.formats.recognise import SEQUENCES, recognise
from helixflow.sequences.formats.records import Piece, read_fasta
from helixflow.sequences.formats.writing import FastaWriter

__all__ = ["Reading", "SetAside", "Tally", "write_sequences"]

log = logging.getLogger(__name__)

#: Names of records set aside that are told; the log has all.
_FIRST = 10


@dataclass
class SetAside:
    """Records that were set aside for one reason: how many, and the names of the first ten."""

    records: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, records: int, first: Iterable[str]) -> None:
        """Count more of them, of which the first ones are named."""
        self.records += records
        self.first = [*self.first, *first][:_FIRST]


@dataclass
class Tally:
    """What normalising found and did, for one source.

    Attributes
    ----------
    format : str
        fasta, genbank, embl, fastq, bam, cram, pdb or mmcif.
    first : str
        Name of the first record that was kept.
    records, residues : int
        Records that were kept, and their letters. Of mates, both reads are counted; of a structure,
        the atoms and residues of its first model.
    set_aside : dict of str to SetAside
        Records that were not kept, by reason.
    normalised : Counter of str
        How often what was changed.
    """

    format: str = ""
    first: str = ""
    records: int = 0
    residues: int = 0
    set_aside: dict[str, SetAside] = field(default_factory=dict)
    normalised: Counter[str] = field(default_factory=Counter)

    def keep(self, first: str, records: int, residues: int) -> None:
        """Count records that are written, the first of them by its name."""
        self.first = self.first or first
        self.records += records
        self.residues += residues

    def leave(self, name: str, reason: str, origin: str) -> None:
        """Count and log a record that is set aside."""
        self.set_aside.setdefault(reason, SetAside()).add(1, [name])
        log.warning("%s: record '%s' set aside: %s", origin, name, reason)


def write_sequences(
    source: Path,
    kind: str,
    reading: Reading,
    fasta: Path,
    fai: Path,
    gzi: Path,
    accept: Callable[[Tally], None],
) -> Tally:
    """Write a source of DNA or proteins as bgzip FASTA with the indexes of samtools faidx.

    Parameters
    ----------
    source : Path
        FASTA, GenBank or EMBL, plain or compressed. It is read as a stream, however long.
    kind : str
        genome, metagenome or proteins.
    reading : Reading
    fasta, fai, gzi : Path
        The files to write; none is left half written.
    accept : callable
        Given what was found before the files take their names; may raise.

    Returns
    -------
    Tally

    Raises
    ------
    SourceError
        Naming file, line and record of the first thing that is not a sequence of this kind.
    """
    tally = Tally(format=recognise(source, reading, SEQUENCES))
    letters = Letters(kind, BLANKS if tally.format == "fasta" else SKIPPED)
    with whole_file(fasta) as fasta_part, whole_file(fai) as fai_part, whole_file(gzi) as gzi_part:
        with placed(source, reading), closing(Names(fasta_part.parent)) as names:
            with FastaWriter(fasta_part, fai_part, gzi_part) as writer:
                for pieces in _read_pieces(source, reading, tally.format):
                    texts = letters.normalise(pieces, writer.title, writer.length)
                    for (_, title, _), text in zip(pieces, texts, strict=True):
                        writer.write(title, text)
                    _settle(writer, names, tally, reading.origin)
                writer.end()
                _settle(writer, names, tally, reading.origin)
            _check_names(names.suspects(), source, reading, tally.format)
        if not tally.records:
            raise SourceError(f"{reading.origin}: no record has a sequence, expected at least one")
        letters.check(reading.origin, tally.residues)
        tally.normalised.update(+letters.counts)
        if tally.format != "fasta":
            # Flat files are written in lower case, whatever is known of the bases.
            del tally.normalised["lower case"]
        accept(tally)
    return tally


def _read_pieces(source: Path, reading: Reading, form: str) -> Iterator[list[Piece]]:
    text = read_text(source, reading)
    return read_fasta(text) if form == "fasta" else read_entries(text, form)


def _settle(writer: FastaWriter, names: Names, tally: Tally, origin: str) -> None:
    """Write what is held, and count the records that ended."""
    if writer.kept:
        names.add(name for name, _ in writer.kept)
        tally.keep(writer.kept[0][0], len(writer.kept), sum(length for _, length in writer.kept))
    for name in writer.empty:
        tally.leave(name, "no sequence", origin)
    writer.flush()


def _check_names(suspects: set[int], source: Path, reading: Reading, form: str) -> None:
    """Refuse two records of one name: those of suspect digests are looked up in the source."""
    if not suspects:
        return
    places: dict[str, int] = {}
    for offset, title, _ in chain.from_iterable(_read_pieces(source, reading.unwatched(), form)):
        name = title.partition(" ")[0] if title else ""
        if name and hash(name) in suspects:
            if name in places:
                line = find_line(source, reading, places[name])
                raise Flaw(offset - 1, f"record '{name}' is already at line {line} (expected unique names)")
            places[name] = offset - 1
