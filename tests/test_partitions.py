"""Partitions of reads and metagenomes: nothing lost, equal, the same whatever the order, like with like."""

import gzip
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from helixflow.buckets import BucketSettings
from helixflow.buckets.families import make_encoding
from helixflow.buckets.partitions import order_records, partition_records, share_out, sketch_record
from helixflow.errors import SourceError
from helixflow.fasta import read_fasta
from helixflow.files import write_json
from helixflow.tables import read_rows
from kmers import random_sequence, reverse
from strains import overlapping_pairs, simulate_reads
from workflow import snakemake


def write_row(folder, name: str, kind: str, texts: dict[str, str]):
    """Write a row's record and files as the stage sequences does."""
    for file, text in texts.items():
        (folder / file).write_bytes(gzip.compress(text.encode(), mtime=0))
    write_json(folder / f"{name}.json", {"sample": name, "kind": kind, "written": list(texts)})
    return folder / f"{name}.json"


def as_fasta(records: dict[str, str]) -> str:
    return "".join(f">{name} about it\n{sequence}\n" for name, sequence in records.items())


def as_fastq(records: dict[str, str]) -> str:
    return "".join(f"@{name}\n{sequence}\n+\n{'I' * len(sequence)}\n" for name, sequence in records.items())


def outputs_of(folder, n: int) -> list:
    return [folder / "partitions" / f"{number:03d}.fasta.gz" for number in range(n)]


def table_of(outputs) -> Path:
    """The table beside a folder of partitions."""
    return outputs[0].parent.with_suffix(".parquet")


def read_partitions(outputs) -> list[list[tuple[str, str]]]:
    return [list(read_fasta(output)) for output in outputs]


def some_records(seed: int, n: int) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    return {f"r{i}": random_sequence(int(rng.integers(0, 900)), 1000 * seed + i) for i in range(n)}


def test_every_record_is_in_one_partition_whole(tmp_path):
    """A metagenome and reads in pairs, of which some have one name, an N or no letter."""
    contigs, one, two = some_records(1, 50), some_records(2, 40), some_records(3, 40)
    contigs |= {"empty": "", "unknown": "ACGTN" * 40, "lower": "acgtu" * 30}
    rows = [
        write_row(tmp_path, "soil", "metagenome", {"soil.fasta.gz": as_fasta(contigs)}),
        write_row(tmp_path, "run", "reads", {"1.fastq.gz": as_fastq(one), "2.fastq.gz": as_fastq(two)}),
    ]
    outputs = outputs_of(tmp_path, 4)
    partition_records(rows, outputs, table_of(outputs))
    expected = [(f"soil/{name}", text) for name, text in contigs.items()]
    mates = enumerate((one, two), 1)
    expected += [(f"run/{name}/{mate}", text) for mate, reads in mates for name, text in reads.items()]
    found = read_partitions(outputs)
    assert Counter(record for part in found for record in part) == Counter(expected)
    rows = [(name, at, len(text)) for at, part in enumerate(found) for name, text in part]
    assert sorted(read_rows(table_of(outputs), ["record", "partition", "residues"])) == sorted(rows)
    assert len({name for name, _, _ in rows}) == len(rows), "mates have names of their own"
    assert all(output.read_bytes()[12:14] == b"BC" for output in outputs), "bgzip"


def test_the_order_of_rows_is_nothing(tmp_path):
    rows = [
        write_row(tmp_path, name, "metagenome", {f"{name}.fasta.gz": as_fasta(some_records(seed, 60))})
        for seed, name in enumerate(("b", "a", "c"))
    ]
    written = []
    for number, order in enumerate((rows, rows[::-1], rows)):
        outputs = outputs_of(tmp_path / str(number), 5)
        partition_records(order, outputs, table_of(outputs))
        written.append([output.read_bytes() for output in outputs])
    assert written[0] == written[1] == written[2]
    assert len({*written[0]}) == 5


