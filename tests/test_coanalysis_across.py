"""The table over all structures, groups of relatives, and what is learnt of some and tried on others."""

import csv
import re

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analyses import Made
from analysing import Alone
from helixflow.coanalysis.across import Relations, find_relatives, learn_across, open_analyses, write_table
from helixflow.coanalysis.across.learning import choose_line, divide
from helixflow.coanalysis.across.table import COLUMNS
from helixflow.coanalysis.statistics import StatisticsSettings, write_statistics
from helixflow.coanalysis.statistics.ridge import PENALTIES, Sums
from helixflow.embeddings import open_embedding
from helixflow.errors import EmbeddingError, MismatchError
from helixflow.proteins import protein_id
from stores import random_vectors, write_run

LETTERS = list("ACDEFGHIKLMNPQRSTVWY")


def random_protein(seed, length=60):
    return "".join(np.random.default_rng([seed, 5]).choice(LETTERS, length))


def near_duplicate(sequence, seed, share=0.1):
    dice = np.random.default_rng([seed, 6])
    return "".join(dice.choice(LETTERS) if dice.random() < share else letter for letter in sequence)


class Run:
    """A run's folder: analyses of structures whose proteins are in a store, and who is related to whom."""

    def __init__(self, folder, vectors=random_vectors):
        self.folder, self.proteins, self.paths, self.vectors = folder, {}, [], vectors
        (folder / "coanalysis").mkdir(parents=True)
        self.units, self.groups, self.clusters = [], [], None

    def add(self, name, sequence, rmsf=None, temperature="", partner=None, statistics=False, **options):
        partner = partner or sequence
        self.proteins[protein_id(partner)] = partner
        vectors = self.vectors(partner).astype(np.float16).astype(float)
        made = Made(
            sequence,
            seed=len(self.paths) + 1,
            vectors=vectors,
            protein=[protein_id(partner)] * len(sequence),
            rmsf=rmsf,
            **options,
        )
        path = self.folder / "coanalysis" / f"{name}{temperature}.h5"
        path.parent.mkdir(exist_ok=True)
        made.write(path)
        if statistics:
            with h5py.File(path, "r+") as file:
                write_statistics(Alone(), file, StatisticsSettings(99, 1), made.vectors)
        self.paths.append(path)
        return made

    @property
    def analyses(self):
        return open_analyses(self.paths, self.folder / "coanalysis")

    def relations(self):
        """Write the tables of places, groups and clusters."""
        places = {"protein": [protein for protein, _ in self.units], "unit": [unit for _, unit in self.units]}
        groups = {"unit": [unit for unit, _ in self.groups], "group": [group for _, group in self.groups]}
        types = {"protein": pa.string(), "unit": pa.string(), "group": pa.int32()}
        for name, table in (("occurrences", places), ("groups", groups)):
            arrays = {column: pa.array(values, types[column]) for column, values in table.items()}
            pq.write_table(pa.table(arrays), self.folder / f"{name}.parquet")
        clusters = self.clusters and self.folder / "clusters.parquet"
        if clusters:
            names = ["protein", "representative"]
            pq.write_table(pa.table(list(zip(*self.clusters, strict=True)), names=names), clusters)
        return Relations(self.folder / "occurrences.parquet", self.folder / "groups.parquet", clusters)

    def related(self):
        return find_relatives(self.analyses, self.relations())

    def learn(self, groups=None):
        index = write_run(self.folder, self.proteins, vectors=self.vectors)
        return learn_across(self.analyses, groups or self.related(), index)


# Relatives


def test_relatives_share_proteins_groups_of_units_clusters_or_words(tmp_path):
    run, own = Run(tmp_path), [random_protein(seed) for seed in range(9)]
    ids = [protein_id(sequence) for sequence in own]
    run.add("a", own[0])
    run.add("b", own[1], partner=own[0])  # the same protein
    run.add("c", own[2])  # seen in a unit of the group of one of e's
    run.add("d", own[3])
    run.add("e", own[4])
    run.add("f", own[5])  # in one cluster with d
    run.add("g", near_duplicate(own[6], 1))
    run.add("h", own[6])  # of nearly the same sequence as g
    run.add("i", own[7])  # of no one's
    run.units = [
        (ids[2], "virus/1"),
        (ids[4], "virus/2"),
        (ids[7], "other"),
        (ids[7], "file"),
        (own[8], "virus/1"),
    ]
    run.groups = [("virus/1", 3), ("virus/2", 3), ("other", 4), ("unseen", 3)]
    run.clusters = [(ids[3], "SQ.x"), (ids[5], "SQ.x"), (ids[7], ids[7])]
    assert run.related() == {"a": 1, "b": 1, "c": 2, "d": 3, "e": 2, "f": 3, "g": 4, "h": 4, "i": 5}
    # One that belongs to two groups makes one of them.
    run.units.append((ids[0], "virus/2"))
    assert run.related() == {"a": 1, "b": 1, "c": 1, "d": 2, "e": 1, "f": 2, "g": 3, "h": 3, "i": 4}
    run.clusters = None
    assert run.related()["d"] != run.related()["f"]


