"""Write bgzip: gzip in blocks that can be read from their middle, and the .gzi of where they begin."""

from __future__ import annotations

import struct
from types import TracebackType
from typing import BinaryIO, Self

#: The empty block that ends a BGZF file; where it is missing, the file is cut off.
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
#: Bytes of text in a block, as bgzip and htslib have it.
_BLOCK = 65280
_HEADER = struct.Struct("<12s2sHH")
_GZIP_HEADER = bytes.fromhex("1f8b08040000000000ff0600")
_LARGEST = 1 << 16


def is_bgzf(head: bytes) -> bool:
    """Tell BGZF from other gzip by the first 14 bytes: a first extra field that is called BC."""
    return head.startswith(b"\x1f\x8b\x08\x04") and head[12:14] == b"BC"


class BgzfWriter:
    """Compress what is written into BGZF, level 2 of igzip.

    Parameters
    ----------
    stream : binary file
        Gets the blocks; it stays open.
    index : binary file, optional
        Gets the .gzi: the number of blocks, then where each but the first begins in the compressed
        and in the plain text, little-endian unsigned integers of 8 bytes.

    Attributes
    ----------
    written : int
        Bytes of plain text so far.
    """

    def __init__(self, stream: BinaryIO, index: BinaryIO | None = None) -> None:
        self._stream = stream
        self._index = index
        self._held = bytearray()
        self._packed = 0
        self._noted = 0
        self.written = 0
        if index:
            index.write(bytes(8))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()

    def write(self, text: bytes) -> None:
        """Take more plain text."""
        self._held += text
        self.written += len(text)
        if len(self._held) >= _BLOCK:
            self._pack(len(self._held) - len(self._held) % _BLOCK)

    def _pack(self, size: int) -> None:
        """Write the first `size` bytes of what is held, in blocks."""
        with memoryview(self._held) as held:
            for start in range(0, size, _BLOCK):
                if self._index and self._packed:
                    plain = self.written - len(held) + start
                    self._index.write(struct.pack("<QQ", self._packed, plain))
                    self._noted += 1
                self._packed += self._stream.write(_block(held[start : min(start + _BLOCK, size)]))
        del self._held[:size]

    def _finish(self) -> None:
        self._pack(len(self._held))
        self._stream.write(END)
        if self._index:
            self._index.seek(0)
            self._index.write(struct.pack("<Q", self._noted))


def _block(text: memoryview) -> bytes:
    """Compress one block; stored as it is where compression would make it longer than BGZF allows."""
    from isal import igzip_lib, isal_zlib

    packed = igzip_lib.compress(text, 2, igzip_lib.COMP_DEFLATE)
    size = _HEADER.size + len(packed) + 8
    if size > _LARGEST:
        packed = struct.pack("<BHH", 1, len(text), len(text) ^ 0xFFFF) + bytes(text)
        size = _HEADER.size + len(packed) + 8
    header = _HEADER.pack(_GZIP_HEADER, b"BC", 2, size - 1)
    return header + packed + struct.pack("<II", isal_zlib.crc32(text), len(text))
