"""Downloads: the right bytes or a clear error, whatever the server does; never a wrong file."""

import base64
import errno
import fcntl
import hashlib
import itertools
import json
import logging
import os
import pty
import random
import re
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import threading
import time
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helixflow.errors import LimitError, SourceError
from helixflow.sequences.downloads import download as downloads
from helixflow.sequences.downloads.answers import retry_after
from helixflow.sequences.downloads.download import DownloadSettings, download, read_reply
from helixflow.sequences.downloads.part import Part
from helixflow.sequences.downloads.quota import Quota
from helixflow.sequences.downloads.turns import Turns
from servers import CuttingProxy, Fault, Page, Server

QUICK = DownloadSettings(attempts=3, timeout_s=5, first_wait_s=0.01)
BODY = random.Random(1).randbytes(300_000)
OLD = b"what was there before"
SCRIPTS = Path(downloads.__file__).parents[3]
GIVE_UP = "gave up after 3 tries in a row without a new byte"


@pytest.fixture
def server():
    with Server({"/x.fna": Page(BODY)}) as server:
        yield server


@pytest.fixture
def page(server) -> Page:
    return server.pages["/x.fna"]


@pytest.fixture
def target(tmp_path) -> Path:
    """Where a download goes, with an older file under its name."""
    target = tmp_path / "work" / "x"
    target.parent.mkdir()
    target.write_bytes(OLD)
    return target


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The seconds that were waited between tries, which pass at once."""
    waits = []
    monkeypatch.setattr(downloads, "sleep", waits.append)
    return waits


def get(server, target, path="/x.fna", with_settings=QUICK, **more):
    """Download a path from a server; without a server the path is the whole URL."""
    url = server.url + path if server else path
    tools = {"turn": nullcontext, "room": lambda _: None, "advance": lambda *_: None} | more
    return download(url, target, with_settings, **tools)


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def refused(server, target, message, path="/x.fna", with_settings=QUICK, **more) -> str:
    """The one line of a download that fails and leaves what was there before."""
    with pytest.raises(SourceError, match=message) as error:
        get(server, target, path, with_settings, **more)
    assert target.read_bytes() == OLD
    assert "\n" not in str(error.value)
    return str(error.value)


def starts(server) -> list[int]:
    return [asked.start for asked in server.asked]


def child(code: str, *arguments: object, **more) -> subprocess.Popen:
    """Start Python that knows the package and runs `code`, with the arguments in sys.argv."""
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, **more)


#: Downloads, with a limit on the size of files where one is given; says by how many kB the memory grew.
DOWNLOAD = """
    import sys
    from contextlib import nullcontext
    from pathlib import Path
    from resource import RLIMIT_FSIZE, RUSAGE_SELF, getrusage, setrlimit
    import httpx
    from helixflow.sequences.downloads.download import DownloadSettings, download
    url, target, *limit = sys.argv[1:]
    if limit:
        setrlimit(RLIMIT_FSIZE, (int(limit[0]), int(limit[0])))
    before = getrusage(RUSAGE_SELF).ru_maxrss
    nothing = lambda *_: None
    download(url, Path(target), DownloadSettings(), turn=nullcontext, room=nothing, advance=nothing)
    print(getrusage(RUSAGE_SELF).ru_maxrss - before)
