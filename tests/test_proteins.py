"""Genes against annotation and an independent translation; every distinct protein once, every place kept."""

import gzip
import json
import logging
import random
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from Bio import SeqIO
from Bio.Seq import Seq

from conftest import ROOT
from helixflow.errors import MismatchError, SourceError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.members import Member
from helixflow.proteins import (
    OCCURRENCE_TYPES,
    Occurrence,
    call_genes,
    collect_proteins,
    protein_id,
    read_chains,
    read_protein_file,
)
from helixflow.proteins.names import normalise, sha512t24u
from helixflow.tables import write_parquet, write_rows


class Rows(list):
    """The outputs of one sample, read back."""

    def __init__(self, folder: Path, name: str, counts: dict):
        super().__init__(Occurrence(**row) for row in pq.read_table(folder / f"{name}.parquet").to_pylist())
        self.sequences = dict(read_fasta(folder / f"{name}.fasta.gz"))
        self.counts = counts


@pytest.fixture
def genes(tmp_path):
    """Call genes on contigs, given as a file or as names and sequences."""

    def call(dna, sample="sample", kind="genome", genetic_code=11, min_gene_bp=90):
        if not isinstance(dna, Path):
            write_fasta(tmp_path / "dna.fasta", dna.items())
            dna = tmp_path / "dna.fasta"
        counts = call_genes(
            [Member(sample, kind, (dna,), dna)],
            tmp_path / f"{sample}.fasta.gz",
            tmp_path / f"{sample}.parquet",
            sample=sample,
            kind=kind,
            genetic_code=genetic_code,
            meta_below_bp=20000,
            min_gene_bp=min_gene_bp,
        )
        return Rows(tmp_path, sample, counts)

    return call


@pytest.fixture
def proteins(tmp_path):
    """Read a protein FASTA given as text."""

    def read(text, sample="sample"):
        (tmp_path / "source.fasta").write_text(text)
        counts = read_protein_file(
            [Member(sample, "proteins", (tmp_path / "source.fasta",), tmp_path)],
            tmp_path / f"{sample}.fasta.gz",
            tmp_path / f"{sample}.parquet",
            sample=sample,
        )
        return Rows(tmp_path, sample, counts)

    return read


@pytest.fixture(scope="session")
def mycoplasma(data):
    """The first 100 kb of a genome whose UGA codes for Trp, with its annotated genes."""
    record = SeqIO.read(data / "genomes" / "NC_004829_Mgallisepticum_Rlow.gbk", "genbank")
    return record[:100_000]


def coding(record):
    """Annotated genes that are translated: strand, last base of the stop codon, first base, protein."""
    for feature in record.features:
        if feature.type == "CDS" and "translation" in feature.qualifiers:
            first, last = feature.location.start + 1, feature.location.end
            ends = (last, first) if feature.location.strand == 1 else (first, last)
            yield (feature.location.strand, *ends, feature.qualifiers["translation"][0])


def stop_and_start(row):
    return (row.end, row.start) if row.strand == 1 else (row.start, row.end)


def translate(contig: str, row: Occurrence) -> str:
    """Translate the place a gene says it is at, with Biopython's tables, codons of unknown bases as X."""
    dna = Seq(contig[row.start - 1 : row.end])
    dna = str(dna if row.strand == 1 else dna.reverse_complement())
    codons = [dna[i : i + 3] for i in range(0, len(dna), 3)]
    return "".join(
        "X" if set(codon) - set("ACGT") else str(Seq(codon).translate(table=row.genetic_code))
        for codon in codons
    )


def check_translations(contigs: dict[str, str], rows: Rows) -> None:
    for row in rows:
        expected = translate(contigs[row.contig], row)
        protein = rows.sequences[row.protein]
        if not row.partial:
            # Whatever a start codon is, it is read as Met.
            assert expected.endswith("*") and protein[0] == "M"
            assert protein[1:] == expected[1:-1]
        else:
            assert protein[1:] in (expected[1:], expected[1:-1])
        assert row.protein == protein_id(protein)


# Genes


