"""What a server answers, whatever it speaks: HTTP and S3 differ only in how it is asked."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Bytes of a digest, which tell a well-formed one.
_DIGEST_BYTES = {"md5": 16, "sha256": 32}


@dataclass(frozen=True)
class Answer:
    """The bytes of a file from one on.

    Attributes
    ----------
    start : int
        Where in the file the bytes begin; 0 when the server sends the whole file.
    total : int or None
        Bytes of the whole file, None where the server does not say.
    validator : str
        What proves that a later answer is of the same file, "" where nothing does.
    checksums : tuple of str
        Digests the server states of the whole file, such as ``md5:…`` or ``sha256:…``.
    blocks : iterator of bytes
        The bytes, as they come.
    """

    start: int
    total: int | None
    validator: str
    checksums: tuple[str, ...]
    blocks: Iterator[bytes]


#: Ask for the bytes from one on, of the file that a validator tells; the answer ends with the block.
Ask = Callable[[int, str], AbstractContextManager[Answer]]


class TryAgain(Exception):
    """A try that failed in a way that may pass.

    Attributes
    ----------
    wait_s : float or None
        Seconds the server asks to wait.
    anew : bool
        What was fetched so far is of no use.
    """

    def __init__(self, reason: str, wait_s: float | None = None, anew: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.anew = anew


def passing(status: int) -> bool:
    """Tell an answer that may be better next time: a time-out, too many requests, a server in trouble."""
    return status in (408, 425, 429) or status >= 500


def retry_after(text: str) -> float | None:
    """Read a Retry-After header, seconds or a date, as seconds from now; None where it has neither."""
    if re.fullmatch("[0-9]{1,9}", text.strip()):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        # A date without a zone, "-0000", is in UTC.
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(seconds, 0.0)


def content_range(text: str) -> tuple[int | None, int | None]:
    """Read a Content-Range header: the first byte and the bytes of the whole file, None where not told."""
    found = re.fullmatch(r"bytes (?:(\d{1,18})-\d+|\*)/(?:(\d{1,18})|\*)", text.strip())
    start, total = found.groups() if found else (None, None)
    return int(start) if start else None, int(total) if total else None


def checksum(algorithm: str, text: str) -> tuple[str, ...]:
    """Give a base64 digest as the sheet writes checksums; nothing where it is malformed or unknown."""
    name = algorithm.strip().lower().replace("-", "")
    try:
        digest = b64decode(text.strip(), validate=True)
    except binascii.Error:
        return ()
    return (f"{name}:{digest.hex()}",) if len(digest) == _DIGEST_BYTES.get(name) else ()
