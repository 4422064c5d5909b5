"""Rows: every kind of source from the answer of its database to its normal form, its record and its pin."""

import csv
import gzip
import hashlib
import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from Bio import SeqIO
from Bio.PDB import MMCIFIO, PDBParser

from conftest import DEMO
from fetching import fetcher, source
from helixflow.errors import DigestError, LimitError, SheetError, SourceError
from helixflow.members import read_members
from helixflow.sequences import fetch_reads, fetch_sequence, fetch_structure, rows, write_lock
from helixflow.sequences.formats.normalise import write_sequences
from helixflow.sequences.lock import COLUMNS, read_lock
from replies import NO_ENTRY, esummary, filereport, listing, md5checksums, prediction
from servers import Page, Server
from workflow import command, snakemake

HIV = (DEMO / "NC_001802.fna").read_bytes()
PLASMID = (DEMO / "NC_005816.fna").read_bytes()
ESUMMARY = "/ncbi/esummary.fcgi?db=nuccore&id=NC_001802.1&retmode=json"
EFETCH = "/ncbi/efetch.fcgi?db=nuccore&id=NC_001802.1&rettype=fasta&retmode=text"
ASSEMBLY = "/ncbi_genomes/GCF/000/007/885/"
FOLDER = "GCF_000007885.1_ASM788v1"
RUN = "SRR7885321"
REPORT = (
    f"/ena/filereport?accession={RUN}&result=read_run"
    "&fields=run_accession,fastq_ftp,fastq_bytes,fastq_md5&format=tsv"
)


@pytest.fixture
def server():
    with Server() as running:
        yield running


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def fetch(folder: Path, wanted, **more) -> tuple[Path, dict]:
    """The FASTA file of a row and its record."""
    out = folder / "results" / "a.fasta.gz"
    record = folder / "results" / "a.json"
    fetch_sequence(fetcher(folder, **more), wanted, out, f"{out}.fai", f"{out}.gzi", record)
    return out, json.loads(record.read_text())