@pytest.mark.parametrize(("share", "related"), [(0.15, True), (0.3, True), (1.0, False)])
def test_words_tell_relatives_from_others(tmp_path, share, related):
    for seed in range(6):
        run, sequence = Run(tmp_path / str(seed)), random_protein(seed, 250)
        run.add("a", sequence)
        run.add("b", near_duplicate(sequence, seed, share))
        groups = run.related()
        assert (groups["a"] == groups["b"]) == related


def test_temperatures_are_of_one_structure(tmp_path):
    run = Run(tmp_path)
    for temperature in ("/310K", "/300K", "/99.5K"):
        run.add("a.b", random_protein(1), temperature=temperature)
    run.add("300K", random_protein(2), temperature="/300K")
    assert [(each.structure, each.temperature_K) for each in run.analyses] == [
        ("300K", "300"), ("a.b", "99.5"), ("a.b", "300"), ("a.b", "310"),
    ]  # fmt: skip
    assert run.related() == {"300K": 1, "a.b": 2}


# Learning


def planted(sequence, seed=0):
    """RMSF that three numbers of the embedding decide, but for a little."""
    noise = np.random.default_rng([seed, 9]).normal(size=len(sequence))
    return 0.2 + 0.02 * random_vectors(sequence)[:, :3].sum(axis=1) + 0.002 * noise


def test_what_holds_for_all_is_learnt_of_others(tmp_path):
    run = Run(tmp_path)
    for number in range(4):
        sequence = random_protein(number)
        run.add(f"s{number}", sequence, rmsf=planted(sequence))
    found = run.learn()
    assert found["r2"]["embedding"] > 0.9 and found["r2"]["amino acid"] < 0.2
    assert [group["structures"] for group in found["groups"]] == [["s0"], ["s1"], ["s2"], ["s3"]]
    assert all(group["r2"]["embedding"] > 0.85 and group["residues"] == 60 for group in found["groups"])
    assert (found["structures"], found["residues"], found["note"]) == (4, 240, "")


def wide_vectors(sequence):
    """Ten times as many numbers as a residue's RMSF is worth: enough to know a residue again."""
    return np.random.default_rng(list(sequence.encode())).normal(size=(len(sequence), 400)).astype(np.float32)


def test_near_duplicates_on_both_sides_would_be_a_leak(tmp_path):
    """RMSF is random, so nothing can be learnt of it but by knowing the same residue again."""
    run = Run(tmp_path, wide_vectors)
    for number in range(4):
        sequence, rmsf = random_protein(number), np.random.default_rng(number).uniform(0.1, 0.3, 60)
        run.add(f"s{number}", sequence, rmsf=rmsf)
        run.add(f"s{number}_again", near_duplicate(sequence, number, 0.03), partner=sequence, rmsf=rmsf)
    groups = run.related()
    assert all(groups[f"s{number}"] == groups[f"s{number}_again"] for number in range(4))
    assert len(set(groups.values())) == 4
    apart = run.learn()
    assert abs(apart["r2"]["embedding"]) < 0.15
    straddling = run.learn({name: number for number, name in enumerate(groups)})
    assert straddling["r2"]["embedding"] > 0.8


def test_lines_are_those_of_learning_with_each_penalty_by_hand():
    dice = np.random.default_rng(3)
    slopes = dice.normal(size=5)
    folds = [(x, x @ slopes + dice.normal(size=30)) for x in dice.normal(size=(3, 30, 5))]
    weights, constant = choose_line([Sums.of(*fold) for fold in folds])
    errors = {}

    def by_hand(parts, penalty):
        x, y = (np.concatenate(each) for each in zip(*parts, strict=True))
        mean, sd = x.mean(axis=0), x.std(axis=0)
        z = (x - mean) / sd
        strength = penalty * (z**2).sum() / len(z)
        w = np.linalg.solve(z.T @ z + strength * np.eye(5), z.T @ (y - y.mean())) / sd
        return w, y.mean() - mean @ w

    for penalty in PENALTIES:
        lines = [by_hand([fold for fold in folds if fold is not out], penalty) for out in folds]
        tried = [((y - x @ w - c) ** 2).sum() for (w, c), (x, y) in zip(lines, folds, strict=True)]
        errors[penalty] = sum(tried)
    expected = by_hand(folds, min(errors, key=errors.get))
    np.testing.assert_allclose(weights, expected[0], atol=1e-9)
    assert constant == pytest.approx(expected[1], abs=1e-9)


