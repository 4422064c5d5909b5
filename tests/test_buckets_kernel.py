"""The kernel of the buckets: every family against its definition, seams, streaming, the laws of planes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from itertools import chain, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from helixflow.buckets import BucketSettings, check_settings
from helixflow.buckets.families import make_encoding
from helixflow.buckets.files import hash_members
from helixflow.buckets.planes import plane_weights, sample_planes
from helixflow.buckets.sketches import EMPTY
from helixflow.buckets.spectra import Counts, Pass
from helixflow.buckets.stream import in_order
from helixflow.buckets.units import Units
from helixflow.errors import ConfigError, SourceError
from helixflow.members import Member
from kmers import (
    BASES,
    FAMILIES,
    member,
    plain_buckets,
    plain_sketch,
    random_sequence,
    reverse,
    spectrum_of,
    write_text,
)

ALL = pytest.mark.parametrize("family", FAMILIES)


def ids(path: Path, chosen: BucketSettings, **options) -> list[int]:
    return [int(i) for part in Pass([member(path)], chosen, **options).ids() for i in part.ids]


def hashed(path: Path, kind: str, chosen: BucketSettings, **options):
    """Spectrum, and what is known of each unit."""
    one = Pass([member(path, kind)], chosen, **options)
    units = [unit for batch in one.units() for unit in split(batch)]
    return *spectrum(one.counts), units


def spectrum(counts: Counts) -> tuple[list[int], list[int]]:
    buckets, times = zip(*counts.stretches(), strict=True)
    return np.concatenate(buckets).tolist(), np.concatenate(times).tolist()


def joined(lists) -> list[int]:
    return list(chain.from_iterable(lists))


def split(batch: Units) -> list[tuple[str, int, list[int]]]:
    return [
        (name, int(batch.residues[i]), batch.values[batch.bounds[i] : batch.bounds[i + 1]].tolist())
        for i, name in enumerate(batch.names)
    ]


@ALL
def test_ids_are_those_of_the_definition(tmp_path, family):
    sequence = (
        random_sequence(200, 1) + "N" + random_sequence(90, 2, "ACGTUacgtu") + "-" + random_sequence(70, 3)
    )
    path = write_text(tmp_path / "x.fasta", f">x\n{sequence}\n")
    expected = plain_buckets(FAMILIES[family], sequence)
    assert len(expected) > 100
    assert ids(path, FAMILIES[family]) == expected
    assert max(expected) < make_encoding(FAMILIES[family]).n_bucket


@ALL
def test_both_strands_have_the_same_buckets(tmp_path, family):
    sequence = random_sequence(60, 4) + "N" + random_sequence(90, 5) + "AT" * 40
    paths = [
        write_text(tmp_path / f"{name}.fasta", f">x\n{text}\n")
        for name, text in (("forward", sequence), ("backward", reverse(sequence)))
    ]
    one, other = (sorted(ids(path, FAMILIES[family])) for path in paths)
    assert one == other and len(one) > 50


#: Records as people write them: of any length, none too, with breaks, blank lines and any length of line.
RECORDS = st.lists(
    st.tuples(
        st.text("ACGTNacgtu*", max_size=90), st.integers(1, 70), st.sampled_from(["\n", "\r\n", "\n\n"])
    ),
    max_size=7,
)


def fasta_text(records) -> str:
    text = ""
    for number, (sequence, width, end) in enumerate(records):
        lines = [sequence[i : i + width] for i in range(0, len(sequence), width)]
        text += f">r{number} of some{end}" + "".join(line + end for line in lines)
    return text


@given(RECORDS, st.sampled_from(list(FAMILIES)), st.integers(1, 50), st.sampled_from([1, 3]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_seams(tmp_path_factory, records, family, block, threads, zipped):
    """Blocks of any size, threads and compression: ids, counts and sketches of the plain definition."""
    chosen = FAMILIES[family]
    path = tmp_path_factory.mktemp("seams") / ("x.fasta.gz" if zipped else "x.fasta")
    write_text(path, fasta_text(records))
    each = [plain_buckets(chosen, sequence) for sequence, _, _ in records]
    sketched = [plain_buckets(chosen.of_sketch(), sequence) for sequence, _, _ in records]
    assert ids(path, chosen, threads=threads, block=block) == joined(each)
    expected = [
        (f"m/r{i}", len(sequence), plain_sketch(sketched[i], 64))
        for i, (sequence, _, _) in enumerate(records)
    ]
    found = hashed(path, "metagenome", chosen, threads=threads, block=block)
    assert found == (*spectrum_of(joined(each)), expected)
    letters = sum(len(sequence) for sequence, _, _ in records)
    whole = [("m", letters, plain_sketch(joined(sketched), 64))]
    assert hashed(path, "genome", chosen, threads=threads, block=block) == (*found[:2], whole)


@given(st.lists(st.text("ACGTN", max_size=60), max_size=8), st.integers(1, 40), st.sampled_from([1, 3]))
@settings(max_examples=60, deadline=None)
def test_seams_of_reads(tmp_path_factory, reads, block, threads):
    chosen = FAMILIES["hyperplane"]
    path = tmp_path_factory.mktemp("reads") / "x.fastq.gz"
    write_text(path, "".join(f"@r{i} 1\n{read}\n+\n{'@' * len(read)}\n" for i, read in enumerate(reads)))
    expected = joined(plain_buckets(chosen, read) for read in reads)
    assert ids(path, chosen, threads=threads, block=block) == expected
    (unit,) = hashed(path, "reads", chosen, threads=threads, block=block)[2]
    assert unit[:2] == ("m", sum(map(len, reads)))


@pytest.mark.parametrize("block", [1, 5, 40, 1 << 17])
@pytest.mark.parametrize("family", ["hyperplane", "spaced tables"])
def test_runs_begin_where_kmers_do_not_go_on(tmp_path, family, block):
    """What a window of training must not cross: a break, or the end of a record."""
    chosen, lengths = FAMILIES[family], [30, 3, 0, 50, 8, 41]
    runs = [random_sequence(length, length) for length in lengths]
    path = write_text(
        tmp_path / "x.fasta", f">a\n{runs[0]}N{runs[1]}N\n>b\n{runs[2]}\n>c\n{'-'.join(runs[3:])}\n"
    )
    parts, begin, begins = list(Pass([member(path)], chosen, block=block).ids()), 0, []
    for part in parts:
        begins += (begin + part.runs).tolist()
        begin += len(part.ids)
    expected = np.cumsum([0, *(len(plain_buckets(chosen, run)) for run in runs)])
    assert begins == sorted({*expected[:-1].tolist()} - {int(expected[-1])})
    assert [name for part in parts for name in part.names] == ["m"]


def test_ids_tell_where_the_records_of_a_metagenome_begin(tmp_path):
    chosen, sequences = FAMILIES["hyperplane"], [random_sequence(length, length) for length in (50, 4, 0, 33)]
    path = write_text(tmp_path / "x.fasta", "".join(f">r{i}\n{s}\n" for i, s in enumerate(sequences)))
    for block in (1, 7, 1000):
        begin, found = 0, {}
        for part in Pass([member(path, "metagenome")], chosen, block=block).ids():
            found |= {name: begin + int(mark) for name, mark in zip(part.names, part.marks, strict=True)}
            begin += len(part.ids)
        ends = np.cumsum([0, *(len(plain_buckets(chosen, s)) for s in sequences)])
        assert found == {f"m/r{i}": ends[i] for i in range(4)}


def test_a_long_chromosome_is_split(tmp_path):
    """Several blocks of the default size, two threads: what one block at a time, elsewhere cut, gives."""
    sequence = random_sequence(700_000, 6)
    path = write_text(tmp_path / "x.fasta.gz", f">x\n{sequence}\n")
    chosen = BucketSettings(31, 16, "hyperplane", 1, 256)
    found = hashed(path, "metagenome", chosen, threads=2)
    assert found == hashed(path, "metagenome", chosen, block=50_021)
    assert sum(found[1]) == 700_000 - 30
    pieces = [sequence[start : start + 7_030] for start in range(0, 700_000, 7_000)]
    path = write_text(
        tmp_path / "pieces.fasta", "".join(f">{i}\n{piece}\n" for i, piece in enumerate(pieces))
    )
    assert hashed(path, "metagenome", chosen)[:2] == found[:2]


def test_ten_bases_and_nothing(tmp_path):
    chosen = FAMILIES["hyperplane"]
    path = write_text(tmp_path / "x.fasta", ">a\nACGTACGTAC\n>b\n>c\n\n>d\nACG")
    found = hashed(path, "metagenome", chosen)
    assert [unit[:2] for unit in found[2]] == [("m/a", 10), ("m/b", 0), ("m/c", 0), ("m/d", 3)]
    assert sum(found[1]) == 4
    empty = write_text(tmp_path / "y.fastq.gz", "")
    assert hashed(empty, "reads", chosen) == ([], [], [("m", 0, [])])


def test_a_million_tiny_records(tmp_path):
    rng = np.random.default_rng(8)
    letters = rng.choice(np.frombuffer(b"ACGT", np.uint8), (1_000_000, 10))
    lines = np.full((1_000_000, 14), ord("\n"), np.uint8)
    lines[:, :2], lines[:, 3:13] = np.frombuffer(b">r", np.uint8), letters
    path = tmp_path / "x.fasta"
    path.write_bytes(lines.tobytes())
    chosen = replace(
        FAMILIES["hyperplane"], sketch_family="hyperplane", sketch_k=7, sketch_bits=9, sketch_size=4
    )
    before = time.process_time()
    _, counts, units = hashed(path, "genome", chosen)
    assert time.process_time() - before < 20
    assert sum(counts) == 4_000_000 and units[0][1] == 10_000_000
    one = Pass([member(path, "metagenome")], chosen, threads=2)
    batches = list(one.units())
    assert sum(len(batch.names) for batch in batches) == 1_000_000
    assert sum(int(batch.residues.sum()) for batch in batches) == 10_000_000
    assert spectrum(one.counts)[1] == counts
    some = plain_buckets(chosen, letters[0].tobytes().decode())
    assert split(batches[0])[0] == ("m/r", 10, plain_sketch(some, 4))


def test_long_names(tmp_path):
    """A name longer than the room for those of a block."""
    names = ["n" * 300_000, "o" * 10, "p" * 140_000]
    path = write_text(tmp_path / "x.fasta", "".join(f">{name} more\nACGTACGTAC\n" for name in names))
    found = hashed(path, "metagenome", FAMILIES["hyperplane"])[2]
    assert [unit[0] for unit in found] == [f"m/{name}" for name in names]


def test_text_before_the_first_record_is_none(tmp_path):
    path = write_text(tmp_path / "x.fasta", "ACGTACGTACGT\n;comment\n\n>a\nACGTACGT\n")
    assert sum(hashed(path, "genome", FAMILIES["hyperplane"])[1]) == 2


def test_a_cut_off_file_is_refused(tmp_path):
    path = write_text(tmp_path / "x.fastq", "@a\nACGT\n+\nIIII\n@b\nACGT\n")
    with pytest.raises(SourceError, match=r"x\.fastq: ends within a read"):
        ids(path, FAMILIES["hyperplane"])
    zipped = write_text(tmp_path / "x.fasta.gz", f">a\n{random_sequence(5000, 1)}\n")
    zipped.write_bytes(zipped.read_bytes()[:-9])
    with pytest.raises(SourceError, match="cannot be read whole"):
        ids(zipped, FAMILIES["hyperplane"], threads=2)


def test_members_of_a_collection_are_units_in_order(tmp_path):
    """Small ones whole, others in blocks: as each alone, and the counts are their sum."""
    chosen = FAMILIES["hyperplane"]
    paths = [
        write_text(tmp_path / f"{i:02d}.fasta.gz", f">x\n{random_sequence(3000 + i, i)}\n") for i in range(30)
    ]
    members = [Member(path.name[:2], "genome", (path,), path) for path in paths]
    for threads in (1, 4):
        whole: list[Units] = []
        listed = list(Pass(members, chosen, threads).ids(whole.append))
        assert [name for part in listed for name in part.names] == [each.name for each in members]
        one = Pass(members, chosen, threads)
        units = [unit for batch in one.units() for unit in split(batch)]
        assert [unit for batch in whole for unit in split(batch)] == units
        alone = [hashed(path, "genome", chosen) for path in paths]
        assert units == [(each.name, *a[2][0][1:]) for each, a in zip(members, alone, strict=True)]
        assert sum(spectrum(one.counts)[1]) == sum(sum(a[1]) for a in alone)


def test_mates_are_one_unit(tmp_path):
    chosen, reads = FAMILIES["hyperplane"], [random_sequence(40, seed) for seed in (1, 2)]
    paths = [write_text(tmp_path / f"{i}.fastq", f"@r\n{read}\n+\n{read}\n") for i, read in enumerate(reads)]
    one = Pass([Member("m", "reads", tuple(paths), paths[0])], chosen)
    expected = joined(plain_buckets(chosen, read) for read in reads)
    assert [int(i) for part in one.ids() for i in part.ids] == expected


def test_counters_of_32_bits_do_not_overflow(monkeypatch):
    counts = Counts(4)
    monkeypatch.setattr("helixflow.buckets.spectra._HALF", 1000)
    for _ in range(7):
        counts.add(np.full(999, 2, np.uint32), 999)
    counts.add(np.array([1], np.uint32), 1)
    assert spectrum(counts) == ([1, 2], [1, 6993])
    assert counts._counts.max() < 2000, "what passed the half was taken off"


def test_results_come_in_order_from_threads():
    items = list(range(50))
    for threads in (1, 4):
        assert list(in_order(lambda i: i * i, items, threads)) == [i * i for i in items]
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda i: 1 // (i - 30), items, 3))


# Families.


def test_planes_fit_into_8_bits():
    for k, symmetric in [(1, False), *product((2, 15, 31, 63), (False, True))]:
        weights = plane_weights(BucketSettings(k, 26, "hyperplane", 1, 1, symmetric=symmetric))
        largest = np.abs(weights).max(axis=1).sum(axis=0)
        assert largest.max() <= 127
        if symmetric:
            assert np.array_equal(weights, weights[::-1, ::-1])
        elif k > 1:
            assert largest.min() > 110


def test_canonical_ten_mers_have_524800_buckets():
    tenmers = make_encoding(BucketSettings(1, 1, "spaced", 1, 1))
    assert (tenmers.n_bucket, tenmers.span, tenmers.about["bits"]) == (524_800, 10, 20)
    halves = make_encoding(BucketSettings(1, 1, "spaced", 1, 1, patterns=("1111111111", "RR11111111RR")))
    assert halves.per_window == 2 and halves.n_bucket == 1_049_600


def test_planes_of_a_model_are_read_from_a_file(tmp_path):
    normals, offsets = sample_planes(9, 12, 5)
    np.savez(tmp_path / "planes.npz", normals=7 * normals, offsets=7 * offsets)
    chosen = BucketSettings(9, 1, "lshvec", 1, 64, planes=str(tmp_path / "planes.npz"))
    path = write_text(tmp_path / "x.fasta", f">x\n{random_sequence(300, 1)}\n")
    found = ids(path, chosen)
    assert found == plain_buckets(chosen, random_sequence(300, 1))
    about = make_encoding(chosen).about
    assert about["bits"] == 12 and about["planes"].startswith("sha256:") and "seed" not in about


def test_sampled_planes_go_through_kmers():
    """Of LSHVec's planes, k random k-mers lie on each: on average half of all are above it."""
    value = np.array([-1, -1j, 1j, 1])
    normals, offsets = sample_planes(15, 40, 1)
    kmers = value[np.random.default_rng(1).integers(0, 4, (4000, 15))]
    above = ((kmers @ normals.conj().T).real > offsets.real).mean(axis=0)
    assert abs(above.mean() - 0.5) < 0.08 and above.min() < 0.45 < 0.55 < above.max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "spaced", "patterns": ()}, "has 0, expected 1 to 8"),
        ({"family": "spaced", "patterns": ("1102",)}, "'1102' is no pattern"),
        ({"family": "spaced", "patterns": ("000",)}, "'000' is no pattern"),
        ({"family": "spaced", "patterns": ("1" * 14,)}, "chooses 28 bits"),
        ({"family": "lshvec", "planes": "no.npz"}, r"no\.npz cannot be read"),
        ({"family": "lshvec", "planes": "{folder}/bad.npz"}, "cannot be read"),
        ({"family": "lshvec", "planes": "{folder}/short.npz"}, r"expected \(m, 31\)"),
        ({"family": "lshvec", "planes": "{folder}/cut.npz"}, "cannot be read"),
        ({"family": "lshvec", "planes": "{folder}/array.npy"}, "cannot be read"),
        ({"family": "lshvec", "planes": "{folder}/none.npz"}, "has 0 planes, expected 1 to 26"),
        ({"family": "lshvec", "planes": "{folder}/many.npz"}, "has 27 planes, expected 1 to 26"),
        ({"family": "lshvec", "planes": "{folder}/dates.npz"}, "cannot be read"),
        ({"family": "spaced", "patterns": ("111\n",)}, r"'111\\n' is no pattern"),
        ({"family": "lshvec", "planes": "{folder}/huge.npz"}, "far too large or small"),
        ({"family": "spaced", "patterns": ["1"] * 9}, "has 9, expected 1 to 8"),
        ({"symmetric": True, "k": 1}, "expected k of 2"),
        ({"sketch_family": "hyperplane"}, "32 bits of family hyperplane, expected at most 26"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, change, message):
    np.savez(tmp_path / "bad.npz", normals=np.array([{}]), offsets=np.zeros(1))
    np.savez(tmp_path / "short.npz", normals=np.zeros((4, 9)), offsets=np.zeros(4))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "short.npz").read_bytes()[:200])
    np.save(tmp_path / "array.npy", np.zeros((4, 31)))
    np.savez(tmp_path / "none.npz", normals=np.zeros((0, 31)), offsets=np.zeros(0))
    np.savez(tmp_path / "many.npz", normals=np.ones((27, 31)), offsets=np.ones(27))
    np.savez(tmp_path / "dates.npz", normals=np.ones((4, 31), "M8[s]"), offsets=np.ones(4))
    np.savez(tmp_path / "huge.npz", normals=np.full((4, 31), 1e308), offsets=np.zeros(4))
    if "planes" in change:
        change["planes"] = change["planes"].format(folder=tmp_path)
    chosen = replace(BucketSettings(31, 20, "hyperplane", 1, 64), **change)
    with pytest.raises(ConfigError, match=message):
        Pass([], chosen)
    with pytest.raises(ConfigError, match=message):
        check_settings(asdict(chosen) | {"threads": 1})


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        ({"k": 9, "bits": 9, "modulus": 5, "planes": "x.npz", "symmetric": True}, False),
        ({"patterns": ("111",)}, True),
        ({"sketch_k": 15}, True),
        ({"sketch_family": "spaced", "sketch_k": 21}, True),
        ({"family": "lshvec"}, True),
    ],
)
def test_only_keys_that_are_used_repeat_a_job(change, decides):
    before = BucketSettings(31, 20, "spaced", 1, 64)
    assert (replace(before, **change).deciding() != before.deciding()) == decides
    assert replace(before, **change).planes_files() == []
    lshvec = replace(before, family="lshvec", planes="x.npz")
    assert lshvec.planes_files() == ["x.npz"] and lshvec.deciding()["planes"] == "x.npz"


