"""Accessions: each kind leads to the URLs of its files, against answers of the databases' real shape."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helixflow.accessions import (
    ADDRESSES,
    DATABASES,
    PEPTIDE,
    Files,
    RemoteFile,
    find_database,
    is_accession,
    is_remote,
    resolve,
)
from helixflow.errors import SourceError
from replies import NO_ENTRY, URLS, esummary, filereport, listing, md5checksums, prediction

EFETCH = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/efetch.fcgi?db=nuccore"
ESUMMARY = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/esummary.fcgi?db=nuccore"
ECOLI = "https://ftp.ncbi.nlm.nih.gov/genomes/all/GCF/000/005/845/"
SUMS = {
    "GCF_000005845.2_ASM584v2_genomic.fna.gz": "c13d459b5caa702ff7e1f26fe44b8ad7",
    "GCF_000005845.2_ASM584v2_cds_from_genomic.fna.gz": "0" * 32,
    "GCF_000005845.2_ASM584v2_protein.faa.gz": "1" * 32,
}
MATES = {"SRR7885321_1.fastq.gz": (157275, "a" * 32), "SRR7885321_2.fastq.gz": (157267, "b" * 32)}
REPORT = (
    "https://www.ebi.ac.uk/ena/portal/api/filereport?accession=SRR7885321&result=read_run"
    "&fields=run_accession,fastq_ftp,fastq_bytes,fastq_md5&format=tsv"
)
PLACE = "https://ftp.sra.ebi.ac.uk/vol1/fastq/SRR788/001/SRR7885321/"
MODEL = "https://alphafold.ebi.ac.uk/api/prediction/P12497"


def found(source: str, kind: str, replies: dict[str, str]) -> Files:
    """Resolve with these documents and no other; each must be asked for."""
    asked = []

    def read(url: str) -> str:
        asked.append(url)
        return replies[url]

    files = resolve(source, kind, URLS, read)
    assert asked == list(replies)
    return files


def test_nucleotide_of_a_version():
    replies = {f"{ESUMMARY}&id=NC_001802.1&retmode=json": esummary("NC_001802.1", 9181)}
    (file,) = found("ncbi:NC_001802.1", "genome", replies).taken
    assert file.url == f"{EFETCH}&id=NC_001802.1&rettype=fasta&retmode=text"
    assert file.residues == 9181
    for name in ("NC_001802.1", "gi|9629357|ref|NC_001802.1|"):
        assert re.fullmatch(file.record, name)
    assert not re.fullmatch(file.record, "NC_001802.2")


def test_nucleotide_without_a_version_is_the_one_that_is_live():
    replies = {f"{ESUMMARY}&id=NC_001802&retmode=json": esummary("NC_001802.1", 9181)}
    (file,) = found("ncbi:NC_001802", "genome", replies).taken
    assert "&id=NC_001802.1&" in file.url and file.residues == 9181


def test_nucleotide_that_is_not_there_or_was_replaced():
    for reply in (NO_ENTRY, json.dumps({"error": "x"}), json.dumps({"esummaryresult": ["Invalid uid"]})):
        with pytest.raises(SourceError, match="ncbi:NC_001802: NCBI has no such nucleotide entry"):
            resolve("ncbi:NC_001802", "genome", URLS, lambda _, reply=reply: reply)
    with pytest.raises(SourceError, match=r"NCBI gives NC_000001\.1 in its place"):
        resolve("ncbi:NC_001802", "genome", URLS, lambda _: esummary("NC_000001.1", 4))


@pytest.mark.parametrize(("kind", "end"), [("genome", "genomic.fna.gz"), ("proteins", "protein.faa.gz")])
def test_assembly_has_the_md5_of_its_folder(kind, end):
    folder = "GCF_000005845.2_ASM584v2"
    replies = {
        ECOLI: listing("GCF_000005845.1_ASM584v1", folder),
        f"{ECOLI}{folder}/md5checksums.txt": md5checksums(SUMS),
    }
    name = f"{folder}_{end}"
    expected = RemoteFile(f"{ECOLI}{folder}/{name}", f"md5:{SUMS[name]}")
    assert found("ncbi:GCF_000005845.2", kind, replies).taken == (expected,)
    assert found("ncbi:GCF_000005845", kind, replies).taken == (expected,), "the newest version"


def test_assembly_of_many_versions_is_the_newest_by_number():
    names = [f"GCA_000001405.{version}_GRCh38.p{version}" for version in (9, 29, 28)]
    base = "https://ftp.ncbi.nlm.nih.gov/genomes/all/GCA/000/001/405/"
    sums = {f"{names[1]}_genomic.fna.gz": "2" * 32}
    replies = {base: listing(*names), f"{base}{names[1]}/md5checksums.txt": md5checksums(sums)}
    (file,) = found("ncbi:GCA_000001405", "genome", replies).taken
    assert file.url.endswith("/GCA_000001405.29_GRCh38.p29_genomic.fna.gz")


def test_assembly_that_is_not_there():
    with pytest.raises(SourceError, match=r"ncbi:GCF_000005845\.3: no such assembly in .*/845/"):
        resolve("ncbi:GCF_000005845.3", "genome", URLS, lambda _: listing("GCF_000005845.2_ASM584v2"))
    with pytest.raises(
        SourceError, match=r"md5checksums\.txt does not list GCF_000005845\.2_ASM584v2_protein"
    ):
        replies = iter([listing("GCF_000005845.2_ASM584v2"), md5checksums({})])
        resolve("ncbi:GCF_000005845.2", "proteins", URLS, lambda _: next(replies))


def test_run_of_mates():
    files = found("ena:SRR7885321", "reads", {REPORT: filereport("SRR7885321", MATES)})
    assert files.taken == (
        RemoteFile(f"{PLACE}SRR7885321_1.fastq.gz", f"md5:{'a' * 32}", 157275),
        RemoteFile(f"{PLACE}SRR7885321_2.fastq.gz", f"md5:{'b' * 32}", 157267),
    )
    assert files.left_out == ()


def test_run_of_one_file():
    report = filereport("SRR7885321", {"SRR7885321.fastq.gz": (7, "c" * 32)})
    (file,) = found("ena:SRR7885321", "reads", {REPORT: report}).taken
    assert (file.url, file.size) == (f"{PLACE}SRR7885321.fastq.gz", 7)


def test_reads_without_a_mate_are_left_out_and_named():
    report = filereport("SRR7885321", {"SRR7885321.fastq.gz": (7, "c" * 32), **MATES})
    files = found("ena:SRR7885321", "reads", {REPORT: report})
    assert [file.size for file in files.taken] == [157275, 157267]
    assert files.left_out == ("SRR7885321.fastq.gz",)


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ("", "expected a table of run_accession"),
        ("run_accession\tfastq_ftp\tfastq_bytes\tfastq_md5\n", "ENA has no such run"),
        (filereport("SRR1", {}), "ENA has no such run"),
        (filereport("SRR7885321", {}), "ENA has no FASTQ files of this run"),
        (filereport("SRR7885321", {"a.fastq.gz": (1, "0" * 32), "b.fastq.gz": (1, "0" * 32)}), "or mates _1"),
        (filereport("SRR7885321", {"a.fastq.gz": (1, "nonsense")}), "expected place, bytes and md5"),
        (filereport("SRR7885321", {"../../x.gz": (1, "0" * 32)}), "expected place, bytes and md5"),
        (filereport("SRR7885321", {"x.gz?y=": (1, "0" * 32)}), "expected place, bytes and md5"),
        (filereport("SRR7885321", MATES).replace(f";{'b' * 32}", ""), "differ in length"),
    ],
)
def test_run_without_what_is_needed(report, message):
    with pytest.raises(SourceError, match=f"ena:SRR7885321: .*{message}"):
        resolve("ena:SRR7885321", "reads", URLS, lambda _: report)


def test_entry_of_uniprot_and_its_proteome():
    (entry,) = found("uniprot:P12497", "proteins", {}).taken
    assert (entry.url, entry.record) == (
        "https://rest.uniprot.org/uniprotkb/P12497.fasta",
        r"(sp|tr)\|P12497\|.*",
    )
    (proteome,) = found("uniprot:UP000000625", "proteins", {}).taken
    assert proteome.url == (
        "https://rest.uniprot.org/uniprotkb/stream?query=proteome:UP000000625&format=fasta&compressed=true"
    )


def test_structure_of_pdb_is_its_mmcif():
    (file,) = found("pdb:1a8o", "structure", {}).taken
    assert file.url == "https://files.rcsb.org/download/1A8O.cif.gz"


def test_model_of_alphafold_is_the_version_the_database_names():
    files = "https://alphafold.ebi.ac.uk/files"
    answer = [prediction("P12497", 6, files, "AF-P12497-2-F1"), prediction("P12497", 6, files)]
    (file,) = found("alphafold:P12497", "structure", {MODEL: json.dumps(answer)}).taken
    assert file.url == f"{files}/AF-P12497-F1-model_v6.cif"
    with pytest.raises(SourceError, match=r"no mmCIF of AF-P12497-F1 \(found AF-P12497-2-F1\)"):
        resolve("alphafold:P12497", "structure", URLS, lambda _: json.dumps(answer[:1]))
    with pytest.raises(SourceError, match="something else than JSON"):
        resolve("alphafold:P12497", "structure", URLS, lambda _: "<html>")


KEYS = st.sampled_from(["result", "uids", "accessionversion", "slen", "entryId", "cifUrl"])
LEAVES = st.none() | st.integers() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)).map(json.dumps)


@given(st.sampled_from([database.example for database in DATABASES]), st.text() | JSON)
@settings(max_examples=200, deadline=None)
def test_any_answer_gives_files_or_a_named_error(source, answer):
    """Whatever a database says: URLs, or one line that names the accession."""
    try:
        files = resolve(source, find_database(source).kinds[0], URLS, lambda _: answer)
    except SourceError as error:
        assert str(error).startswith(f"{source}: ") and "\n" not in str(error)
    else:
        assert all(file.url.startswith("https://") for file in files.taken)


@pytest.mark.parametrize(
    "database",
    [database for database in DATABASES if database.scheme != PEPTIDE],
    ids=lambda database: database.example,
)
def test_every_accession_is_asked_for_at_the_configured_address(database):
    """A mirror stands in for every database; the first question, or the file, is not elsewhere."""
    mirror = {name: f"http://127.0.0.1:1/{name}/" for name in ADDRESSES}
    asked = []

    def read(url: str) -> str:
        asked.append(url)
        raise SourceError("no answer")

    try:
        asked += [file.url for file in resolve(database.example, database.kinds[0], mirror, read).taken]
    except SourceError as error:
        assert str(error) == f"{database.example}: no answer"
    assert len(asked) == 1
    assert asked[0].startswith("http://127.0.0.1:1/") and "//" not in asked[0][7:]


def test_nothing_is_asked_for_a_peptide():
    def read(url: str) -> str:
        raise AssertionError(url)

    assert resolve("peptide:GYDPETGTWG", "structure", URLS, read).taken == ()


@pytest.mark.parametrize(
    ("origin", "remote", "accession"),
    [
        ("x.fna", False, False),
        ("folder/x.fna", False, False),
        ("https://host/x", True, False),
        ("s3://bucket/key", True, False),
        ("ncbi:NC_001802", True, True),
        ("ena", False, False),
    ],
)
def test_paths_urls_and_accessions_are_told_apart(origin, remote, accession):
    assert (is_remote(origin), is_accession(origin)) == (remote, accession)