def test_plasmid_genes_are_the_annotated_ones(demo, genes):
    record = SeqIO.read(demo / "NC_005816.gb", "genbank")
    rows = genes(demo / "NC_005816.fna", "plasmid")
    annotated = {(strand, stop): (start, protein) for strand, stop, start, protein in coding(record)}
    assert len(annotated) == 10
    found = {(row.strand, stop_and_start(row)[0]): row for row in rows}
    shared = annotated.keys() & found.keys()
    assert len(shared) >= 8
    same_start = [key for key in shared if stop_and_start(found[key])[1] == annotated[key][0]]
    assert len(same_start) >= 6
    for key in same_start:
        assert rows.sequences[found[key].protein] == annotated[key][1]
    assert {row.strand for row in rows} == {1, -1}
    check_translations({rows[0].contig: str(record.seq)}, rows)


def test_gag_is_found_in_hiv(demo, genes):
    """A short genome trains no model; Gag of HXB2 is 500 residues at 336..1838 (UniProt P04591)."""
    rows = genes(demo / "NC_001802.fna", "hiv")
    gag = next(row for row in rows if row.start == 336)
    assert (gag.end, gag.strand, gag.partial) == (1838, 1, False)
    protein = rows.sequences[gag.protein]
    assert len(protein) == 500
    assert protein.startswith("MGARASVLSGGELDRWEKIRLRPGGKKKYKLKHIVWASRELERFAVNPGLLE")
    assert "DIRQGPKEPFRDYVDRFYKTLRAEQASQEVKNWMTETLLVQNANPDCKTILKALGPAATLEEMMTACQG" in protein
    assert rows.counts["mode"] == "meta"


def test_a_genome_is_trained_with_the_genetic_code_of_the_sheet(mycoplasma, genes):
    dna = str(mycoplasma.seq)
    rows = genes({"NC_004829": dna}, genetic_code=4)
    assert rows.counts["mode"] == "single" and rows.counts["genetic_codes"] == {"4": len(rows)}
    annotated = {(strand, stop) for strand, stop, _, _ in coding(mycoplasma)}
    found = {(row.strand, stop_and_start(row)[0]) for row in rows}
    assert len(annotated & found) >= 0.95 * len(annotated)
    check_translations({"NC_004829": dna}, rows)
    # With the standard stop codons, most of these genes would break off at a UGA.
    broken = ["*" in translate(dna, row._replace(genetic_code=11))[:-1] for row in rows]
    assert sum(broken) > len(rows) / 2
    proteins = {protein for *_, protein in coding(mycoplasma)}
    bacterial = genes({"NC_004829": dna}, genetic_code=11)
    shared = len(proteins & set(rows.sequences.values()))
    assert len(proteins & set(bacterial.sequences.values())) < shared / 2


@pytest.mark.filterwarnings("ignore:sequence should be at least 100000")
def test_genes_at_the_ends_of_a_contig_are_partial(mycoplasma, genes):
    """Ends that lie within genes of both strands: the rest of each is found, marked, in its frame."""
    dna = str(mycoplasma.seq)
    inside = [(start, end) for strand, end, start, _ in coding(mycoplasma) if abs(end - start) > 1500]
    assert len(inside) > 5
    seen = set()
    for one, other in inside[:6]:
        middle = (one + other) // 2
        contigs = {"left": dna[max(0, middle - 25_000) : middle], "right": dna[middle : middle + 25_000]}
        rows = genes(contigs, genetic_code=4)
        check_translations(contigs, rows)
        for row in rows:
            length = len(contigs[row.contig])
            if row.partial:
                seen.add((row.strand, "first" if row.start <= 3 else "last"))
                assert row.start <= 3 or row.end > length - 3
    assert len(seen) == 4, "both strands at both ends"


