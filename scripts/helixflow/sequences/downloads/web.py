"""Ask an HTTP server for the bytes of a file, from any byte on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from helixflow import __version__
from helixflow.errors import SourceError
from helixflow.sequences.downloads.answers import (
    Answer,
    Ask,
    TryAgain,
    checksum,
    content_range,
    passing,
    retry_after,
)

if TYPE_CHECKING:
    import httpx

_REDIRECTS = 10
_PACKED = (".gz", ".tgz", ".bgz", ".bgzf")
_ADVICE = {
    400: "it does not understand the request: check the address or accession",
    401: "it asks for a login: only open files can be fetched",
    403: "it refuses access: is the file open to all?",
    404: "no such file: check the address or accession",
    410: "the file was removed: check the address or accession",
}


@contextmanager
def open_web(url: str, timeout_s: float, secret: Mapping[str, str]) -> Iterator[Ask]:
    """Give the function that asks for the bytes of an http(s) URL.

    Parameters
    ----------
    url : str
    timeout_s : float
        Seconds without a byte after which a try fails.
    secret : mapping of str to str
        Query parameters, such as a key, for the host of `url` alone, which no message shows.
    """
    import httpx

    # They write the addresses they ask and are sent on to, and with them the secret.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    headers = {"Accept-Encoding": "identity", "User-Agent": f"helixflow/{__version__}"}
    try:
        client = httpx.Client(headers=headers, timeout=timeout_s)
    except (ImportError, ValueError, httpx.InvalidURL):
        # The address of a proxy may hold a password.
        raise SourceError(
            f"{url}: cannot be asked for: the environment names a proxy that is not understood (expected "
            "http://host:port in HTTP_PROXY, HTTPS_PROXY, ALL_PROXY)"
        ) from None
    with client:
        yield partial(_ask, client, url, secret)


@contextmanager
def _ask(
    client: httpx.Client, url: str, secret: Mapping[str, str], start: int, validator: str
) -> Iterator[Answer]:
    headers = {"Range": f"bytes={start}-", "If-Range": validator} if start else {}
    with closing(_follow(client, url, secret, headers)) as response:
        _refuse(response, url)
        yield _answer(response, start, validator)


def _follow(
    client: httpx.Client, url: str, secret: Mapping[str, str], headers: Mapping[str, str]
) -> httpx.Response:
    """Send a request, and follow where it is sent on to."""
    import httpx

    try:
        place = home = httpx.URL(url)
        for _ in range(_REDIRECTS + 1):
            request = client.build_request("GET", _with_secret(place, home, secret), headers=headers)
            with _network_errors():
                response = client.send(request, stream=True)
            if not response.has_redirect_location:
                return response
            response.close()
            place = place.join(response.headers["Location"])
            if place.scheme not in ("http", "https"):
                raise SourceError(f"{url}: is redirected to {place.scheme}:, expected http or https")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise SourceError(f"{url}: this address, or where it redirects to, is malformed ({error})") from None
    raise SourceError(f"{url}: cannot be fetched, it redirects more than {_REDIRECTS} times (in a circle?)")


def _with_secret(place: httpx.URL, home: httpx.URL, secret: Mapping[str, str]) -> httpx.URL:
    """Add the secret to an address of the host it is for, and take it from any other."""
    # A redirect may repeat the query it was asked with.
    for name in secret:
        if name in place.params:
            place = place.copy_remove_param(name)
    if not secret or (place.scheme, place.host, place.port) != (home.scheme, home.host, home.port):
        return place
    query = place.query + b"&" if place.query else b""
    return place.copy_with(query=query + urlencode(secret).encode())


def _refuse(response: httpx.Response, url: str) -> None:
    """Postpone or refuse an answer that is not a file."""
    status = response.status_code
    if passing(status):
        raise TryAgain(f"HTTP status {status}", retry_after(response.headers.get("Retry-After", "")))
    if status not in (200, 206, 416):
        advice = _ADVICE.get(status, "check the address")
        raise SourceError(f"{url}: the server answered HTTP status {status}, expected 200 ({advice})")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower() or "identity"
    # Many servers tell of a file.gz that it is a file, encoded.
    mislabelled = encoding in ("gzip", "x-gzip") and response.url.path.lower().endswith(_PACKED)
    if encoding != "identity" and not mislabelled:
        raise SourceError(
            f"{url}: the server sends it encoded as {encoding[:40]!r}, expected the plain bytes that were "
            "asked for (is there another address?)"
        )


def _answer(response: httpx.Response, start: int, validator: str) -> Answer:
    """Say which bytes of the file an answer has."""
    headers = response.headers
    if response.status_code == 200:
        length = headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        return Answer(0, total, _validator(headers), _checksums(headers), _blocks(response))
    begin, total = content_range(headers.get("Content-Range", ""))
    if response.status_code == 416:
        # There is nothing behind the last byte: right where all the bytes are here, and only there.
        if total != start:
            raise TryAgain(f"the server has no bytes behind byte {start}", anew=True)
        return Answer(start, total, _validator(headers, validator) or validator, (), iter(()))
    if begin is None:
        raise TryAgain("the server does not say which bytes it sends", anew=True)
    return Answer(begin, total, _validator(headers, validator), (), _blocks(response))


def _validator(headers: httpx.Headers, asked: str = "") -> str:
    """Return what If-Range takes: a strong ETag, or the date of the last change.

    Where one was `asked` for, return the one of its kind, or a date itself where the answer has none: a
    part must come with the ETag that the whole would have (RFC 9110, 15.3.7), and may without the date.
    """
    etag, date = str(headers.get("ETag", "")), str(headers.get("Last-Modified", ""))
    if asked:
        return etag if asked.startswith('"') else date or asked
    return etag if etag.startswith('"') and etag.isascii() else date


def _checksums(headers: httpx.Headers) -> tuple[str, ...]:
    """Return the digests of the whole file that an answer with status 200 states."""
    found = checksum("md5", headers.get("Content-MD5", ""))
    for name in ("Repr-Digest", "Digest", "x-goog-hash"):
        for entry in headers.get(name, "").split(","):
            algorithm, _, digest = entry.partition("=")
            found += checksum(algorithm, digest.strip().strip(":"))
    return tuple(dict.fromkeys(found))


def _blocks(response: httpx.Response) -> Iterator[bytes]:
    with _network_errors():
        yield from response.iter_raw()


@contextmanager
def _network_errors() -> Iterator[None]:
    """Call for another try where the connection fails, or cannot be made."""
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        raise TryAgain(str(error) or type(error).__name__) from None
