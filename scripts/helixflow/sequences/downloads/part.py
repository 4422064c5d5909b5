"""A download that is not whole yet: its bytes, and what proves that others are the rest of them."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from helixflow.errors import SourceError
from helixflow.files import file_digest, read_json, write_json
from helixflow.sequences.downloads.answers import Answer, TryAgain
from helixflow.sequences.downloads.flock import lock

log = logging.getLogger(__name__)


@contextmanager
def open_part(target: Path, url: str) -> Iterator[Part]:
    """Open what is there of a download, for this process alone.

    Parameters
    ----------
    target : Path
        Where the whole file goes. ``{target}.part`` and ``{target}.part.json`` lie beside it, and stay
        when the block fails, for the next run to go on with.
    url : str
        Where the bytes come from; what is there of another URL is thrown away.

    Raises
    ------
    SourceError
        When another process is at it, the disk is full, or the folder cannot be written.
    """
    with disk_errors(url, target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _open_alone(target.with_name(target.name + ".part"), url) as stream:
            part = Part(stream, target, url)
            try:
                yield part
            finally:
                part.drop_if_empty()


class Part:
    """The bytes fetched so far, and what is known of the whole file.

    Attributes
    ----------
    size : int
        Bytes that are there.
    total : int or None
        Bytes of the whole file, where the server told.
    validator : str
        What proves that an answer is of the same file.
    checksums : tuple of str
        Digests the server stated.
    whole : bool
        Nothing is missing.
    """

    def __init__(self, stream: BinaryIO, target: Path, url: str) -> None:
        self._stream, self._target, self._url = stream, target, url
        self._path = target.with_name(target.name + ".part")
        self._facts = target.with_name(target.name + ".part.json")
        facts: dict[str, Any] = read_json(self._facts) if self._facts.exists() else {}
        if facts.get("url") != url or not facts["validator"]:
            self.clear()
            return
        self.size = self._stream.seek(0, os.SEEK_END)
        self.total: int | None = facts["total"]
        self.validator: str = facts["validator"]
        self.checksums: tuple[str, ...] = tuple(facts["checksums"])
        self.whole = self.size == self.total

    def clear(self) -> None:
        """Throw away what is there."""
        self._stream.truncate(0)
        self.size, self.total, self.validator, self.checksums, self.whole = 0, None, "", (), False

    def accept(self, answer: Answer) -> None:
        """Make ready for an answer's bytes: begin with them, or go on where they go on.

        Raises
        ------
        TryAgain
            When they are not the rest of the file that is here.
        """
        same_size = None in (self.total, answer.total) or self.total == answer.total
        if answer.start == 0:
            # First the old bytes go, then the facts change: the other way round, a run that is killed in
            # between would leave the bytes of one file with the facts of another.
            self.clear()
            self.validator, self.checksums = answer.validator, answer.checksums
        elif answer.start != self.size:
            raise TryAgain(f"bytes from {answer.start} came, expected from {self.size}", anew=True)
        elif answer.validator != self.validator or not same_size:
            raise TryAgain("the file changed on the server", anew=True)
        self.total = self.total if answer.total is None else answer.total
        facts = {"url": self._url, "validator": self.validator, "total": self.total}
        write_json(self._facts, facts | {"checksums": self.checksums})

    def append(self, block: bytes) -> None:
        """Write the next bytes, so that they are there when this process is killed."""
        self._stream.write(block)
        self._stream.flush()
        self.size += len(block)

    def end(self) -> None:
        """Check that the answer that ended brought all that was missing.

        Raises
        ------
        TryAgain
            When it did not, or brought more than there is.
        """
        if self.total is None:
            log.warning("%s: the server does not say how many bytes there are; %d came", self._url, self.size)
        elif self.size != self.total:
            reason = f"{self.size} bytes came, expected {self.total}"
            raise TryAgain(reason, anew=self.size > self.total)
        self.whole = True

    def mismatch(self) -> str:
        """Compare the bytes with the digests the server stated; return what differs, or nothing."""
        for checksum in self.checksums:
            algorithm, _, stated = checksum.partition(":")
            found = file_digest(self._path, algorithm)
            if found != stated:
                return f"{algorithm} is {found}, but the server states {stated}"
        return ""

    def finish(self) -> None:
        """Give the whole file its final name."""
        os.fsync(self._stream.fileno())
        self._path.replace(self._target)
        self._facts.unlink(missing_ok=True)

    def drop_if_empty(self) -> None:
        """Leave no file behind that nothing can be made of."""
        if not self.size and not self.whole:
            self._path.unlink(missing_ok=True)
            self._facts.unlink(missing_ok=True)


def _open_alone(path: Path, url: str) -> BinaryIO:
    """Open a file and lock it; a second process is refused rather than made to wait for hours."""
    while True:
        stream = path.open("a+b")
        if not lock(stream, wait=False):
            stream.close()
            raise SourceError(
                f"{url}: another process downloads it to {path} (expected one: wait for it, or stop it)"
            )
        # Its former holder may have renamed or removed the file between the opening and the lock.
        if _is_at(path, stream):
            return stream
        stream.close()


def _is_at(path: Path, stream: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


@contextmanager
def disk_errors(url: str, folder: Path) -> Iterator[None]:
    """Tell in one line that the disk is full or closed to us; of the network no OSError comes this far."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SourceError(
                f"{url}: no space left in {folder} (what came is kept: make room and run again)"
            ) from None
        raise SourceError(
            f"{url}: cannot be kept in {folder} ({error.strerror or error}), expected a folder to write in"
        ) from None