def test_unknown_bases_become_x_and_gaps_are_not_crossed(mycoplasma, genes):
    dna = list(str(mycoplasma.seq))
    whole = genes({"c": "".join(dna)}, genetic_code=4)
    long_genes = [row for row in whole if not row.partial and row.end - row.start > 900][:2]
    one, other = [(row.start + row.end) // 2 for row in long_genes]
    dna[one] = "N"
    dna[other : other + 100] = "N" * 100
    rows = genes({"c": "".join(dna)}, genetic_code=4)
    check_translations({"c": "".join(dna)}, rows)
    hit = next(row for row in rows if row.start <= one < row.end)
    assert rows.sequences[hit.protein].count("X") == 1
    assert not [row for row in rows if row.start <= other + 1 and row.end >= other + 100]


def test_records_of_a_metagenome_are_units(demo, mycoplasma, genes, caplog):
    """Every contig gets its own model and genetic code, even in one file and above the training length."""
    plasmid = next(read_fasta(demo / "NC_005816.fna"))[1]
    contigs = {"k/1.a": plasmid, "k_2": str(mycoplasma.seq[:30_000])}
    rows = genes(contigs, "gut", kind="metagenome")
    assert rows.counts["mode"] == "meta"
    assert {(row.unit, row.genetic_code) for row in rows} == {("gut/k/1.a", 11), ("gut/k_2", 4)}
    assert len({row.label for row in rows}) == len(rows)
    check_translations(contigs, rows)
    alone = genes({"k/1.a": plasmid}, "alone", kind="metagenome")
    assert [row.protein for row in alone] == [row.protein for row in rows if row.contig == "k/1.a"]
    assert "genetic code 4, not 11" in caplog.text


def test_genes_are_the_same_bytes_each_time(demo, genes, tmp_path):
    genes(demo / "NC_005816.fna", "one")
    first = [(tmp_path / f"one.{end}").read_bytes() for end in ("fasta.gz", "parquet")]
    genes(demo / "NC_005816.fna", "one")
    assert [(tmp_path / f"one.{end}").read_bytes() for end in ("fasta.gz", "parquet")] == first


@pytest.mark.parametrize("min_gene_bp", [30, 90, 300])
def test_no_whole_gene_is_shorter_than_asked(demo, genes, min_gene_bp):
    rows = genes(demo / "NC_005816.fna", min_gene_bp=min_gene_bp)
    assert len(rows) > 5
    assert min(row.end - row.start + 1 for row in rows if not row.partial) >= min_gene_bp


def test_dna_without_genes_gives_empty_files(genes):
    rows = genes({"tiny": "ACGT"})
    assert (rows, rows.sequences, rows.counts["occurrences"], rows.counts["records"]) == ([], {}, 0, 1)


# Names


def test_the_digest_is_that_of_the_ga4gh():
    assert sha512t24u(b"ACGT") == "aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2"
    assert protein_id("ACGT") == "SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2"


def test_one_name_is_one_input_of_the_model():
    assert normalise("mkUzobjx*", "here") == "MKXXXXXX"


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("MK*LV", "has '*' at position 3"),
        ("MKL-V", "has '-' at position 4"),
        ("MK L", "has ' ' at position 3"),
        ("MKL**", "has '*' at position 4"),
        ("M1", "has '1' at position 2"),
        ("Mß", "has 'ß' at position 2"),
    ],
)
def test_what_is_no_letter_is_refused(proteins, sequence, message):
    with pytest.raises(SourceError, match=r"source\.fasta: record 'bad'") as error:
        proteins(f">good\nMKV\n>bad one\n{sequence}\n")
    assert message in str(error.value) and "\n" not in str(error.value)


# Protein files and chains


def test_every_place_of_a_protein_is_kept(proteins):
    """Duplicates, and names that would collide if they were made into file names."""
    rows = proteins(
        ">sp|P1/x a\nMKVLA\n>sp|P1_x\nmkvla*\n>sp|P1.x\nMKV\nLA\n>rare\nMKUOA\n>x\nMKXXA\n>stop\n*\n"
    )
    assert [row.label for row in rows] == ["rare", "sp|P1.x", "sp|P1/x", "sp|P1_x", "x"]
    by_label = {row.label: row for row in rows}
    assert {by_label[f"sp|P1{mark}x"].protein for mark in "/_."} == {protein_id("MKVLA")}
    assert by_label["rare"].protein == by_label["x"].protein == protein_id("MKXXA")
    assert rows.sequences == {protein_id(s): s for s in sorted(["MKVLA", "MKXXA"], key=protein_id)}
    assert list(rows.sequences) == sorted(rows.sequences)
    row = by_label["x"]
    assert row[1:] == ("sample", "sample", "x", 1, 5, 0, False, 0, "x")
    assert rows.counts["mapped_to_X"] == {"U": 1, "O": 1}
    assert rows.counts["set_aside"] == [{"record": "stop", "reason": "no residues"}]
    assert rows.counts["records"] == 6 == rows.counts["occurrences"] + len(rows.counts["set_aside"])


