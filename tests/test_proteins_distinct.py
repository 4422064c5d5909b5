"""Distinct proteins merged with bounded memory; what normalisation changed; groups of near-duplicates."""

import json
import logging
import random
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from Bio.Align import PairwiseAligner, substitution_matrices
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_proteins import COLLECT, write_proteins
from conftest import DEMO, ROOT
from helixflow.errors import ConfigError, MismatchError, SourceError
from helixflow.fasta import read_fasta, write_fasta
from helixflow.files import read_json
from helixflow.members import Member
from helixflow.proteins import (
    OCCURRENCE_TYPES,
    Occurrence,
    check_clustering,
    cluster_proteins,
    merge,
    protein_id,
    read_protein_file,
)
from helixflow.proteins.clusters import CLUSTER_TYPES
from helixflow.proteins.merge import merge_proteins, merge_tables
from helixflow.proteins.names import normalise
from helixflow.report.accounting import _count_proteins, check_entry
from helixflow.tables import read_rows, write_rows
from workflow import snakemake

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
no_mmseqs = pytest.mark.skipif(not shutil.which("mmseqs"), reason="MMseqs2 is not on PATH")


# The merge


def files_of(folder, rows):
    """FASTA files of proteins, each by ascending id."""
    paths = []
    for number, sequences in enumerate(rows):
        paths.append(folder / f"{number}.fasta.gz")
        write_fasta(paths[-1], sorted((protein_id(sequence), sequence) for sequence in set(sequences)))
    return paths


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.text("ACDE", min_size=1, max_size=3), max_size=12), max_size=14),
    most_open=st.integers(2, 6),
)
def test_a_merge_in_rounds_is_a_sorted_set(tmp_path_factory, rows, most_open):
    files = files_of(tmp_path_factory.mktemp("rows"), rows)
    expected = sorted({(protein_id(sequence), sequence) for row in rows for sequence in row})
    assert list(merge_proteins(files, most_open)) == expected
    assert list(merge_proteins(files[::-1], most_open)) == expected


def test_a_merge_opens_few_files_and_leaves_none(tmp_path, monkeypatch):
    dice, open_now, most = random.Random(1), set(), 0
    files = files_of(
        tmp_path, [["".join(dice.choices(AMINO_ACIDS, k=20)) for _ in range(5)] for _ in range(40)]
    )
    read = merge.read_fasta

    def counting(path):
        nonlocal most
        open_now.add(path)
        most = max(most, len(open_now))
        yield from read(path)
        open_now.remove(path)

    monkeypatch.setattr(merge, "read_fasta", counting)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    merged = merge_proteins(files, 7)
    next(merged)
    assert list((tmp_path / "scratch").iterdir())
    assert len(list(merged)) == 199
    assert most == 7 and not open_now and not list((tmp_path / "scratch").iterdir())
    assert len(list(tmp_path.glob("*.fasta.gz"))) == 40


def test_files_that_are_not_in_order_are_refused(tmp_path):
    write_fasta(tmp_path / "a.fasta", [("SQ.b", "M"), ("SQ.a", "K")])
    with pytest.raises(MismatchError, match=r"a\.fasta: record 'SQ\.a' comes after 'SQ\.b'"):
        list(merge_proteins([tmp_path / "a.fasta"]))
    write_fasta(tmp_path / "b.fasta", [("SQ.b", "MK")])
    write_fasta(tmp_path / "c.fasta", [("SQ.b", "M")])
    with pytest.raises(MismatchError, match=r"SQ\.b has two sequences, of 1 and 2 residues"):
        list(merge_proteins([tmp_path / "b.fasta", tmp_path / "c.fasta"]))


def place(sample, number):
    return Occurrence(f"SQ.{number}", sample, sample, "c", number, number + 9, 1, False, 11, f"c_{number}")