"""


# Servers that answer well in the end


@pytest.mark.parametrize("told", [True, False], ids=["size told", "size not told"])
def test_the_bytes_come_whole_under_the_final_name(server, page, target, told):
    page.length = told
    assert get(server, target).size == len(BODY)
    assert target.read_bytes() == BODY
    assert left(target) == []
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_a_file_of_no_bytes(server, page, target):
    page.body = b""
    assert get(server, target).size == 0
    assert (target.read_bytes(), left(target)) == (b"", [])


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_in_trouble_is_asked_again_when_it_says(server, page, target, waits, status):
    page.faults = [Fault(status, {"Retry-After": "7"}), Fault(status, {"Retry-After": "8"})]
    get(server, target)
    assert target.read_bytes() == BODY
    assert [int(wait) for wait in waits] == [7, 8]


def test_waits_grow_and_are_jittered(server, page, target, waits):
    page.faults = [Fault(503)] * 9
    refused(server, target, "gave up after 9 tries", with_settings=DownloadSettings(attempts=9))
    assert all(0 <= wait <= min(2**number, 60) for number, wait in enumerate(waits))
    assert len({round(wait, 6) for wait in waits}) == 8


def test_a_dropped_download_goes_on_where_it_stopped(server, page, target):
    page.faults = [Fault(cut=cut) for cut in (100_000, 0, 0, 50_000, 1)]
    get(server, target)
    assert target.read_bytes() == BODY
    assert starts(server) == [0, 100_000, 100_000, 100_000, 150_000, 150_001]
    assert sum(asked.sent for asked in server.asked) == len(BODY), "no byte is fetched twice"


def test_without_ranges_a_dropped_download_starts_again(server, page, target):
    page.ranges, page.faults = False, [Fault(cut=100_000), Fault(cut=1000)]
    get(server, target)
    assert target.read_bytes() == BODY


def test_drops_without_ranges_end(server, page, target):
    page.ranges, page.faults = False, [Fault(cut=100_000 - number % 2) for number in range(99)]
    refused(server, target, GIVE_UP)
    assert len(server.asked) == 4


@pytest.mark.parametrize("etag", ["", 'W/"weak"', "unquoted"])
def test_a_date_proves_the_file_where_no_strong_etag_does(server, page, target, etag):
    page.etag, page.modified = etag, "Wed, 01 Jan 2020 00:00:00 GMT"
    page.faults = [Fault(cut=1000)]
    get(server, target)
    assert target.read_bytes() == BODY
    assert server.asked[1].headers["if-range"] == page.modified
    assert server.asked[1].status == 206


def test_where_nothing_proves_the_file_it_starts_again(server, page, target):
    page.etag, page.faults = 'W/"weak"', [Fault(cut=1000)]
    get(server, target)
    assert target.read_bytes() == BODY
    assert starts(server) == [0, 0]


@pytest.mark.parametrize(
    ("etag", "modified", "begun"),
    [("", "Wed, 21 Oct 2015 07:28:00 GMT", [0, 1000]), ('"one"', "", [0, 1000, 0])],
)
def test_a_part_must_repeat_the_etag_and_need_not_the_date(server, page, target, etag, modified, begun):
    page.etag, page.modified = etag, modified
    page.prove, page.faults = False, [Fault(cut=1000)]
    get(server, target)
    assert target.read_bytes() == BODY
    assert starts(server) == begun


def test_parts_may_be_smaller_than_asked_for(server, page, target):
    page.most, page.faults = 90_000, [Fault(cut=100_000)]
    get(server, target)
    assert target.read_bytes() == BODY
    assert starts(server) == [0, 100_000, 190_000, 280_000]


def test_a_slow_drip_is_waited_for(server, page, target):
    page.faults = [Fault(drip=(100_000, 0.4))]
    get(server, target, with_settings=DownloadSettings(timeout_s=0.8))
    assert target.read_bytes() == BODY
    assert len(server.asked) == 1


def test_silence_is_given_up_and_the_rest_asked_for(server, page, target):
    page.faults = [Fault(cut=1000, stall_s=20), Fault(cut=0, stall_s=20)]
    began = time.monotonic()
    get(server, target, with_settings=DownloadSettings(timeout_s=0.3, first_wait_s=0.01))
    assert target.read_bytes() == BODY
    assert starts(server) == [0, 1000, 1000]
    assert time.monotonic() - began < 5


def test_a_web_page_is_fetched_as_it_is_and_left_to_the_parser(server, target):
    server.pages["/page"] = Page(b"<!DOCTYPE html>", {"Content-Type": "text/html"})
    get(server, target, "/page")
    assert target.read_bytes() == b"<!DOCTYPE html>"


# Files that change or are damaged


@pytest.mark.parametrize("obeys", [True, False], ids=["If-Range obeyed", "If-Range ignored"])
@pytest.mark.parametrize("size", [len(BODY), 5000, len(BODY) + 1])
def test_a_file_that_changed_is_fetched_anew(server, page, target, obeys, size):
    page.faults = [Fault(cut=1000), Fault(status=503)]
    changed = random.Random(2).randbytes(size)

    def turn():
        if len(server.asked) == 2:
            page.body, page.etag, page.if_range = changed, '"two"', obeys
        return nullcontext()

    get(server, target, turn=turn)
    assert target.read_bytes() == changed


def test_a_size_that_changed_shows_a_changed_file_whatever_the_etag(server, page, target):
    page.faults, page.if_range = [Fault(cut=1000)], False

    def turn():
        page.body = BODY if not server.asked else BODY[:5000] + b"more" + BODY[5000:]
        return nullcontext()

    get(server, target, turn=turn)
    assert target.read_bytes() == page.body
    assert starts(server) == [0, 1000, 0]


def test_bytes_from_elsewhere_are_not_taken(server, page, target):
    page.shift, page.faults = 7, [Fault(cut=1000)] * 9
    refused(server, target, f"{GIVE_UP}, the last")
    page.shift, page.faults = 0, []
    get(server, target)
    assert target.read_bytes() == BODY


def test_a_body_shorter_than_its_length_is_refused(server, page, target):
    page.faults = [Fault(headers={"Content-Length": str(len(BODY) + 10)})] * 99
    refused(server, target, GIVE_UP)


def test_a_body_as_short_as_its_length_is_told_by_the_digest_alone(server, page, target):
    page.headers = {"Content-MD5": base64.b64encode(hashlib.md5(BODY).digest()).decode()}
    page.body = BODY[:1000]
    refused(server, target, f"md5 is {hashlib.md5(BODY[:1000]).hexdigest()}")
    page.headers = {}
    get(server, target)
    assert target.read_bytes() == BODY[:1000]


DIGESTS = {
    "Content-MD5": ("{md5}", "md5"),
    "Repr-Digest": ("sha-512=:AAAA:, sha-256=:{sha256}:", "sha256"),
    "Digest": ("SHA-256={sha256},MD5={md5}", "sha256 md5"),
    "x-goog-hash": ("crc32c=AAAAAA==, md5={md5}", "md5"),
}


@pytest.mark.parametrize("header", DIGESTS)
def test_a_flipped_byte_is_seen_by_the_digest_of_the_server(server, page, target, header):
    text, names = DIGESTS[header]
    digests = {name: hashlib.new(name, BODY) for name in ("md5", "sha256")}
    encoded = {name: base64.b64encode(digest.digest()).decode() for name, digest in digests.items()}
    page.headers = {header: text.format(**encoded)}
    page.body = b"!" + BODY[1:]
    message = refused(server, target, "twice: the file is damaged")
    first = names.split()[0]
    assert f"{first} is {hashlib.new(first, page.body).hexdigest()}" in message
    assert digests[first].hexdigest() in message
    assert (len(server.asked), left(target)) == (2, [])
    page.body, page.faults = BODY, [Fault(cut=1000)]
    got = get(server, target)
    assert target.read_bytes() == BODY
    assert got.checksums == tuple(f"{name}:{digests[name].hexdigest()}" for name in names.split())


def test_a_digest_that_is_none_is_no_digest(server, page, target):
    page.headers = {"Content-MD5": "not base64!", "Digest": "md5=AAAA,sha-256"}
    assert get(server, target).checksums == ()


def test_damage_on_the_way_is_mended_by_another_download(server, page, target):
    page.headers = {"Content-MD5": base64.b64encode(hashlib.md5(BODY).digest()).decode()}

    def turn():
        page.body = BODY if server.asked else b"!" + BODY[1:]
        return nullcontext()

    get(server, target, turn=turn)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
def test_gz_files_that_are_called_encoded_are_files(server, target, encoding):
    server.pages["/x.fa.gz"] = Page(BODY, {"Content-Encoding": encoding})
    get(server, target, "/x.fa.gz")
    assert target.read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "encoding"), [("/x.fna", "gzip"), ("/x.gz", "br"), ("/x.fna", "zstd, gzip")]
)
def test_encoded_files_are_refused(server, target, path, encoding):
    server.pages[path] = Page(BODY, {"Content-Encoding": encoding})
    refused(server, target, f"encoded as '{encoding}', expected the plain bytes", path)


FAULT = st.one_of(
    st.builds(Fault, cut=st.integers(0, 3000)),
    st.builds(Fault, status=st.sampled_from([429, 500, 503])),
    st.just(Fault()),
)
#: For one request: its fault, whether the file changes before, and whether the server has ranges, obeys
#: If-Range, and tells the size.
STEP = st.tuples(FAULT, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@given(st.lists(STEP, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_never_a_mixture_of_two_files(server, target, waits, steps):
    """Whatever goes wrong and changes from request to request: one version whole, or the old file."""
    versions = [random.Random(number).randbytes(2000 + number % 3) for number in range(10)]
    page, todo, version = Page(versions[0]), list(steps), 0
    server.pages["/changing"] = page

    def turn():
        nonlocal version
        if todo:
            fault, changes, page.ranges, page.if_range, page.length = todo.pop(0)
            version += changes
            page.body, page.etag, page.faults = versions[version], f'"{version}"', [fault]
        return nullcontext()

    target.write_bytes(OLD)
    try:
        get(server, target, "/changing", turn=turn)
    except SourceError:
        assert target.read_bytes() == OLD
        return
    if all(tells_size or fault.cut is None for fault, *_, tells_size in steps):
        assert target.read_bytes() == versions[version]
    else:
        # A connection that closes where no size was told looks like the end of the file.
        assert any(whole.startswith(target.read_bytes()) for whole in versions)


# Servers that say no


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (204, "expected 200"),
        (400, "check the address"),
        (401, "login"),
        (403, "open to all"),
        (404, "no such file"),
        (410, "removed"),
    ],
)
def test_a_no_is_taken_at_once(server, page, target, status, advice):
    page.faults = [Fault(status)]
    assert advice in refused(server, target, f"{server.url}/x.fna: the server answered HTTP status {status}")
    assert len(server.asked) == 1
    assert left(target) == []


def test_trouble_without_end_is_given_up(server, page, target, waits):
    page.faults = [Fault(503)] * 9
    refused(server, target, f"{GIVE_UP}, the last: HTTP status 503")
    assert len(server.asked) == 3


def test_a_server_that_asks_to_wait_for_long_is_not_waited_for(server, page, target, waits):
    page.faults = [Fault(429, {"Retry-After": "601"})]
    refused(server, target, "HTTP status 429, and the server asks to wait 601 s")
    assert waits == []


def test_retry_after_is_seconds_or_a_date():
    now = datetime.now(UTC)
    assert retry_after("7") == 7
    assert retry_after(format_datetime(now + timedelta(seconds=30), usegmt=True)) == pytest.approx(30, abs=2)
    assert retry_after((now + timedelta(seconds=30)).strftime("%a, %d %b %Y %H:%M:%S -0000")) > 28
    assert retry_after(format_datetime(now - timedelta(days=1), usegmt=True)) == 0
    assert [retry_after(text) for text in ("", "soon", "-5", "1.5")] == [None] * 4


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_server(target, scheme):
    refused(None, target, GIVE_UP, f"{scheme}://127.0.0.1:9/x")


def test_a_server_without_tls(server, target):
    refused(None, target, f"{GIVE_UP}.*SSL", server.url.replace("http:", "https:"))


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "x.fna", "http://[::1/x"])
def test_addresses_that_are_none(target, url):
    refused(None, target, "cannot be downloaded|malformed", url)


# Redirects, and secrets


def test_redirects_are_followed_to_another_host_and_back(server, page, target):
    with Server() as other:
        for path, to in (("/a", f"{other.url}/b"), ("/c", "/x.fna")):
            server.pages[path] = Page(b"", {"Location": to}, status=302)
        other.pages["/b"] = Page(b"", {"Location": f"{server.url}/c"}, status=307)
        page.faults = [Fault(cut=1000)]
        get(server, target, "/a")
    assert target.read_bytes() == BODY
    assert server.asked[-1].headers["range"] == "bytes=1000-"


def test_redirects_in_a_circle(server, target):
    server.pages["/a"] = Page(b"", {"Location": "/a"}, status=301)
    refused(server, target, "redirects more than 10 times", "/a")


@pytest.mark.parametrize("to", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://[::1/x"])
def test_redirects_to_what_is_no_web_server(server, target, to):
    server.pages["/a"] = Page(b"", {"Location": to}, status=302)
    refused(server, target, "expected http or https|Invalid URL in location", "/a")


def test_a_secret_is_for_its_host_alone_and_written_nowhere(server, target, caplog):
    caplog.set_level(logging.DEBUG)
    secret = {"api_key": "geheim&1"}
    with Server({"/x": Page(BODY, faults=[Fault(cut=1000), *[Fault(503)] * 3])}) as other:
        server.pages["/a"] = Page(b"", {"Location": "/b?n=2"}, status=302)
        server.pages["/b"] = Page(b"", {"Location": f"{other.url}/x?n=3&api_key=geheim%261"}, status=302)
        message = refused(server, target, GIVE_UP, "/a?n=1", secret=secret)
        kept = [path.read_bytes() for path in target.parent.iterdir()]
    assert [asked.query for asked in server.asked[:2]] == ["n=1&api_key=geheim%261", "n=2&api_key=geheim%261"]
    assert {asked.query for asked in other.asked} == {"n=3"}
    assert "geheim" not in message + caplog.text
    assert len(kept) == 3
    assert not any(b"geheim" in content for content in kept)


# What an earlier run left


def stop(server, page, target, at=1000) -> None:
    """Leave a part of `at` bytes behind."""
    page.faults = [Fault(cut=at), *[Fault(503)] * 3]
    refused(server, target, f"{GIVE_UP}.*run again to go on from byte {at}")
    assert left(target) == ["x.part", "x.part.json"]
    assert target.with_name("x.part").stat().st_size == at
    server.asked.clear()


def test_the_next_run_goes_on(server, page, target, waits, caplog):
    caplog.set_level(logging.INFO, "helixflow")
    stop(server, page, target)
    get(server, target)
    assert starts(server) == [1000]
    assert "going on from byte 1000" in caplog.text
    assert target.read_bytes() == BODY


def test_the_part_of_another_address_is_thrown_away(server, page, target, waits):
    stop(server, page, target)
    server.pages["/y"] = Page(BODY[::-1])
    get(server, target, "/y")
    assert target.read_bytes() == BODY[::-1]


@pytest.mark.parametrize("content", [None, {}], ids=["no facts", "empty facts"])
def test_a_part_that_nothing_is_known_of_is_thrown_away(server, page, target, waits, content):
    stop(server, page, target)
    facts = target.with_name("x.part.json")
    facts.unlink() if content is None else facts.write_text(json.dumps(content))
    get(server, target)
    assert starts(server) == [0]
    assert target.read_bytes() == BODY


def test_a_part_that_is_whole_needs_no_request(server, page, target, waits):
    stop(server, page, target, len(BODY) - 1)
    with target.with_name("x.part").open("ab") as stream:
        stream.write(BODY[-1:])
    get(server, target)
    assert server.asked == []
    assert target.read_bytes() == BODY


def whole_of_unknown_size(server, page, target, waits) -> None:
    """Leave all bytes behind, as a run does that is killed before it knows that they are all."""
    stop(server, page, target, len(BODY) - 1)
    with target.with_name("x.part").open("ab") as stream:
        stream.write(BODY[-1:])
    facts = target.with_name("x.part.json")
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"total": None}))


def test_nothing_behind_the_last_byte_says_that_all_are_here(server, page, target, waits):
    whole_of_unknown_size(server, page, target, waits)
    get(server, target)
    assert [asked.status for asked in server.asked] == [416]
    assert target.read_bytes() == BODY


def test_nothing_behind_a_byte_does_not_say_that_it_is_the_last(server, page, target, waits):
    stop(server, page, target)
    page.faults = [Fault(416)]
    get(server, target)
    assert starts(server) == [1000, 0]
    assert target.read_bytes() == BODY


def test_a_file_that_shrank_is_fetched_anew(server, page, target, waits):
    whole_of_unknown_size(server, page, target, waits)
    page.body, page.if_range = BODY[:500], False
    get(server, target)
    assert [asked.status for asked in server.asked] == [416, 200]
    assert target.read_bytes() == BODY[:500]


def test_killed_in_the_middle_the_next_run_goes_on(server, page, target):
    page.faults = [Fault(cut=123_456, stall_s=60)]
    process = child(DOWNLOAD, server.url + "/x.fna", target)
    part = target.with_name("x.part")
    deadline = time.monotonic() + 20
    while not part.exists() or part.stat().st_size < 123_456:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert target.read_bytes() == OLD
    get(server, target)
    assert target.read_bytes() == BODY
    assert left(target) == []
    assert [(asked.start, asked.sent) for asked in server.asked] == [
        (0, 123_456),
        (123_456, len(BODY) - 123_456),
    ]


def test_a_second_process_is_refused_while_one_is_at_it(server, page, target):
    page.faults = [Fault(drip=(100_000, 0.3))]
    first = threading.Thread(target=get, args=(server, target))
    first.start()
    while not server.asked:
        time.sleep(0.01)
    refused(server, target, "another process downloads it to .*x.part")
    first.join()
    assert target.read_bytes() == BODY


# Limits


@pytest.mark.parametrize("told", [True, False], ids=["size told", "size not told"])
def test_a_file_above_the_limit_is_refused(server, page, target, told):
    page.length, asked = told, []
    small = DownloadSettings(max_bytes=len(BODY) - 1)
    message = refused(
        server, target, "at most 299999 .*limits/file_GB", with_settings=small, room=asked.append
    )
    assert not told or ("has 300000 bytes" in message and not asked), "before any byte of the body"
    assert left(target) == []
    get(server, target, with_settings=DownloadSettings(max_bytes=len(BODY)))


def test_room_is_asked_for_all_that_is_missing(server, page, target):
    page.faults = [Fault(cut=100_000)]
    asked = []

    def room(more):
        asked.append(more)
        if len(server.asked) == 2:
            raise SourceError("no room")

    refused(server, target, "no room", room=room)
    assert (asked[0], asked[-1]) == (len(BODY), len(BODY) - 100_000)
    assert target.with_name("x.part").stat().st_size == 100_000


def test_room_is_asked_block_by_block_where_no_size_is_told(server, page, target):
    page.length, asked = False, []
    get(server, target, room=asked.append)
    assert sum(asked) == len(BODY)
    assert max(asked) < 2**20


def test_advance_is_told_of_every_block(server, page, target):
    page.faults, told = [Fault(cut=100_000)], []
    get(server, target, advance=lambda *both: told.append(both))
    assert told == sorted(told)
    assert told[-1] == (len(BODY), len(BODY))


def test_every_request_has_a_turn_and_waits_have_none(server, page, target, monkeypatch):
    page.faults, holding, waiting = [Fault(503), Fault(cut=1000)], [], []

    @contextmanager
    def turn():
        holding.append(True)
        try:
            yield
        finally:
            holding.pop()

    monkeypatch.setattr(downloads, "sleep", lambda _: waiting.append(list(holding)))
    get(server, target, turn=turn, advance=lambda *_: holding[0])
    assert waiting == [[], []]


def test_a_full_disk_is_told_in_one_line(server, target, monkeypatch):
    def full(self, block):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Part, "append", full)
    refused(server, target, f"no space left in {target.parent} .*make room")


def test_what_was_written_before_a_write_failed_is_gone_on_with(server, page, target):
    """A limit on the size of files makes writes fail for real, in the middle of a block."""
    process = child(DOWNLOAD, server.url + "/x.fna", target, 100_001, stderr=subprocess.PIPE, text=True)
    assert re.search("SourceError: .*cannot be kept in .*File too large", process.communicate()[1])
    assert target.with_name("x.part").read_bytes() == BODY[:100_001]
    get(server, target)
    assert starts(server) == [0, 100_001]
    assert target.read_bytes() == BODY


def test_a_folder_that_is_none(server, tmp_path):
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(SourceError, match=r"cannot be kept in .*expected a folder to write in"):
        get(server, tmp_path / "file" / "x")


def test_memory_does_not_grow_with_the_file(server, target):
    server.pages["/large"] = Page(bytes(100 * 2**20))
    process = child(DOWNLOAD, server.url + "/large", target, stdout=subprocess.PIPE, text=True)
    assert int(process.communicate()[0]) < 20_000
    assert target.stat().st_size == 100 * 2**20


# Small documents


def reply(server, folder, path="/r", **more) -> str:
    return read_reply(server.url + path, folder, QUICK, turn=nullcontext, **more)


def test_a_reply_is_text_and_leaves_nothing(server, tmp_path):
    server.pages["/r"] = Page("größer\n".encode(), faults=[Fault(503), Fault(cut=3)])
    assert reply(server, tmp_path / "new", secret={"key": "1"}) == "größer\n"
    assert list((tmp_path / "new").iterdir()) == []
    assert {asked.query for asked in server.asked} == {"key=1"}


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"\xff\xfe", "is not UTF-8 text"), (bytes(16 * 10**6 + 1), "has 16000001 bytes or more")],
)
def test_what_is_no_reply(server, tmp_path, body, message):
    server.pages["/r"] = Page(body)
    with pytest.raises(SourceError, match=message):
        reply(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


# S3


ACCESS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
KEY = "a folder/+ü%20?#x.fna"


@pytest.fixture
def no_credentials(monkeypatch, tmp_path):
    """An environment without credentials and without a region."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def credentials(no_credentials, monkeypatch):
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def moto():
    """A stand-in for S3; its port, and a client to fill it."""
    boto3 = pytest.importorskip("boto3")
    threaded = pytest.importorskip("moto.server").ThreadedMotoServer
    server = threaded(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    names = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **names)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key=KEY, Body=BODY, ACL="public-read")
    client.put_object(Bucket="bucket", Key="private", Body=BODY)
    yield port, client
    server.stop()


