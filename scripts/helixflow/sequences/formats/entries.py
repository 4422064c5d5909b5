"""Entries of GenBank and EMBL flat files, GenPept and UniProt text as well, as a stream of pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from helixflow.sequences.formats.letters import BLANKS, DIGITS
from helixflow.sequences.formats.reading import LONGEST_LINE, Flaw
from helixflow.sequences.formats.records import Piece, read_title

#: What stands between the letters of an entry.
SKIPPED = BLANKS + DIGITS
#: Kinds of lines that tell of name and description.
_KEPT = {b"DEFINITION", b"VERSION", b"ACCESSION", b"LOCUS", b"DE", b"AC", b"SV", b"ID"}
_NO_SEQUENCE = (
    "the entry has no sequence (expected its letters, not only how it is put together: fetch it with "
    "its sequence)"
)
_CUT_OFF = "the entry is cut off: expected // at its end (fetch the file again)"
_LENGTH = re.compile(rb"(\d+) (?:bp|aa|BP|AA)\b")
_VERSION = re.compile(rb";\s*SV (\d+)")


@dataclass(frozen=True)
class _Layout:
    """How the lines of a flat file are read."""

    #: Words that begin an entry, and the letters of it.
    first: bytes
    letters: bytes
    #: Columns of the word that says what a line holds.
    width: int
    description: bytes


_LAYOUTS = {
    "genbank": _Layout(b"LOCUS", b"ORIGIN", 12, b"DEFINITION"),
    "embl": _Layout(b"ID", b"SQ", 5, b"DE"),
}


@dataclass
class _Entry:
    """What stands above the letters of an entry, by the word that begins a line."""

    offset: int
    first: bytes
    lines: dict[bytes, list[bytes]] = field(default_factory=dict)
    size: int = 0

    def keep(self, key: bytes, line: bytes) -> None:
        """Note a line; refuse more of them than a header may have bytes."""
        self.lines.setdefault(key, []).append(line)
        self.size += len(line) + 1
        if self.size > LONGEST_LINE:
            raise Flaw(self.offset, f"the entry has more than {LONGEST_LINE} bytes of name and description")

    def word(self, key: bytes) -> bytes:
        """Return the first word of the first line of a kind, without what ends it."""
        words = b" ".join(self.lines.get(key, [])[:1]).split()
        return words[0].rstrip(b";") if words else b""


class _Text:
    """A text that is read line by line, and in bulk up to a mark."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._held = b""
        self._at = 0
        self._before = 0

    @property
    def offset(self) -> int:
        """Bytes read so far."""
        return self._before + self._at

    def line(self) -> bytes | None:
        """Return the next line without its end, None at the end of the text."""
        while (end := self._held.find(b"\n", self._at)) < 0:
            if len(self._held) - self._at > LONGEST_LINE:
                raise Flaw(self.offset, f"the line has more than {LONGEST_LINE} bytes")
            if not self._more():
                end = len(self._held)
                break
        line = self._held[self._at : end]
        if not line and end == len(self._held):
            return None
        self._at = min(end + 1, len(self._held))
        return line

    def until(self, mark: bytes) -> Iterator[tuple[int, bytes]]:
        """Give the text up to a mark of two bytes in pieces, and where each lies."""
        while (end := self._held.find(mark, self._at)) < 0:
            # The last byte may be the first one of the mark.
            end = max(self._at, len(self._held) - 1)
            yield self.offset, self._held[self._at : end]
            self._at = end
            if not self._more():
                raise Flaw(self.offset, _CUT_OFF)
        yield self.offset, self._held[self._at : end]
        self._at = end

    def _more(self) -> bool:
        block = next(self._blocks, b"")
        self._before += self._at
        self._held = self._held[self._at :] + block
        self._at = 0
        return bool(block)


def read_entries(blocks: Iterable[bytes], form: str) -> Iterator[list[Piece]]:
    """Give the entries of a flat file, piece by piece.

    Parameters
    ----------
    blocks : iterable of bytes
        As `read_text` gives them.
    form : str
        genbank or embl.

    Raises
    ------
    Flaw
        At an entry without a name or without letters, at one that has more or fewer letters than it
        says, and at the end of one that is cut off.
    """
    text, layout = _Text(blocks), _LAYOUTS[form]
    offset = text.offset
    while (line := text.line()) is not None:
        if line.strip():
            entry = _read_annotation(text, layout, _Entry(offset, line))
            title = _title(entry, form)
            yield [(offset + 1, title, b"")]
            letters = 0
            for at, piece in text.until(b"//"):
                letters += len(piece.translate(None, SKIPPED))
                yield [(at, None, piece)]
            _check_length(entry, title, letters)
            text.line()
        offset = text.offset


def _read_annotation(text: _Text, layout: _Layout, entry: _Entry) -> _Entry:
    """Read the lines of an entry up to its letters."""
    if not entry.first.startswith(layout.first):
        raise Flaw(entry.offset, f"expected an entry that begins with {layout.first.decode()}")
    line: bytes | None = entry.first
    key = b""
    while line is not None and not line.startswith(b"//"):
        key = line[: layout.width].rstrip() or key
        if key.startswith(layout.letters):
            return entry
        if key in _KEPT:
            entry.keep(key, line[layout.width :].strip())
        line = text.line()
    if line is None:
        raise Flaw(text.offset, _CUT_OFF)
    raise Flaw(entry.offset, _NO_SEQUENCE)


def _title(entry: _Entry, form: str) -> str:
    """Return the name as accession.version, and the description."""
    if form == "genbank":
        name = entry.word(b"VERSION") or entry.word(b"ACCESSION") or entry.word(b"LOCUS")
        description = b" ".join(entry.lines.get(b"DEFINITION", [])).removesuffix(b".")
    else:
        name = entry.word(b"SV") or entry.word(b"AC") or entry.word(b"ID")
        version = _VERSION.search(entry.first)
        if version and b"." not in name:
            name += b"." + version[1]
        description = b" ".join(entry.lines.get(b"DE", []))
    return read_title(name + b" " + description if name else b"", entry.offset)


def _check_length(entry: _Entry, title: str, letters: int) -> None:
    stated = _LENGTH.search(entry.first)
    if not letters:
        raise Flaw(entry.offset, _NO_SEQUENCE)
    if stated and int(stated[1]) != letters:
        raise Flaw(
            entry.offset,
            f"entry '{title.partition(' ')[0]}' has {letters} letters, expected {int(stated[1])} as its "
            "first line says (a line is lost: fetch the file again)",
        )