def records(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt") as stream:
        return {record.id: str(record.seq) for record in SeqIO.parse(stream, "fasta")}


def records_of(content: bytes) -> dict[str, str]:
    return {record.id: str(record.seq) for record in SeqIO.parse(io.StringIO(content.decode()), "fasta")}


# Every database


def test_nucleotide_is_as_long_as_its_database_says(tmp_path, server):
    server.pages = {ESUMMARY: Page(esummary("NC_001802.1", 9181).encode()), EFETCH: Page(HIV)}
    out, told = fetch(tmp_path, source("a", "genome", "ncbi:NC_001802.1"), server=server.url)
    assert records(out) == records_of(HIV)
    assert told["source"] == "ncbi:NC_001802.1"
    assert told["files"][0]["url"] == f"{server.url}{EFETCH}"
    assert told["files"][0]["sha256"] == hashlib.sha256(HIV).hexdigest()
    assert (told["records"], told["residues"], told["written"]) == (1, 9181, ["a.fasta.gz"])


def test_nucleotide_that_stops_too_early_is_refused(tmp_path, server):
    """The server says all is well, and the text is a valid FASTA of most of the genome."""
    whole = {ESUMMARY: Page(esummary("NC_001802.1", 9181).encode()), EFETCH: Page(HIV)}
    server.pages = whole
    before, _ = fetch(tmp_path, source("a", "genome", "ncbi:NC_001802.1"), server=server.url)
    content = before.read_bytes()
    server.pages = whole | {EFETCH: Page(HIV[: HIV.rindex(b"\n", 0, 9000) + 1])}
    with pytest.raises(SourceError, match=r"has \d+ letters, expected 9181 as the database says"):
        fetch(tmp_path, source("a", "genome", "ncbi:NC_001802.1"), server=server.url)
    assert before.read_bytes() == content, "what was there before is still there"
    assert not [path for path in (tmp_path / "work/a").iterdir() if path.is_file()]


def test_another_record_than_asked_for_is_refused(tmp_path, server):
    server.pages = {ESUMMARY: Page(esummary("NC_001802.1", 9609).encode()), EFETCH: Page(PLASMID)}
    with pytest.raises(SourceError, match=r"first record is 'gi\|.*\|NC_005816\.1\|', expected .*NC_001802"):
        fetch(tmp_path, source("a", "genome", "ncbi:NC_001802.1"), server=server.url)
    server.pages = {"/uniprot/uniprotkb/P12497.fasta": Page(b">sp|P03366|POL_HV1B1 x\nMGARASVLSG\n")}
    with pytest.raises(SourceError, match=r"the first record is 'sp\|P03366\|POL_HV1B1'"):
        fetch(tmp_path, source("a", "proteins", "uniprot:P12497"), server=server.url)
    assert not (tmp_path / "results/a.fasta.gz").exists()


def test_entry_that_is_not_there(tmp_path, server):
    server.pages = {ESUMMARY: Page(NO_ENTRY.encode())}
    with pytest.raises(SourceError, match=r"ncbi:NC_001802\.1: NCBI has no such nucleotide entry"):
        fetch(tmp_path, source("a", "genome", "ncbi:NC_001802.1"), server=server.url)


def test_key_of_ncbi_is_sent_and_nowhere_written(tmp_path, server, monkeypatch, caplog):
    monkeypatch.setenv("NCBI_API_KEY", "s3cret")
    server.pages = {"/ncbi/esummary.fcgi": Page(esummary("NC_001802.1", 9181).encode())}
    server.pages |= {"/ncbi/efetch.fcgi": Page(HIV)}
    caplog.set_level("DEBUG", logger="helixflow")
    fetch(tmp_path, source("a", "genome", "ncbi:NC_001802.1"), server=server.url)
    assert len(server.asked) == 2 and all("api_key=s3cret" in asked.query for asked in server.asked)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written and not any(b"s3cret" in path.read_bytes() for path in written)
    assert "s3cret" not in caplog.text


def assembly(genome: bytes, digest: str) -> dict[str, Page]:
    name = f"{FOLDER}_genomic.fna.gz"
    return {
        ASSEMBLY: Page(listing(FOLDER).encode()),
        f"{ASSEMBLY}{FOLDER}/md5checksums.txt": Page(md5checksums({name: digest}).encode()),
        f"{ASSEMBLY}{FOLDER}/{name}": Page(genome),
    }


def test_assembly_is_compared_with_its_md5(tmp_path, server):
    packed = gzip.compress(PLASMID)
    server.pages = assembly(packed, md5(packed))
    out, told = fetch(tmp_path, source("a", "genome", "ncbi:GCF_000007885.1"), server=server.url)
    assert records(out) == records_of(PLASMID)
    assert told["files"][0]["verified_by"] == ["the database"]
    server.pages = assembly(gzip.compress(HIV), md5(packed))
    with pytest.raises(
        SourceError, match=f"md5 is {'[0-9a-f]' * 32}, expected {md5(packed)} as the database"
    ):
        fetch(tmp_path, source("a", "genome", "ncbi:GCF_000007885.1"), server=server.url)


def fastq(count: int, mate: str, start: int = 0) -> bytes:
    genome = str(SeqIO.read(DEMO / "NC_001802.fna", "fasta").seq)
    reads = (f"@read{i}{mate}\n{genome[i * 9 : i * 9 + 50]}\n+\n{'I' * 50}\n" for i in range(start, count))
    return "".join(reads).encode()


def run(files: dict[str, bytes], sizes: int = 0) -> dict[str, Page]:
    report = filereport(RUN, {name: (len(content) + sizes, md5(content)) for name, content in files.items()})
    place = f"/ena_files/vol1/fastq/SRR788/001/{RUN}/"
    return {REPORT: Page(report.encode())} | {place + name: Page(text) for name, text in files.items()}


def test_run_of_mates_and_what_is_left_out(tmp_path, server):
    files = {
        f"{RUN}.fastq.gz": gzip.compress(fastq(3, "")),
        f"{RUN}_1.fastq.gz": gzip.compress(fastq(40, "/1")),
        f"{RUN}_2.fastq.gz": gzip.compress(fastq(40, "/2")),
    }
    server.pages = run(files)
    record = tmp_path / "results/a.json"
    fetch_reads(fetcher(tmp_path, server.url), source("a", "reads", f"ena:{RUN}"), record)
    told = json.loads(record.read_text())
    assert told["written"] == ["a_1.fastq.gz", "a_2.fastq.gz"]
    assert told["left_out"] == [f"{RUN}.fastq.gz"]
    assert [file["bytes"] for file in told["files"]] == [
        len(files[f"{RUN}_{mate}.fastq.gz"]) for mate in (1, 2)
    ]
    for mate in (1, 2):
        assert gzip.decompress((tmp_path / f"results/a_{mate}.fastq.gz").read_bytes()) == fastq(
            40, f"/{mate}"
        )
    (member,) = read_members(record)
    assert len(list(member.records())) == 80

    server.pages = run({f"{RUN}.fastq.gz": files[f"{RUN}.fastq.gz"]})
    fetch_reads(fetcher(tmp_path, server.url), source("a", "reads", f"ena:{RUN}"), record)
    assert sorted(path.name for path in record.parent.iterdir()) == ["a.fastq.gz", "a.json"]


def test_run_whose_size_or_md5_is_another(tmp_path, server):
    files = {f"{RUN}.fastq.gz": gzip.compress(fastq(9, ""))}
    record = tmp_path / "results/a.json"
    server.pages = run(files, sizes=1)
    with pytest.raises(SourceError, match=r"has \d+ bytes, expected \d+ as the database says"):
        fetch_reads(fetcher(tmp_path, server.url), source("a", "reads", f"ena:{RUN}"), record)
    server.pages = run(files)
    next(page for path, page in server.pages.items() if path.endswith(".gz")).body = gzip.compress(
        fastq(8, "")
    )
    with pytest.raises(SourceError, match=r"(md5 is|bytes, expected)"):
        fetch_reads(fetcher(tmp_path, server.url), source("a", "reads", f"ena:{RUN}"), record)
    assert not record.exists() and not list(tmp_path.glob("results/*"))


def test_proteome_is_read_from_gzip_and_a_truncated_one_refused(tmp_path, server):
    path = "/uniprot/uniprotkb/stream?query=proteome:UP000000625&format=fasta&compressed=true"
    text = (DEMO / "NC_000932.faa").read_bytes()
    server.pages = {path: Page(gzip.compress(text), etag="", length=False)}
    out, told = fetch(tmp_path, source("a", "proteins", "uniprot:UP000000625"), server=server.url)
    assert records(out) == records_of(text) and told["records"] == 85
    server.pages = {path: Page(gzip.compress(text)[:-40], etag="", length=False)}
    with pytest.raises(SourceError, match="is cut off or damaged: the gzip data have no end"):
        fetch(tmp_path, source("a", "proteins", "uniprot:UP000000625"), server=server.url)


def mmcif(name: str) -> bytes:
    """The bundled structure as mmCIF, as another program writes it."""
    writer, text = MMCIFIO(), io.StringIO()
    writer.set_structure(PDBParser(QUIET=True).get_structure(name, DEMO / "1A8O.pdb"))
    writer.save(text)
    return text.getvalue().replace("data_\n", f"data_{name}\n").encode()


def test_structure_of_pdb(tmp_path, server):
    server.pages = {"/pdb/download/1A8O.cif.gz": Page(gzip.compress(mmcif("1A8O")))}
    out, record = tmp_path / "results/a.structure", tmp_path / "results/a.json"
    fetch_structure(fetcher(tmp_path, server.url), source("a", "structure", "pdb:1a8o"), out, record)
    assert out.read_bytes() == mmcif("1A8O")
    told = json.loads(record.read_text())
    assert (told["format"], told["records"], "mean_plddt" in told) == ("mmcif", 644, False)


def test_model_of_alphafold_keeps_its_confidence(tmp_path, server):
    name = "AF-P12497-F1"
    answer = [prediction("P12497", 6, f"{server.url}/files")]
    server.pages = {
        "/alphafold/prediction/P12497": Page(json.dumps(answer).encode()),
        f"/files/{name}-model_v6.cif": Page(mmcif(name)),
    }
    out, record = tmp_path / "results/a.structure", tmp_path / "results/a.json"
    fetch_structure(fetcher(tmp_path, server.url), source("a", "structure", "alphafold:P12497"), out, record)
    chain = PDBParser(QUIET=True).get_structure("x", DEMO / "1A8O.pdb")[0]["A"]
    factors = [residue["CA"].bfactor for residue in chain if "CA" in residue]
    assert json.loads(record.read_text())["mean_plddt"] == pytest.approx(
        sum(factors) / len(factors), abs=0.01
    )
    assert out.read_bytes() == mmcif(name), "B factors, which are the pLDDT, are as they were"


# Paths and checksums


def test_checksums_of_mates_are_compared_each(tmp_path):
    mates = [tmp_path / f"x_{mate}.fastq" for mate in (1, 2)]
    for number, path in enumerate(mates, 1):
        path.write_bytes(fastq(5, f"/{number}"))
    record = tmp_path / "results/a.json"
    right = [f"md5:{md5(path.read_bytes())}" for path in mates]
    fetch_reads(fetcher(tmp_path), source("a", "reads", *mates, checksum=",".join(right)), record)
    with pytest.raises(SourceError, match=r"x_2\.fastq: md5 is .*, expected"):
        wrong = ",".join([right[0], right[0]])
        fetch_reads(fetcher(tmp_path), source("a", "reads", *mates, checksum=wrong), record)


def test_accession_of_two_files_with_one_checksum(tmp_path, server):
    files = {f"{RUN}_{mate}.fastq.gz": gzip.compress(fastq(4, f"/{mate}")) for mate in (1, 2)}
    server.pages = run(files)
    row = source("a", "reads", f"ena:{RUN}", checksum=f"md5:{'0' * 32}")
    with pytest.raises(SourceError, match="stands for 2 files, expected the 1 that have a checksum"):
        fetch_reads(fetcher(tmp_path, server.url), row, tmp_path / "results/a.json")


# The lock file


def test_lock_pins_every_file_and_a_changed_one_is_an_error(tmp_path, server):
    server.pages = {"/x.fna": Page(HIV)}
    row = source("a", "genome", f"{server.url}/x.fna")
    out, _ = fetch(tmp_path, row, server=server.url)
    before = out.read_bytes()
    write_lock(tmp_path / "s.lock.tsv", [tmp_path / "results/a.json"])
    with (tmp_path / "s.lock.tsv").open() as stream:
        (pin,) = csv.DictReader(stream, delimiter="\t")
    assert (pin["sample"], pin["source"]) == ("a", row.text)
    assert pin["sha256"] == hashlib.sha256(HIV).hexdigest()

    pins = read_lock(tmp_path / "s.lock.tsv")
    _, told = fetch(tmp_path, row, server=server.url, pins=pins)
    assert told["files"][0]["verified_by"] == ["s.lock.tsv"]
    server.pages["/x.fna"] = Page(PLASMID, etag='"two"')
    old, new = (hashlib.sha256(content).hexdigest() for content in (HIV, PLASMID))
    with pytest.raises(DigestError, match=f"^a: .*sha256 is {new}, expected {old} as s.lock.tsv says"):
        fetch(tmp_path, row, server=server.url, pins=pins)
    assert out.read_bytes() == before


def test_lock_is_not_overwritten_with_another_digest(tmp_path):
    path, lock = tmp_path / "x.fna", tmp_path / "s.lock.tsv"
    path.write_bytes(HIV)
    fetch(tmp_path, source("a", "genome", path))
    write_lock(lock, [tmp_path / "results/a.json"])
    before = lock.read_text()
    path.write_bytes(PLASMID)
    fetch(tmp_path, source("a", "genome", path))
    with pytest.raises(DigestError, match=r"a\.json: a, .*: sha256 is .*, expected .*s\.lock\.tsv pins"):
        write_lock(lock, [tmp_path / "results/a.json"])
    assert lock.read_text() == before


def test_row_that_is_not_pinned_is_told(tmp_path, caplog):
    pins = {("b", "x", 1): "0" * 64}
    fetch(tmp_path, source("a", "genome", DEMO / "NC_001802.fna"), pins=pins)
    assert "NC_001802.fna is not pinned in s.lock.tsv" in caplog.text


def test_damaged_lock_is_refused(tmp_path):
    header, digest = "\t".join(COLUMNS), "0" * 64
    row = f"a\t1\tx\t{digest}\t4\t\t2026-01-01T00:00:00+00:00"
    for lines, number in (
        (["sample\tfile\tsource\tsha256"], 1),
        ([header, row.replace(digest, "nonsense")], 2),
        ([header, row, row], 3),
    ):
        (tmp_path / "s.lock.tsv").write_text("\n".join([*lines, ""]))
        with pytest.raises(SheetError, match=rf"s\.lock\.tsv line {number}: .*lock_sources"):
            read_lock(tmp_path / "s.lock.tsv")
    (tmp_path / "s.lock.tsv").write_bytes(b"\xff\xfea")
    with pytest.raises(SheetError, match=r"s\.lock\.tsv: cannot be read as UTF-8"):
        read_lock(tmp_path / "s.lock.tsv")


def test_sources_with_quotes_are_pinned(tmp_path):
    for name in ('"one.fa', '"two.fa'):
        (tmp_path / name).write_bytes(HIV)
        fetch(tmp_path, source("a", "genome", tmp_path / name))
    write_lock(tmp_path / "s.lock.tsv", [tmp_path / "results/a.json"])
    (tmp_path / name).write_bytes(PLASMID)
    with pytest.raises(DigestError, match="expected"):
        fetch(tmp_path, source("a", "genome", tmp_path / name), pins=read_lock(tmp_path / "s.lock.tsv"))


def test_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.fna"
    path.write_bytes(HIV)

    def write(*arguments):
        path.write_bytes(PLASMID)
        return write_sequences(*arguments)

    monkeypatch.setattr(rows, "write_sequences", write)
    with pytest.raises(SourceError, match="changed while it was read"):
        fetch(tmp_path, source("a", "genome", path))


def test_what_the_machine_does_not_allow_is_one_line_and_the_download_stays(tmp_path, server):
    """No room for the results, or no right to write them: the file is not to blame."""
    server.pages = {"/x.fna": Page(HIV)}
    (tmp_path / "results/a.fasta.gz/x").mkdir(parents=True)
    with pytest.raises(LimitError, match=r"^a: .*a\.fasta\.gz: Is a directory"):
        fetch(tmp_path, source("a", "genome", f"{server.url}/x.fna"), server=server.url)
    shutil.rmtree(tmp_path / "results")
    fetch(tmp_path, source("a", "genome", f"{server.url}/x.fna"), server=server.url)
    assert len(server.asked) == 1


def test_key_that_a_server_repeats_is_not_shown(tmp_path, server, monkeypatch):
    monkeypatch.setenv("NCBI_API_KEY", "s3cret")
    server.pages = {"/ncbi/esummary.fcgi": Page(esummary("NC_001802.1", 9181).encode())}
    server.pages |= {"/ncbi/efetch.fcgi": Page(b"API key invalid: s3cret")}
    with pytest.raises(SourceError, match=r"begins with 'API key invalid: \*\*\*'"):
        fetch(tmp_path, source("a", "genome", "ncbi:NC_001802.1"), server=server.url)


# Through Snakemake


def test_fetch_that_fails_leaves_what_was_there_and_is_tried_again(tmp_path, server):
    """The file of the last good fetch stays; without its record nothing goes on from it."""
    server.pages = {"/x.fna": Page(HIV)}
    (tmp_path / "samples.tsv").write_text(f"sample\tkind\tsource\na\tgenome\t{server.url}/x.fna\n")
    (tmp_path / "config.yaml").write_text("samples: samples.tsv\n")
    snakemake(tmp_path, "sequences")
    fasta = tmp_path / "results/sequences/a.fasta.gz"
    before = fasta.read_bytes()
    server.pages = {}
    arguments = command(tmp_path, "sequences", "--forcerun", "fetch_sequence")
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "SourceError: a: http" in done.stderr
    assert fasta.read_bytes() == before
    server.pages = {"/x.fna": Page(PLASMID)}
    snakemake(tmp_path, "sequences")
    assert records(fasta) == records_of(PLASMID)
