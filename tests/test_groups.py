"""Groups of similar units: estimates and groups against brute force, stability, and many units."""

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from bench_groups import make_collection, read_genome, what_is_left
from conftest import DEMO, ROOT
from helixflow.buckets import BucketSettings
from helixflow.buckets.files import hash_members
from helixflow.buckets.groups import group_files, group_units
from helixflow.buckets.sketches import EMPTY, jaccard, sketch
from helixflow.config import read_schema
from helixflow.members import Member
from kmers import random_sequence
from strains import make_strain, substitute

SETTINGS = BucketSettings(k=21, bits=22, family="hyperplane", seed=1, sketch_size=256)


def read_table(path) -> dict[str, list]:
    return pq.read_table(path).to_pydict()


def hash_text(folder, name: str, content: str, kind: str = "genome", settings: BucketSettings = SETTINGS):
    fasta, out = folder / f"{name}.fasta", folder / f"{name}.h5"
    fasta.write_text(content)
    hash_members([Member(name, kind, (fasta,), fasta)], out, settings)
    return out


def canonical_kmers(sequence: bytes, k: int = 21) -> set[bytes]:
    other = sequence.translate(bytes.maketrans(b"ACGT", b"TGCA"))[::-1]
    n = len(sequence)
    return {min(sequence[i : i + k], other[n - i - k : n - i]) for i in range(n - k + 1)}


def plain_groups(names, residues, sketches, min_jaccard) -> dict[str, str]:
    """Every unit against every representative, as the docstring says it."""
    chosen: dict[str, str] = {}
    rows = dict(zip(names, sketches, strict=True))
    for _, name in sorted((-count, name) for count, name in zip(residues, names, strict=True)):
        first = [
            other
            for other in dict.fromkeys(chosen.values())
            if jaccard(rows[name], rows[other]) >= min_jaccard
        ]
        chosen[name] = first[0] if first else name
    return chosen


def test_empty_input_gives_a_valid_empty_table(tmp_path):
    group_files([], tmp_path / "groups.parquet", 0.5)
    assert read_table(tmp_path / "groups.parquet") == {
        "unit": [], "group": [], "representative": [], "jaccard": [], "residues": [],
    }  # fmt: skip