# Laws of random planes: two points at angle theta are on one side with probability 1 - theta / pi.

COMPLEX = np.array([-1, -1j, 1j, 1])


def points(kmers: np.ndarray, symmetric: bool) -> np.ndarray:
    """The vectors that planes divide; symmetric ones see a k-mer less its reverse."""
    values = COMPLEX[kmers]
    return values - values[..., ::-1] if symmetric else values


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    def inner(x, y):
        return (x * y.conj()).sum(axis=-1).real

    # Where all of a vector is zero, both are on the same side.
    norms = np.sqrt(inner(a, a) * inner(b, b))
    cosine = np.divide(inner(a, b), norms, out=np.ones_like(norms), where=norms > 0)
    return np.arccos(np.clip(cosine, -1, 1))


def substitute(kmers: np.ndarray, distance: int, rng: np.random.Generator) -> np.ndarray:
    other, k = kmers.copy(), kmers.shape[1]
    for row in other:
        places = rng.choice(k, distance, replace=False)
        row[places] = (row[places] + rng.integers(1, 4, distance)) % 4
    return other


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("k", [15, 31, 63])
def test_agreement_of_a_bit(k, symmetric):
    """Within 0.01 at every Hamming distance, although weights are integers of a few bits and ties occur."""
    rng = np.random.default_rng(0)
    weights = plane_weights(BucketSettings(k, 3000, "hyperplane", 11, 1, symmetric=symmetric))
    for distance in range(9):
        kmers = rng.integers(0, 4, (60, k))
        others = substitute(kmers, distance, rng)
        one, other = (weights[np.arange(k), each].sum(axis=1) > 0 for each in (kmers, others))
        theta = angles(points(kmers, symmetric), points(others, symmetric))
        assert abs(((one == other).mean(axis=1) - (1 - theta / np.pi)).mean()) < 0.01


