"""Letters of sequences in normal form: what may stand in a source, what becomes of it, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from helixflow.accessions import DNA_KINDS
from helixflow.errors import SourceError
from helixflow.sequences.formats.reading import Flaw
from helixflow.sequences.formats.records import Piece

BASES = b"ACGTU"
#: Codes of IUPAC for a base that is not known: which of two or three, or N for any.
AMBIGUOUS = b"RYSWKMBDHVN"
DNA = BASES + AMBIGUOUS
PROTEIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: What may stand between letters.
BLANKS = b" \t\n\v\f"
DIGITS = b"0123456789"
#: What stands between the texts of pieces that are joined: what begins a record is no letter.
_BETWEEN = b">"
_LOWER = PROTEIN.lower()
_EITHER_CASE = BASES + b"N" + BASES.lower() + b"n"
#: Proteins are refused as DNA when so great a share of them is written in the letters of bases and N.
_MOST_BASES = 0.9
#: DNA is refused as proteins when so great a share of it is ambiguous without being N. The 16 genomes
#: of the test data have none; of the 3,551 stretches of its proteins that happen to have no other
#: letters, 8 residues or longer, 98 % have more.
_MOST_AMBIGUOUS = 0.25


class Letters:
    """Bring the letters of records into normal form, those of many pieces at once.

    DNA is upper case, U becomes T, the codes of ambiguous bases stay. Proteins are upper case without
    a ``*`` at their end.

    Parameters
    ----------
    kind : str
        genome, metagenome or proteins.
    skipped : bytes
        What stands between the letters and is left out: blanks, in flat files also digits.

    Attributes
    ----------
    counts : Counter of str
        How many letters were changed, by change.
    """

    def __init__(self, kind: str, skipped: bytes) -> None:
        self._dna = kind in DNA_KINDS
        self._skipped = skipped
        self._usual = (b"ACGT" if self._dna else PROTEIN) + b"\n" + _BETWEEN
        alphabet = DNA if self._dna else PROTEIN
        self._allowed = alphabet + alphabet.lower() + skipped
        #: Where the ``*`` lies that ends the last piece, -1 where it has none.
        self._stop = -1
        self._bases = 0
        self._codes = 0
        self.counts: Counter[str] = Counter()

    def normalise(self, pieces: Sequence[Piece], title: str, length: int) -> list[bytes]:
        """Return the letters of pieces in normal form.

        Parameters
        ----------
        pieces : sequence of Piece
            Only the first of them may go on with an earlier record.
        title : str
            Of that earlier record.
        length : int
            Letters of it so far.

        Raises
        ------
        Flaw
            At the first thing that is no letter of the alphabet.
        """
        text = _BETWEEN.join([text for _, _, text in pieces])
        if not self._dna:
            if self._stop >= 0 or b"*" in text:
                pieces = self._strip_stops(pieces, title, length)
                text = _BETWEEN.join([text for _, _, text in pieces])
            self._bases += len(text) - len(text.translate(None, _EITHER_CASE))
        rest = text.translate(None, self._usual)
        if rest.translate(None, self._allowed) or text.count(_BETWEEN) >= len(pieces):
            raise self._find_strange(pieces, title, length)
        return (self._change(text, rest) if rest else text.replace(b"\n", b"")).split(_BETWEEN)

    def check(self, origin: str, residues: int) -> None:
        """Refuse proteins where DNA was declared and the other way round, once all is read.

        Raises
        ------
        SourceError
        """
        if self._dna and self._codes > _MOST_AMBIGUOUS * residues:
            raise SourceError(
                f"{origin}: {self._codes} of {residues} letters are codes of ambiguous bases other than N, "
                f"expected at most {_MOST_AMBIGUOUS:.0%} in DNA; for proteins set kind proteins"
            )
        if not self._dna and self._bases > _MOST_BASES * residues:
            raise SourceError(
                f"{origin}: {self._bases} of {residues} letters are A, C, G, T, U or N, expected proteins; "
                "for DNA set kind genome or metagenome"
            )

    def _change(self, text: bytes, rest: bytes) -> bytes:
        """Bring a text into normal form that has a `rest` of other than the usual letters; count those."""
        self.counts["lower case"] += len(rest) - len(rest.translate(None, _LOWER))
        text = text.upper()
        if self._dna:
            self.counts["U to T"] += rest.count(b"U") + rest.count(b"u")
            codes = len(rest.translate(None, BASES + BASES.lower() + self._skipped))
            self.counts["ambiguous bases kept"] += codes
            self._codes += codes - rest.count(b"N") - rest.count(b"n") if codes else 0
            text = text.replace(b"U", b"T")
        blank = len(rest) > len(rest.translate(None, self._skipped))
        return text.translate(None, self._skipped) if blank else text.replace(b"\n", b"")

    def _strip_stops(self, pieces: Sequence[Piece], title: str, length: int) -> list[Piece]:
        """Take a ``*`` from the end of records; refuse letters behind the one of the last pieces."""
        stripped = []
        for offset, begun, text in pieces:
            text = text.rstrip(self._skipped)
            if begun is not None:
                self._stop = -1
            elif self._stop >= 0 and text:
                raise Flaw(self._stop, self._complain(title, b"*", length + 1))
            if text.endswith(b"*"):
                text = text[:-1]
                self._stop = offset + len(text)
                self.counts["terminal * stripped"] += 1
            stripped.append((offset, begun, text))
        return stripped

    def _find_strange(self, pieces: Sequence[Piece], title: str, length: int) -> Flaw:
        """Return what is wrong with the first piece that has a strange letter."""
        for offset, begun, text in pieces:
            if begun is not None:
                title, length = begun, 0
            strange = text.translate(None, self._allowed)[:1]
            if strange:
                at = text.index(strange)
                position = length + len(text[:at].translate(None, self._skipped)) + 1
                return Flaw(offset + at, self._complain(title, strange, position))
        raise AssertionError("pieces were refused without a strange letter")

    def _complain(self, title: str, strange: bytes, position: int) -> str:
        if strange in b"-.":
            expected = "a gap: expected a sequence that is not aligned"
        elif self._dna:
            expected = "expected a base or IUPAC code; for proteins set kind proteins"
        else:
            expected = "expected a letter, or * at the end"
        name = title.partition(" ")[0]
        return f"record '{name}' has {repr(strange)[1:]} at position {position}, {expected}"
