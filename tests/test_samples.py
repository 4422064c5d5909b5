"""The sheet and the config: what is right is read, every mistake gives one line that names it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import DEMO, ROOT
from helixflow.config import complete_config, read_schema
from helixflow.errors import ConfigError, HelixflowError, SheetError
from helixflow.samples import find_sheet, read_manifest, read_sheet

SCHEMA = read_schema(ROOT / "config" / "schema.yaml")
ROW = "c\tcollection\tstrains.tsv"
HEADER = "sample\tkind\tsource\tchecksum\ttaxon\tgenetic_code\tchain\n"


def sheet(folder: Path, *rows: str, header: str = HEADER) -> Path:
    (folder / "x.fna").write_text(">a\nACGT\n")
    path = folder / "samples.tsv"
    path.write_text(header + "".join(f"{row}\n" for row in rows))
    return path


def test_demo_sheet_is_read_and_sorted():
    samples = read_sheet(DEMO / "samples.tsv")
    assert list(samples) == sorted(samples)
    assert {sample.kind for sample in samples.values()} == {"genome", "proteins", "structure"}
    assert samples["hiv1"].genetic_code == 1
    assert samples["capsid_ctd"].paths == [str(DEMO / "1A8O.pdb")]


def test_reads_whose_mates_share_a_name_are_refused(tmp_path):
    with pytest.raises(SheetError, match=r"line 3: sample 'a_1.fastq' is already on line 2"):
        read_sheet(sheet(tmp_path, "a\treads\tena:SRR7885321", "a_1\treads\tx.fna"))
    assert len(read_sheet(sheet(tmp_path, "a\treads\tena:SRR7885321", "a_1\tgenome\tx.fna"))) == 2


def test_order_and_comments_do_not_matter(tmp_path):
    rows = ["b\tgenome\tx.fna", "# note", "", "a\tgenome\tx.fna\t\t\t4"]
    forward = read_sheet(sheet(tmp_path, *rows))
    assert list(forward.items()) == list(read_sheet(sheet(tmp_path, *reversed(rows))).items())
    assert (forward["a"].genetic_code, forward["b"].genetic_code) == (4, 11)


@pytest.mark.parametrize(
    ("row", "found", "expected"),
    [
        ("../x\tgenome\tx.fna", "'../x'", "safe name"),
        ("a b;rm\tgenome\tx.fna", "'a b;rm'", "safe name"),
        ("-rf\tgenome\tx.fna", "'-rf'", "safe name"),
        ("distinct\tgenome\tx.fna", "'distinct'", "expected another"),
        (
            "a\tgenom\tx.fna",
            "'genom'",
            "genome, metagenome, reads, proteins, structure, trajectory, collection",
        ),
        ("a\tgenome\tx.fna,x.fna", "'x.fna,x.fna' is not a file", "x.fna"),
        ("a\treads\tx.fna,x.fna", "not one file of reads or two mates", "x_1.fastq.gz,x_2.fastq.gz"),
        ("a\treads\tx.fna,./x.fna", "not one file of reads or two mates", "x_1.fastq.gz,x_2.fastq.gz"),
        ("a.json\tgenome\tx.fna", "'a.json' ends as files of the workflow do", "without .fasta.gz"),
        ("a\tgenome\thttp://a..b/x", "http://a..b/x", "http://host/path"),
        ("a\tgenome\thttps://me:word@host/x", "the URL at host has a password", "recorded"),
        ("a genome x.fna", "is one column", "separated by tabs"),
        ("a\treads\tx.fna,ena:SRR7885321", "accession in a pair", "alone"),
        ("a\treads\tena:SRR78", "'ena:SRR78'", "ena:SRR7885321"),
        ("a\tgenome\tena:SRR7885321", "'ena:SRR7885321'", "kind reads"),
        ("a\tgenome\ts3://b/x", "'s3://b/x'", "s3://bucket/key"),
        ("a\tgenome\ts3://bucket/", "'s3://bucket/'", "s3://bucket/key"),
        ("a\tstructure\talphafold:1A8O", "'alphafold:1A8O'", "alphafold:P12497"),
        ("a\tproteins\tncbi:NC_001802", "'ncbi:NC_001802'", "kind genome or metagenome"),
        ("a\tcollection\tncbi:NC_001802", "'ncbi:NC_001802'", "genome"),
        ("a\tcollection\thttps://host/x.tsv", "is not a manifest", "on this machine"),
        ("a\tcollection\tx.fna", "x.fna", "sample, kind, source"),
        ("a\treads\thttps://host/1\tmd5:0", "'md5:0'", "32"),
        ("a\tgenome\thttps://host/1\tmd5:" + "0" * 32 + ",md5:" + "0" * 32, "2 digests", "expected 1"),
        ("a\tgenome\tmissing.fna", "'missing.fna'", "missing.fna"),
        ("a\tgenome\t", "empty", "a path"),
        ("a\tstructure\tpdb:1A8", "'pdb:1A8'", "pdb:1A8O"),
        ("a\tgenome\tncbi:NC-1", "'ncbi:NC-1'", "ncbi:NC_001802.1"),
        ("a\tproteins\tuniprot:P1", "'uniprot:P1'", "uniprot:P12497"),
        ("a\tgenome\tpdb:1A8O", "'pdb:1A8O'", "kind structure"),
        ("a\tgenome\tftp://host/x.fna", "'ftp://host/x.fna'", "https:"),
        ("a\tgenome\thttps:///x.fna", "'https:///x.fna'", "https://host/path"),
        ("a\tgenome\tx.fna\tsha256:12", "'sha256:12'", "64 hex digits"),
        ("a\tgenome\tx.fna\t\t\t7", "'7'", "11"),
        ("a\tproteins\tx.fna\t\t\t11", "'11'", "none"),
        ("a\tgenome\tx.fna\t\t\t\tA", "'A'", "none"),
        ("a\tstructure\tx.fna\t\t\t\tA;B", "'A;B'", "A,B"),
        ("a\tgenome\tx.fna\t\t\t\t\textra", "8 columns", "7"),
        ("a\tgenome\tx.fna\t\tfoo\v#bar\t4", "taxon", "cannot be printed"),
        ("a\tgenome\tx.fna\t\tfoo\x85bar\t4", "taxon", "cannot be printed"),
        ("a\tgenome\t" + "ACGT" * 300, "source has 1200 characters", "at most 1000"),
        ("a\tgenome\t" + "ACGT" * 100, "is not a file", "ACGT"),
        ("a\tgenome\t{x}.fna", "'{x}.fna' has braces", "without"),
        ("a\tgenome\thttp://[::1/x", "http://[::1/x", "http://host/path"),
        ("a\tgenome\thttp://host:99999999/x", "99999999", "http://host/path"),
        ("a\tgenome\tx.fna\t\t\t" + "1" * 900, "genetic_code", "11"),
    ],
)
def test_bad_row_names_line_found_and_expected(tmp_path, row, found, expected):
    with pytest.raises(SheetError) as error:
        read_sheet(sheet(tmp_path, "ok\tgenome\tx.fna", row))
    message = str(error.value)
    assert "samples.tsv line 3: " in message
    assert found in message and expected in message and "\n" not in message


def test_duplicate_names_both_lines(tmp_path):
    with pytest.raises(SheetError, match=r"line 4: sample 'A' is already on line 2"):
        read_sheet(sheet(tmp_path, "a\tgenome\tx.fna", "b\tgenome\tx.fna", "A\tgenome\tx.fna"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("sample\tkind\n", "column 'source' is missing"),
        ("sample,kind,source\n", "unknown column 'sample,kind,source'"),
        ("sample\tkind\tsource\tcheksum\n", "unknown column 'cheksum'"),
        ("sample\tkind\tsource\tkind\n", "named twice"),
        ("", "empty"),
    ],
)
def test_bad_header(tmp_path, header, message):
    with pytest.raises(SheetError, match=message):
        read_sheet(sheet(tmp_path, header=header))


def test_sheet_without_rows_and_without_text(tmp_path):
    with pytest.raises(SheetError, match="no rows"):
        read_sheet(sheet(tmp_path))
    (tmp_path / "samples.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SheetError, match="cannot be read as UTF-8"):
        read_sheet(tmp_path / "samples.tsv")
    with pytest.raises(SheetError, match=r"no file 'nowhere\.tsv'"):
        find_sheet("nowhere.tsv", [tmp_path])


@pytest.mark.parametrize(
    ("kind", "source", "origins"),
    [
        ("reads", "x.fna", ["{}/x.fna"]),
        ("reads", "x.fna, y.fna", ["{}/x.fna", "{}/y.fna"]),
        ("reads", "https://host/a?b=c,s3://bucket/a b", ["https://host/a?b=c", "s3://bucket/a b"]),
        ("reads", "ena:SRR7885321", ["ena:SRR7885321"]),
        ("genome", "s3://1000genomes/phase3/x.fa.gz", ["s3://1000genomes/phase3/x.fa.gz"]),
        ("genome", "ncbi:GCF_000005845.2", ["ncbi:GCF_000005845.2"]),
        ("proteins", "ncbi:GCF_000005845.2", ["ncbi:GCF_000005845.2"]),
        ("proteins", "uniprot:UP000000625", ["uniprot:UP000000625"]),
        ("structure", "alphafold:P12497", ["alphafold:P12497"]),
    ],
)
def test_every_source_of_the_sheet(tmp_path, kind, source, origins):
    (tmp_path / "y.fna").touch()
    sample = read_sheet(sheet(tmp_path, f"a\t{kind}\t{source}"))["a"]
    assert list(sample.origins) == [origin.format(tmp_path) for origin in origins]
    assert sample.paths == [origin for origin in sample.origins if origin.startswith("/")]


def test_mates_of_reads_have_a_checksum_each(tmp_path):
    digests = f"md5:{'0' * 32},md5:{'1' * 32}"
    path = sheet(tmp_path, f"a\treads\thttps://host/1,https://host/2\t{digests}")
    assert read_sheet(path)["a"].checksum == digests


def manifest(folder: Path, *rows: str) -> Path:
    (folder / "x.fna").write_text(">a\nACGT\n")
    path = folder / "strains.tsv"
    path.write_text("sample\tkind\tsource\tchecksum\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_collection_is_a_row_of_its_members_kind(tmp_path):
    members = read_manifest(manifest(tmp_path, "b\tgenome\tx.fna", "a\tgenome\tncbi:NC_001802"))
    assert list(members) == ["a", "b"]
    row = read_sheet(sheet(tmp_path, "strains\tcollection\tstrains.tsv\t\t\t4"))["strains"]
    assert (row.kind, row.contents, row.genetic_code) == ("collection", "genome", 4)
    assert row.paths == [str(tmp_path / "strains.tsv")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a\tgenome\tx.fna", "../b\tgenome\tx.fna"], "strains.tsv line 3: sample '../b' is not a safe name"),
        (["a\tgenome\tx.fna", "A\tgenome\tx.fna"], "strains.tsv line 3: sample 'A' is already on line 2"),
        (["a\tgenome\tx.fna", "b\treads\tx.fna"], "rows of kinds genome, reads \\(expected one kind"),
        (["a\tstructure\tpdb:1A8O"], "kind 'structure' is unknown here"),
        (["a\tcollection\tstrains.tsv"], "kind 'collection' is unknown here"),
        (["a\tgenome\tnone.fna"], "line 2: source 'none.fna' is not a file"),
        ([], "no rows found"),
    ],
)
def test_bad_manifest_names_line_found_and_expected(tmp_path, rows, message):
    with pytest.raises(SheetError, match=message):
        read_manifest(manifest(tmp_path, *rows))


def test_bad_manifest_is_told_before_any_job(tmp_path):
    manifest(tmp_path, "a\tgenome\tx.fna", "b\tgenome\tnone.fna")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1", "-n"),
            *("--directory", tmp_path / "run", "--workflow-profile", ROOT / "profiles/default"),
            *("--config", f"samples={sheet(tmp_path, ROW)}"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "strains.tsv line 3: source 'none.fna' is not a file" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bucketz": {}}, "unknown key 'bucketz'; did you mean 'buckets'?"),
        ({"buckets": {"bit": 3}}, "unknown key 'buckets/bit'; did you mean 'buckets/bits'?"),
        ({"buckets": {"replicas": 3}}, "'buckets/replicas'; did you mean 'trajectories/replicas'?"),
        ({"replicas": 3}, "unknown key 'replicas'; did you mean 'trajectories/replicas'?"),
        ({"buckets": {"k": "many"}}, "'buckets/k' is 'many', expected a value of type integer"),
        ({"buckets": {"k": 2.5}}, "'buckets/k' is 2.5, expected a value of type integer"),
        ({"buckets": {"k": True}}, "'buckets/k' is True, expected a value of type integer"),
        ({"buckets": {"k": 99}}, "'buckets/k' is 99, expected at most 63"),
        ({"buckets": []}, "'buckets' is \\[\\], expected a value of type object"),
        ({"proteins": {"units": "some"}}, "'proteins/units' is 'some', expected one of all, representatives"),
        ({"coanalysis": {"cutoff_nm": "nan"}}, "'coanalysis/cutoff_nm' is nan, expected a finite number"),
        ({"structures": {"box_distance_nm": float("inf")}}, "is inf, expected a finite number"),
        ({"trajectories": {"production_ns": 0}}, "'trajectories/production_ns' is 0, expected more than 0"),
    ],
)
def test_bad_config_names_key_found_and_expected(config, message):
    with pytest.raises(ConfigError, match=message):
        complete_config({"samples": "x", **config}, SCHEMA)


def test_missing_sheet_key():
    with pytest.raises(ConfigError, match="key 'samples' is missing"):
        complete_config({}, SCHEMA)


def test_defaults_are_filled_and_command_line_strings_are_read_by_type():
    config = {"samples": "x", "buckets": {"k": "21"}, "structures": {"salt_M": "0"}}
    complete = complete_config(config | {"embeddings": {"shards": 3.0}}, SCHEMA)
    assert complete["buckets"]["k"] == 21
    assert isinstance(complete["embeddings"]["shards"], int)
    assert repr(complete["structures"]["salt_M"]) == "0"
    # What jobs are given is compared by its text: of a number there is one, also of the defaults.
    assert repr(complete["structures"]["box_distance_nm"]) == "1"
    small = {"samples": "x", "links": {"min_identity": 1.0, "min_coverage": "0.90"}}
    assert repr(complete_config(small, SCHEMA)["links"]["min_identity"]) == "1"
    assert repr(complete_config(small, SCHEMA)["links"]["min_coverage"]) == "0.9"
    assert complete["buckets"]["bits"] == SCHEMA["properties"]["buckets"]["properties"]["bits"]["default"]


def test_every_leaf_of_the_schema_says_what_it_is():
    assert SCHEMA["additionalProperties"] is False
    for name, section in SCHEMA["properties"].items():
        check_section(name, section)


def check_section(name, section):
    if section["type"] == "object" and "properties" in section:
        assert section["additionalProperties"] is False, name
        for key, leaf in section["properties"].items():
            check_section(f"{name}/{key}", leaf)
    else:
        free = section["type"] == "object"
        assert section["description"] and (free or "default" in section or name == "samples"), name


@pytest.mark.parametrize(
    ("config", "row", "message"),
    [
        ("buckets={kk: 3}", "", "ConfigError: config: unknown key 'buckets/kk'"),
        ("buckets={k: 1000}", "", "ConfigError: config: 'buckets/k' is 1000, expected at most 63"),
        (
            "buckets={partitions: 2}",
            "",
            "'buckets/partitions' is 2, but the sheet has neither reads nor",
        ),
        ("buckets={sketch_family: hyperplane}", "", "32 bits of family hyperplane, expected at most 26"),
        ("buckets={family: lshvec, planes: none.npz}", "", "buckets/planes: none.npz cannot be read"),
        ("samples=none.tsv", "", "SheetError: config: samples names no file 'none.tsv'"),
        ("", "../x\tgenome\tx.fna", "line 2: sample '../x' is not a safe name"),
        ("", "a b;rm\tgenome\tx.fna", "line 2: sample 'a b;rm' is not a safe name"),
    ],
)
def test_snakemake_stops_with_one_line_before_any_job(tmp_path, config, row, message):
    """The real command: the last line is the message, without a traceback, and nothing was made."""
    path = sheet(tmp_path, row or "a\tgenome\tx.fna")
    samples = [] if config.startswith("samples") else [f"samples={path}"]
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1"),
        *("--directory", tmp_path / "run", "--workflow-profile", ROOT / "profiles/default"),
        *("--config", *filter(None, [*samples, config])),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert message in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "results").exists()


def test_errors_are_one_family():
    assert all(issubclass(kind, HelixflowError) for kind in (ConfigError, SheetError))


def test_sheet_of_a_moved_project_is_still_relative(tmp_path, monkeypatch):
    """Paths stay relative to the working directory, so that moving a project repeats nothing."""
    shutil.copy(sheet(tmp_path, "a\tgenome\tx.fna"), tmp_path / "s.tsv")
    monkeypatch.chdir(tmp_path)
    samples = read_sheet(find_sheet("s.tsv", ["", "/elsewhere"]))
    assert samples["a"].origins == ("x.fna",)
