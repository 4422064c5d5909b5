"""Parts of the store that lie in S3, read by ranges of bytes: what is looked at is fetched, and no more.

Which service is asked, and as whom, is told by the environment as for all programs of AWS: credentials,
``AWS_REGION``, and ``AWS_ENDPOINT_URL_S3`` for a service that is not AWS's. Without credentials, objects
are asked for anonymously.
"""

from __future__ import annotations

import atexit
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from helixflow.errors import EmbeddingError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from helixflow.embeddings.reading import OpenPart

SCHEME = "s3://"
#: Bytes that are fetched at least, so that what describes the datasets of a file comes in few requests.
_READ_AHEAD = 1 << 18
_TIMEOUT_S = 60.0
_ATTEMPTS = 5


@lru_cache(16)
def open_remote_part(url: str) -> OpenPart:
    """Open a part in S3; its vectors are fetched when they are sliced.

    Parameters
    ----------
    url : str
        ``s3://bucket/key``.

    Raises
    ------
    EmbeddingError
        When there is no such object, it may not be read, or it is not a part of a store.
    """
    import h5py

    from helixflow.embeddings.reading import OpenPart

    content = io.BufferedReader(_Object(url), _READ_AHEAD)
    try:
        # h5py tells errors of a file object as its own; what the service said is asked for first.
        content.peek(1)
        part = h5py.File(content, "r")
        residue, sequence, mean = (part[name] for name in ("residue", "sequence", "mean"))
        return OpenPart(part["protein"][:], part["offset"][:], residue, sequence, mean, dict(part.attrs))
    except (OSError, KeyError) as error:
        raise EmbeddingError(
            f"{url}: is not a whole part of the store of embeddings ({error}); put the part there again"
        ) from None


# HDF5 closes what is left open after Python has ended, and would call the file object below.
atexit.register(open_remote_part.cache_clear)


class _Object(io.RawIOBase):
    """The bytes of one version of an object, as a file that can be read and sought in."""

    def __init__(self, url: str) -> None:
        from helixflow.s3 import connect

        self._url = url
        self._bucket, _, self._key = url.removeprefix(SCHEME).partition("/")
        self._at = 0
        self._how = ""
        with self._told():
            self._client, self._how = connect(_TIMEOUT_S, "", "auto", _ATTEMPTS)
            head = self._client.head_object(Bucket=self._bucket, Key=self._key)
        self._size, self._version = int(head["ContentLength"]), head["ETag"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        stop = min(self._at + len(view), self._size)
        if stop <= self._at:
            return 0
        with self._told():
            wanted: dict[str, Any] = {"Range": f"bytes={self._at}-{stop - 1}", "IfMatch": self._version}
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key, **wanted)
            content = answer["Body"].read()
        if len(content) != stop - self._at:
            raise EmbeddingError(
                f"{self._url}: {len(content)} bytes from byte {self._at} on, expected {stop - self._at}; "
                "the service does not give ranges of bytes as S3 does"
            )
        view[: len(content)] = content
        self._at = stop
        return len(content)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in one line what the service refuses."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
            raise EmbeddingError(f"{self._url}: {self._refusal(status)} (HTTP status {status})") from None
        except (BotoCoreError, ValueError) as error:
            # A header that is refused is shown, and may hold credentials.
            reason = "a credential is malformed" if "header" in str(error) else " ".join(str(error).split())
            raise EmbeddingError(
                f"{self._url}: cannot be asked for ({reason}); check the address and AWS_ENDPOINT_URL_S3"
            ) from None

    def _refusal(self, status: int) -> str:
        if status == 404:
            return "no such object; check the address, or put the part there"
        if status in (401, 403):
            return f"may not be read, asked {self._how}; set credentials of AWS that may read it"
        if status == 412:
            return "the object changed while it was read; a part of the store never changes: run again"
        return "the service did not give it; run again later"
