"""Collections: what is whole is kept, what failed is told, and a second run asks for the rest alone."""

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import h5py
import pyarrow.parquet as pq
import pytest

from conftest import DEMO, ROOT
from fetching import fetcher, source
from helixflow.errors import DigestError, SourceError
from helixflow.files import read_tsv
from helixflow.members import read_members
from helixflow.sequences import fetch_collection
from replies import esummary
from servers import Fault, Page, Server
from workflow import command, snakemake

GENOME = (DEMO / "NC_001802.fna").read_text().split("\n", 1)[1]


@pytest.fixture
def server():
    with Server() as running:
        yield running


def genome(number: int) -> bytes:
    return f">strain{number}\n{GENOME[number:]}".encode()


def serve(server: Server, count: int) -> None:
    server.pages = {f"/{number}.fna": Page(genome(number)) for number in range(count)}


def write_manifest(folder: Path, rows: list[str]) -> Path:
    path = folder / "strains.tsv"
    path.write_text("sample\tkind\tsource\tchecksum\n" + "".join(f"{row}\n" for row in rows))
    return path


def strains(server: Server, count: int) -> list[str]:
    return [f"strain{number:03d}\tgenome\t{server.url}/{number}.fna" for number in range(count)]


def collect(folder: Path, server: str = "http://127.0.0.1:9", max_failed: int = 0, pins=None) -> list[dict]:
    """Fetch the collection of a folder; its table."""
    row = source("c", "collection", folder / "strains.tsv", text="strains.tsv")
    table, record = folder / "results/c.tsv", folder / "results/c.json"
    fetch_collection(fetcher(folder, server, pins), row, table, record, workers=4, max_failed=max_failed)
    return read_tsv(table)


def test_every_member_is_fetched_and_told(tmp_path, server):
    serve(server, 40)
    write_manifest(tmp_path, strains(server, 40))
    table = collect(tmp_path)
    assert [row["sample"] for row in table] == [f"strain{number:03d}" for number in range(40)]
    digests = [hashlib.sha256(genome(number)).hexdigest() for number in range(40)]
    assert [row["sha256"] for row in table] == digests
    assert {row["status"] for row in table} == {"fetched"}
    told = json.loads((tmp_path / "results/c.json").read_text())
    assert (told["kind"], told["contents"], told["members"], told["records"]) == (
        "collection",
        "genome",
        40,
        40,
    )
    assert told["residues"] == sum(int(row["residues"]) for row in table)
    members = list(read_members(tmp_path / "results/c.json"))
    assert [member.name for member in members] == [f"c/strain{number:03d}" for number in range(40)]
    letters = GENOME.replace("\n", "")
    assert list(members[7].records()) == [("strain7", letters[7:])]


def test_what_failed_is_listed_the_rest_kept_and_a_second_run_asks_for_what_is_missing(tmp_path, server):
    serve(server, 12)
    rows = strains(server, 12)
    rows[5] += f"\tsha256:{'0' * 64}"
    write_manifest(tmp_path, rows)
    good = server.pages["/3.fna"]
    del server.pages["/2.fna"]
    server.pages["/3.fna"] = Page(b"<!DOCTYPE html><html>sorry</html>")
    with pytest.raises(
        SourceError, match=r"strains\.tsv: 3 of 12 members could not be had, expected at most 0"
    ):
        collect(tmp_path)
    assert not (tmp_path / "results/c.tsv").exists()
    failed = {row["sample"]: row["reason"] for row in read_tsv(tmp_path / "work/c/failed.tsv")}
    assert list(failed) == ["strain002", "strain003", "strain005"]
    assert "404" in failed["strain002"]
    assert "web page" in failed["strain003"] or "HTML" in failed["strain003"]
    assert f"expected {'0' * 64}" in failed["strain005"]
    kept = sorted((tmp_path / "results/c").glob("*.fasta.gz"))
    assert len(kept) == 9

    stamps = {path: path.stat().st_mtime_ns for path in kept}
    server.pages |= {"/2.fna": Page(genome(2)), "/3.fna": good}
    server.asked.clear()
    table = collect(tmp_path, max_failed=1)
    assert sorted(asked.path for asked in server.asked) == ["/2.fna", "/3.fna", "/5.fna"]
    assert {path: path.stat().st_mtime_ns for path in kept} == stamps
    assert [row["sample"] for row in table if row["status"] == "failed"] == ["strain005"]
    assert [row["sample"] for row in read_tsv(tmp_path / "work/c/failed.tsv")] == ["strain005"]
    assert len(list(read_members(tmp_path / "results/c.json"))) == 11

    write_manifest(tmp_path, strains(server, 12))
    collect(tmp_path)
    assert not (tmp_path / "work/c/failed.tsv").exists()