def buckets_of(chosen: BucketSettings, kmers: np.ndarray) -> np.ndarray:
    """The bucket of each of many k-mers."""
    encoding, none = make_encoding(chosen), np.zeros(0, np.int64)
    codes = np.full((len(kmers), kmers.shape[1] + 1), 4, np.uint8)
    codes[:, 1:] = kmers
    block = np.concatenate([np.full(4, 4, np.uint8), codes.ravel()])
    found = np.empty(len(block), np.uint32)
    assert encoding.hash(block, 4, none, none, found) == len(kmers)
    return found[: len(kmers)]


@pytest.mark.parametrize("symmetric", [False, True])
def test_collisions(symmetric):
    """One substitution within 8 % of the law, and 20,000 times as often as two k-mers at random."""
    rng, k, bits, number = np.random.default_rng(0), 31, 20, 100_000
    near, random, theory = [], [], []
    for seed in range(12):
        chosen = BucketSettings(k, bits, "hyperplane", seed, 1, symmetric=symmetric)
        kmers = rng.integers(0, 4, (number, k))
        others, places = kmers.copy(), rng.integers(0, k, number)
        others[np.arange(number), places] += rng.integers(1, 4, number)
        others %= 4
        one, other = buckets_of(chosen, kmers), buckets_of(chosen, others)
        theta = angles(points(kmers, symmetric), points(others, symmetric))
        near.append((one == other).mean())
        theory.append(((1 - theta / np.pi) ** bits).mean())
        times = np.bincount(one).astype(float)
        random.append((times * (times - 1)).sum() / number / (number - 1))
    assert abs(np.mean(near) / np.mean(theory) - 1) < 0.08
    assert np.mean(near) / np.mean(random) > 2e4


