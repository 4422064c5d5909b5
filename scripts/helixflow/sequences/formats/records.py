"""Records of FASTA as a stream of pieces, none of which is held whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from helixflow.sequences.formats.reading import LONGEST_LINE, Flaw

#: Where the text lies in the source, the title of the record that begins here or None where the last
#: one goes on, and text of its letters. The byte before the text of a title lies in the line of it.
Piece = tuple[int, str | None, bytes]
_TOO_LONG = f"the header has more than {LONGEST_LINE} bytes, expected a name and a description"


def read_fasta(blocks: Iterable[bytes]) -> Iterator[list[Piece]]:
    """Give the records of a FASTA text, the pieces of a block together.

    Parameters
    ----------
    blocks : iterable of bytes
        As `read_text` gives them.

    Raises
    ------
    Flaw
        At a header without a name, or above 1 MB.
    """
    for offset, text, begins in _keep_headers_whole(blocks):
        if b">" not in text:
            yield [(offset, None, text)]
            continue
        # With a line end before the first line, every header follows one.
        first, *records = (b"\n" + text if begins else text).split(b"\n>")
        offset -= begins
        pieces: list[Piece] = [(offset, None, first)] if first else []
        at = offset + len(first) + 2
        for record in records:
            header, _, letters = record.partition(b"\n")
            pieces.append((at + len(header) + 1, read_title(header, at), letters))
            at += len(record) + 2
        yield pieces


def _keep_headers_whole(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    """Cut a text anew so that no header is divided; tell where a block lies and if it begins a line."""
    offset, held, begins = 0, b"", True
    for block in blocks:
        text = held + block
        last = text.rfind(b"\n") + 1
        held = text[last:] if (last or begins) and text.startswith(b">", last) else b""
        if len(held) > LONGEST_LINE:
            raise Flaw(offset + last, _TOO_LONG)
        text = text[: len(text) - len(held)]
        if text:
            yield offset, text, begins
            begins = text.endswith(b"\n")
        offset += len(text)
    if held:
        yield offset, held, True


def read_title(header: bytes, offset: int) -> str:
    """Return name and description with one blank between words, and nothing that cannot be printed.

    Raises
    ------
    Flaw
        At `offset`, when there is no name, it cannot be printed, or the header is above 1 MB.
    """
    if len(header) > LONGEST_LINE:
        raise Flaw(offset, _TOO_LONG)
    title = " ".join(header.decode("utf-8", "replace").split())
    if title and title.isascii() and title.isprintable():
        return title
    name, blank, description = title.partition(" ")
    if not name:
        raise Flaw(offset, "the record has no name (expected one behind '>')")
    if not name.isprintable() or "\ufffd" in name:
        raise Flaw(offset, f"the name {name!a} cannot be printed (expected UTF-8 without control characters)")
    return name + blank + "".join(letter if letter.isprintable() else " " for letter in description)