def test_collection_without_any_member_is_an_error_however_many_may_fail(tmp_path, server):
    write_manifest(tmp_path, strains(server, 2))
    with pytest.raises(SourceError, match="2 of 2 members could not be had, expected at most 1"):
        collect(tmp_path, max_failed=9)


def test_files_of_a_member_that_left_the_manifest_are_removed(tmp_path, server):
    serve(server, 2)
    write_manifest(tmp_path, strains(server, 2))
    collect(tmp_path)
    write_manifest(tmp_path, strains(server, 1))
    collect(tmp_path)
    assert {path.name.split(".")[0] for path in (tmp_path / "results/c").iterdir()} == {"strain000"}


def test_file_of_a_member_that_was_removed_is_named(tmp_path, server):
    serve(server, 1)
    write_manifest(tmp_path, strains(server, 1))
    collect(tmp_path)
    (tmp_path / "results/c/strain000.fasta.gz").unlink()
    with pytest.raises(SourceError, match=r"strain000\.fasta\.gz: is missing, .*remove that, and run again"):
        list(read_members(tmp_path / "results/c.json"))


def test_member_whose_row_or_file_changed_is_fetched_again(tmp_path, server):
    (tmp_path / "a.fna").write_bytes(genome(1))
    serve(server, 3)
    rows = ["a\tgenome\ta.fna", f"b\tgenome\t{server.url}/1.fna", f"d\tgenome\t{server.url}/2.fna"]
    write_manifest(tmp_path, rows)
    collect(tmp_path)
    server.asked.clear()
    (tmp_path / "a.fna").write_bytes(genome(2))
    rows[1] = f"b\tgenome\t{server.url}/0.fna"
    write_manifest(tmp_path, rows)
    digests = [row["sha256"] for row in collect(tmp_path)]
    assert digests == [hashlib.sha256(genome(number)).hexdigest() for number in (2, 0, 2)]
    assert [asked.path for asked in server.asked] == ["/0.fna"]


def test_member_that_left_its_pin_is_refused_and_one_without_its_files_fetched(tmp_path, server):
    serve(server, 2)
    write_manifest(tmp_path, strains(server, 2))
    collect(tmp_path)
    (tmp_path / "results/c/strain000.fasta.gz").unlink()
    pins = {("c/strain001", f"{server.url}/1.fna", 1): "0" * 64}
    with pytest.raises(DigestError, match=r"1 of 2 members .* c/strain001: .*expected 0{64} as s\.lock\.tsv"):
        collect(tmp_path, pins=pins, max_failed=1)
    assert (tmp_path / "results/c/strain000.fasta.gz").exists()


def test_reads_and_accessions_of_a_collection(tmp_path, server):
    fastq = b"@r\nACGT\n+\nIIII\n"
    server.pages = {"/x.fastq.gz": Page(gzip.compress(fastq))}
    write_manifest(tmp_path, [f"r\treads\t{server.url}/x.fastq.gz"])
    collect(tmp_path)
    (member,) = read_members(tmp_path / "results/c.json")
    assert (member.kind, list(member.records())) == ("reads", [("r", "ACGT")])
    server.pages = {
        "/ncbi/esummary.fcgi": Page(esummary("NC_001802.1", 9181).encode()),
        "/ncbi/efetch.fcgi": Page((DEMO / "NC_001802.fna").read_bytes()),
    }
    write_manifest(tmp_path, ["hiv\tgenome\tncbi:NC_001802"])
    (row,) = collect(tmp_path, server.url)
    assert row["residues"] == "9181"


PROGRAM = """
import sys
sys.path[:0] = [{scripts!r}, {tests!r}]
from pathlib import Path
from test_collection import collect
collect(Path(sys.argv[1]))
"""


def begun(folder: Path) -> dict[str, int]:
    """The bytes that there are of members that are not whole."""
    sizes = {}
    for path in (folder / "work/c").rglob("*.part"):
        with contextlib.suppress(FileNotFoundError):
            sizes[path.parent.name] = path.stat().st_size
    return sizes


def test_killed_collection_goes_on_where_it_was(tmp_path, server):
    """Kill -9 while members drip in: the next run asks for no byte twice of what was whole."""
    serve(server, 30)
    for page in list(server.pages.values())[10:]:
        page.faults = [Fault(drip=(2000, 0.2))]
    write_manifest(tmp_path, strains(server, 30))
    program = PROGRAM.format(scripts=str(ROOT / "scripts"), tests=str(ROOT / "tests"))
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path], stderr=subprocess.DEVNULL)
    while len(list((tmp_path / "results/c").glob("*.json"))) < 12 or not any(begun(tmp_path).values()):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = {path.stem for path in (tmp_path / "results/c").glob("*.json")}
    left = begun(tmp_path)
    assert len(done) < 30 and any(left.values())
    server.asked.clear()
    collect(tmp_path)
    starts = {f"strain{int(asked.path[1:-4]):03d}": asked.start for asked in server.asked}
    assert not done & set(starts)
    assert all(starts[name] == size for name, size in left.items() if size and name in starts)
    digests = [hashlib.sha256(genome(number)).hexdigest() for number in range(30)]
    assert [row["sha256"] for row in read_tsv(tmp_path / "results/c.tsv")] == digests