def test_hash_spreads_evenly():
    kmers = np.random.default_rng(1).integers(0, 4, (1 << 18, 21))
    times = np.bincount(buckets_of(BucketSettings(21, 10, "hash", 1, 1), kmers), minlength=1024)
    assert abs(times / 256 - 1).max() < 0.35


# Processes.


def python(code: str, *arguments, **environment) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'tests'}", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def write_large(path: Path, bases: int) -> None:
    """Random DNA in lines of 80, records of up to 50 Mbases."""
    rng, letters = np.random.default_rng(2), np.frombuffer(b"ACGT", np.uint8)
    with path.open("wb") as stream:
        for number in range(0, bases, 10_000_000):
            if number % 50_000_000 == 0:
                stream.write(b">chromosome\n")
            lines = np.full((125_000, 81), ord("\n"), np.uint8)
            lines[:, :80] = letters[rng.integers(0, 4, (125_000, 80), np.uint8)]
            stream.write(lines.tobytes())


GROWTH = """
import resource, sys
from pathlib import Path
from helixflow.buckets import BucketSettings
from helixflow.buckets.files import hash_members
from kmers import member

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

small, large, out = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
threads, bits = map(int, sys.argv[4:])
hash_members([member(small)], out, BucketSettings(31, 4, "hyperplane", 1, 1024), threads)
before = peak()
hash_members([member(large)], out, BucketSettings(31, bits, "hyperplane", 1, 1024), threads)
print(peak() - before)
"""