def test_a_real_protein_file_agrees_with_biopython(demo, tmp_path):
    source = demo / "NC_000932.faa"
    counts = read_protein_file(
        [Member("a", "proteins", (source,), source)],
        tmp_path / "a.fasta.gz",
        tmp_path / "a.parquet",
        sample="a",
    )
    expected = {record.id: str(record.seq) for record in SeqIO.parse(source, "fasta")}
    rows = Rows(tmp_path, "a", counts)
    assert {row.label: rows.sequences[row.protein] for row in rows} == expected
    assert counts["occurrences"] == 85 and counts["distinct"] == len(set(expected.values())) == 79


def test_chains_become_proteins(tmp_path):
    lines = ["index\tchain\tnumber\tinsertion\tname\tcode\tdeposited\torigin\tplddt"]
    for chain, codes in (("A", "MKV"), ("b", "GX"), ("A", "L")):
        lines += [
            f"{len(lines) + i}\t{chain}\t{i}\t\tALA\t{code}\t\tobserved\t" for i, code in enumerate(codes)
        ]
    (tmp_path / "residues.tsv").write_text("\n".join(lines) + "\n")
    counts = read_chains(
        tmp_path / "residues.tsv", tmp_path / "s.fasta.gz", tmp_path / "s.parquet", sample="s"
    )
    rows = Rows(tmp_path, "s", counts)
    assert [(row.label, row.contig, row.unit, rows.sequences[row.protein]) for row in rows] == [
        ("A", "A", "s", "MKVL"),
        ("b", "b", "s", "GX"),
    ]
    assert counts["records"] == 2


# All samples together


def sample_files(folder: Path, rows: list[tuple[Occurrence, str]]) -> tuple[Path, Path]:
    """Write the two files of a sample without the code that is tested."""
    name = rows[0][0].sample
    places = sorted((occurrence for occurrence, _ in rows), key=order)
    write_rows(folder / f"{name}.parquet", places, OCCURRENCE_TYPES)
    write_fasta(folder / f"{name}.fasta.gz", sorted({row.protein: seq for row, seq in rows}.items()))
    return folder / f"{name}.parquet", folder / f"{name}.fasta.gz"


@pytest.fixture
def samples(tmp_path):
    """Seven samples that share proteins, one of them a protein file, and the files of each."""
    random.seed(3)
    pool = ["".join(random.choices("ACDEFGHIKLMNPQRSTVWY", k=random.randint(1, 60))) for _ in range(40)]
    every = []
    for number in range(7):
        name = f"s{number}"
        is_file = number == 6
        for index, sequence in enumerate(random.choices(pool, k=15)):
            unit = f"{name}/c{index % 3}" if number == 5 else name
            start = random.randint(1, 50)
            strand = 0 if is_file else random.choice([1, -1])
            occurrence = Occurrence(
                protein_id(sequence), name, unit, f"c{index % 3}", start, start + 9, strand,
                bool(index % 2), 0 if is_file else 11, f"{name}_{index}",
            )  # fmt: skip
            every.append((occurrence, sequence))
    files = [sample_files(tmp_path, [r for r in every if r[0].sample == f"s{n}"]) for n in range(7)]
    return every, files


def collected(folder, files, groups=()):
    counts = collect_proteins(
        [table for table, _ in files],
        [fasta for _, fasta in files],
        groups,
        folder / "distinct.fasta.gz",
        folder / "occurrences.parquet",
    )
    table = pq.read_table(folder / "occurrences.parquet")
    rows = [Occurrence(**row) for row in table.to_pylist()]
    return counts, rows, list(read_fasta(folder / "distinct.fasta.gz"))


def order(row):
    return row.sample, row.contig, row.start, row.end, row.strand, row.label


