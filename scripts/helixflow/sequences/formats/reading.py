"""Read a source as a stream of blocks: unpacked by what its first bytes say, bounded, whole or refused."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from helixflow.errors import SourceError
from helixflow.sequences.formats import bgzf

#: Bytes a block has at most.
BLOCK = 1 << 18
#: Bytes that are given to an unpacker at once: few, since what follows a member is copied.
_FEED = 1 << 17
#: Bytes that tell how a file is compressed.
_MAGIC = 8
#: Bytes of a header or another line that is kept whole, at most.
LONGEST_LINE = 1 << 20
#: Bytes that have come out before a source is judged by how much larger it became.
_SMALL = 100_000_000
#: Bytes of memory that unpacking may take for what was unpacked before.
_WINDOW = 1 << 27


@dataclass(frozen=True)
class Reading:
    """How a source is read.

    Attributes
    ----------
    origin : str
        What messages call it: a path or a URL.
    max_bytes : int
        Bytes it may have when it is unpacked.
    expansion : float
        How many times larger than its file it may become, judged once 100 MB came out.
    advance : callable
        Told the bytes of the file that were read so far, for a progress bar.
    """

    origin: str
    max_bytes: int
    expansion: float
    advance: Callable[[int], None]

    def unwatched(self) -> Reading:
        """Return the same reading without a progress bar, for a second look."""
        return replace(self, advance=lambda _: None)

    def check_size(self, unpacked: int, packed: int) -> None:
        """Refuse a source that becomes too large when it is unpacked, such as a zip bomb."""
        if unpacked > self.max_bytes:
            raise SourceError(
                f"{self.origin}: has more than {self.max_bytes} bytes unpacked, expected at most as many (is "
                "it the right file? then raise sequences/limits/file_GB)"
            )
        if unpacked > _SMALL and unpacked > self.expansion * packed:
            raise SourceError(
                f"{self.origin}: its {packed} bytes unpack to more than {unpacked // 10**6} MB, expected at "
                f"most {self.expansion:g} times as many bytes as the file has (a decompression bomb? else "
                "raise sequences/limits/expansion)"
            )


class Flaw(Exception):
    """Something wrong at a byte of a text, before it is known in which line that is.

    Parameters
    ----------
    offset : int
        Byte of what `read_text` gives.
    message : str
        What is wrong there, and what was expected.
    """

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True)
class Packing:
    """A way of compression: how it begins, and what unpacks it."""

    name: str
    magics: tuple[bytes, ...]
    #: Returns what makes an unpacker, and the error that it raises.
    library: Callable[[], tuple[Callable[[], Any], type[Exception]]]


def _igzip() -> tuple[Callable[[], Any], Any]:
    from isal import igzip_lib

    return partial(igzip_lib.IgzipDecompressor, igzip_lib.DECOMP_GZIP), igzip_lib.IsalError


def _bz2() -> tuple[Callable[[], Any], type[Exception]]:
    import bz2

    return bz2.BZ2Decompressor, OSError


def _xz() -> tuple[Callable[[], Any], type[Exception]]:
    import lzma

    # A window of 128 MB and the little that is needed beside it.
    return partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=_WINDOW + BLOCK), lzma.LZMAError


def _zstd() -> tuple[Callable[[], Any], type[Exception]]:
    from backports import zstd

    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW.bit_length() - 1}
    return partial(zstd.ZstdDecompressor, options=options), zstd.ZstdError


#: A frame of data, or one of the sixteen kinds of frame to be skipped.
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + kind]) + b"\x2a\x4d\x18" for kind in range(16)))
PACKINGS = (
    Packing("gzip", (b"\x1f\x8b\x08",), _igzip),
    Packing("bzip2", (b"BZh",), _bz2),
    Packing("xz", (b"\xfd7zXZ\x00",), _xz),
    Packing("zstd", _ZSTD, _zstd),
)


def find_packing(head: bytes) -> Packing | None:
    """Tell how something is compressed by its first bytes, None where it is not."""
    return next((packing for packing in PACKINGS if head.startswith(packing.magics)), None)


def read_blocks(source: Path, reading: Reading) -> Iterator[bytes]:
    """Give the unpacked bytes of a source.

    Yields
    ------
    bytes
        At least one byte, at most `BLOCK`.

    Raises
    ------
    SourceError
        When the compressed data are cut off, damaged, or followed by something else; when they need
        more than 128 MB of memory, or become larger than `reading` allows.
    """
    size, unpacked = source.stat().st_size, 0
    with source.open("rb") as raw:
        packing = find_packing(raw.read(_MAGIC))
        raw.seek(0)
        blocks = _unpack(raw, packing, reading.origin) if packing else iter(partial(raw.read, BLOCK), b"")
        for block in blocks:
            unpacked += len(block)
            reading.check_size(unpacked, size)
            reading.advance(raw.tell())
            yield block


def _unpack(raw: BinaryIO, packing: Packing, origin: str) -> Iterator[bytes]:
    """Give the bytes of all members of a compressed file, one behind the other."""
    make, failure = packing.library()
    _check_end(raw, origin)
    feed = raw.read(_FEED)
    while feed:
        if not feed.startswith(packing.magics):
            raise SourceError(
                f"{origin}: something follows the {packing.name} data, expected the end of the file "
                "(it is damaged: fetch it again)"
            )
        member = make()
        try:
            yield from _unpack_member(raw, member, feed)
        except EOFError:
            raise SourceError(_cut_off(origin, f"the {packing.name} data have no end")) from None
        except failure as error:
            raise SourceError(f"{origin}: {_reason(packing, error)}") from None
        feed = member.unused_data
        if len(feed) < _MAGIC:
            feed += raw.read(_FEED)


def _unpack_member(raw: BinaryIO, member: Any, feed: bytes) -> Iterator[bytes]:
    while True:
        block = member.decompress(feed, BLOCK)
        if block:
            yield block
        if member.eof:
            return
        feed = raw.read(_FEED) if member.needs_input else b""
        if member.needs_input and not feed:
            raise EOFError


def _check_end(raw: BinaryIO, origin: str) -> None:
    """Refuse BGZF without the block that ends it: it may be cut off between two blocks, unseen by gzip."""
    head = raw.read(16)
    raw.seek(-min(len(bgzf.END), raw.seek(0, 2)), 2)
    end = raw.read()
    raw.seek(0)
    if bgzf.is_bgzf(head) and end != bgzf.END:
        raise SourceError(_cut_off(origin, "the block that ends a BGZF file is missing"))


def _cut_off(origin: str, how: str) -> str:
    return f"{origin}: is cut off or damaged: {how} (fetch it again)"


def _reason(packing: Packing, error: Exception) -> str:
    if "memory" in str(error).lower():
        return (
            f"the {packing.name} data need a window of more than {_WINDOW >> 20} MB to be unpacked "
            "(compress the file again with a smaller window)"
        )
    return f"the {packing.name} data are damaged ({error}): fetch the file again"


def read_text(source: Path, reading: Reading) -> Iterator[bytes]:
    """Give what `read_blocks` gives as text: without a byte order mark, and every line ended by LF.

    Lines may end with LF, CRLF or, as on old Macs, CR.
    """
    mark, held = codecs.BOM_UTF8, b""
    for block in read_blocks(source, reading):
        text = (held + block).removeprefix(mark)
        mark, held = b"", b""
        if b"\r" in text:
            # What follows a last CR tells whether it ends the line alone.
            held = text[len(text.removesuffix(b"\r")) :]
            text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if text:
            yield text
    if held:
        yield b"\n"


def find_line(source: Path, reading: Reading, offset: int) -> int:
    """Return the line, counted from 1, in which a byte of a text lies."""
    line = 1
    for text in read_text(source, reading.unwatched()):
        line += text[:offset].count(b"\n")
        offset -= len(text)
        if offset <= 0:
            break
    return line


@contextmanager
def placed(source: Path, reading: Reading) -> Iterator[None]:
    """Tell of a `Flaw` as a `SourceError` that names the source and the line."""
    try:
        yield
    except Flaw as flaw:
        line = find_line(source, reading, flaw.offset)
        raise SourceError(f"{reading.origin} line {line}: {flaw}") from None
