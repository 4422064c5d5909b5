"""A fetcher that asks a server of the tests for everything, and works in a folder of its own."""

from collections.abc import Mapping
from pathlib import Path

from helixflow.accessions import ADDRESSES
from helixflow.sequences import Fetcher, FetchSettings, Source
from helixflow.sequences.downloads.download import DownloadSettings

QUICK = DownloadSettings(attempts=3, timeout_s=5, first_wait_s=0.01)


def fetcher(folder: Path, server: str = "http://127.0.0.1:9", pins: Mapping | None = None) -> Fetcher:
    """A fetcher whose databases all lie on one server, each at the path of its name."""
    urls = {name: f"{server}/{name}" for name in ADDRESSES}
    settings = FetchSettings(urls=urls, download=QUICK)
    return Fetcher(settings, pins, "s.lock.tsv", folder / "results", folder / "work")


def source(name: str, kind: str, *origins: str | Path, checksum: str = "", text: str = "") -> Source:
    """A row whose source is written as its origins are."""
    texts = [str(origin) for origin in origins]
    return Source(name, kind, text or ",".join(texts), texts, checksum)
