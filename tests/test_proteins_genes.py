"""Genes against annotation; genetic codes that cannot be; circular records; threads that change nothing."""

import gzip
import json
import logging
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pyarrow.parquet as pq
import pytest
from Bio import SeqIO
from Bio.Data import CodonTable
from Bio.Seq import Seq

from conftest import ROOT
from helixflow.errors import SheetError, SourceError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.members import Member
from helixflow.ordered import in_order
from helixflow.proteins import Occurrence, call_genes
from helixflow.proteins.codes import UGA_IS_SENSE, describe_doubt, doubt_code
from helixflow.proteins.contigs import Contig, Finder, train
from helixflow.report.notices import _of_doubtful_codes
from helixflow.samples import GENETIC_CODES, read_sheet

#: The cellular genomes of the test data, and their genetic codes.
CODES = {
    "AE004092_Spyogenes_M1GAS.fna.gz": 11,
    "GCF_000006945.1_Salmonella_LT2.fna.gz": 11,
    "GCF_000011745.1_Blochmannia_pennsylvanicus.fna.gz": 11,
    "GCF_000043285.1_Blochmannia_floridanus.fna.gz": 11,
    "GCF_000227605.2_Cpseudotuberculosis.fna.gz": 11,
    "NC_000913_Ecoli_K12_MG1655.gbk.gz": 11,
    "GCF_000023685.1_Mmycoides_capri_GM12.gbff": 4,
    "NC_004829_Mgallisepticum_Rlow.gbk": 4,
    "NC_018407_Mgallisepticum_NC95.gbk": 4,
}
ANNOTATED = [name for name in CODES if ".gb" in name]