@pytest.mark.parametrize(("threads", "bits"), [(1, 20), (2, 24)])
def test_a_file_of_200_MB_is_streamed(tmp_path, threads, bits):
    large, small = tmp_path / "large.fasta", write_text(tmp_path / "small.fasta", ">x\nACGTACGTA\n")
    write_large(large, 200_000_000)
    process = python(GROWTH, small, large, tmp_path / "x.h5", threads, bits)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert int(out) < (64 << 20) + 4 * (1 << bits) + threads * (2 << 20)


def test_a_killed_run_leaves_nothing(tmp_path):
    path, out = tmp_path / "x.fasta", tmp_path / "out" / "x.h5"
    write_large(path, 100_000_000)
    code = """
import sys
from pathlib import Path
from helixflow.buckets import BucketSettings
from helixflow.buckets.files import hash_members
from kmers import member
hash_members([member(Path(sys.argv[1]))], sys.argv[2], BucketSettings(31, 20, "hyperplane", 1, 64), 2)
"""
    process = python(code, path, out)
    while not out.parent.exists() or not any(out.parent.iterdir()):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and not out.exists()


def test_nothing_is_left_where_a_file_is_damaged(tmp_path):
    path = write_text(tmp_path / "x.fasta.gz", f">a\n{random_sequence(5000, 1)}\n")
    path.write_bytes(path.read_bytes()[:-9])
    (tmp_path / "out").mkdir()
    with pytest.raises(SourceError):
        hash_members([member(path)], tmp_path / "out" / "x.h5", FAMILIES["hyperplane"])
    assert list((tmp_path / "out").iterdir()) == []


