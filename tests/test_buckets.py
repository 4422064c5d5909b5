"""Buckets: a plain reference, the law of hyperplane LSH, both strands, sketches and groups."""

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import DEMO, ROOT
from helixflow.buckets import (
    EMPTY,
    BucketSettings,
    Hyperplanes,
    group_files,
    group_units,
    hash_members,
    jaccard,
    sketch,
)
from helixflow.config import read_schema
from helixflow.fasta import read_fasta
from helixflow.members import Member

VALUE = {"A": -1, "T": 1, "C": -1j, "G": 1j}


def read_table(path) -> dict[str, list]:
    return pq.read_table(path).to_pydict()


def buckets(planes: Hyperplanes, sequence: str) -> list[int]:
    return [int(bucket) for block in planes.buckets(sequence.encode()) for bucket in block]


def plain_buckets(planes: Hyperplanes, sequence: str) -> list[int]:
    """The definition, one k-mer and one plane at a time, in Python's own integers."""
    # Normal p of plane j: Re(x conj(p)) is Re p for x = T (+1) and Im p for x = G (+i).
    real, imaginary = planes.weights[:, 3].astype(object), planes.weights[:, 2].astype(object)

    def bucket(strand: str) -> int:
        x = [complex(VALUE[base]) for base in strand]
        scores = [
            sum(x[i].real * real[i, j] + x[i].imag * imaginary[i, j] for i in range(planes.k))
            for j in range(planes.bits)
        ]
        return sum(2**j for j, score in enumerate(scores) if score > 0)

    kmers = [sequence[start : start + planes.k] for start in range(len(sequence) - planes.k + 1)]
    return [
        min(bucket(kmer), bucket(str(Seq(kmer).reverse_complement())))
        for kmer in kmers
        if set(kmer) <= set(VALUE)
    ]