def read_records(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as stream:
        yield from SeqIO.parse(stream, "genbank" if ".gb" in path.name else "fasta")


def read_bases(path, most=10**9):
    """The bases of a genome's files, records joined no further than asked, without parsing annotation."""
    if ".gb" not in path.name:
        return {name: sequence[:most] for name, sequence in read_fasta(path)}
    opener = gzip.open if path.suffix == ".gz" else open
    found, name, inside = {}, "", False
    with opener(path, "rt") as stream:
        for line in stream:
            if line.startswith("LOCUS"):
                name, found[line.split()[1]] = line.split()[1], []
            inside = (inside or line.startswith("ORIGIN")) and not line.startswith("//")
            if inside and not line.startswith("ORIGIN"):
                found[name].append("".join(line.split()[1:]).upper())
    return {name: "".join(lines)[:most] for name, lines in found.items()}


@pytest.fixture
def calls(tmp_path):
    """Call genes on members, given as names and their contigs; give rows, sequences, counts and bytes."""

    def call(members, **settings):
        listed = []
        for name, contigs in members.items():
            path = tmp_path / f"{name.replace('/', '_')}.dna.fasta"
            write_fasta(path, contigs.items())
            listed.append(Member(name, settings.get("kind", "genome"), (path,), path))
        outputs = tmp_path / "out.fasta.gz", tmp_path / "out.parquet"
        settings = {
            "sample": "sample", "kind": "genome", "genetic_code": 11, "meta_below_bp": 20000,
            "min_gene_bp": 90, **settings,
        }  # fmt: skip
        counts = call_genes(listed, *outputs, **settings)
        rows = [Occurrence(**row) for row in pq.read_table(outputs[1]).to_pylist()]
        content = [path.read_bytes() for path in outputs]
        return rows, dict(read_fasta(outputs[0])), counts, content

    return call


# Against annotation


def last_bases(record):
    """Record, strand and last base of the stop codon of every annotated gene that is translated and whole."""
    for feature in record.features:
        if feature.type != "CDS" or "translation" not in feature.qualifiers or "pseudo" in feature.qualifiers:
            continue
        last = feature.location.parts[-1]
        end, before = (last.end, ">") if last.strand == 1 else (last.start + 1, "<")
        if before not in str(last):
            yield record.id, last.strand, int(end)


@pytest.mark.parametrize("name", ANNOTATED)
def test_annotated_stop_codons_are_found(data, calls, name, capsys):
    records = list(read_records(data / "genomes" / name))
    annotated = {place for record in records for place in last_bases(record)}
    assert len(annotated) > 500
    contigs = {record.id: str(record.seq) for record in records}
    rows, _, counts, _ = calls({"g": contigs}, genetic_code=CODES[name])
    found = {(row.contig, row.strand, row.end if row.strand == 1 else row.start) for row in rows}
    recall = len(annotated & found) / len(annotated)
    with capsys.disabled():
        print(f"\n{name}: recall of {len(annotated)} annotated stop codons {recall:.4f}, {len(rows)} genes")
    assert recall >= 0.95
    assert counts["mode"] == "single" and counts["doubtful_codes"] == []


@pytest.mark.filterwarnings("ignore:sequence should be at least 100000")
def test_ambiguous_bases_are_x_in_their_codon_alone(data, calls):
    """Every code of IUPAC, in genes of both strands, beside a translation by Biopython."""
    (sequence,) = read_bases(data / "genomes" / "NC_018407_Mgallisepticum_NC95.gbk", 60_000).values()
    rows, *_ = calls({"g": {"c": sequence}}, genetic_code=4)
    dna, dice, changed = list(sequence), random.Random(1), {}
    whole = [row for row in rows if not row.partial and row.end - row.start > 600][:20]
    assert {row.strand for row in whole} == {1, -1}
    for row, code in zip(whole, "RYSWKMBDHVN" * 2, strict=False):
        codon = dice.randrange(20, (row.end - row.start) // 3 - 20)
        place = row.start + 3 * codon if row.strand == 1 else row.end - 3 * codon - 2
        dna[place - 1 + dice.randrange(3)] = code
        changed[row.start, row.end] = codon
    again, sequences, counts, _ = calls({"g": {"c": "".join(dna)}}, genetic_code=4)
    seen = 0
    for row in again:
        if (row.start, row.end) in changed:
            gene = Seq(sequence[row.start - 1 : row.end])
            expected = (gene if row.strand == 1 else gene.reverse_complement()).translate(table=4)[1:-1]
            codon, protein = changed[row.start, row.end], sequences[row.protein]
            assert protein[codon] == "X" and protein.count("X") == 1
            assert protein[1:codon] + protein[codon + 1 :] == expected[: codon - 1] + expected[codon:]
            seen += 1
    assert seen >= 18
    assert counts["unknown_residues"] == sum(sequences[row.protein].count("X") for row in again) >= seen


# Genetic codes that cannot be


def test_tables_that_read_uga_as_an_amino_acid_are_those_of_biopython():
    tables = CodonTable.unambiguous_dna_by_id
    sense = {number for number, table in tables.items() if "TGA" not in table.stop_codons}
    assert sense & set(GENETIC_CODES) == UGA_IS_SENSE


@pytest.mark.parametrize("name", CODES)
def test_a_wrong_genetic_code_is_noticed_and_a_right_one_is_not(data, name):
    contigs = list(read_bases(data / "genomes" / name).values())
    right = CODES[name]
    for code in sorted(GENETIC_CODES):
        if code in (1, 4, 11, 25):
            doubt = doubt_code(contigs, code)
            assert (doubt is None) == ((code in UGA_IS_SENSE) == (right == 4)), (name, code, doubt)
    said = describe_doubt(doubt_code(contigs, 15 - right))
    assert f"genetic code {15 - right} reads UGA" in said and f"expected {right}" in said and "\n" not in said


@pytest.mark.filterwarnings("ignore:sequence should be at least 100000")
@pytest.mark.parametrize("start", [0, 400_000])
@pytest.mark.parametrize("name", CODES)
def test_a_small_piece_of_a_genome_is_enough_to_tell(data, name, start):
    contig = next(iter(read_bases(data / "genomes" / name).values()))[start : start + 50_000]
    assert doubt_code([contig], CODES[name]) is None
    assert doubt_code(["N" * 30_000], CODES[name]) is None, "no gene tells anything"
    assert doubt_code([contig], 15 - CODES[name])
    pieces = [contig[at : at + 5_000] for at in range(0, 50_000, 5_000)]
    assert doubt_code(pieces, CODES[name]) is None
    assert doubt_code(pieces, 15 - CODES[name])


@pytest.mark.filterwarnings("ignore:sequence should be at least 100000")
def test_phages_viruses_and_plastids_are_not_doubted(data, demo):
    names = ("NC_001416_lambda.fna", "NC_019724_phage_HK578.gbk", "NC_028901_phage_slur05.gbk")
    paths = [data / "genomes" / name for name in (*names, "MN908947_SARS-CoV-2.gb")]
    for path in (*paths, demo / "NC_000932.gb.gz"):
        assert doubt_code(list(read_bases(path).values()), 11) is None, path.name


@pytest.mark.filterwarnings("ignore:sequence should be at least 100000")
def test_a_doubtful_code_is_told_in_log_counts_and_report(data, calls, caplog):
    (one,) = read_bases(data / "genomes" / "NC_004829_Mgallisepticum_Rlow.gbk", 60_000).values()
    (other,) = read_bases(data / "genomes" / "NC_000913_Ecoli_K12_MG1655.gbk.gz", 60_000).values()
    *_, counts, _ = calls({"strains/m": {"c": one}, "strains/e": {"c": other}}, sample="strains")
    lines = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 1 and lines[0].startswith(
        "strains/m: genetic code 11 reads UGA as a stop, but genes"
    )
    (doubt,) = json.loads(json.dumps(counts))["doubtful_codes"]
    assert (doubt["member"], doubt["genetic_code"], doubt["uga"]) == ("strains/m", 11, "amino acid")
    *_, swapped, _ = calls({"strains/m": {"c": one}, "strains/e": {"c": other}}, genetic_code=4)
    assert [doubt["member"] for doubt in swapped["doubtful_codes"]] == ["strains/e"]
    (notice,) = _of_doubtful_codes([counts, {"sample": "proteins"}])
    assert "UGA seems to be an amino acid (4, or 25) in strains/m (11)" in notice.text
    assert len(list(_of_doubtful_codes([counts, swapped]))) == 2
    assert list(_of_doubtful_codes([{"doubtful_codes": []}])) == []


# Circular records


def rotate(sequence, offset):
    return sequence[offset:] + sequence[:offset]


def look(sequence, training=None, circular=True):
    finder = Finder(90, training)
    return finder.find(Contig(finder, "u", "c", "p", sequence, circular)).genes


def middles(genes):
    """Bases in the middle of long genes, of both strands."""
    long = sorted(genes, key=lambda gene: gene.begin - gene.end)[:30]
    return [(gene.begin + gene.end) // 2 for strand in (1, -1) for gene in long if gene.strand == strand]


def test_genes_over_the_origin_of_a_plasmid(demo):
    """Whichever base a record begins with, a circle has the same proteins, in the same places."""
    sequence = next(read_fasta(demo / "NC_005816.fna"))[1]
    length, base = len(sequence), look(sequence)
    places = {(gene.begin, gene.end - gene.begin, gene.strand, gene.protein) for gene in base}
    assert len(places) >= 8 and not [gene for gene in base if gene.partial or gene.end > length]
    spanning = set()
    for offset in [1, 1000, *middles(base)]:
        rotated = rotate(sequence, offset)
        genes = look(rotated)
        back = {
            ((gene.begin + offset - 1) % length + 1, gene.end - gene.begin, gene.strand, gene.protein)
            for gene in genes
        }
        assert back == places and len(genes) == len(base)
        over = [gene for gene in genes if gene.end > length]
        spanning |= {(gene.protein, gene.strand) for gene in over}
        if offset in middles(base):
            # The linear record has it in pieces.
            assert over and over[0].begin <= length
            linear = look(rotated, circular=False)
            assert not {gene.protein for gene in over} & {gene.protein for gene in linear}
            assert any(gene.partial for gene in linear)
    assert len(spanning) == len(middles(base)) and {strand for _, strand in spanning} == {1, -1}


def test_the_annotated_gene_over_the_origin_of_phix174(data, calls):
    """Gene A of phiX174 is at 3981..5386,1..136, as its GenBank record says."""
    record = SeqIO.read(data / "genomes" / "NC_001422_phiX174.gbk", "genbank")
    joined = [
        feature for feature in record.features if feature.type == "CDS" and len(feature.location.parts) > 1
    ]
    gene = max(joined, key=lambda feature: len(feature.location))
    first, last = gene.location.parts
    contigs = {"NC_001422": str(record.seq), "other": "ACGT" * 10}
    rows, sequences, counts, _ = calls({"phix": contigs}, circular=("NC_001422",))
    (over,) = [row for row in rows if row.end > len(record)]
    assert (over.start, over.end) == (first.start + 1, len(record) + last.end) == (3981, 5522)
    assert sequences[over.protein] == gene.qualifiers["translation"][0]
    assert not over.partial and not [row for row in rows if row.partial]
    assert (counts["circular_records"], counts["over_origin"], counts["records"]) == (1, 1, 2)
    _, others, counts, _ = calls({"phix": contigs})
    assert gene.qualifiers["translation"][0] not in others.values()
    assert (counts["circular_records"], counts["over_origin"]) == (0, 0)


@pytest.mark.parametrize("name", ["NC_004829_Mgallisepticum_Rlow.gbk", "NC_018407_Mgallisepticum_NC95.gbk"])
def test_genes_over_the_origin_of_a_genome(data, name):
    """With one model all genes are the same; training on the rotated record, which is linear, moves a few."""
    (sequence,) = read_bases(data / "genomes" / name).values()
    training = train(90, iter([sequence]), 4)
    base = {(gene.strand, gene.protein) for gene in look(sequence, training)}
    for offset in middles(look(sequence, training, circular=False))[::10]:
        rotated = rotate(sequence, offset)
        genes = look(rotated, training)
        assert {(gene.strand, gene.protein) for gene in genes} == base
        assert len([gene for gene in genes if gene.end > len(sequence)]) == 1
        own = {(gene.strand, gene.protein) for gene in look(rotated, train(90, iter([rotated]), 4))}
        assert len(own ^ base) <= 0.02 * len(base)


@pytest.mark.filterwarnings("ignore:sequence should be at least 100000")
def test_a_gene_that_goes_round_and_round_is_set_aside(calls, data):
    """A circle whose only stop codon is met on the second lap, which is read in the next frame."""
    (sequence,) = read_bases(data / "genomes" / "NC_000913_Ecoli_K12_MG1655.gbk.gz", 40_000).values()
    genes = look(sequence, train(90, iter([sequence]), 11), circular=False)
    gene = next(gene for gene in genes if gene.strand == 1 and gene.end - gene.begin > 2000)
    circle = sequence[gene.begin - 1 : gene.begin + 600]
    assert len(circle) % 3 == 1
    for frame in range(3):
        laps = circle * 4
        stops = [at for at in range(frame, len(circle) * 3, 3) if laps[at : at + 3] in ("TAA", "TAG", "TGA")]
        for at in sorted({at % len(circle) for at in stops}):
            circle = circle[:at] + "C" + circle[at + 1 :]
    circle = circle[:5] + "TAA" + circle[8:]
    rows, _, counts, _ = calls({"g": {"chromosome": sequence, "round": circle}}, circular=("round",))
    assert all(row.end - row.start < len(circle) for row in rows if row.contig == "round")
    (aside,) = counts["set_aside"]
    assert aside == {"record": "round", "reason": "longer than its circular record", "records": 1}
    assert counts["occurrences"] == len(rows) > 20


def test_a_circular_record_that_is_not_there_is_an_error(calls, demo):
    contigs = dict(read_fasta(demo / "NC_005816.fna"))
    (name,) = contigs
    with pytest.raises(
        SourceError, match="'sample': column circular names the record 'NC_1', which its source"
    ) as error:
        calls({"p": contigs}, circular=("NC_1", name))
    assert f"the first there are {name})" in str(error.value)
    *_, counts, _ = calls({"p": contigs}, circular=("yes",))
    assert counts["circular_records"] == 1


def sheet(folder, circular, kind="genome"):
    (folder / "x.fna").write_text(">a\nACGT\n")
    (folder / "m.tsv").write_text("sample\tkind\tsource\na\tgenome\tx.fna\n")
    source = "m.tsv" if kind == "collection" else "x.fna"
    text = f"sample\tkind\tsource\tcircular\ns\t{kind}\t{source}\t{circular}\n"
    (folder / "samples.tsv").write_text(text)
    return folder / "samples.tsv"


@pytest.mark.parametrize(
    ("given", "kind", "read"),
    [
        ("", "genome", ()),
        ("no", "genome", ()),
        ("", "proteins", ()),
        ("yes", "metagenome", ("yes",)),
        ("b, a", "genome", ("a", "b")),
        ("a|1.2", "collection", ("a|1.2",)),
    ],
)
def test_circular_records_of_the_sheet(tmp_path, given, kind, read):
    assert read_sheet(sheet(tmp_path, given, kind))["s"].circular == read


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("a,,b", "genome", "circular 'a,,b' is malformed"),
        ("a,a", "genome", "circular 'a,a' is malformed"),
        ("a b", "genome", "circular 'a b' is malformed"),
        ("yes,a", "genome", "circular 'yes,a' is malformed"),
        ("Yes", "genome", "circular 'Yes' is malformed"),
        ("yes", "proteins", "circular 'yes' has no meaning for kind proteins"),
    ],
)
def test_a_wrong_value_of_circular_is_one_line(tmp_path, given, kind, message):
    with pytest.raises(SheetError, match=r"samples\.tsv line 2: ") as error:
        read_sheet(sheet(tmp_path, given, kind))
    assert message in str(error.value) and "\n" not in str(error.value)


# Threads


@pytest.mark.filterwarnings("ignore:sequence should be at least 100000")
@pytest.mark.parametrize("kind", ["genome", "metagenome"])
def test_threads_change_no_byte(data, calls, kind):
    (sequence,) = read_bases(data / "genomes" / "NC_018407_Mgallisepticum_NC95.gbk", 150_000).values()
    dice, cuts = random.Random(1), [0]
    while cuts[-1] < len(sequence):
        cuts.append(cuts[-1] + dice.choice([500, 3_000, 20_000]))
    contigs = {f"c{at}": sequence[at:end] for at, end in pairwise(cuts)}
    members = {"s/a": contigs, "s/b": {"only": sequence[:30_000]}, "s/c": {"tiny": sequence[:2_000]}}
    one = calls(members, kind=kind, genetic_code=4, circular=("only", "c0"), threads=1)
    three = calls(members, kind=kind, genetic_code=4, circular=("only", "c0"), threads=3)
    assert one[2:] == three[2:]
    assert len(one[0]) > 100 and {row.unit.split("/")[1] for row in one[0]} == {"a", "b", "c"}


def test_results_keep_their_order_within_a_window():
    """The first item is done last; no more are taken meanwhile than the window holds."""
    taken, held = [], threading.Event()

    def items():
        for number in range(10):
            taken.append(number)
            yield number

    def work(number):
        if number == 0:
            assert held.wait(10)
        if number == 3:
            held.set()
        return number

    with ThreadPoolExecutor(3) as pool:
        results = in_order(pool, work, items(), 4)
        assert next(results) == 0
        assert taken == [0, 1, 2, 3]
        assert list(results) == list(range(1, 10))


def test_an_error_in_a_thread_ends_the_work():
    done = []

    def work(number):
        if number == 1:
            raise SourceError("contig 1")
        done.append(number)

    with ThreadPoolExecutor(1) as pool, pytest.raises(SourceError, match="contig 1"):
        list(in_order(pool, work, range(1000), 5))
    assert len(done) < 10


def test_threads_are_no_param_of_the_rule():
    """Changing how many threads call genes repeats nothing."""
    rule = (ROOT / "rules" / "proteins.smk").read_text().split("rule call_genes:")[1].split("\nrule ")[0]
    assert 'threads: lookup("proteins/threads"' in rule
    assert "threads" not in rule.split("params:")[1]


def test_the_member_is_read_as_the_sheet_says(tmp_path, demo):
    """The rule itself, from a sheet with a circular plasmid that is rotated into a gene."""
    from workflow import snakemake

    sequence = next(read_fasta(demo / "NC_005816.fna"))[1]
    write_fasta(tmp_path / "p.fna", [("plasmid", rotate(sequence, middles(look(sequence))[0]))])
    header = "sample\tkind\tsource\tcircular\n"
    (tmp_path / "samples.tsv").write_text(f"{header}p\tgenome\tp.fna\tplasmid\n")
    (tmp_path / "config.yaml").write_text("samples: samples.tsv\nproteins: {threads: 2}\n")
    snakemake(tmp_path, "results/proteins/p.fasta.gz")
    rows = pq.read_table(tmp_path / "results/proteins/p.parquet").to_pylist()
    assert len([row for row in rows if row["end"] > len(sequence)]) == 1
    found = set(dict(read_fasta(tmp_path / "results/proteins/p.fasta.gz")).values())
    assert found == {gene.protein for gene in look(sequence)}
    shutil.rmtree(tmp_path / "results")


@pytest.fixture(autouse=True)
def show_log(caplog):
    caplog.set_level(logging.INFO)
