"""A server on 127.0.0.1 that speaks as much of the hub's protocol as fetching a model takes."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Hub:
    """One revision of one model; use it as a context.

    Attributes
    ----------
    model, revision : str
    folder : path
        Its files. Those that end in `large` are kept on another host, where a redirect leads.
    altered : dict of str to bytes
        Sent in the place of a file of this name, under the name's true record.
    cuts : list of int
        After how many bytes of a large file the next connections are closed.
    asked : list of (str, str, str)
        Method, path and range of all requests.
    """

    model: str
    revision: str
    folder: Path
    altered: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    large: tuple[str, ...] = (".bin", ".safetensors")

    def __enter__(self) -> Hub:
        hub = self

        class Handler(_Handler):
            owner = hub

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads, self._httpd.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()

    def content(self, name: str) -> bytes | None:
        """The bytes that are recorded for a file."""
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        hub = self.owner
        hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
        name = self.path.rsplit("/", 1)[1]
        recorded = hub.content(name)
        if self.path.startswith("/large/") and recorded is not None:
            self._send_large(hub.altered.get(name, recorded), body)
        elif recorded is None or self.path != f"/{hub.model}/resolve/{hub.revision}/{name}":
            self._send(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": hub.revision}, b"", body)
        elif name.endswith(hub.large):
            record = {"X-Linked-ETag": f'"{hashlib.sha256(recorded).hexdigest()}"'}
            record |= {"X-Linked-Size": str(len(recorded)), "X-Repo-Commit": hub.revision}
            # A redirect within one host is followed when the record is asked for, and the record is lost.
            self._send(
                302,
                record | {"Location": hub.url.replace("127.0.0.1", "localhost") + f"/large/{name}"},
                b"",
                body,
            )
        else:
            digest = hashlib.sha1(b"blob %d\0" % len(recorded) + recorded).hexdigest()
            record = {"ETag": f'"{digest}"', "X-Repo-Commit": hub.revision}
            self._send(200, record, hub.altered.get(name, recorded), body)

    def _send_large(self, content: bytes, body: bool) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        told = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        cut = self.owner.cuts.pop(0) if body and self.owner.cuts else None
        self._send(206 if start else 200, told, content[start:], body, cut)

    def _send(
        self, status: int, headers: dict[str, str], content: bytes, body: bool, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(content)), "Connection": "close"}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[:cut])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