def test_interrupted_collection_ends_soon(tmp_path, server):
    """Ctrl-C while members wait for as long as the server asks: they give up, and what is whole stays."""
    serve(server, 4)
    for page in list(server.pages.values())[1:]:
        page.faults = [Fault(status=503, headers={"Retry-After": "300"})] * 9
    write_manifest(tmp_path, strains(server, 4))
    program = PROGRAM.format(scripts=str(ROOT / "scripts"), tests=str(ROOT / "tests"))
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path], stderr=subprocess.DEVNULL)
    while len(server.asked) < 4 or not list((tmp_path / "results/c").glob("*.json")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert [path.name for path in (tmp_path / "results/c").glob("*.json")] == ["strain000.json"]


# Through Snakemake


SHEET = """sample\tkind\tsource
strains\tcollection\tstrains.tsv
faa\tcollection\tfaa.tsv
run\treads\ta_1.fastq,a_2.fastq
"""


def test_workflow_takes_reads_and_collections_to_buckets_proteins_and_the_lock(tmp_path, server):
    """The members of a collection are what rows of their own would be, and the second run does nothing."""
    serve(server, 2)
    letters = GENOME.replace("\n", "")
    fastq = "".join(f"@r{i}\n{letters[i * 70 : i * 70 + 60]}\n+\n{'I' * 60}\n" for i in range(20))
    for mate in (1, 2):
        (tmp_path / f"a_{mate}.fastq").write_text(fastq)
    write_manifest(tmp_path, strains(server, 2))
    shutil.copy(DEMO / "NC_000932.faa", tmp_path / "chloroplast.faa")
    (tmp_path / "faa.tsv").write_text("sample\tkind\tsource\nchloroplast\tproteins\tchloroplast.faa\n")
    (tmp_path / "samples.tsv").write_text(SHEET)
    (tmp_path / "config.yaml").write_text("samples: samples.tsv\n")
    targets = ("sequences", "buckets", "proteins", "lock_sources")
    snakemake(tmp_path, *targets)

    groups = pq.read_table(tmp_path / "results/buckets/groups.parquet").to_pydict()
    assert groups["unit"] == ["strains/strain000", "strains/strain001"]
    assert len(set(groups["group"])) == 1, "the strains differ in one base"
    occurrences = pq.read_table(tmp_path / "results/proteins/occurrences.parquet").to_pylist()
    units = Counter((row["sample"], row["unit"]) for row in occurrences)
    assert units["faa", "faa/chloroplast"] == 85
    assert units["strains", "strains/strain000"] == units["strains", "strains/strain001"] > 3
    with h5py.File(tmp_path / "results/buckets/run.h5") as h5:
        assert h5["unit/name"].asstr()[:].tolist() == ["run"]
        assert h5["unit/residues"][0] == 2 * len("".join(fastq.split("\n")[1::4]))
    lock = {(row["sample"], row["file"]): row["sha256"] for row in read_tsv(tmp_path / "samples.lock.tsv")}
    members = {"strains/strain000", "strains/strain001", "faa/chloroplast", "run"}
    assert {name for name, _ in lock} == members
    assert lock["strains/strain001", "1"] == hashlib.sha256(genome(1)).hexdigest()
    assert lock["run", "2"] == hashlib.sha256(fastq.encode()).hexdigest()

    done = snakemake(tmp_path, *targets[:-1])
    assert "Nothing to be done" in done.stdout + done.stderr
    (tmp_path / "samples.lock.tsv").unlink()
    snakemake(tmp_path, "lock_sources")
    assert (tmp_path / "samples.lock.tsv").exists(), "whenever it is asked for"

    with (tmp_path / "chloroplast.faa").open("a") as stream:
        stream.write(">more\nMKVLIP\n")
    done = subprocess.run(command(tmp_path, "proteins"), capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "DigestError: faa: " in done.stderr
    (tmp_path / "samples.lock.tsv").unlink()
    snakemake(tmp_path, "proteins")
    rows = pq.read_table(tmp_path / "results/proteins/occurrences.parquet").to_pylist()
    assert sum(row["unit"] == "faa/chloroplast" for row in rows) == 86