def test_letters_are_not_kept_in_memory(tmp_path):
    """20 million letters in 200 records, with less than a third of that."""
    content = as_fasta({str(i): random_sequence(1_000, i) * 100 for i in range(200)})
    row = write_row(tmp_path, "x", "metagenome", {"x.fasta.gz": content})
    del content
    partition_records([row], outputs_of(tmp_path, 4), table_of(outputs_of(tmp_path, 4)))
    tracemalloc.start()
    partition_records([row], outputs_of(tmp_path, 4), table_of(outputs_of(tmp_path, 4)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6 / 3


def test_fewer_records_than_partitions_and_none(tmp_path):
    row = write_row(tmp_path, "x", "metagenome", {"x.fasta.gz": as_fasta({"a": "ACGT", "b": "ACGTACGT"})})
    partition_records([row], outputs_of(tmp_path, 4), table_of(outputs_of(tmp_path, 4)))
    assert sorted(map(len, read_partitions(outputs_of(tmp_path, 4)))) == [0, 0, 1, 1]
    leftover = tmp_path / "partitions" / ".0123456789ab.001.fasta.gz"
    leftover.write_text("of a job that was killed")
    partition_records([], outputs_of(tmp_path, 3), table_of(outputs_of(tmp_path, 3)))
    assert not leftover.exists()
    assert read_partitions(outputs_of(tmp_path, 3)) == [[], [], []]
    assert len(list((tmp_path / "partitions").iterdir())) == 3, "the fourth of before would be read with them"
    partition_records([row], [], table_of(outputs_of(tmp_path, 1)))
    assert not list((tmp_path / "partitions").iterdir())
    assert not list(read_rows(table_of(outputs_of(tmp_path, 1)), ["record"]))


def test_a_missing_file_is_told_and_nothing_is_written(tmp_path):
    row = write_row(tmp_path, "x", "metagenome", {"x.fasta.gz": as_fasta({"a": "ACGT"})})
    (tmp_path / "x.fasta.gz").unlink()
    with pytest.raises(SourceError, match=r"x.fasta.gz: is missing"):
        partition_records([row], outputs_of(tmp_path, 2), table_of(outputs_of(tmp_path, 2)))
    assert not list(tmp_path.rglob("*.gz")) and not list(tmp_path.rglob("*.parquet"))


def encodings():
    return [make_encoding(BucketSettings(25, 32, "hash", seed, 400)) for seed in (1, 2)]


def test_sketches_are_of_canonical_kmers_without_breaks():
    sequence = random_sequence(300, 1)
    whole = sketch_record(sequence.encode(), encodings())
    assert len(whole) == 276
    assert np.array_equal(whole, sketch_record(reverse(sequence).lower().encode(), encodings()))
    broken = sketch_record((sequence[:150] + "N" + sequence[150:]).encode(), encodings())
    parts = [sketch_record(half.encode(), encodings()) for half in (sequence[:150], sequence[150:])]
    assert np.array_equal(broken, np.union1d(*parts))
    assert set(broken) < set(whole)
    assert len(sketch_record(random_sequence(5_000, 1).encode(), encodings())) == 400
    assert len(sketch_record(b"ACGT", encodings())) == 0


def test_a_long_record_is_hashed_by_stretches():
    """2.5 million bases, in memory that does not follow them, and the k-mers over the seams are there."""
    sequence = random_sequence(2_500_000, 4).encode()
    sketch_record(sequence[:1000], encodings())
    tracemalloc.start()
    found = sketch_record(sequence, encodings())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6
    ids = []
    for encoding in encodings():
        codes = np.full(4 + len(sequence), 4, np.uint8)
        codes[4:] = np.searchsorted(np.frombuffer(b"ACGT", np.uint8), np.frombuffer(sequence, np.uint8))
        every, none = np.empty(len(codes), np.uint32), np.zeros(0, np.int64)
        assert encoding.hash(codes, 4, none, none, every) == len(sequence) - 24
        ids.append(every[: len(sequence) - 24].astype(np.uint64))
    assert np.array_equal(found, np.unique(ids[0] << np.uint64(32) | ids[1])[:400])


def test_records_that_share_hashes_follow_each_other():
    """Two chains whose records come shuffled, and what shares nothing; a hash that all have links none."""
    chains = [[*range(start, start + 200)] for start in (0, 1_000)]
    records = [
        [9_000_000 + i, 10 * node, 10 * (node + 1), 7_000_000] for i, node in enumerate(chains[0] + chains[1])
    ]
    records += [[8_000_000 + lone, 7_000_000] for lone in range(5)]
    shuffled = np.random.default_rng(1).permutation(len(records))
    rows = [sorted(records[record]) for record in shuffled]
    bounds = np.cumsum([0, *map(len, rows)])
    order = order_records(np.concatenate(rows).astype(np.uint64), bounds)
    assert sorted(order.tolist()) == list(range(len(records)))
    places = np.empty(len(records), int)
    places[shuffled[order]] = np.arange(len(records))
    for chain in (places[:200], places[200:400]):
        assert (np.abs(np.diff(chain)) == 1).all()


SKEWED = {
    "lognormal": lambda rng: rng.lognormal(7, 1.5, 10_000),
    "pareto": lambda rng: 200 * (1 + rng.pareto(1.1, 10_000)),
    "a few large": lambda rng: np.concatenate([np.full(60, 90_000.0), np.full(9_940, 100.0)]),
    "equal": lambda rng: np.full(10_000, 150.0),
}


@pytest.mark.parametrize("name", SKEWED)
@pytest.mark.parametrize("seed", range(5))
def test_partitions_of_skewed_records_are_equal(name, seed):
    """64 partitions of 10,000 records, of which the largest is below a partition."""
    rng = np.random.default_rng(seed)
    letters = SKEWED[name](rng).astype(np.int64)
    while letters.max() >= letters.sum() / 64:
        letters = np.minimum(letters, int(0.99 * letters.sum() / 64))
    order = rng.permutation(len(letters)).astype(np.int32)
    loads = np.bincount(share_out(letters, order, 64), letters, 64)
    assert loads.max() / loads.mean() <= 1.05


def test_records_that_are_not_large_fill_partitions_in_their_order():
    letters = np.append(np.full(1_000, 10), [300, 300, 50])
    order = np.random.default_rng(1).permutation(len(letters)).astype(np.int32)
    partitions = share_out(letters, order, 10)
    small = partitions[order[letters[order] == 10]]
    assert (np.diff(small) >= 0).all()
    assert partitions[1000] != partitions[1001]


def test_overlapping_reads_meet(tmp_path):
    """2,000 reads of two random genomes at 10 % error, 5 times their bases: many more meet than at random."""
    rng = np.random.default_rng(6)
    genomes = [random_sequence(500_000, seed).encode() for seed in (1, 2)]
    reads, places = simulate_reads(genomes, 2_000, 0.1, rng)
    row = write_row(
        tmp_path,
        "x",
        "reads",
        {"x.fastq.gz": as_fastq({str(i): read.decode() for i, read in enumerate(reads)})},
    )
    partition_records([row], outputs_of(tmp_path, 16), table_of(outputs_of(tmp_path, 16)))
    found = np.full(len(reads), -1)
    loads = np.zeros(16)
    for number, part in enumerate(read_partitions(outputs_of(tmp_path, 16))):
        found[[int(name.removeprefix("x/")) for name, _ in part]] = number
        loads[number] = sum(len(text) for _, text in part)
    one, other = overlapping_pairs(places, 500).T
    assert len(one) > 2_000
    assert (found[one] == found[other]).mean() > 0.7
    assert (found[one] == rng.permutation(found)[other]).mean() < 0.1
    assert loads.max() / loads.mean() <= 1.05


def test_deep_reads_without_errors_are_linked_though_all_their_kmers_are_popular():
    """100 times the bases of a genome: a hash that 100 records share is no repeat there."""
    genome = random_sequence(20_000, 1).encode()
    begins = np.random.default_rng(2).integers(0, len(genome) - 200, 10_000)
    rows = [sketch_record(genome[begin : begin + 200], encodings()) for begin in begins]
    order = order_records(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))
    apart = np.abs(np.diff(begins[order]))
    assert np.median(apart) < 200


def test_the_workflow_makes_partitions_when_it_is_asked_to(tmp_path):
    (tmp_path / "soil.fasta").write_text(as_fasta(some_records(1, 30) | {"r0": "ACGT"}))
    (tmp_path / "samples.tsv").write_text(f"sample\tkind\tsource\nsoil\tmetagenome\t{tmp_path}/soil.fasta\n")
    (tmp_path / "config.yaml").write_text("samples: samples.tsv\nbuckets: {partitions: 3, family: spaced}\n")
    snakemake(tmp_path, "buckets")
    files = sorted((tmp_path / "results/buckets/partitions").iterdir())
    assert [file.name for file in files] == ["000.fasta.gz", "001.fasta.gz", "002.fasta.gz"]
    assert sum(map(len, read_partitions(files))) == 30
    configfile = tmp_path / "config.yaml"
    configfile.write_text(configfile.read_text().replace("partitions: 3", "partitions: 1"))
    snakemake(tmp_path, "buckets")
    assert [path.name for path in files[0].parent.iterdir()] == ["000.fasta.gz"]
    assert len(read_partitions(files[:1])[0]) == 30
