"""Get the bytes of a source: a local file as it is, a URL by a download that resumes."""

from __future__ import annotations

import hashlib
import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from helixflow.errors import SourceError
from helixflow.files import file_digest, read_json, write_json

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

#: Answers that may be better the next time: time-outs, too many requests, a server in trouble.
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class FetchSettings:
    """How patient a download is.

    Attributes
    ----------
    attempts : int
        Tries in a row that bring no byte, after which the download fails.
    timeout_s : float
        Seconds without a byte after which a try is given up.
    first_wait_s : float
        Seconds before the second try, doubled from try to try.
    """

    attempts: int = 5
    timeout_s: float = 60.0
    first_wait_s: float = 1.0


@dataclass(frozen=True)
class Fetched:
    """The bytes of a source on this machine, and what is known of them."""

    path: Path
    #: As the sheet says it: a path, a URL or an accession.
    source: str
    #: Where the bytes came from: a path or a URL.
    origin: str
    sha256: str
    size: int
    #: When the bytes were fetched, or last changed where they are a local file; ISO 8601, UTC.
    date: str


class _TryAgain(Exception):
    """A try that failed in a way that may pass; the server may say after how many seconds."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@contextmanager
def fetch(
    source: str, origin: str, folder: Path, checksum: str, settings: FetchSettings
) -> Iterator[Fetched]:
    """Have a source on this machine, verified, for the length of the block.

    Parameters
    ----------
    source : str
        What the sheet says, for the record.
    origin : str
        A path, which is used where it lies, or an http(s) URL, which is downloaded.
    folder : Path
        Where the download is kept for the block, and an interrupted one until it is resumed;
        of this source alone, since two downloads into one file would mix.
    checksum : str
        ``sha256:…``, ``md5:…`` or empty.
    settings : FetchSettings

    Raises
    ------
    SourceError
        When the source cannot be had, or its digest is not the one of the sheet.
    """
    if not is_url(origin):
        yield _describe(Path(origin), source, origin, checksum)
        return
    target = folder / hashlib.sha256(origin.encode()).hexdigest()[:32]
    if not target.exists():
        download(origin, target, settings)
    try:
        yield _describe(target, source, origin, checksum)
    finally:
        target.unlink()


def is_url(origin: str) -> bool:
    """Tell a URL from a path."""
    return origin.startswith(("http://", "https://"))


def download(url: str, target: Path, settings: FetchSettings) -> None:
    """Download a URL, resuming what an earlier try or run left in ``{target}.part``.

    Raises
    ------
    SourceError
        When the server says no, or after `settings.attempts` tries in a row without a new byte.
    """
    import httpx

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    failures = 0
    with httpx.Client(follow_redirects=True, timeout=settings.timeout_s) as client:
        while True:
            before = _size(part)
            try:
                _continue(client, url, part)
                break
            except (httpx.TooManyRedirects, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise SourceError(f"{url}: cannot be fetched ({error})") from None
            except (_TryAgain, httpx.TransportError) as error:
                failures = 1 if _size(part) > before else failures + 1
                reason = str(error) or type(error).__name__
                if failures >= settings.attempts:
                    raise SourceError(
                        f"{url}: gave up after {failures} tries without a new byte, the last: {reason}"
                    ) from None
                wait_s = _wait(settings.first_wait_s * 2 ** (failures - 1), getattr(error, "wait_s", None))
                log.warning("%s: %s; trying again in %.1f s from byte %d", url, reason, wait_s, _size(part))
                time.sleep(wait_s)
    part.replace(target)
    _facts(part).unlink(missing_ok=True)


def _continue(client: httpx.Client, url: str, part: Path) -> None:
    """Ask for what `part` lacks and write it; return when the file is whole."""
    start, validator = _resume_point(part)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with client.stream("GET", url, headers=headers) as response:
        total = _check_answer(response, url, part, start)
        if response.status_code == 200:
            start = 0
        write_json(_facts(part), {"url": url, "validator": _validator(response)})
        with part.open("r+b" if start else "wb") as stream:
            stream.seek(start)
            for block in response.iter_raw():
                stream.write(block)
    if total is not None and _size(part) != total:
        raise _TryAgain(f"{_size(part)} bytes came, expected {total}")


def _check_answer(response: httpx.Response, url: str, part: Path, start: int) -> int | None:
    """Refuse or postpone what is not the file; return the size of the whole file where it is told."""
    status = response.status_code
    if status in _PASSING:
        raise _TryAgain(f"HTTP status {status}", _retry_after(response.headers.get("Retry-After", "")))
    if status == 416:
        part.unlink(missing_ok=True)
        raise _TryAgain("the server has fewer bytes than were fetched before, starting again")
    if status not in (200, 206):
        raise SourceError(f"{url}: the server answered HTTP status {status} (expected 200 OK)")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceError(
            f"{url}: the server encodes the file (expected the plain bytes that were asked for)"
        )
    if status == 200:
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not span or int(span[1]) != start:
        part.unlink(missing_ok=True)
        raise _TryAgain("the server sent another range than asked for, starting again")
    return None if span[2] == "*" else int(span[2])


def _resume_point(part: Path) -> tuple[int, str]:
    """Return from which byte to go on, and what proves that the file is still the same; 0 to start again."""
    if _size(part) and _facts(part).exists():
        validator = read_json(_facts(part))["validator"]
        if validator:
            return _size(part), validator
    return 0, ""


def _validator(response: httpx.Response) -> str:
    """Return a strong ETag or the date of the last change, which If-Range takes."""
    etag = str(response.headers.get("ETag", ""))
    return etag if etag and not etag.startswith("W/") else str(response.headers.get("Last-Modified", ""))


def _facts(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _retry_after(text: str) -> float | None:
    """Read a Retry-After header, seconds or a date."""
    if text.isdecimal():
        return float(text)
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None


def _wait(usual_s: float, asked_s: float | None) -> float:
    """Return the seconds to wait: what the server asked for, or the usual ones with jitter."""
    if asked_s is not None:
        return min(max(asked_s, 0.0), _LONGEST_WAIT_S)
    return min(usual_s, _LONGEST_WAIT_S) * random.uniform(0.5, 1.0)


def _describe(path: Path, source: str, origin: str, checksum: str) -> Fetched:
    """Compare a file with the sheet's checksum, where there is one, and say what it is."""
    if not path.is_file():
        raise SourceError(f"{origin}: no such file (expected the source the sheet names)")
    sha256 = file_digest(path)
    algorithm, _, expected = (checksum or f"sha256:{sha256}").partition(":")
    found = sha256 if algorithm == "sha256" else file_digest(path, algorithm)
    if found != expected:
        raise SourceError(
            f"{origin}: {algorithm} is {found}, expected {expected} (the file is damaged, or it changed: "
            "mend the file, or the checksum in the sheet)"
        )
    stat = path.stat()
    date = datetime.fromtimestamp(int(stat.st_mtime), UTC).isoformat()
    return Fetched(path, source, origin, sha256, stat.st_size, date)