def random_sequence(length: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


@pytest.mark.parametrize(("k", "bits"), [(1, 3), (5, 8), (31, 20), (63, 26)])
def test_buckets_are_those_of_the_definition(k, bits):
    planes = Hyperplanes(k, bits, seed=3)
    sequence = random_sequence(90, seed=k) + "N" + random_sequence(70, seed=k + 1)
    assert buckets(planes, sequence) == plain_buckets(planes, sequence)


def test_blocks_have_no_seams():
    """More bases than one block holds: the same as hashing piece by piece at other places."""
    planes = Hyperplanes(31, 12, seed=1)
    sequence = random_sequence(150_000, seed=5)
    pieces = [buckets(planes, sequence[start : start + 7_030]) for start in range(0, len(sequence), 7_000)]
    assert buckets(planes, sequence) == [bucket for piece in pieces for bucket in piece]


@given(st.text("ACGTNacgtu", max_size=120), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_both_strands_have_the_same_buckets(sequence, k):
    planes = Hyperplanes(k, 14, seed=2)
    reverse = str(Seq(sequence.replace("u", "t")).reverse_complement())
    assert buckets(planes, sequence) == buckets(planes, reverse)[::-1]


def test_any_other_letter_breaks_the_window():
    planes = Hyperplanes(4, 6, seed=1)
    assert len(buckets(planes, "ACGTACGT")) == 5
    assert buckets(planes, "ACGTNACGT") == buckets(planes, "ACGT") * 2
    assert buckets(planes, "ACG") == buckets(planes, "") == buckets(planes, "RYKM") == []


def test_hyperplane_law():
    """Two points at angle theta lie on one side of a random plane with probability 1 - theta / pi."""
    k, bits = 31, 4000
    planes = Hyperplanes(k, bits, seed=11)
    rng = np.random.default_rng(0)
    kmer = rng.integers(0, 4, k)
    for distance in (1, 3, 6):
        agreement = []
        for _ in range(60):
            other = kmer.copy()
            places = rng.choice(k, distance, replace=False)
            other[places] = (other[places] + rng.integers(1, 4, distance)) % 4
            sides = [planes.weights[np.arange(k), which].sum(axis=0) > 0 for which in (kmer, other)]
            a, b = (np.array([VALUE["ACGT"[base]] for base in which]) for which in (kmer, other))
            theta = np.arccos(np.vdot(a, b).real / k)
            agreement.append((sides[0] == sides[1]).mean() - (1 - theta / np.pi))
        assert abs(np.mean(agreement)) < 0.01


def test_same_seed_same_buckets_other_seed_others():
    sequence = random_sequence(300, seed=1)
    same, other = Hyperplanes(21, 16, 7), Hyperplanes(21, 16, 8)
    assert buckets(Hyperplanes(21, 16, 7), sequence) == buckets(same, sequence)
    assert buckets(other, sequence) != buckets(same, sequence)


def test_sketch_estimates_the_jaccard_index():
    rng = np.random.default_rng(4)
    for shared in (0, 2_000, 5_000, 9_000):
        ids = rng.choice(1 << 24, 20_000 - shared, replace=False)
        a, b = ids[:10_000], ids[len(ids) - 10_000 :]
        estimate = jaccard(sketch(a, 1024), sketch(b, 1024))
        assert abs(estimate - len(np.intersect1d(a, b)) / len(np.union1d(a, b))) < 0.05


def test_sketch_of_a_small_set_is_exact():
    a, b = sketch(np.arange(10), 64), sketch(np.arange(5, 15), 64)
    assert (a != EMPTY).sum() == 10
    assert jaccard(a, b) == pytest.approx(5 / 15)
    assert jaccard(sketch(np.zeros(0, int), 64), a) == 0.0


SETTINGS = BucketSettings(k=21, bits=22, family="hyperplane", seed=1, sketch_size=256)


def hash_text(folder, name: str, content: str, kind: str = "genome", settings: BucketSettings = SETTINGS):
    fasta, out = folder / f"{name}.fasta", folder / f"{name}.h5"
    fasta.write_text(content)
    hash_members([Member(name, kind, (fasta,), fasta)], out, settings)
    return out


def test_spectrum_counts_every_kmer_of_a_real_genome(tmp_path):
    content = (DEMO / "NC_001802.fna").read_text()
    sequence = "".join(content.splitlines()[1:])
    with h5py.File(hash_text(tmp_path, "hiv1", content)) as h5:
        assert dict(h5.attrs) == {"k": 21, "bits": 22, "family": "hyperplane", "seed": 1}
        bucket, count = h5["/spectrum/bucket"][:], h5["/spectrum/count"][:]
        assert (bucket.dtype, count.dtype) == (np.uint32, np.uint64)
        assert h5["/unit/name"].asstr()[:].tolist() == ["hiv1"]
        assert h5["/unit/residues"][:].tolist() == [9181]
        sketched = h5["/unit/sketch"][0]
    expected = np.unique(buckets(Hyperplanes(21, 22, 1), sequence), return_counts=True)
    assert np.array_equal(bucket, expected[0]) and np.array_equal(count, expected[1])
    assert np.array_equal(sketched, sketch(expected[0], 256))


def test_units_are_genomes_or_the_records_of_a_metagenome(tmp_path):
    one, two, tiny = random_sequence(70_000, 1), random_sequence(500, 2), "ACGT"
    content = f">one x\n{one}\n>two\n{two}\n>tiny\n{tiny}\n"
    with h5py.File(hash_text(tmp_path, "m", content, "metagenome")) as h5:
        assert h5["/unit/name"].asstr()[:].tolist() == ["m/one", "m/two", "m/tiny"]
        assert h5["/unit/residues"][:].tolist() == [70_000, 500, 4]
        assert (h5["/unit/sketch"][2] == EMPTY).all()
        records = h5["/unit/sketch"][:]
    with h5py.File(hash_text(tmp_path, "g", content)) as h5:
        assert h5["/unit/residues"][:].tolist() == [70_504]
        union = np.union1d(records[0], records[1])[:256]
        assert np.array_equal(h5["/unit/sketch"][0], union)


def test_empty_input_gives_a_valid_empty_table(tmp_path):
    group_files([], tmp_path / "groups.parquet", 0.5)
    assert read_table(tmp_path / "groups.parquet") == {
        "unit": [], "group": [], "representative": [], "partition": [], "residues": [],
    }  # fmt: skip


def mutate(sequence: str, share: float, seed: int) -> str:
    rng = np.random.default_rng(seed)
    letters = np.array(list(sequence))
    where = rng.random(len(letters)) < share
    letters[where] = rng.choice(list("ACGT"), where.sum())
    return "".join(letters)


def test_groups_hold_strains_and_keep_genomes_apart(tmp_path):
    """Mutated copies join the genome they come from, the longest is the representative, order is nothing."""
    hiv1 = "".join((DEMO / "NC_001802.fna").read_text().splitlines()[1:])
    plasmid = "".join((DEMO / "NC_005816.fna").read_text().splitlines()[1:])
    genomes = {
        "hiv1": hiv1, "strain_a": mutate(hiv1, 0.005, 1)[:-9], "strain_b": mutate(hiv1, 0.01, 2)[:-99],
        "plasmid": plasmid, "plasmid_short": plasmid[: len(plasmid) * 4 // 5],
    }  # fmt: skip
    files = [hash_text(tmp_path, name, f">x\n{genome}\n") for name, genome in genomes.items()]
    group_files(files, tmp_path / "forward.parquet", 0.5)
    group_files(files[::-1], tmp_path / "backward.parquet", 0.5)
    table = read_table(tmp_path / "forward.parquet")
    assert table == read_table(tmp_path / "backward.parquet")
    chosen = dict(zip(table["unit"], table["representative"], strict=True))
    assert chosen == {
        **dict.fromkeys(("hiv1", "strain_a", "strain_b"), "hiv1"),
        **dict.fromkeys(("plasmid", "plasmid_short"), "plasmid"),
    }
    groups = dict(zip(table["representative"], table["group"], strict=True))
    assert sorted(groups.values()) == [0, 1]


def test_a_shorter_unit_that_is_added_moves_nobody():
    rng = np.random.default_rng(9)
    sets = [rng.choice(5_000, 3_000, replace=False) for _ in range(12)]
    sketches = [sketch(ids, 128) for ids in sets]
    names = [f"u{number:02d}" for number in range(12)]
    sizes = [1_000 + number for number in range(12)]
    before = group_units(names[1:], sizes[1:], sketches[1:], 0.4)
    after = group_units(names, sizes, sketches, 0.4)
    assert after[1:] == before
    assert len(set(after)) < len(after), "some of these sets must be similar for the test to say anything"


def test_unrelated_genomes_do_not_look_alike_at_the_defaults(data):
    """The default number of buckets keeps two kinds of bacteria below the default threshold."""
    section = read_schema(ROOT / "config/schema.yaml")["properties"]["buckets"]["properties"]
    default = {key: leaf["default"] for key, leaf in section.items()}
    planes = Hyperplanes(default["k"], default["bits"], default["seed"])
    sketches = []
    for name in ("AE004092_Spyogenes_M1GAS.fna.gz", "GCF_000043285.1_Blochmannia_floridanus.fna.gz"):
        genome = read_fasta(data / "genomes" / name)
        blocks = [np.unique(block) for _, letters in genome for block in planes.buckets(letters.encode())]
        sketches.append(sketch(np.unique(np.concatenate(blocks)), default["sketch_size"]))
    assert jaccard(*sketches) < default["min_jaccard"] / 2
