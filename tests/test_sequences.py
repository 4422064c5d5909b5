"""Sequences: real files in one normal form, downloads that resume, and every bad source by name."""

import gzip
import hashlib
import io
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pysam
import pytest
from Bio import SeqIO
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import DEMO
from helixflow.errors import SourceError
from helixflow.fasta import read_fasta
from helixflow.sequences import FetchSettings, fetch, write_sequences, write_structure

QUICK = FetchSettings(attempts=3, timeout_s=5, first_wait_s=0.01)


def normalise(source: Path | str, kind: str, folder: Path, checksum: str = "") -> tuple[Path, dict]:
    """The stage on one source: the FASTA file and the provenance."""
    out = folder / "out.fasta.gz"
    with fetch(str(source), str(source), folder / "work", checksum, QUICK) as fetched:
        write_sequences(fetched, "s", kind, str(out), f"{out}.fai", f"{out}.gzi", str(folder / "out.json"))
    return out, json.loads((folder / "out.json").read_text())


def records(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt") as stream:
        return {record.id: str(record.seq) for record in SeqIO.parse(stream, "fasta")}


def text(folder: Path, content: str | bytes) -> Path:
    path = folder / "source"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


# Real files


@pytest.mark.parametrize(("name", "length"), [("NC_001802.fna", 9181), ("NC_005816.fna", 9609)])
def test_genome_is_as_biopython_reads_it(tmp_path, name, length):
    out, told = normalise(DEMO / name, "genome", tmp_path)
    with (DEMO / name).open() as stream:
        expected = {record.id: str(record.seq) for record in SeqIO.parse(stream, "fasta")}
    assert records(out) == expected
    assert (told["records"], told["residues"], told["set_aside"]) == (1, length, [])
    assert told["sha256"] == hashlib.sha256((DEMO / name).read_bytes()).hexdigest()


def test_genbank_gz_gives_the_sequence_of_its_origin(tmp_path):
    out, told = normalise(DEMO / "NC_000932.gb.gz", "genome", tmp_path)
    sequence = records(out)["NC_000932.1"]
    assert len(sequence) == told["residues"] == 154478
    assert (sequence[:10], told["format"]) == ("ATGGGCGAAC", "genbank")


def test_index_is_the_one_of_samtools_faidx(tmp_path):
    """Random access through the index gives the bases that lie there."""
    out, _ = normalise(DEMO / "NC_005816.fna", "genome", tmp_path)
    with (DEMO / "NC_005816.fna").open() as stream:
        record = SeqIO.read(stream, "fasta")
    with pysam.FastaFile(str(out)) as indexed:
        assert indexed.fetch(record.id, 4000, 4100) == str(record.seq[4000:4100])


def test_same_source_same_bytes(tmp_path):
    first, _ = normalise(DEMO / "NC_001802.fna", "genome", tmp_path)
    before = first.read_bytes()
    second, _ = normalise(DEMO / "NC_001802.fna", "genome", tmp_path)
    assert before == second.read_bytes()


def test_all_real_genomes_and_proteins(tmp_path, data):
    sources = [(path, "genome") for path in sorted((data / "genomes").iterdir())]
    sources.append((data / "proteins/mycoplasma_refseq.faa", "proteins"))
    assert len(sources) > 10
    for path, kind in sources:
        out, told = normalise(path, kind, tmp_path)
        assert sum(map(len, records(out).values())) == told["residues"] > 0, path.name


# What is normalised, set aside, refused


def test_letters_are_normalised_and_counted(tmp_path):
    source = text(tmp_path, ">a first\r\nacgu\r\nRYN\r\n\r\n>empty\n>b\nAC GT\n")
    out, told = normalise(source, "genome", tmp_path)
    assert records(out) == {"a": "ACGTRYN", "b": "ACGT"}
    assert told["normalised"] == {"lower case": 4, "U to T": 1, "ambiguous bases kept": 3}
    assert told["set_aside"] == [{"record": "empty", "reason": "no sequence"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path, end):
    source = text(tmp_path, f">a one{end}AC{end}GT{end}>b\ttwo{end}GG{end}".encode())
    out, told = normalise(source, "genome", tmp_path)
    assert records(out) == {"a": "ACGT", "b": "GG"}
    assert told["residues"] == 6


def test_nothing_hides_in_a_header(tmp_path):
    """A carriage return within a header ends it, so what all readers of the result see is the same."""
    out, told = normalise(text(tmp_path, b">a x\x0by\rGGGG\nACGT\n"), "genome", tmp_path)
    assert told["residues"] == 8
    with pysam.FastaFile(str(out)) as indexed:
        assert indexed.fetch("a") == "GGGGACGT" == dict(read_fasta(out))["a"]


def test_byte_order_mark(tmp_path):
    out, _ = normalise(text(tmp_path, b"\xef\xbb\xbf>a\nACGT\n"), "genome", tmp_path)
    assert records(out) == {"a": "ACGT"}


@pytest.mark.parametrize("keep", [0.55, 0.8, 0.99])
def test_truncated_genbank_is_refused(tmp_path, keep):
    whole = (DEMO / "NC_005816.gb").read_bytes()
    source = text(tmp_path, whole[: int(len(whole) * keep)])
    with pytest.raises(SourceError, match=r"is not a whole GenBank file|has no sequence") as error:
        normalise(source, "genome", tmp_path)
    assert "\n" not in str(error.value)


def test_genbank_that_lost_a_line_is_refused(tmp_path):
    lines = (DEMO / "NC_005816.gb").read_text().splitlines(True)
    del lines[-40]
    with pytest.raises(SourceError, match="Expected sequence length 9609, found 9549"):
        normalise(text(tmp_path, "".join(lines)), "genome", tmp_path)


def test_terminal_stop_of_a_protein_is_stripped(tmp_path):
    out, told = normalise(text(tmp_path, ">p\nMKLV*\n"), "proteins", tmp_path)
    assert records(out) == {"p": "MKLV"}
    assert told["normalised"] == {"terminal * stripped": 1}


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("", "genome", "an empty file"),
        ("\n\n", "genome", "an empty file"),
        ("ACGT\n", "genome", "begins with 'ACGT', expected FASTA"),
        ("<!DOCTYPE html><html>", "genome", "a web page"),
        (">a\n>b\n", "genome", "no record has a sequence"),
        (">\nACGT\n", "genome", "line 1: the record has no name"),
        (">a\nAC\n>b\nAC\n>a\nGG\n", "genome", "line 5: record 'a' is already at line 1"),
        (">a\nAC-T\n", "genome", "record 'a' has '-' at position 3"),
        (">a\nMKLV\n", "genome", "line 1: record 'a' has 'L' at position 3, expected a base"),
        (">a\nMK*LV\n", "proteins", "record 'a' has '\\*' at position 3"),
        (">a\nACGTACGTACGT\n", "proteins", "12 of 12 letters are A, C, G, T or N, expected proteins"),
        ("LOCUS       X  4 bp\nnonsense", "genome", "expected|not a whole GenBank|no sequence|no record"),
        (gzip.compress(b">a\n" + b"ACGT" * 9999)[:-30], "genome", "cannot be read to its end"),
    ],
)
def test_bad_source_is_named_and_nothing_is_left(tmp_path, content, kind, message):
    source = text(tmp_path, content)
    with pytest.raises(SourceError, match=message) as error:
        normalise(source, kind, tmp_path)
    assert str(source) in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_checksum_mismatch_names_both_digests(tmp_path):
    found = hashlib.md5((DEMO / "NC_001802.fna").read_bytes()).hexdigest()
    with pytest.raises(SourceError, match=f"md5 is {found}, expected {'0' * 32}"):
        normalise(DEMO / "NC_001802.fna", "genome", tmp_path, "md5:" + "0" * 32)
    normalise(DEMO / "NC_001802.fna", "genome", tmp_path, f"md5:{found}")