def s3(url: str, access: str = "anonymous", **more) -> DownloadSettings:
    return DownloadSettings(3, 5, 0.01, s3_url=url, s3_access=access, **more)


def get_s3(moto, target, key=KEY, access="anonymous", cuts=()):
    with CuttingProxy(moto[0], cuts) as proxy:
        return get(None, target, f"s3://bucket/{key}", s3(proxy.url, access))


def test_an_object_comes_whole_and_has_its_md5(moto, target, no_credentials):
    got = get_s3(moto, target)
    assert target.read_bytes() == BODY
    assert (got.size, got.checksums) == (len(BODY), (f"md5:{hashlib.md5(BODY).hexdigest()}",))
    assert left(target) == []


def test_a_private_object_is_for_who_has_credentials(moto, target, credentials):
    url = f"http://127.0.0.1:{moto[0]}"
    refused(None, target, "HTTP status 403 .*asked anonymously", "s3://bucket/private", s3(url))
    get_s3(moto, target, "private", "auto")
    assert target.read_bytes() == BODY


def test_an_object_with_a_sha256(moto, target, no_credentials):
    moto[1].put_object(Bucket="bucket", Key="sha", Body=BODY, ChecksumAlgorithm="SHA256", ACL="public-read")
    got = get_s3(moto, target, "sha")
    assert f"sha256:{hashlib.sha256(BODY).hexdigest()}" in got.checksums


