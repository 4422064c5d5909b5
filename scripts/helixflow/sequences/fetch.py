"""Have the files of a source on this machine, verified, whatever the source is."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from helixflow.accessions import (
    ADDRESSES,
    NCBI_PER_SECOND,
    NCBI_PER_SECOND_WITH_KEY,
    Files,
    RemoteFile,
    is_accession,
    is_remote,
    resolve,
)
from helixflow.errors import DigestError, LimitError, SourceError
from helixflow.files import file_digests
from helixflow.progress import progress
from helixflow.samples import find_sheet
from helixflow.sequences.downloads.download import DownloadSettings, download, read_reply
from helixflow.sequences.downloads.quota import Quota
from helixflow.sequences.downloads.turns import Turns
from helixflow.sequences.lock import Pins, read_lock

log = logging.getLogger(__name__)

RESULTS, WORK = Path("results/sequences"), Path("work/sequences")
_GB = 10**9
#: Who tells a checksum, beside the lock file, and what to do about a file that has another.
_SHEET, _DATABASE = "the sheet", "the database"
_MEND = {_SHEET: "fetch it again, or mend the checksum there", _DATABASE: "fetch it again"}


@dataclass(frozen=True)
class Source:
    """What a row of the sheet or of a manifest names."""

    #: ``sample`` or ``collection/member``.
    name: str
    kind: str
    #: As the row says it.
    text: str
    #: A path, a URL or an accession for each file.
    origins: Sequence[str]
    #: ``sha256:…`` or ``md5:…`` of each file, separated by commas, or empty.
    checksum: str = ""


@dataclass(frozen=True)
class Fetched:
    """A file of a source on this machine, verified."""

    path: Path
    #: Where the bytes came from: a path or a URL.
    origin: str
    sha256: str
    size: int
    #: When the bytes were fetched, or last changed where they are a local file; ISO 8601, UTC.
    date: str
    #: Who named a checksum that was compared: the sheet, the lock file, the database.
    verified_by: tuple[str, ...]
    expected: RemoteFile
    #: As the file was when it was verified.
    changed_ns: int

    def told(self) -> dict[str, Any]:
        """Return what the record of a row says of the file."""
        url = self.origin if is_remote(self.origin) else ""
        return {
            "url": url,
            "sha256": self.sha256,
            "bytes": self.size,
            "date": self.date,
            "verified_by": list(self.verified_by),
        }


@dataclass(frozen=True)
class FetchSettings:
    """How files are fetched; the meaning of each key is in the schema of the configuration."""

    urls: Mapping[str, str]
    download: DownloadSettings = field(default_factory=DownloadSettings)
    connections: int = 4
    total_bytes: int = 1000 * _GB
    expansion: float = 1000.0
    cram_reference: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> FetchSettings:
        """Take the settings from the section ``sequences`` of a complete configuration."""
        limits = config["limits"]
        return cls(
            urls={name: config[f"{name}_url"] for name in ADDRESSES},
            download=DownloadSettings(
                attempts=config["attempts"],
                timeout_s=config["timeout_s"],
                max_bytes=int(limits["file_GB"] * _GB),
                s3_url=config["s3_url"],
                s3_access=config["s3_access"],
            ),
            connections=config["connections"],
            total_bytes=int(limits["total_GB"] * _GB),
            expansion=limits["expansion"],
            cram_reference=config["cram_reference"],
        )


def find_lock(config: Mapping[str, Any], scripts: str | os.PathLike[str]) -> Path:
    """Return the path of the lock file, ``config/samples.lock.tsv`` beside ``config/samples.tsv``.

    Parameters
    ----------
    config : mapping
        The complete configuration.
    scripts : path
        The folder of the workflow's scripts, beside which a sheet of the workflow is looked for.
    """
    return find_sheet(config["samples"], ["", Path(scripts).parent]).with_suffix(".lock.tsv")


def open_fetcher(config: Mapping[str, Any], scripts: str | os.PathLike[str]) -> Fetcher:
    """Return the fetcher of a job, with parameters as of `find_lock`."""
    lock = find_lock(config, scripts)
    return Fetcher(FetchSettings.of(config["sequences"]), read_lock(lock), str(lock))


class Stopped(Exception):
    """The job is ending, so what is under way in another thread is given up."""


class Fetcher:
    """Gets the files of sources, below the limits that all jobs of a project share.

    Parameters
    ----------
    settings : FetchSettings
    pins : mapping
        What is pinned, see `read_lock`.
    lock : str
        The name of the lock file, for messages.
    results, work : Path
        The folders of the stage: what it wrote, and downloads until they are done with.
    """

    def __init__(
        self,
        settings: FetchSettings,
        pins: Pins | None = None,
        lock: str = "the lock file",
        results: Path = RESULTS,
        work: Path = WORK,
    ) -> None:
        self.settings, self.pins, self.lock, self.work = settings, pins or {}, lock, work
        key = os.environ.get("NCBI_API_KEY", "")
        self._secret = {"api_key": key} if key else {}
        rate = NCBI_PER_SECOND_WITH_KEY if key else NCBI_PER_SECOND
        self._turns = Turns(work / ".turns", settings.connections, {"ncbi": rate}, self._wait)
        self.quota = Quota([results, work], settings.total_bytes)
        self._stopped = Event()

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Stopped

    def stop(self) -> None:
        """Have all threads that fetch with this end soon."""
        self._stopped.set()

    @contextmanager
    def showing(self, what: str, show: bool) -> Iterator[Callable[[int, int | None], None]]:
        """Give what is told how many bytes are done, out of how many where that is known.

        The total may be known only when the first bytes come. Raises `Stopped` when told after `stop`.
        """
        with ExitStack() as stack:
            bars: list[Callable[[int], None]] = []

            def advance(done: int, total: int | None) -> None:
                if self._stopped.is_set():
                    raise Stopped
                if show and not bars:
                    bars.append(stack.enter_context(progress(what, total, "B")))
                for bar in bars:
                    bar(done)

            yield advance

    @contextmanager
    def fetch(self, source: Source, show: bool = True) -> Iterator[tuple[list[Fetched], tuple[str, ...]]]:
        """Have the files of a source on this machine for the length of the block.

        Local files are used where they lie. What was downloaded is removed when the block succeeds or
        finds the file bad, and kept for the next run when the block is stopped.

        Parameters
        ----------
        source : Source
        show : bool
            Whether to show the progress of each download.

        Yields
        ------
        list of Fetched, tuple of str
            The files, and the names of those that the database has beside them.

        Raises
        ------
        SourceError, DigestError
            When the source cannot be had, or is not the one that was expected, here or within the
            block; the message begins with the name of the row.
        """
        folder = self.work / source.name
        targets: list[Path] = []
        try:
            wanted = self._locate(source, folder)
            expected = self._expected(source, wanted)
            names = [hashlib.sha256(file.url.encode()).hexdigest()[:32] for file in wanted.taken]
            files = [
                self._have(file, folder / name, checksums, show)
                for file, name, checksums in zip(wanted.taken, names, expected, strict=True)
            ]
            targets = [folder / name for name in names]
            yield files, wanted.left_out
        except (SourceError, DigestError, LimitError) as error:
            # A file is not to blame for a limit.
            _remove([] if isinstance(error, LimitError) else targets)
            raise type(error)(f"{source.name}: {self._without_secret(str(error))}") from None
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise LimitError(f"{source.name}: {place}{error.strerror or error}") from None
        _remove(targets)
        # Not where the members of a collection have theirs.
        with suppress(OSError):
            folder.rmdir()

    def _locate(self, source: Source, folder: Path) -> Files:
        """Find the files of a source, asking the database of an accession."""
        first = source.origins[0]
        if not is_accession(first):
            return Files(tuple(RemoteFile(origin) for origin in source.origins))

        def read(url: str) -> str:
            return read_reply(
                url,
                folder,
                self.settings.download,
                turn=self._turn(url),
                secret=self._key(url),
                wait=self._wait,
            )

        files = resolve(first, source.kind, self.settings.urls, read)
        for name in files.left_out:
            log.warning("%s: %s is left out", first, name)
        return files

    def _without_secret(self, message: str) -> str:
        """Take out the key that a server may have repeated."""
        for secret in self._secret.values():
            message = message.replace(secret, "***")
        return message

    def _expected(self, source: Source, wanted: Files) -> list[dict[str, str]]:
        """Return what is expected of each file, by who says it."""
        told = source.checksum.split(",") if source.checksum else [""] * len(wanted.taken)
        if len(told) != len(wanted.taken):
            raise SourceError(
                f"{source.text}: stands for {len(wanted.taken)} files, expected the "
                f"{len(told)} that have a checksum in the sheet"
            )
        expected = []
        for number, (file, checksum) in enumerate(zip(wanted.taken, told, strict=True), 1):
            pin = self.pins.get((source.name, source.text, number), "")
            if self.pins and not pin and source.kind != "collection":
                log.warning("%s: %s is not pinned in %s", source.name, source.text, self.lock)
            by = {_SHEET: checksum, _DATABASE: file.checksum, self.lock: f"sha256:{pin}" if pin else ""}
            expected.append({who: digest for who, digest in by.items() if digest})
        return expected

    def _have(self, file: RemoteFile, target: Path, expected: dict[str, str], show: bool) -> Fetched:
        """Download a file where it is not on this machine, and verify it."""
        if not is_remote(file.url):
            return _verify(Path(file.url), file, expected)
        if not target.exists():
            what = f"{target.parent.relative_to(self.work)}: {file.url.rpartition('/')[2]}"
            with self.showing(what, show) as advance:
                stated = download(
                    file.url,
                    target,
                    self.settings.download,
                    turn=self._turn(file.url),
                    room=lambda more: self.quota.room(more, file.url),
                    advance=advance,
                    secret=self._key(file.url),
                    wait=self._wait,
                )
            checked = f", {', '.join(stated.checksums)} as the server says" if stated.checksums else ""
            log.info("%s: %d bytes%s", file.url, stated.size, checked)
        try:
            return _verify(target, file, expected)
        except (SourceError, DigestError):
            target.unlink()
            raise

    def _turn(self, url: str) -> Callable[[], AbstractContextManager[None]]:
        """Return what waits for a turn at the source of a URL: a database, or else a host."""
        source = self._source(url)
        return lambda: self._turns.turn(source)

    def _key(self, url: str) -> Mapping[str, str]:
        return self._secret if self._source(url) == "ncbi" else {}

    def _source(self, url: str) -> str:
        bases = self.settings.urls.items()
        names = [name for name, base in bases if url.startswith(f"{base.rstrip('/')}/")]
        return names[0] if names else urlsplit(url).netloc


def _verify(path: Path, file: RemoteFile, expected: Mapping[str, str]) -> Fetched:
    """Compare a file with all that is known of it.

    Raises
    ------
    SourceError
        When it is not as the sheet or its database says; both digests or sizes are named.
    DigestError
        When it is not the one that is pinned.
    """
    if not path.is_file():
        raise SourceError(f"{file.url}: no such file (expected the source the sheet names)")
    stat = path.stat()
    if file.size is not None and stat.st_size != file.size:
        raise SourceError(f"{file.url}: has {stat.st_size} bytes, expected {file.size} as the database says")
    algorithms = {"sha256", *(checksum.partition(":")[0] for checksum in expected.values())}
    digests = file_digests(path, algorithms)
    for who, checksum in expected.items():
        algorithm, _, digest = checksum.partition(":")
        if digests[algorithm] != digest:
            found = f"{file.url}: {algorithm} is {digests[algorithm]}, expected {digest} as {who} says"
            if who in _MEND:
                raise SourceError(f"{found} (it is damaged, or it changed: {_MEND[who]})")
            raise DigestError(f"{found} (it changed, or is damaged: remove its line there to accept it)")
    return Fetched(
        path,
        file.url,
        digests["sha256"],
        stat.st_size,
        date_of(stat),
        tuple(expected),
        file,
        stat.st_mtime_ns,
    )


def date_of(stat: os.stat_result) -> str:
    """Return when a file last changed, ISO 8601 to the second, UTC."""
    return datetime.fromtimestamp(int(stat.st_mtime), UTC).isoformat()


def _remove(targets: Sequence[Path]) -> None:
    for target in targets:
        target.unlink(missing_ok=True)
