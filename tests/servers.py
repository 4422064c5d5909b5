"""Servers on 127.0.0.1 that misbehave on request: what may happen to a download happens here, on purpose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest


@dataclass
class Fault:
    """What goes wrong with one request; without arguments, nothing does.

    Attributes
    ----------
    status : int
        Answer with this status and without the page; 0 for the page.
    headers : mapping
        Headers added to the answer, or put in the place of those of the page.
    cut : int or None
        Close the connection after so many bytes of the body.
    stall_s : float
        Seconds of silence after `cut` bytes, before the connection is closed.
    drip : tuple of int, float, or None
        Send so many bytes at once, with so many seconds in between.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    stall_s: float = 0.0
    drip: tuple[int, float] | None = None


@dataclass
class Page:
    """What lies at one address, and how the server treats it.

    Attributes
    ----------
    body : bytes
    headers : mapping
        Headers of every answer with the body.
    status : int
        Status of an answer with all of the body.
    etag, modified : str
        Headers ETag and Last-Modified, "" for none.
    ranges : bool
        Whether a part of the page can be had.
    if_range : bool
        Whether If-Range is obeyed; a part is sent whatever it says where not.
    prove : bool
        Whether a part has the headers ETag and Last-Modified too.
    shift : int
        By how many bytes a part begins behind the byte that was asked for.
    most : int or None
        How many bytes a part has at most.
    length : bool
        Whether the size is told.
    faults : list of Fault
        What goes wrong with the next requests, in their order.
    """

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True
    if_range: bool = True
    prove: bool = True
    shift: int = 0
    most: int | None = None
    length: bool = True
    faults: list[Fault] = field(default_factory=list)


@dataclass
class Asked:
    """A request that came, and how many bytes of a body it was sent."""

    path: str
    query: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0

    @property
    def start(self) -> int:
        """The byte from which on the page was asked for."""
        return int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").split("-")[0])


class Server:
    """An HTTP server; use it as a context.

    Attributes
    ----------
    url : str
        Its address, without a slash at the end.
    pages : dict of str to Page
        By path with query, else by path alone. Another path is answered with 404.
    asked : list of Asked
        All requests, in their order.
    """

    def __init__(self, pages: Mapping[str, Page] | None = None) -> None:
        self.pages: dict[str, Page] = dict(pages or {})
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        server = self

        class Handler(_Handler):
            owner = server

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads, self._httpd.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,))

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(parts.path, parts.query, headers)
        self.owner.asked.append(asked)
        page = self.owner.pages.get(self.path) or self.owner.pages.get(parts.path) or Page(b"", status=404)
        fault = page.faults.pop(0) if page.faults else Fault()
        asked.status, told, body = (fault.status, {}, b"") if fault.status else _answer(page, asked)
        length = {"Content-Length": str(len(body))} if page.length or asked.status != 200 else {}
        self.send_response(asked.status)
        for name, value in (length | {"Connection": "close"} | told | dict(fault.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self._send(body, fault, asked)
        self.close_connection = True

    def _send(self, body: bytes, fault: Fault, asked: Asked) -> None:
        size, pause_s = fault.drip or (65536, 0)
        body = body[: fault.cut]
        try:
            for at in range(0, len(body), size):
                self.wfile.write(body[at : at + size])
                asked.sent += len(body[at : at + size])
                self.owner.closing.wait(pause_s)
        except OSError:
            return
        self.owner.closing.wait(fault.stall_s)

    def log_message(self, *_: object) -> None:
        pass


def _answer(page: Page, asked: Asked) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body that a request deserves where nothing goes wrong."""
    proof = {"ETag": page.etag, "Last-Modified": page.modified}
    proof = {name: value for name, value in proof.items() if value}
    size, start = len(page.body), asked.start
    if asked.headers.get("if-match", page.etag) != page.etag:
        return 412, {}, b""
    current = asked.headers.get("if-range") in (None, page.etag, page.modified)
    if page.status != 200 or not page.ranges or not start or (page.if_range and not current):
        return page.status, {**page.headers, **proof}, page.body
    if start >= size:
        return 416, {"Content-Range": f"bytes */{size}"}, b""
    start += page.shift
    body = page.body[start:][: page.most]
    told = {"Content-Range": f"bytes {start}-{start + len(body) - 1}/{size}"}
    return 206, told | (proof if page.prove else {}), body


@contextmanager
def s3_service() -> Iterator[tuple[str, Any]]:
    """A stand-in for S3 with an empty bucket of the name ``bucket``: its address, and a client to fill it."""
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    names = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=url, **names)
    client.create_bucket(Bucket="bucket")
    try:
        yield url, client
    finally:
        server.stop()


class CuttingProxy:
    """Passes connections on to another server, and cuts some of their answers short; use it as a context.

    Parameters
    ----------
    port : int
        The other server's, on 127.0.0.1.
    cuts : sequence of int
        After how many bytes, headers and all, the next connections are closed; later ones are not.
    """

    def __init__(self, port: int, cuts: Sequence[int]) -> None:
        self._port, self._cuts = port, list(cuts)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._socket.accept()[0]
            except OSError:
                return
            other = socket.create_connection(("127.0.0.1", self._port))
            left = self._cuts.pop(0) if self._cuts else 2**62
            threading.Thread(target=_pass_on, args=(client, other, 2**62), daemon=True).start()
            threading.Thread(target=_pass_on, args=(other, client, left), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket, left: int) -> None:
    """Send on what comes, up to so many bytes, then close both."""
    with suppress(OSError):
        while left and (block := source.recv(min(65536, left))):
            sink.sendall(block)
            left -= len(block)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