def test_the_etag_of_an_object_in_parts_is_no_digest(moto, target, credentials):
    body = bytes(5 * 2**20) + BODY
    upload = moto[1].create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    parts = []
    for number, part in enumerate((body[: 5 * 2**20], body[5 * 2**20 :]), 1):
        one = {"Bucket": "bucket", "Key": "parts", "UploadId": upload, "PartNumber": number}
        parts.append({"PartNumber": number, "ETag": moto[1].upload_part(**one, Body=part)["ETag"]})
    moto[1].complete_multipart_upload(
        Bucket="bucket", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert get_s3(moto, target, "parts", "credentials", cuts=[2**20]).checksums == ()
    assert target.read_bytes() == body


def test_a_dropped_object_goes_on_where_it_stopped(moto, target, no_credentials, caplog):
    get_s3(moto, target, cuts=[150_000, 70_000])
    assert target.read_bytes() == BODY
    froms = [int(byte) for byte in re.findall("from byte ([0-9]+)", caplog.text)]
    assert froms == sorted(froms)
    assert len(froms) == 2
    assert froms[0] > 0


def test_an_object_that_changed_is_fetched_anew(moto, target, credentials):
    moto[1].put_object(Bucket="bucket", Key="changing", Body=BODY)
    turns = []

    def turn():
        turns.append(1)
        if len(turns) == 2:
            moto[1].put_object(Bucket="bucket", Key="changing", Body=BODY[::-1])
        return nullcontext()

    with CuttingProxy(moto[0], [150_000]) as proxy:
        get(None, target, "s3://bucket/changing", s3(proxy.url, "auto"), turn=turn)
    assert target.read_bytes() == BODY[::-1]
    assert len(turns) == 3


def test_a_flipped_byte_of_an_object_is_seen_by_its_etag(server, target, no_credentials):
    server.pages["/bucket/x"] = Page(b"!" + BODY[1:], etag=f'"{hashlib.md5(BODY).hexdigest()}"')
    refused(None, target, "but the server states .*twice", "s3://bucket/x", s3(server.url))


def test_bytes_that_fail_the_check_of_boto_are_not_kept(server, target, no_credentials):
    """The last try fails too: the next run must not take what is there for the whole file."""
    server.pages["/bucket/x"] = Page(BODY, {"x-amz-checksum-crc32": "AAAAAA=="}, etag='"parts-2"')
    refused(None, target, GIVE_UP, "s3://bucket/x", s3(server.url))
    assert left(target) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-server-side-encryption": "aws:kms"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
def test_the_etag_of_an_encrypted_object_is_no_digest(server, target, no_credentials, headers):
    server.pages["/bucket/x"] = Page(BODY, headers, etag=f'"{"0" * 32}"', faults=[Fault(cut=200_000)])
    assert get(None, target, "s3://bucket/x", s3(server.url)).checksums == ()
    assert target.read_bytes() == BODY


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/none", "NoSuchKey, HTTP status 404 .*no such object: check the address"),
        ("s3://nobucket/x", "NoSuchBucket, HTTP status 404 .*no such bucket: check the address"),
        ("s3://bucket", "names no object, expected s3://bucket/key"),
        ("s3:///x", "names no object"),
        ("s3://b!/x", "cannot be asked for .*Invalid bucket name"),
    ],
)
def test_what_is_not_on_s3(moto, target, no_credentials, url, message):
    line = refused(None, target, message, url, s3(f"http://127.0.0.1:{moto[0]}"))
    assert line.startswith(url)
    assert left(target) == []


