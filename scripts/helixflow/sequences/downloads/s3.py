"""Ask S3, or a service that speaks as it does, for the bytes of an object, from any byte on."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from helixflow.errors import SourceError
from helixflow.s3 import connect
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
    from botocore.exceptions import ClientError

log = logging.getLogger(__name__)

_BLOCK = 65536
_ADVICE = {
    "NoSuchBucket": "there is no such bucket: check the address",
    "NoSuchKey": "the bucket has no such object: check the address",
    "404": "there is no such object: check the address",
    "InvalidObjectState": "the object is archived: its owner must restore it first",
}


@contextmanager
def open_s3(url: str, timeout_s: float, endpoint: str, access: str) -> Iterator[Ask]:
    """Give the function that asks for the bytes of an object.

    Parameters
    ----------
    url : str
        ``s3://bucket/key``, the key as it is: ``?``, ``#``, ``%`` and blanks stand for themselves.
    timeout_s : float
        Seconds without a byte after which a try fails.
    endpoint : str
        Address of the service, "" for that of AWS.
    access : str
        ``auto``, ``anonymous`` or ``credentials``.

    Raises
    ------
    SourceError
        When the address is no object's, or there are no credentials where there must be.
    """
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise SourceError(f"{url}: names no object, expected s3://bucket/key")
    with _s3_errors(url):
        client, how = connect(timeout_s, endpoint, access)
    log.info("%s: asking %s", url, how)
    with closing(client):
        yield partial(_ask, client, url, bucket, key, how)


@contextmanager
def _ask(
    client: Any, url: str, bucket: str, key: str, how: str, start: int, validator: str
) -> Iterator[Answer]:
    # Digests are of the whole object, so they are asked for with it alone.
    more = {"Range": f"bytes={start}-", "IfMatch": validator} if start else {"ChecksumMode": "ENABLED"}
    with _s3_errors(url, how, start):
        response = client.get_object(Bucket=bucket, Key=key, **more)
    with closing(response["Body"]) as body:
        yield _answer(response, bucket, _blocks(body, url))


def _answer(response: Mapping[str, Any], bucket: str, blocks: Iterator[bytes]) -> Answer:
    """Say which bytes of the object a response has."""
    etag = response.get("ETag", "")
    if "ContentRange" not in response:
        return Answer(0, response.get("ContentLength"), etag, _checksums(response, bucket), blocks)
    begin, total = content_range(response["ContentRange"])
    if begin is None:
        raise TryAgain("the server does not say which bytes it sends", anew=True)
    return Answer(begin, total, etag, (), blocks)


def _checksums(response: Mapping[str, Any], bucket: str) -> tuple[str, ...]:
    """Return the digests of the whole object that a response states.

    The ETag is the md5 of an object that was put in one piece, except where keys of the owner encrypt
    it and in directory buckets, whose names end with ``--x-s3``.
    """
    found: tuple[str, ...] = ()
    if response.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
        found = checksum("sha256", response.get("ChecksumSHA256", ""))
    encrypted = "SSECustomerAlgorithm" in response or "kms" in response.get("ServerSideEncryption", "")
    md5 = re.fullmatch('"([0-9a-f]{32})"', response.get("ETag", ""))
    if md5 and not encrypted and not bucket.endswith("--x-s3"):
        found += (f"md5:{md5[1]}",)
    return found


def _blocks(body: Any, url: str) -> Iterator[bytes]:
    with _s3_errors(url):
        yield from body.iter_chunks(_BLOCK)


@contextmanager
def _s3_errors(url: str, how: str = "", start: int = 0) -> Iterator[None]:
    """Call for another try where one may help, and say what to do in one line where none will."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        FlexibleChecksumError,
        HTTPClientError,
        IncompleteReadError,
        ProxyConnectionError,
    )

    try:
        yield
    except ClientError as error:
        raise _judge(error, url, how, start) from None
    except ProxyConnectionError:
        # The address of a proxy may hold a password.
        raise SourceError(f"{url}: the proxy that the environment names cannot be reached") from None
    except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
        if "header" in str(error):
            raise SourceError(f"{url}: cannot be asked for: a credential of AWS is malformed") from None
        raise TryAgain(str(error)) from None
    except FlexibleChecksumError as error:
        raise TryAgain(str(error), anew=True) from None
    except (BotoCoreError, ValueError) as error:
        # A header that is refused is shown, and may hold credentials.
        reason = "a credential is malformed" if "header" in str(error) else " ".join(str(error).split())
        raise SourceError(
            f"{url}: cannot be asked for ({reason}); check the address, the credentials of AWS, "
            "sequences/s3_access and sequences/s3_url"
        ) from None


def _judge(error: ClientError, url: str, how: str, start: int) -> TryAgain | SourceError:
    """Return what an answer that is not the object calls for."""
    code, meta = str(error.response["Error"]["Code"]), error.response["ResponseMetadata"]
    status, headers = int(meta["HTTPStatusCode"]), meta["HTTPHeaders"]
    if passing(status) or code in ("RequestTimeout", "SlowDown"):
        return TryAgain(f"{code}, HTTP status {status}", retry_after(headers.get("retry-after", "")))
    if status == 412:
        return TryAgain("the object changed on the server", anew=True)
    if status == 416:
        return TryAgain(f"the object has no bytes behind byte {start}", anew=True)
    refused = (
        f"access was asked {how}: is the bucket open to all, then set sequences/s3_access: anonymous, "
        "else set credentials of AWS that may read it and s3_access: credentials"
    )
    advice = _ADVICE.get(code, refused if status in (401, 403) else "check the address and sequences/s3_url")
    return SourceError(f"{url}: the server answered {code}, HTTP status {status} ({advice})")