TIMED = """
import sys, time
from pathlib import Path
from helixflow.buckets import BucketSettings
from helixflow.buckets.files import hash_members
from kmers import member
before = time.process_time()
hash_members([member(Path(sys.argv[1]))], sys.argv[2], BucketSettings(21, 20, "hash", 1, 64, sketch_bits=20))
print(time.process_time() - before)
"""


def test_compiled_kernels_are_kept_also_by_jobs_that_start_at_once(tmp_path):
    path = write_text(tmp_path / "x.fasta", f">a\n{random_sequence(5000, 1)}\n")
    cold = [
        python(TIMED, path, tmp_path / f"{i}.h5", NUMBA_CACHE_DIR=str(tmp_path / "cache")) for i in range(2)
    ]
    times = [float(process.communicate(timeout=300)[0]) for process in cold]
    warm = python(TIMED, path, tmp_path / "warm.h5", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert float(warm.communicate(timeout=300)[0]) < min(times) / 2
    contents = {(tmp_path / f"{i}.h5").read_bytes() for i in (0, 1, "warm")}
    assert len(contents) == 1


@pytest.mark.parametrize("damage", ["cut index", "cut code", "no room"])
def test_a_damaged_cache_is_renewed(tmp_path, damage):
    path, cache = write_text(tmp_path / "x.fasta", f">a\n{random_sequence(5000, 1)}\n"), tmp_path / "cache"
    own = {"NUMBA_CACHE_DIR": str(cache)}
    python(TIMED, path, tmp_path / "0.h5", **own).communicate(timeout=300)
    for kept in cache.rglob("*.nbi" if damage == "cut index" else "*.nbc"):
        if damage == "no room":
            # A folder of this name can neither be read nor written.
            kept.unlink()
            kept.mkdir()
        else:
            kept.write_bytes(kept.read_bytes()[:60])
    for number in (1, 2):
        job = python(TIMED, path, tmp_path / f"{number}.h5", **own)
        job.communicate(timeout=300)
        assert job.returncode == 0
    assert len({(tmp_path / f"{i}.h5").read_bytes() for i in range(3)}) == 1
    if damage != "no room":
        assert min(kept.stat().st_size for kept in cache.rglob("*.nb[ic]")) > 60


def test_planes_are_the_same_on_every_machine():
    """OpenBLAS computes by other instructions on other processors, in another order."""
    code = """
import hashlib
from helixflow.buckets import BucketSettings
from helixflow.buckets.planes import fixed_planes, plane_weights, sample_planes
for k in (15, 31, 63):
    settings = BucketSettings(k, 20, "hyperplane", 1, 64)
    made = [*fixed_planes(*sample_planes(k, 24, 1)), plane_weights(settings)]
    print(*(hashlib.sha256(array.tobytes()).hexdigest() for array in made))
"""
    kinds = ("Prescott", "Haswell", "")
    assert len({python(code, OPENBLAS_CORETYPE=kind).communicate()[0] for kind in kinds}) == 1


def test_a_cache_is_found_where_the_package_cannot_be_written(tmp_path, monkeypatch):
    from helixflow import jit

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert jit.find_cache().is_relative_to(Path(jit.__file__).parent)
    (tmp_path / "file").touch()
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "file" / "jit.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert jit.find_cache().is_relative_to(tmp_path / "home" / "helixflow")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert jit.find_cache() is None
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "mine"))
    assert jit.find_cache() == tmp_path / "mine"


def test_numba_is_loaded_when_it_is_needed():
    code = "import sys, helixflow.buckets\nprint(*({'numba', 'llvmlite', 'h5py'} & set(sys.modules)))"
    assert python(code).communicate()[0].split() == []
    assert EMPTY == 2**32 - 1 and BASES == "ACGT"