@pytest.mark.parametrize(
    ("access", "environment", "signed"),
    [
        ("auto", "none", False),
        ("auto", "keys", True),
        ("anonymous", "keys", False),
        ("credentials", "keys", True),
    ],
)
def test_who_asks(server, target, credentials, monkeypatch, caplog, access, environment, signed):
    caplog.set_level(logging.INFO, "helixflow")
    if environment == "none":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    server.pages["/bucket/x"] = Page(BODY)
    get(None, target, "s3://bucket/x", s3(server.url, access))
    assert ("authorization" in server.asked[0].headers) == signed
    assert ("asking with credentials" if signed else "asking anonymously") in caplog.text


def test_credentials_that_must_be_there(server, target, no_credentials):
    message = refused(None, target, "Unable to locate credentials", "s3://b/x", s3(server.url, "credentials"))
    assert "sequences/s3_access" in message
    assert server.asked == []


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "ExpiredToken"])
@pytest.mark.parametrize("access", ["anonymous", "credentials"])
def test_access_that_is_refused_says_what_to_set(server, target, credentials, code, access):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    server.pages["/bucket/x"] = Page(body, status=403)
    how = "anonymously" if access == "anonymous" else "with credentials"
    message = f"{code}, HTTP status 403 .*asked {how}: .*s3_access"
    refused(None, target, message, "s3://bucket/x", s3(server.url, access))
    assert len(server.asked) == 1


