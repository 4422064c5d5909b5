"""Write FASTA in lines of one length as bgzip, and the indexes of samtools faidx as it goes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Self

from helixflow.sequences.formats.bgzf import BgzfWriter

_LINE = 60
#: Letters from which on numpy breaks lines faster than Python does.
_MANY = 2000


class FastaWriter:
    """Write FASTA in lines of 60 letters as bgzip, and its indexes as it goes.

    The .fai has a line for every record: name, letters, where in the plain text they begin, letters
    and bytes of a line. A record without letters is not written.

    Parameters
    ----------
    fasta, fai, gzi : Path

    Attributes
    ----------
    title : str
        Name of the current record, a blank and its description.
    length : int
        Letters of it so far.
    kept : list of (str, int)
        Names and letters of the records that ended since `flush`.
    empty : list of str
        Names of those without letters.
    """

    def __init__(self, fasta: Path, fai: Path, gzi: Path) -> None:
        with ExitStack() as files:
            stream: BinaryIO = files.enter_context(fasta.open("wb"))
            self._index = files.enter_context(fai.open("w", encoding="utf-8", newline="\n"))
            self._text = files.enter_context(BgzfWriter(stream, files.enter_context(gzi.open("wb"))))
            self._files = files.pop_all()
        self.title, self.length = "", 0
        self._line, self._begin, self._offset = b"", 0, 0
        self._held: list[bytes] = []
        self._rows: list[str] = []
        self.kept: list[tuple[str, int]] = []
        self.empty: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)

    def write(self, title: str | None, letters: bytes) -> None:
        """Begin a record with its first letters, or go on with one."""
        if title is not None:
            self.end()
            self.title = title
        if letters:
            header = b"" if self.length else f">{self.title}\n".encode()
            self._begin = self._begin if self.length else self._offset + len(header)
            self.length += len(letters)
            letters = self._line + letters
            full = len(letters) - len(letters) % _LINE
            self._line = letters[full:]
            self._hold(header + _wrap(letters[:full]))

    def end(self) -> None:
        """End the current record."""
        name, length = self.title.partition(" ")[0], self.length
        if self._line:
            self._hold(self._line + b"\n")
        if length:
            line = length if length < _LINE else _LINE
            self._rows.append(f"{name}\t{length}\t{self._begin}\t{line}\t{line + 1}\n")
            self.kept.append((name, length))
        elif name:
            self.empty.append(name)
        self.title, self.length, self._line = "", 0, b""

    def flush(self) -> None:
        """Write what is held, and forget the names of records that ended."""
        self._text.write(b"".join(self._held))
        self._index.write("".join(self._rows))
        for held in (self._held, self._rows, self.kept, self.empty):
            held.clear()

    def _hold(self, text: bytes) -> None:
        self._held.append(text)
        self._offset += len(text)


def _wrap(letters: bytes) -> bytes:
    """Break letters, whose number is a multiple of 60, into lines."""
    if len(letters) < _MANY:
        return b"".join([letters[at : at + _LINE] + b"\n" for at in range(0, len(letters), _LINE)])
    import numpy as np

    lines = np.full((len(letters) // _LINE, _LINE + 1), ord("\n"), np.uint8)
    lines[:, :_LINE] = np.frombuffer(letters, np.uint8).reshape(-1, _LINE)
    return lines.tobytes()
