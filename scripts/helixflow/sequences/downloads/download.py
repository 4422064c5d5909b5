"""Download a URL so that it is whole or not there, going on where an earlier try or run stopped."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep

from helixflow.errors import SourceError
from helixflow.sequences.downloads.answers import Answer, Ask, TryAgain
from helixflow.sequences.downloads.part import Part, disk_errors, open_part
from helixflow.sequences.downloads.s3 import open_s3
from helixflow.sequences.downloads.web import open_web

log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 60.0
#: A server that asks to wait longer is not waited for.
_LONGEST_ASKED_S = 600.0
_REPLY_BYTES = 16 * 10**6


@dataclass(frozen=True)
class DownloadSettings:
    """How patient a download is, how large it may be, and how S3 is reached.

    Attributes
    ----------
    attempts : int
        Tries in a row that bring no new byte, after which the download fails.
    timeout_s : float
        Seconds without a byte after which a try is given up.
    first_wait_s : float
        Longest wait before the second try, doubled from try to try up to a minute.
    max_bytes : int
        The largest file that is fetched.
    s3_url : str
        Address of an S3 service, "" for that of AWS.
    s3_access : str
        ``anonymous``, ``credentials``, or ``auto``: with the credentials boto3 finds, else anonymous.
    """

    attempts: int = 5
    timeout_s: float = 60.0
    first_wait_s: float = 1.0
    max_bytes: int = 100 * 10**9
    s3_url: str = ""
    s3_access: str = "auto"


@dataclass(frozen=True)
class Downloaded:
    """A file that came whole: its bytes, and the digests the server stated, which it has."""

    size: int
    checksums: tuple[str, ...]


def download(
    url: str,
    target: Path,
    settings: DownloadSettings,
    *,
    turn: Callable[[], AbstractContextManager[None]],
    room: Callable[[int], None],
    advance: Callable[[int, int | None], None],
    secret: Mapping[str, str] = {},
    wait: Callable[[float], None] | None = None,
) -> Downloaded:
    """Download a URL, going on with what an earlier try or run left in ``{target}.part``.

    Parameters
    ----------
    url : str
        ``http(s)://…`` or ``s3://bucket/key``, the key as it is, without percent codes.
    target : Path
        The file's name when it is whole. What is there before stays until then.
    settings : DownloadSettings
    turn : callable
        Gives a context that is entered around every request; it may wait.
    room : callable
        Is asked again and again whether so many more bytes may be written, and raises where not.
    advance : callable
        Is told how many bytes there are, and of how many in all where that is known.
    secret : mapping of str to str
        Query parameters, such as a key, for the host of `url` alone; never written anywhere.
    wait : callable
        Waits so many seconds before another try.

    Returns
    -------
    Downloaded

    Raises
    ------
    SourceError
        When the server says no, `settings.attempts` tries in a row bring no byte, the bytes are not
        those whose digest the server states, or there is no room for them.
    """
    with open_part(target, url) as part, _asking(url, settings, secret) as ask:
        transfer = _Transfer(url, settings, part, ask, turn, room, advance, wait or sleep)
        transfer.complete()
        if mismatch := part.mismatch():
            log.warning("%s: %s; fetching it once more", url, mismatch)
            part.clear()
            transfer.complete()
        if mismatch := part.mismatch():
            part.clear()
            raise SourceError(f"{url}: {mismatch} (twice: the file is damaged on the server, or on its way)")
        part.finish()
        return Downloaded(part.size, part.checksums)


def read_reply(
    url: str,
    folder: Path,
    settings: DownloadSettings,
    *,
    turn: Callable[[], AbstractContextManager[None]],
    secret: Mapping[str, str] = {},
    wait: Callable[[float], None] | None = None,
) -> str:
    """Return a small document, such as what the API of a database replies.

    Parameters
    ----------
    url, settings, turn, secret, wait
        As for `download`.
    folder : Path
        Where it may lie for the moment.

    Raises
    ------
    SourceError
        As `download` does, and where the document has more than 16 MB or is not UTF-8.
    """
    small = replace(settings, max_bytes=_REPLY_BYTES)
    with disk_errors(url, folder), _scratch(folder) as scratch:
        path = scratch / "reply"
        download(url, path, small, turn=turn, room=_anything, advance=_anything, secret=secret, wait=wait)
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SourceError(f"{url}: the reply is not UTF-8 text ({error}), expected a document") from None


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".reply-", dir=folder) as scratch:
        yield Path(scratch)


def _anything(*_: object) -> None:
    """Do nothing."""


@contextmanager
def _asking(url: str, settings: DownloadSettings, secret: Mapping[str, str]) -> Iterator[Ask]:
    """Give the function that asks for the bytes of a URL."""
    if url.startswith("s3://"):
        with open_s3(url, settings.timeout_s, settings.s3_url, settings.s3_access) as ask:
            yield ask
    elif url.startswith(("http://", "https://")):
        with open_web(url, settings.timeout_s, secret) as ask:
            yield ask
    else:
        raise SourceError(f"{url}: cannot be downloaded, expected http://, https:// or s3://")


@dataclass
class _Transfer:
    """The tries of one download."""

    url: str
    settings: DownloadSettings
    part: Part
    ask: Ask
    turn: Callable[[], AbstractContextManager[None]]
    room: Callable[[int], None]
    advance: Callable[[int, int | None], None]
    wait: Callable[[float], None]
    #: Tries in a row without a byte beyond the farthest that was ever here.
    failures: int = 0
    farthest: int = 0

    def complete(self) -> None:
        """Try until nothing is missing."""
        self.failures, self.farthest = 0, self.part.size
        if self.part.size:
            log.info("%s: going on from byte %d", self.url, self.part.size)
        while not self.part.whole:
            try:
                with self.turn(), self.ask(self.part.size, self.part.validator) as answer:
                    self._take(answer)
            except TryAgain as failure:
                self._recover(failure)

    def _take(self, answer: Answer) -> None:
        """Write the bytes of an answer."""
        self._limit(answer.total or 0)
        self.part.accept(answer)
        for block in answer.blocks:
            self._limit(self.part.size + len(block))
            self.room(max(len(block), (answer.total or 0) - self.part.size))
            self.part.append(block)
            self.advance(self.part.size, answer.total)
        self.part.end()

    def _limit(self, size: int) -> None:
        """Refuse a file that is too large, and keep nothing of it."""
        if size > self.settings.max_bytes:
            self.part.clear()
            raise SourceError(
                f"{self.url}: has {size} bytes or more, expected at most {self.settings.max_bytes} "
                "(is it the right file? then raise sequences/limits/file_GB)"
            )

    def _recover(self, failure: TryAgain) -> None:
        """Count a failed try, keep of its bytes what can be gone on with, and wait before the next."""
        self.failures = 0 if self.part.size > self.farthest else self.failures + 1
        self.farthest = max(self.farthest, self.part.size)
        # Without a validator nothing could prove that other bytes are the rest of these.
        if failure.anew or not self.part.validator:
            self.part.clear()
        wait_s = self._wait_s(failure)
        start = self.part.size
        log.warning("%s: %s; trying again in %.1f s from byte %d", self.url, failure, wait_s, start)
        self.wait(wait_s)

    def _wait_s(self, failure: TryAgain) -> float:
        """Return the seconds to wait before the next try, or give up."""
        if self.failures >= self.settings.attempts:
            raise SourceError(
                f"{self.url}: gave up after {self.failures} tries in a row without a new byte, the last: "
                f"{failure} (run again to go on from byte {self.part.size})"
            ) from None
        asked_s = failure.wait_s or 0.0
        if asked_s > _LONGEST_ASKED_S:
            raise SourceError(
                f"{self.url}: {failure}, and the server asks to wait {asked_s:.0f} s (expected at most "
                f"{_LONGEST_ASKED_S:.0f}: run again later)"
            ) from None
        usual_s = self.settings.first_wait_s * 2 ** max(self.failures - 1, 0)
        return asked_s + random.uniform(0, min(usual_s, _LONGEST_WAIT_S))