def test_s3_in_trouble_is_asked_again(server, target, no_credentials, waits):
    slow = {"Retry-After": "7"}
    faults = [Fault(503, slow), Fault(500), Fault(cut=100_000), Fault(429), Fault(cut=0)]
    server.pages["/bucket/x"] = Page(BODY, faults=faults)
    get(None, target, "s3://bucket/x", s3(server.url))
    assert target.read_bytes() == BODY
    assert [int(wait) for wait in waits] == [7, 0, 0, 0, 0]
    assert len({asked.start for asked in server.asked[3:]}) == 1, "all ask for the same rest"
    assert server.asked[3].start > 0
    assert all(asked.headers["if-match"] == '"one"' for asked in server.asked[3:])


def test_a_service_is_asked_by_path_and_a_bucket_found_in_its_region(server, target, credentials):
    """Only AWS has a host for every bucket; it answers with the region of one that is elsewhere."""
    elsewhere = Fault(301, {"x-amz-bucket-region": "eu-west-1"})
    server.pages["/bucket/x"] = Page(BODY, faults=[elsewhere])
    get(None, target, "s3://bucket/x", s3(server.url.replace("127.0.0.1", "localhost"), "auto"))
    assert target.read_bytes() == BODY
    regions = [asked.headers["authorization"].split("/")[2] for asked in server.asked]
    assert regions == ["us-east-1", "eu-west-1"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense"])
def test_no_s3_service(target, no_credentials, url):
    refused(None, target, "gave up after 3 tries|Invalid endpoint", "s3://bucket/x", s3(url))


# Turns


TURN = """
    import sys, time
    from pathlib import Path
    from helixflow.sequences.downloads.turns import Turns
    folder, (connections, rate, hold_s) = Path(sys.argv[1]), map(float, sys.argv[2:])
    turns = Turns(folder / "turns", int(connections), {"ncbi": rate} if rate else {})
    for _ in range(2):
        with turns.turn("ncbi"):
            began = time.time()
            print("in", flush=True)
            time.sleep(hold_s)
            with open(folder / "log", "a") as log:
                log.write(f"{began} {time.time()}\\n")
"""


def turns_of(folder: Path, connections: int, rate: float, hold_s: float) -> list[tuple[float, float]]:
    """When six processes had their twelve turns: begin and end, in the order of their begin."""
    processes = [child(TURN, folder, connections, rate, hold_s, stdout=subprocess.DEVNULL) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    lines = (folder / "log").read_text().splitlines()
    return sorted(tuple(map(float, line.split())) for line in lines)


def test_never_more_at_once_than_there_are_slots(tmp_path):
    spans = turns_of(tmp_path, 2, 0, 0.15)
    assert len(spans) == 12
    at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(at_once) == 2


def test_starts_are_spaced_over_all_processes(tmp_path):
    starts = [begin for begin, _ in turns_of(tmp_path, 6, 10, 0)]
    assert starts[-1] - starts[0] >= 11 * 0.1 * 0.98
    assert all(later - sooner > 0.05 for sooner, later in itertools.pairwise(starts))


def test_threads_take_turns_too(tmp_path):
    turns, holding, most = Turns(tmp_path, 3, {}), [], []

    def work():
        with turns.turn("https://host:80/.."):
            holding.append(1)
            most.append(len(holding))
            time.sleep(0.05)
            holding.pop()

    threads = [threading.Thread(target=work) for _ in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (max(most), len(most)) == (3, 7)
    assert all(path.is_file() for path in tmp_path.iterdir()), "no source is a path"


def test_sources_do_not_wait_for_each_other(tmp_path):
    turns = Turns(tmp_path, 1, {})
    with turns.turn("a"), turns.turn("b"):
        pass


def test_the_slot_of_a_killed_process_is_free(tmp_path):
    process = child(TURN, tmp_path, 1, 0, 60, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"in\n"
    process.kill()
    process.communicate()
    began = time.monotonic()
    with Turns(tmp_path / "turns", 1, {}).turn("ncbi"):
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("content", ["", "nonsense", "9" * 20])
def test_a_start_that_cannot_be_costs_one_interval_at_most(tmp_path, content):
    (tmp_path / "ncbi.start").write_text(content)
    began = time.monotonic()
    with Turns(tmp_path, 1, {"ncbi": 5}).turn("ncbi"):
        assert time.monotonic() - began < 1


# The quota


def test_the_quota_counts_all_files_of_its_folders(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/x").write_bytes(bytes(600))
    (tmp_path / "a/link").symlink_to("b/x")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/y").write_bytes(bytes(300))
    taken = 900 + (tmp_path / "a/link").lstat().st_size
    quota = Quota([tmp_path / "a", tmp_path / "c", tmp_path / "none"], 1000)
    quota.room(1000 - taken, "u")
    with pytest.raises(LimitError, match=f"^u: 500 more .*have {taken} of the 1000 .*total_GB"):
        quota.room(500, "u")
    (tmp_path / "a/b/x").unlink()
    quota.room(500, "u")


def test_the_quota_sees_what_others_wrote(tmp_path, monkeypatch):
    quota = Quota([tmp_path], 1000)
    quota.room(500, "u")
    (tmp_path / "x").write_bytes(bytes(800))
    clock = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: clock + 5)
    with pytest.raises(LimitError, match="500 more bytes do not fit"):
        quota.room(500, "u")


def test_asking_the_quota_is_cheap(tmp_path):
    for number in range(2000):
        (tmp_path / str(number)).touch()
    quota = Quota([tmp_path], 1000)
    began = time.process_time()
    for _ in range(100_000):
        quota.room(1, "u")
    assert time.process_time() - began < 1


CHURN = """
    import sys
    from pathlib import Path
    files = [Path(sys.argv[1]) / str(number) for number in range(200)]
    while True:
        for change in (Path.touch, Path.unlink):
            for file in files:
                change(file)
"""


def test_files_that_vanish_while_they_are_counted_hide_no_others(tmp_path):
    for number in range(100):
        (tmp_path / f"stays{number}").write_bytes(bytes(6))
    process = child(CHURN, tmp_path)
    began = time.monotonic()
    try:
        while time.monotonic() < began + 1.5:
            with pytest.raises(LimitError, match="have 600 of the 1000"):
                Quota([tmp_path], 1000).room(401, "u")
    finally:
        process.kill()
        process.wait()


# Progress


PROGRESS = """
    import sys, time
    from helixflow.joblog import log_to
    log_to(sys.argv[1])
    from helixflow.progress import progress
    total = int(sys.argv[2]) or None
    with progress("x.fna", total, sys.argv[3]) as tell:
        for done in range(0, 1001, 5):
            tell(done * int(sys.argv[4]))
            time.sleep(0.005)
    print("Finished", file=sys.stderr)
"""


def lines_of(log: Path) -> list[str]:
    return [line.partition("INFO ")[2] for line in log.read_text().splitlines() if "INFO" in line]


def test_the_log_has_a_line_at_every_tenth(tmp_path):
    process = child(PROGRESS, tmp_path / "log", 10**9, "B", 10**6, stderr=subprocess.PIPE)
    assert process.communicate()[1] == b"", "no bar where there is no terminal"
    expected = [f"x.fna: {10 * tenth} %, {100 * tenth}.0 MB of 1000.0 MB" for tenth in range(1, 11)]
    assert lines_of(tmp_path / "log") == expected


@pytest.mark.parametrize(
    ("unit", "size", "line"),
    [("B", 10**6, "x.fna: 100.0 MB"), ("record", 10, "x.fna: 1000 records")],
)
def test_where_no_total_is_known_there_is_a_line_now_and_then(tmp_path, unit, size, line):
    child(PROGRESS, tmp_path / "log", 0, unit, size, stderr=subprocess.PIPE).communicate()
    lines = lines_of(tmp_path / "log")
    assert (len(lines), lines[0]) == (10, line)


def test_a_terminal_shows_a_bar_and_the_log_its_lines(tmp_path):
    """The bar is on the job's terminal, though its output goes to the log, and leaves nothing behind."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = child(PROGRESS, tmp_path / "log", 10**9, "B", 10**6, stderr=slave)
    os.close(slave)
    shown = b""
    while block := _read(master):
        shown += block
    os.close(master)
    assert process.wait() == 0
    frames = shown.decode().split("\r")
    bars = [frame for frame in frames if "x.fna:" in frame and "|" in frame]
    assert len(bars) >= 2
    assert any(re.search(r"[1-9][0-9]%.*/1\.00G", frame) for frame in bars)
    assert shown.count(b"\n") == 0
    assert frames[-1].strip() == ""
    assert len(lines_of(tmp_path / "log")) == 10
    assert "Finished" in (tmp_path / "log").read_text()


def _read(master: int) -> bytes:
    """What comes from a terminal, nothing when its other end is closed."""
    try:
        return os.read(master, 65536)
    except OSError:
        return b""


def test_work_that_begins_again_is_told_again(caplog):
    from helixflow.progress import progress

    caplog.set_level(logging.INFO, "helixflow")
    with progress("x", 100, "B") as tell:
        for done in (10, 50, 55, 0, 10, 100):
            tell(done)
    assert [record.getMessage().split()[1] for record in caplog.records] == ["10", "50", "10", "100"]