def test_groups_of_rows_do_not_depend_on_where_a_table_ends(tmp_path, monkeypatch):
    """Many small tables make full groups, whatever is left out of each."""
    import pyarrow.compute as pc

    monkeypatch.setattr(merge, "_GROUP_ROWS", 10)
    rows = {f"s{row:02d}": [place(f"s{row:02d}", number) for number in range(row % 7)] for row in range(30)}
    for name, places in rows.items():
        write_rows(tmp_path / f"{name}.parquet", places, OCCURRENCE_TYPES)
    tables = list(tmp_path.glob("s*.parquet"))
    random.Random(1).shuffle(tables)
    schema = pq.read_schema(tables[0])
    final = tmp_path / "all.parquet"
    merge_tables(
        final, tables, "sample", schema, lambda rows: rows.filter(pc.not_equal(rows.column("start"), 1))
    )
    expected = [place for places in rows.values() for place in places if place.start != 1]
    assert [Occurrence(*row) for row in read_rows(final, list(OCCURRENCE_TYPES))] == expected
    groups = [pq.read_metadata(final).row_group(number).num_rows for number in range(len(expected) // 10)]
    assert len(expected) > 50 and groups == [10] * len(groups)


#: A small cache of the database of ids, which fills soon.
SMALL = "from helixflow.proteins import collect; collect._CACHE_KIB = 2048"
#: Linux's peak of this program alone; that of getrusage has what the process was forked from.
PRINT = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"


def peak_MB(folder):
    """Peak memory of collecting the proteins of a folder, in a process of its own."""
    start = "import sys; sys.path.insert(0, sys.argv[2])"
    code = "\n".join([start, SMALL, COLLECT, PRINT])
    command = [sys.executable, "-c", code, str(folder), str(ROOT / "scripts")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def test_memory_does_not_grow_with_the_number_of_proteins(tmp_path):
    """From where buffers are full, two and a half times the proteins: 32 MB more of sequences alone."""
    peaks = {}
    for proteins in (60_000, 150_000):
        write_proteins(tmp_path / str(proteins), proteins, rows=50)
        peaks[proteins] = peak_MB(tmp_path / str(proteins))
        counted = pq.read_metadata(tmp_path / str(proteins) / "places.parquet").num_rows
        assert counted == proteins
    assert peaks[150_000] < peaks[60_000] + 15, peaks
    assert peaks[150_000] < 250, peaks


# Normalisation


def test_what_normalisation_changed_is_in_the_counts_of_the_row(tmp_path):
    text = ">a\nMKUUO\n>b\nmkzbj*\n>c\nMKV*\n>d\nMKVx\n"
    (tmp_path / "p.fasta").write_text(text)
    members = [Member("p", "proteins", (tmp_path / "p.fasta",), tmp_path)]
    counts = read_protein_file(members, tmp_path / "p.fasta.gz", tmp_path / "p.parquet", sample="p")
    assert counts["mapped_to_X"] == {"B": 1, "J": 1, "O": 1, "U": 2, "Z": 1}
    assert (counts["min_length"], counts["max_length"]) == (3, 5)
    assert set(dict(read_fasta(tmp_path / "p.fasta.gz")).values()) == {"MKXXX", "MKV", "MKVX"}


@given(st.text("ACDEFGHIKLMNPQRSTVWYXUZOBJacdefghiklmnpqrstvwyxuzobj", max_size=30))
def test_the_normal_form_is_that_of_the_authors_and_of_itself(sequence):
    """ProtTrans' own line: re.sub(r"[UZOB]", "X", sequence); J, which has no token, likewise."""
    import re

    normal = normalise(sequence + "*", "here")
    assert normal == re.sub(r"[UZOBJ]", "X", sequence.upper()) == normalise(normal, "here")


@given(st.text(AMINO_ACIDS, max_size=9), st.characters(), st.text(AMINO_ACIDS, min_size=1, max_size=9))
def test_anything_else_is_refused_with_its_position(before, strange, after):
    if strange.isascii() and strange.isalpha():
        return
    with pytest.raises(SourceError, match=f"^file: record 'r' has .* at position {len(before) + 1}, "):
        normalise(before + strange + after, "file: record 'r'")


# Near-duplicates


def mutate(sequence, share, dice):
    """Replace a share of the residues by others, the ends of the protein left alone."""
    residues = list(sequence)
    for at in dice.sample(range(5, len(residues) - 5), round(share * len(residues))):
        residues[at] = dice.choice(AMINO_ACIDS.replace(residues[at], ""))
    return "".join(residues)


def aligned_identity(one, other):
    """Identity of the aligned residues and least coverage, by Biopython's local alignment."""
    aligner = PairwiseAligner(mode="local", open_gap_score=-11, extend_gap_score=-1)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    alignment = aligner.align(one, other)[0]
    counts = alignment.counts()
    spans = [
        (pairs[-1][1] - pairs[0][0]) / len(text)
        for pairs, text in zip(alignment.aligned, (one, other), strict=True)
    ]
    return counts.identities / (counts.identities + counts.mismatches + counts.gaps), min(spans)


@pytest.fixture
def grouped(tmp_path):
    """Group proteins given as sequences, some seen as chains; give whom each points at, and counts."""

    def group(sequences, chains=(), identity=0.9, coverage=0.8, threads=1):
        by_id = {protein_id(sequence): sequence for sequence in sequences}
        write_fasta(tmp_path / "distinct.fasta.gz", sorted(by_id.items()))
        places = [
            Occurrence(name, "s", "s", "A", 1, 9, 0, False, 0, "A")
            if by_id[name] in chains
            else place("g", 1)._replace(protein=name)
            for name in by_id
        ]
        write_rows(tmp_path / "occurrences.parquet", places, OCCURRENCE_TYPES)
        counts = cluster_proteins(
            tmp_path / "distinct.fasta.gz", tmp_path / "occurrences.parquet",
            tmp_path / "representatives.fasta.gz", tmp_path / "clusters.parquet",
            structures=["s"], identity=identity, coverage=coverage, threads=threads, memory_MB=2000,
        )  # fmt: skip
        rows = list(read_rows(tmp_path / "clusters.parquet", list(CLUSTER_TYPES)))
        assert [protein for protein, _ in rows] == sorted(by_id)
        standing = list(read_fasta(tmp_path / "representatives.fasta.gz"))
        assert [name for name, _ in standing] == sorted({name for _, name in rows})
        assert all(by_id[name] == sequence for name, sequence in standing)
        assert (counts["proteins"], counts["representatives"]) == (len(by_id), len(standing))
        return {by_id[protein]: by_id[name] for protein, name in rows}, counts

    return group


@pytest.fixture(scope="session")
def originals():
    """Unrelated real proteins: those of a chloroplast that are no copies of each other."""
    every = sorted({sequence for _, sequence in read_fasta(DEMO / "NC_000932.faa") if len(sequence) > 80})
    return [one for one in every if not any(one in other or other in one for other in every if one != other)]


@no_mmseqs
def test_mutated_copies_are_grouped_with_their_original(originals, grouped):
    dice = random.Random(1)
    near = {copy: one for one in originals for copy in (mutate(one, 0.03, dice), mutate(one, 0.04, dice))}
    far = [mutate(one, 0.4, dice) for one in originals]
    groups, counts = grouped([*originals, *near, *far])
    origin = {**{one: one for one in originals}, **near}
    together = sum(groups[copy] == groups[one] for copy, one in near.items())
    assert together >= 0.98 * len(near)
    for protein, representative in groups.items():
        if protein in origin:
            # Never with another's.
            assert origin[representative] == origin[protein]
        else:
            assert representative == protein
    assert len(originals) + len(far) <= counts["representatives"] < len(originals) + len(far) + 5
    assert counts["mmseqs"] and (counts["identity"], counts["coverage"]) == (0.9, 0.8)


@no_mmseqs
@pytest.mark.parametrize("identity", [0.7, 0.9])
def test_every_member_is_as_near_to_its_representative_as_asked(originals, grouped, identity):
    """Copies of copies drift away step by step, which would chain groups of groups together."""
    dice, sequences = random.Random(2), []
    for one in originals[:40]:
        for _ in range(8):
            sequences.append(one)
            one = mutate(one, 0.06, dice)
        sequences.append(one[len(one) // 3 :])
    groups, _ = grouped(sequences, identity=identity)
    members = [(protein, name) for protein, name in groups.items() if protein != name]
    assert len(members) > 60
    for protein, representative in members:
        found, covered = aligned_identity(protein, representative)
        # Two aligners may end an alignment a residue or two apart.
        assert found >= identity - 0.02 and covered >= 0.8 - 0.02, (protein, representative)


@no_mmseqs
def test_chains_of_structures_stand_for_themselves(originals, grouped):
    dice = random.Random(3)
    copies = [mutate(one, 0.02, dice) for one in originals[:20]]
    free, _ = grouped([*originals[:20], *copies])
    grouped_away = [protein for protein, name in free.items() if protein != name]
    assert len(grouped_away) >= 19
    groups, _ = grouped([*originals[:20], *copies], chains=grouped_away[:10])
    for protein in free:
        assert groups[protein] == (protein if protein in grouped_away[:10] else free[protein])


@no_mmseqs
def test_groups_are_the_same_bytes_whatever_the_threads(originals, grouped, tmp_path):
    dice = random.Random(4)
    sequences = [mutate(one, share, dice) for one in originals for share in (0, 0.02, 0.05, 0.1, 0.15)]
    names, content = ("representatives.fasta.gz", "clusters.parquet"), []
    for threads in (1, 2, 1):
        grouped(sequences, identity=0.8, threads=threads)
        content.append([(tmp_path / name).read_bytes() for name in names])
    assert content[0] == content[1] == content[2]


@no_mmseqs
def test_proteins_too_short_or_without_letters_are_their_own_representatives(originals, grouped):
    groups, _ = grouped(["M", "MK", "X" * 50, "A" * 300, "A" * 299, *originals[:3]])
    assert all(groups[protein] == protein for protein in ("M", "MK", "X" * 50, *originals[:3]))


def test_no_proteins_give_valid_empty_files(grouped):
    assert grouped([])[0] == {}


def test_a_missing_program_is_one_line_before_any_job(tmp_path, monkeypatch):
    empty = tmp_path / "bin"
    empty.mkdir()
    check_clustering({"cluster_identity": 0})
    (tmp_path / "samples.tsv").write_text("sample\tkind\tsource\np\tproteins\tp.faa\n")
    shutil.copy(DEMO / "NC_000932.faa", tmp_path / "p.faa")
    (tmp_path / "config.yaml").write_text("samples: samples.tsv\nproteins: {cluster_identity: 0.9}\n")
    # The folder of this Python has no mmseqs, nor has a PATH of shells and core utilities alone.
    for name in ("bash", "sh", "env", "git"):
        (empty / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "--directory", tmp_path,
         "proteins", "--configfile", tmp_path / "config.yaml"],
        capture_output=True, text=True, env={"PATH": str(empty), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ConfigError: config: 'proteins/cluster_identity' is 0.9, but MMseqs2 is not here")
    assert "apt-get install mmseqs2" in last and "Traceback" not in done.stderr
    monkeypatch.setenv("PATH", str(empty))
    with pytest.raises(ConfigError, match="MMseqs2 is not here"):
        check_clustering({"cluster_identity": 0.5})


def summary_of(folder, identity):
    """The dry run of the stage embeddings: what each of its rules reads."""
    (folder / "samples.tsv").write_text(f"sample\tkind\tsource\np\tproteins\t{DEMO}/NC_000932.faa\n")
    config = {"samples": "samples.tsv", "proteins": {"cluster_identity": identity}}
    (folder / "config.yaml").write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "--directory", folder,
         "embeddings", "--configfile", folder / "config.yaml"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    parts = (done.stdout + done.stderr).split("\nrule ")
    return {part.split(":")[0]: part for part in parts[1:]}


def test_groups_are_made_only_where_they_are_asked_for(tmp_path):
    off = summary_of(tmp_path, 0)
    assert "cluster_proteins" not in off
    assert "input: results/proteins/distinct.fasta.gz, " in off["plan_shards"]
    assert "clusters" not in off["index_embeddings"]


@no_mmseqs
def test_representatives_alone_are_planned_where_groups_are_asked_for(tmp_path):
    on = summary_of(tmp_path, 0.9)
    assert "input: results/proteins/representatives.fasta.gz, " in on["plan_shards"]
    assert "results/proteins/clusters.parquet" in on["index_embeddings"]
    assert "results/proteins/distinct.fasta.gz" in on["index_embeddings"]


@no_mmseqs
def test_the_stage_groups_proteins_where_asked(tmp_path, originals):
    dice = random.Random(5)
    records = [(f"p{number}", one) for number, one in enumerate(originals)]
    records += [(f"copy/{name}", mutate(one, 0.02, dice)) for name, one in records[:15]]
    write_fasta(tmp_path / "p.faa", records)
    (tmp_path / "samples.tsv").write_text("sample\tkind\tsource\np\tproteins\tp.faa\n")
    (tmp_path / "config.yaml").write_text(
        "samples: samples.tsv\nproteins: {cluster_identity: 0.9, threads: 1}\n"
    )
    snakemake(tmp_path, "proteins")
    results = tmp_path / "results" / "proteins"
    counts, distinct = read_json(results / "clusters.json"), read_json(results / "distinct.json")
    assert counts["proteins"] == distinct["distinct"] == len(records)
    assert len(originals) <= counts["representatives"] <= len(originals) + 1
    assert pq.read_metadata(results / "clusters.parquet").num_rows == len(records)
    files = SimpleNamespace(
        proteins=[results / "p.json"],
        sample_occurrences=[results / "p.parquet"],
        distinct=results / "distinct.json",
        occurrences=results / "occurrences.parquet",
        clusters=str(results / "clusters.json"),
    )
    entries = list(_count_proteins(files))
    for entry in entries:
        check_entry(entry)
    assert (entries[-1].item, entries[-1].records_in) == ("representatives", len(records))
    assert sum(entries[-1].set_aside.values()) == len(records) - counts["representatives"] > 0
    files.clusters = []
    assert list(_count_proteins(files)) == entries[:-1]


@pytest.fixture(autouse=True)
def show_log(caplog):
    caplog.set_level(logging.INFO)