@given(
    st.lists(
        st.tuples(
            st.text("abcXYZ0|._-", min_size=1, max_size=9),
            st.text("ACGTacgtuUNnRry", min_size=1, max_size=200),
            st.sampled_from(["\n", "\r\n", "\n\n"]),
        ),
        min_size=1, max_size=8, unique_by=lambda record: record[0],
    ),
    st.integers(1, 80),
)  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_then_read_is_the_same(tmp_path, entries, width):
    """However lines are broken: the letters come back in upper case, U as T."""
    content = "".join(
        f">{name}{end}" + "".join(letters[at : at + width] + end for at in range(0, len(letters), width))
        for name, letters, end in entries
    )
    out, _ = normalise(text(tmp_path, content), "metagenome", tmp_path)
    assert records(out) == {name: letters.upper().replace("U", "T") for name, letters, _ in entries}


@pytest.mark.parametrize("name", ["1L2Y.pdb", "1L2Y.cif"])
def test_structure_formats_are_told_apart(tmp_path, data, name):
    out = tmp_path / "x.structure"
    source = str(data / "structures" / name)
    with fetch(source, source, tmp_path, "", QUICK) as fetched:
        write_structure(fetched, "x", str(out), str(tmp_path / "x.json"))
    told = json.loads((tmp_path / "x.json").read_text())
    assert told["format"] == {"pdb": "pdb", "cif": "mmcif"}[name.split(".")[1]]
    assert (told["records"], told["residues"]) == (304, 20)
    assert out.read_bytes() == Path(source).read_bytes()