def test_groups_hold_strains_and_keep_genomes_apart(tmp_path):
    """Mutated copies join the genome they come from, the longest is the representative, order is nothing."""
    rng = np.random.default_rng(1)
    hiv1 = "".join((DEMO / "NC_001802.fna").read_text().splitlines()[1:])
    plasmid = "".join((DEMO / "NC_005816.fna").read_text().splitlines()[1:])
    genomes = {
        "hiv1": hiv1,
        "strain_a": substitute(hiv1.encode(), 0.005, rng).decode()[:-9],
        "strain_b": substitute(hiv1.encode(), 0.01, rng).decode()[:-99],
        "plasmid": plasmid,
        "plasmid_short": plasmid[: len(plasmid) * 4 // 5],
        "nothing": "",
    }
    files = [hash_text(tmp_path, name, f">x\n{genome}\n") for name, genome in genomes.items()]
    group_files(files, tmp_path / "forward.parquet", 0.5)
    group_files(files[::-1], tmp_path / "backward.parquet", 0.5)
    table = read_table(tmp_path / "forward.parquet")
    assert table == read_table(tmp_path / "backward.parquet")
    chosen = dict(zip(table["unit"], table["representative"], strict=True))
    assert chosen == {
        **dict.fromkeys(("hiv1", "strain_a", "strain_b"), "hiv1"),
        **dict.fromkeys(("plasmid", "plasmid_short"), "plasmid"),
        "nothing": "nothing",
    }
    kmers = {name: canonical_kmers(genome.encode()) for name, genome in genomes.items()}
    for unit, representative, estimate in zip(
        table["unit"], table["representative"], table["jaccard"], strict=True
    ):
        one, other = kmers[unit], kmers[representative]
        exact = len(one & other) / len(one | other) if one else 1.0
        # Planes put unlike 21-mers into one bucket too, here one in 500, and a sketch has 256 values.
        assert abs(estimate - exact) < 0.1 and (unit != representative or estimate == 1)
    groups = dict(zip(table["representative"], table["group"], strict=True))
    assert sorted(groups.values()) == [0, 1, 2]
    assert table["residues"] == [len(genomes[unit]) for unit in table["unit"]]


def test_units_of_a_metagenome_are_grouped_each(tmp_path):
    """Several thousand records of one file, more than are read at a time, with one copy of each."""
    records = [random_sequence(60, seed) for seed in range(2_100)]
    lines = [f">{2 * i}\n{record}A\n>{2 * i + 1}\n{record}\n" for i, record in enumerate(records)]
    file = hash_text(tmp_path, "m", "".join(lines), "metagenome", BucketSettings(10, 1, "spaced", 1, 64))
    group_files([file], tmp_path / "groups.parquet", 0.5)
    table = read_table(tmp_path / "groups.parquet")
    numbers = [int(unit[2:]) // 2 * 2 for unit in table["unit"]]
    assert table["representative"] == [f"m/{number}" for number in numbers]
    assert len(numbers) == 4_200


def test_copies_are_found_in_a_dense_cluster():
    """300 strains that differ in a percent of their k-mers share most minima; each is there twice."""
    rng = np.random.default_rng(5)
    common = rng.integers(0, 2**32, 4_000)
    strains = [
        np.concatenate([common[rng.random(4_000) < 0.99], rng.integers(0, 2**32, 40)]) for _ in range(300)
    ]
    sketches = [sketch(np.unique(strain), 256) for strain in strains for _ in "ab"]
    names = [f"{number:03d}{copy}" for number in range(300) for copy in "ab"]
    residues = [1_000] * 600
    chosen = group_units(names, residues, sketches, 0.995)
    assert dict(zip(names, chosen, strict=True)) == plain_groups(names, residues, sketches, 0.995)
    assert len(set(chosen)) > 200


@pytest.mark.parametrize("min_jaccard", [0.1, 0.4, 0.7, 1.0])
def test_groups_are_those_of_all_against_all(min_jaccard):
    """Chains of sets, each like the one before, of sizes that are less than a sketch and many times more."""
    rng = np.random.default_rng(3)
    sets = [rng.integers(0, 2**32, size) for size in rng.integers(1, 3_000, 40)]
    for step in range(300):
        ids = sets[step].copy()
        changed = rng.random(len(ids)) < rng.choice([0.0, 0.05, 0.2, 0.4])
        ids[changed] = rng.integers(0, 2**32, changed.sum())
        sets.append(ids)
    sketches = [sketch(np.unique(ids), 256) for ids in sets]
    sizes = rng.integers(1, 50, len(sets)).tolist()
    names = [f"u{number}" for number in rng.permutation(len(sets))]
    got = group_units(names, sizes, sketches, min_jaccard)
    assert dict(zip(names, got, strict=True)) == plain_groups(names, sizes, sketches, min_jaccard)
    assert 1 < len(set(got)) < len(sets)


@pytest.mark.parametrize("added_size", [999, 500])
def test_a_unit_that_is_added_and_is_not_longer_than_the_representatives_moves_nobody(added_size):
    rng = np.random.default_rng(9)
    sets = [rng.choice(5_000, 3_000, replace=False) for _ in range(12)]
    sketches = [sketch(ids, 128) for ids in sets]
    names = [f"u{number:02d}" for number in range(12)]
    sizes = [added_size, *range(1_000, 1_006), 400, 401, 402, 403, 404]
    before = group_units(names[1:], sizes[1:], sketches[1:], 0.4)
    assert {sizes[names.index(name)] for name in before} <= {*range(1_000, 1_006)}
    after = group_units(names, sizes, sketches, 0.4)
    assert after[1:] == before
    assert len(set(after)) < len(after), "some of these sets must be similar for the test to say anything"


def test_estimates_are_those_of_the_sets_of_real_genomes(data, tmp_path):
    """Sketches of 1,024 values against the sets of all canonical 21-mers, over a range of similarities."""
    genome = read_genome(data / "genomes" / "GCF_000011745.1_Blochmannia_pennsylvanicus.fna.gz")[:300_000]
    other = read_genome(data / "genomes" / "GCF_000043285.1_Blochmannia_floridanus.fna.gz")[:300_000]
    rng = np.random.default_rng(2)
    shares = (0.0005, 0.001, 0.003, 0.005, 0.01, 0.02, 0.04, 0.08)
    units = [genome, other, *(make_strain(genome, share, rng) for share in shares)]
    files = [
        hash_text(
            tmp_path, str(i), f">x\n{unit.decode()}\n", settings=BucketSettings(10, 1, "spaced", 1, 1024)
        )
        for i, unit in enumerate(units)
    ]
    sketches = [h5py.File(file)["/unit/sketch"][0] for file in files]
    sets = [canonical_kmers(unit) for unit in units]
    pairs = [(i, j) for i in range(len(units)) for j in range(i)]
    exact = np.array([len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i, j in pairs])
    errors = np.array([jaccard(sketches[i], sketches[j]) for i, j in pairs]) - exact
    assert exact.min() < 0.01 and exact.max() > 0.9
    assert np.abs(errors).max() <= 0.03, errors
    assert np.sqrt((errors**2).mean()) < 0.0157, "the standard error of a Jaccard index of .5"


def test_twenty_thousand_units_of_which_many_share_values():
    """All share the smallest values, as genomes share a conserved gene; a tenth are of their own."""
    units, families, size = 20_000, 2_000, 128
    rng = np.random.default_rng(4)
    base = rng.integers(2**24, 2**32 - 1, (families, size), np.uint32)
    rows = base[np.arange(units) % families]
    changed = rng.random(rows.shape) < 0.03
    rows = np.where(
        changed & (np.arange(units) >= families)[:, None], rng.integers(2**24, 2**32 - 1, rows.shape), rows
    )
    rows[:, :20] = np.arange(20)
    rows = np.sort(rows.astype(np.uint32), axis=1)
    names = [f"u{number}" for number in range(units)]
    chosen = group_units(names, list(range(units, 0, -1)), rows, 0.5)
    assert chosen == [f"u{number % families}" for number in range(units)]


def test_units_without_kmers_are_their_own(tmp_path):
    empty = np.full(64, EMPTY)
    assert group_units(["a", "b"], [0, 0], [empty, empty], 0.5) == ["a", "b"]


def test_representatives_leave_few_proteins_and_nearly_all_families(data, tmp_path):
    """Two strains of M. gallisepticum and copies of them; `make bench` has a larger collection."""
    section = read_schema(ROOT / "config/schema.yaml")["properties"]["buckets"]["properties"]
    default = section["min_jaccard"]["default"]
    files = {"NC_004829_Mgallisepticum_Rlow.gbk": 4, "NC_018407_Mgallisepticum_NC95.gbk": 4}
    table = what_is_left(make_collection(files, (0.002,)), tmp_path, [default])
    representatives, left, lost = table[default]
    assert representatives == len(files), (
        "a copy joins its genome, and 7 % of families are of one strain alone"
    )
    assert left <= 0.6
    assert lost <= 0.05