def test_folds_are_whole_groups_of_about_as_many_residues():
    sizes = {number: 50 + 7 * number for number in range(1, 36)}
    folds = divide(sizes)
    assert len(folds) == 10 and sorted(number for fold in folds for number in fold) == list(sizes)
    loads = [sum(sizes[number] for number in fold) for fold in folds]
    assert max(loads) < 1.15 * min(loads)
    assert divide({4: 9, 2: 9}) == [[2], [4]]


def test_one_group_says_why_and_two_say_that_the_penalty_was_not_chosen(tmp_path):
    run = Run(tmp_path)
    run.add("a", random_protein(1))
    run.add("b", random_protein(1))
    found = run.learn()
    assert found["r2"] is None and "a, b: one group of relatives" in found["note"]
    assert found["groups"][0]["r2"] is None and found["residues"] == 120
    run.add("c", random_protein(2))
    found = run.learn()
    assert set(found["r2"]) == {"embedding", "amino acid", "neighbours", "chain end"}
    assert "the penalty, is 1" in found["note"]


def test_a_protein_that_the_index_lacks_is_named(tmp_path):
    run = Run(tmp_path)
    run.add("a", random_protein(1))
    run.add("b", random_protein(2))
    run.proteins.pop(lost := protein_id(random_protein(2)))
    with pytest.raises(MismatchError, match=re.escape(f"no protein {lost}, which {run.paths[1]} names")):
        run.learn()


# The table


@pytest.mark.parametrize("fault", ["all zero", "width"])
def test_vectors_that_are_damaged_or_of_another_width_are_named(tmp_path, monkeypatch, fault):
    run, own = Run(tmp_path), [random_protein(seed) for seed in (1, 2)]
    for at, sequence in enumerate(own):
        run.add(f"s{at}", sequence)
    message = {"all zero": "the vector of row 4 .* is all zero", "width": "vectors of 5 numbers, expected"}

    def damage(uri, folder):
        vectors = open_embedding(uri, folder).copy()
        if not uri.endswith(protein_id(own[1])):
            return vectors
        vectors[3] = 0
        return vectors if fault == "all zero" else vectors[:, :5]

    monkeypatch.setattr("helixflow.coanalysis.across.structures.open_embedding", damage)
    with pytest.raises(EmbeddingError, match=f"{protein_id(own[1])}: {message[fault]}"):
        run.learn()


def test_the_table_has_a_row_for_each_with_what_the_files_say(tmp_path):
    run = Run(tmp_path)
    sequence = random_protein(1, 80)
    scores = np.random.default_rng(1).random((80, 80))
    run.add("a", sequence, statistics=True, predicted=scores + scores.T)
    run.add("b", random_protein(2, 80), statistics=True, linked=np.arange(80) > 9)
    run.add("lost", random_protein(3, 80), statistics=True, linked=np.zeros(80, bool))
    write_table(tmp_path / "structures.tsv", run.analyses, {"a": 1, "b": 2, "lost": 3})
    with (tmp_path / "structures.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert tuple(rows[0]) == COLUMNS and [row["structure"] for row in rows] == ["a", "b", "lost"]
    assert [row["linked"] for row in rows] == ["80", "70", "0"]
    assert rows[0]["precision_L"] and not rows[1]["precision_L"]
    assert not rows[2]["spearman"] and not rows[2]["rmsf_r2"] and rows[2]["rmsd_nm"]
    with h5py.File(run.paths[0]) as file:
        statistics = file["statistics"]
        assert float(rows[0]["rg_nm"]) == pytest.approx(file["frame/rg_nm"][:].mean(), rel=1e-5)
        replica_error = statistics["series/replica_error"][0]
        assert float(rows[0]["rmsd_nm_replica_error"]) == pytest.approx(replica_error, rel=1e-5)
        assert float(rows[0]["shift_p"]) == pytest.approx(statistics["contact_cosine/shift_p"][0], rel=1e-5)
        assert float(rows[0]["precision_L"]) == pytest.approx(statistics["attention/precision"][0], rel=1e-5)
        assert float(rows[0]["rmsf_r2"]) == pytest.approx(statistics["rmsf/r2"][0], rel=1e-5)
    assert rows[0]["frames"] == "80" and rows[0]["replicas"] == "2" and rows[0]["temperature_K"] == ""


def test_no_structure_makes_valid_empty_files(tmp_path):
    run = Run(tmp_path)
    assert run.related() == {}
    write_table(tmp_path / "structures.tsv", run.analyses, {})
    assert (tmp_path / "structures.tsv").read_text() == "\t".join(COLUMNS) + "\n"
    found = learn_across([], {}, tmp_path / "index.parquet")
    assert found["r2"] is None and found["groups"] == [] and found["note"] == "no structure in the sheet"