@pytest.mark.parametrize("content", ["", "<html></html>", "data_x\n_cell.a 1\n", "HEADER    NOTHING\nEND\n"])
def test_what_is_no_structure_is_refused(tmp_path, content):
    source = str(text(tmp_path, content))
    with (
        pytest.raises(SourceError, match="is not a structure"),
        fetch(source, source, tmp_path, "", QUICK) as fetched,
    ):
        write_structure(fetched, "x", str(tmp_path / "x.structure"), str(tmp_path / "x.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


# Downloads, from a server with faults


@dataclass
class Faults:
    """How the server behaves, and what it was asked."""

    content: bytes
    etag: str = '"one"'
    statuses: list[int] = field(default_factory=list)
    drops: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server():
    """A server on loopback that serves `faults.content` the way `faults` says."""
    faults = Faults((DEMO / "NC_001802.fna").read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range", "")
            faults.asked.append(asked)
            if faults.statuses:
                self.send_response(faults.statuses.pop(0))
                self.send_header("Location", self.path)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = 0
            if faults.ranges and asked and self.headers.get("If-Range") == faults.etag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206)
                size = len(faults.content)
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            else:
                self.send_response(200)
            body = faults.content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", faults.etag)
            self.end_headers()
            self.wfile.write(body[: faults.drops.pop(0)] if faults.drops else body)

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/x.fna", faults
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize("statuses", [[], [503, 503], [429]])
def test_download_gives_the_bytes(tmp_path, server, statuses):
    url, faults = server
    faults.statuses = statuses
    out, told = normalise(url, "genome", tmp_path)
    assert records(out) == records_of(faults.content)
    assert (told["url"], told["bytes"]) == (url, len(faults.content))
    assert not list((tmp_path / "work").iterdir())


def records_of(content: bytes) -> dict[str, str]:
    return {record.id: str(record.seq) for record in SeqIO.parse(io.StringIO(content.decode()), "fasta")}


def test_dropped_download_goes_on_where_it_stopped(tmp_path, server):
    url, faults = server
    faults.drops = [3000, 3000]
    out, _ = normalise(url, "genome", tmp_path)
    assert records(out) == records_of(faults.content)
    assert faults.asked == ["", "bytes=3000-", "bytes=6000-"]


def test_download_without_ranges_starts_again(tmp_path, server):
    url, faults = server
    faults.drops, faults.ranges = [3000], False
    out, _ = normalise(url, "genome", tmp_path)
    assert records(out) == records_of(faults.content)


def test_file_that_changed_between_ranges_is_fetched_anew(tmp_path, server):
    url, faults = server
    faults.statuses, faults.drops = [], [3000, 0, 0]
    with pytest.raises(SourceError, match="gave up after 3 tries"):
        normalise(url, "genome", tmp_path)
    faults.content, faults.etag, faults.drops = b">new\nACGT\n", '"two"', []
    out, _ = normalise(url, "genome", tmp_path)
    assert records(out) == {"new": "ACGT"}


def test_next_run_resumes_what_the_last_left(tmp_path, server):
    url, faults = server
    faults.drops = [3000, 0, 0]
    with pytest.raises(SourceError, match="gave up"):
        normalise(url, "genome", tmp_path)
    faults.asked.clear()
    out, _ = normalise(url, "genome", tmp_path)
    assert faults.asked == ["bytes=3000-"]
    assert records(out) == records_of(faults.content)


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (503, 3)])
def test_server_that_says_no(tmp_path, server, status, tries):
    url, faults = server
    faults.statuses = [status] * 9
    with pytest.raises(SourceError, match=f"HTTP status {status}"):
        normalise(url, "genome", tmp_path)
    assert len(faults.asked) == tries
    assert not (tmp_path / "out.fasta.gz").exists()


def test_redirects_in_a_circle(tmp_path, server):
    url, faults = server
    faults.statuses = [302] * 99
    with pytest.raises(SourceError, match="cannot be fetched"):
        normalise(url, "genome", tmp_path)


def test_flipped_byte_is_noticed_by_the_checksum(tmp_path, server):
    url, faults = server
    good = hashlib.sha256(faults.content).hexdigest()
    out, _ = normalise(url, "genome", tmp_path, f"sha256:{good}")
    before = out.read_bytes()
    faults.content = faults.content.replace(b"GGTCTC", b"GGTCTA", 1)
    with pytest.raises(SourceError, match=f"expected {good}"):
        normalise(url, "genome", tmp_path, f"sha256:{good}")
    assert out.read_bytes() == before, "what was there before must still be there"
    assert not list((tmp_path / "work").iterdir()), "a damaged download must not be used by the next run"


def test_web_page_in_place_of_a_genome(tmp_path, server):
    url, faults = server
    faults.content = b"<!DOCTYPE html><html>not found</html>"
    with pytest.raises(SourceError, match="a web page"):
        normalise(url, "genome", tmp_path)


def test_no_server(tmp_path):
    with pytest.raises(SourceError, match="gave up after 2 tries"), fetch(
        "http://127.0.0.1:9/x", "http://127.0.0.1:9/x", tmp_path, "", FetchSettings(2, 2, 0.01)
    ):  # fmt: skip
        pass


def test_nothing_of_a_genome_is_lost(tmp_path):
    """Letters in are letters out, counted one by one."""
    out, _ = normalise(DEMO / "NC_001802.fna", "genome", tmp_path)
    with (DEMO / "NC_001802.fna").open() as stream:
        expected = Counter(str(SeqIO.read(stream, "fasta").seq))
    assert Counter("".join(records(out).values())) == expected
