"""Buckets: files of spectra and sketches, their merging, groups of similar units."""

from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from conftest import DEMO, ROOT
from helixflow.buckets import BucketSettings
from helixflow.buckets.files import hash_members, merge_files
from helixflow.buckets.sketches import EMPTY, jaccard, sketch
from helixflow.config import read_schema
from helixflow.errors import MismatchError
from helixflow.members import Member
from kmers import plain_buckets, plain_sketch, random_sequence, spectrum_of


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
    hash_members([Member(name, kind, (fasta,), fasta)], out, settings, threads=2)
    return out


def test_spectrum_counts_every_kmer_of_a_real_genome(tmp_path):
    content = (DEMO / "NC_001802.fna").read_text()
    sequence = "".join(content.splitlines()[1:])
    with h5py.File(hash_text(tmp_path, "hiv1", content)) as h5:
        assert dict(h5.attrs) == {
            "family": "hyperplane", "k": 21, "bits": 22, "seed": 1, "symmetric": False, "buckets": 1 << 22,
            "sketch_family": "hash", "sketch_k": 21, "sketch_bits": 32, "sketch_seed": 1,
            "sketch_buckets": 1 << 32,
        }  # fmt: skip
        bucket, count = h5["/spectrum/bucket"][:], h5["/spectrum/count"][:]
        assert (bucket.dtype, count.dtype) == (np.uint32, np.uint64)
        assert h5["/unit/name"].asstr()[:].tolist() == ["hiv1"]
        assert h5["/unit/residues"][:].tolist() == [9181]
        sketched = h5["/unit/sketch"][0]
    assert (bucket.tolist(), count.tolist()) == spectrum_of(plain_buckets(SETTINGS, sequence))
    assert sketched.tolist() == plain_sketch(plain_buckets(SETTINGS.of_sketch(), sequence), 256)


def test_a_sketch_of_the_spectrum_is_that_of_its_buckets(tmp_path):
    same = replace(SETTINGS, sketch_family="hyperplane", sketch_k=21, sketch_bits=22)
    with h5py.File(hash_text(tmp_path, "x", f">x\n{random_sequence(5_000, 1)}\n", settings=same)) as h5:
        assert np.array_equal(h5["/unit/sketch"][0], sketch(h5["/spectrum/bucket"][:], 256))


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


def default_settings() -> BucketSettings:
    section = read_schema(ROOT / "config/schema.yaml")["properties"]["buckets"]["properties"]
    return BucketSettings(**{each.name: section[each.name]["default"] for each in fields(BucketSettings)})


def test_settings_have_the_defaults_of_the_schema():
    chosen = default_settings()
    plain = BucketSettings(*(getattr(chosen, each.name) for each in fields(BucketSettings)[:5]))
    assert replace(chosen, patterns=tuple(chosen.patterns)) == plain


def test_unrelated_genomes_do_not_look_alike_at_the_defaults(data, tmp_path):
    """The default sketch keeps two kinds of bacteria far below the default threshold."""
    sketches = []
    for name in ("AE004092_Spyogenes_M1GAS.fna.gz", "GCF_000043285.1_Blochmannia_floridanus.fna.gz"):
        path = data / "genomes" / name
        hash_members([Member(name, "genome", (path,), path)], tmp_path / "x.h5", default_settings())
        with h5py.File(tmp_path / "x.h5") as h5:
            sketches.append(h5["/unit/sketch"][0])
    assert jaccard(*sketches) < 0.02


def test_merged_parts_are_the_whole(tmp_path):
    """Two genomes, one of them in two files, against all of it in one go."""
    texts = [f">{i}\n{random_sequence(4_000 + i, i)}\n" for i in range(3)]
    paths = [tmp_path / f"{i}.fasta" for i in range(3)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    members = [
        Member("a", "genome", (paths[0],), paths[0]),
        Member("b", "genome", (paths[1],), paths[1]),
        Member("a", "genome", (paths[2],), paths[2]),
    ]
    for number, member in enumerate(members):
        hash_members([member], tmp_path / f"{number}.h5", SETTINGS)
    merge_files([tmp_path / f"{i}.h5" for i in range(3)], tmp_path / "merged.h5")
    whole = [Member("a", "genome", (paths[0], paths[2]), paths[0]), members[1]]
    hash_members(whole, tmp_path / "whole.h5", SETTINGS)
    with h5py.File(tmp_path / "merged.h5") as merged, h5py.File(tmp_path / "whole.h5") as whole:
        assert dict(merged.attrs) == dict(whole.attrs)
        for name in ("/spectrum/bucket", "/spectrum/count", "/unit/name", "/unit/residues", "/unit/sketch"):
            assert np.array_equal(merged[name][:], whole[name][:]), name


def test_files_of_other_settings_are_not_merged(tmp_path):
    one = hash_text(tmp_path, "one", ">x\nACGT\n")
    other = hash_text(tmp_path, "other", ">x\nACGT\n", settings=replace(SETTINGS, sketch_k=20))
    with pytest.raises(MismatchError, match="other settings"):
        merge_files([one, other], tmp_path / "x.h5")


def test_a_unit_whose_sketch_is_saturated_is_told(tmp_path, caplog):
    narrow = replace(SETTINGS, sketch_family="hash", sketch_k=8, sketch_bits=14)
    hash_text(tmp_path, "x", f">x\n{random_sequence(9_000, 1)}\n", settings=narrow)
    assert "1 of 1 units fill more than 25 %" in caplog.text
    caplog.clear()
    hash_text(tmp_path, "y", f">x\n{random_sequence(9_000, 1)}\n")
    assert caplog.text == ""