def test_every_distinct_protein_is_collected_once(samples, tmp_path):
    every, files = samples
    counts, rows, distinct = collected(tmp_path, files)
    assert rows == sorted((row for row, _ in every), key=order)
    assert distinct == sorted({row.protein: sequence for row, sequence in every}.items())
    assert len(distinct) < len(rows) == counts["occurrences_in"] == counts["occurrences"] == 105
    assert counts["distinct"] == len(distinct)
    lengths = [len(sequence) for _, sequence in distinct]
    assert (counts["min_length"], counts["max_length"], counts["residues"]) == (
        min(lengths), max(lengths), sum(lengths),
    )  # fmt: skip
    schema = pq.read_schema(tmp_path / "occurrences.parquet")
    assert [str(schema.field(name).type) for name in ("start", "strand", "partial", "genetic_code")] == [
        "int64", "int8", "bool", "int16",
    ]  # fmt: skip


def test_the_order_of_the_sheet_does_not_matter(samples, tmp_path):
    _, files = samples
    names = ("distinct.fasta.gz", "occurrences.parquet")
    collected(tmp_path, files)
    first = [(tmp_path / name).read_bytes() for name in names]
    collected(tmp_path, files[::-1])
    assert [(tmp_path / name).read_bytes() for name in names] == first


def write_groups(path, representative):
    units = list(representative)
    columns = {"unit": units, "representative": [representative[unit] for unit in units]}
    write_parquet(path, columns, {"unit": "string", "representative": "string"})


def test_only_genes_of_representatives_are_taken_when_asked(samples, tmp_path):
    every, files = samples
    kept = {"s0", "s2", "s5/c1"}
    units = sorted({row.unit for row, _ in every if row.strand})
    write_groups(tmp_path / "groups.parquet", {unit: unit if unit in kept else "s0" for unit in units})
    counts, rows, distinct = collected(tmp_path, files, tmp_path / "groups.parquet")
    expected = [(row, seq) for row, seq in every if row.unit in kept or row.sample == "s6"]
    assert rows == sorted((row for row, _ in expected), key=order)
    assert distinct == sorted({row.protein: sequence for row, sequence in expected}.items())
    assert counts["occurrences_in"] == 105 == counts["occurrences"] + sum(counts["set_aside"].values())
    assert len(distinct) < len({row.protein for row, _ in every})


def test_a_unit_without_a_group_is_named(samples, tmp_path):
    _, files = samples
    write_groups(tmp_path / "groups.parquet", {f"s{n}": f"s{n}" for n in range(5)})
    with pytest.raises(MismatchError, match=r"groups.parquet: no row for unit 's5/c\d'"):
        collected(tmp_path, files, tmp_path / "groups.parquet")
    assert not (tmp_path / "distinct.fasta.gz").exists()


def test_a_lost_sequence_is_noticed(samples, tmp_path):
    _, files = samples
    write_fasta(files[0][1], [])
    with pytest.raises(MismatchError, match=r"protein SQ\S+ was seen, but its sequence is not there"):
        collected(tmp_path, files)


def test_nothing_gives_valid_empty_files(tmp_path):
    counts, rows, distinct = collected(tmp_path, [])
    assert (rows, distinct, counts["distinct"], counts["max_length"]) == ([], [], 0, 0)
    assert pq.read_schema(tmp_path / "occurrences.parquet").names == list(OCCURRENCE_TYPES)
    with gzip.open(tmp_path / "distinct.fasta.gz") as stream:
        assert stream.read() == b""


@pytest.mark.parametrize("units", ["all", "representatives"])
def test_groups_are_made_only_where_representatives_are_asked_for(demo, tmp_path, units):
    (tmp_path / "samples.tsv").write_text(f"sample\tkind\tsource\nplasmid\tgenome\t{demo}/NC_005816.fna\n")
    config = {"samples": "samples.tsv", "proteins": {"units": units}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "--directory", tmp_path,
         "proteins", "--configfile", tmp_path / "config.yaml"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert ("rule group_units" in done.stdout + done.stderr) == (units == "representatives")


@pytest.fixture(autouse=True)
def show_log(caplog):
    caplog.set_level(logging.INFO)
