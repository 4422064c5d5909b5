"""The co-analysis of measures against MDAnalysis, numpy and its own definition, and what it refuses.

How frames are measured is in test_coanalysis_measures.py, the statistics in test_coanalysis_statistics.py.
"""

import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import MDAnalysis as mda
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from MDAnalysis import transformations
from MDAnalysis.analysis import align, pca, rms
from scipy.spatial.transform import Rotation

from analysing import (
    CUTOFF_NM,
    MPIRUN,
    SEPARATION,
    analyse,
    contacts_of,
    measure,
    needs_mpi,
    request_of,
    write_inputs,
    write_measures,
)
from conftest import ROOT
from helixflow.coanalysis.components import find_components, find_weighted_components
from helixflow.coanalysis.contacts import choose_features, mark_features, weigh_residues
from helixflow.coanalysis.explained import SHUFFLES, about_replicas, cut_segments, explain, segment_moments
from helixflow.coanalysis.geometry import cosine_matrix, superpose
from helixflow.coanalysis.inputs import Request
from helixflow.coanalysis.moments import Moments
from helixflow.coanalysis.motion import cross_correlation
from helixflow.embeddings.contact_store import CONTACT_TYPES
from helixflow.errors import EmbeddingError, HelixflowError, MismatchError
from helixflow.proteins.names import protein_id
from helixflow.structures.chemistry import CODES
from helixflow.tables import write_rows
from servers import s3_service

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:MDAnalysis")

WIDTH, K = 24, 3


@dataclass
class Case:
    """The input files of one structure, and its C-alphas (T, N, 3) in nm by replica."""

    folder: Path
    alphas: list[np.ndarray]

    def path(self, name: str) -> Path:
        return self.folder / name

    def request(self, replicas: Sequence[int] = (), **changes) -> Request:
        numbers = replicas or range(1, len(self.alphas) + 1)
        return request_of(self.folder, [self.path(f"{number}.h5") for number in numbers], **changes)

    def run(self, ranks: int, output: Path | None = None) -> subprocess.CompletedProcess[str]:
        program = ROOT / "scripts/analyse_structure.py"
        command = [*MPIRUN, "-n", ranks, sys.executable, "-m", "mpi4py", program]
        for name, value in vars(self.request()).items():
            command += ["--" + name.replace("_", "-"), *(value if isinstance(value, list) else [value])]
        command += ["--output", output or self.path(f"ranks{ranks}.h5")]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def trpcage(data, tmp_path_factory):
    """Three replicas of trp-cage, one of several blocks; two residues without a partner, one substituted."""
    folder = tmp_path_factory.mktemp("trpcage")
    for name in ("1l2y.gro", "1l2y.xtc"):
        shutil.copy(data / "md" / name, folder)
    universe = mda.Universe(folder / "1l2y.gro", folder / "1l2y.xtc")
    atoms = universe.select_atoms("name CA")
    frames = np.array([atoms.positions / 10 for _ in universe.trajectory], np.float32)
    codes = "".join(CODES[name] for name in atoms.resnames)
    rng = np.random.default_rng(3)
    # 1044 frames, so three blocks: turned and moved, and the coordinates of other frames mixed in.
    mixed = frames[rng.integers(0, 38, 1044)] * 0.7 + frames[rng.integers(0, 38, 1044)] * 0.3
    turned = [Rotation.random(random_state=rng).apply(frame) + rng.normal(0, 2, 3) for frame in mixed]
    partner = "MKT" + codes[:9] + "A" + codes[10:] + "GG"
    write_inputs(folder, codes, [None, None, *((partner, row + 4) for row in range(2, 20))], width=WIDTH)
    case = Case(folder, [frames, np.array(turned, np.float32), frames[30:31]])
    for number, alphas in enumerate(case.alphas, 1):
        write_measures(folder / f"{number}.h5", folder / "residues.tsv", alphas)
    return case


@pytest.fixture(scope="module")
def found(trpcage, tmp_path_factory):
    """Its analysis."""
    output = tmp_path_factory.mktemp("analysis") / "x.h5"
    with h5py.File(analyse(trpcage.request(), output)) as file:
        yield file


@pytest.fixture(scope="module")
def adk(data, tmp_path_factory):
    """Adenylate kinase, made whole, measured and analysed; its own sequence is the partner."""
    folder = tmp_path_factory.mktemp("adk")
    for name in ("adk_oplsaa.tpr", "adk_oplsaa.xtc"):
        shutil.copy(data / "md" / name, folder)
    universe = mda.Universe(folder / "adk_oplsaa.tpr", folder / "adk_oplsaa.xtc")
    protein = universe.select_atoms("protein")
    universe.trajectory.add_transformations(transformations.unwrap(protein))
    (folder / "1").mkdir()
    protein.write(folder / "1" / "protein.pdb")
    protein.write(folder / "1" / "protein.xtc", frames="all")
    codes = "".join(CODES[name] for name in protein.residues.resnames)
    write_inputs(folder, codes, [(codes, row) for row in range(1, 215)], width=WIDTH)
    measure(folder / "residues.tsv", folder / "1", folder / "1.h5")
    whole = mda.Universe(folder / "1/protein.pdb", folder / "1/protein.xtc").select_atoms("name CA")
    case = Case(folder, [np.array([whole.positions / 10 for _ in whole.universe.trajectory])])
    with h5py.File(analyse(case.request(), folder / "x.h5")) as file:
        yield case, file


@pytest.fixture
def case(trpcage, tmp_path):
    """A copy of trp-cage's inputs, to be damaged."""
    folder = tmp_path / "case"
    shutil.copytree(trpcage.folder, folder, ignore=shutil.ignore_patterns("ranks*", ".*", "1l2y*"))
    return Case(folder, trpcage.alphas)


def made_up(folder, n_residue, frames, width=WIDTH, partners=None, still=False, **changes):
    """Analyse a chain of random frames, with every warning an error."""
    rng = np.random.default_rng(n_residue)
    codes = "".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), n_residue))
    partners = [(codes, row + 1) for row in range(n_residue)] if partners is None else partners
    write_inputs(folder, codes, partners, width=width)
    base = np.cumsum(rng.normal(0, 0.2, (n_residue, 3)), axis=0)
    case = Case(folder, [base + (0 if still else 0.1) * rng.normal(size=(n, n_residue, 3)) for n in frames])
    for number, alphas in enumerate(case.alphas, 1):
        write_measures(folder / f"{number}.h5", folder / "residues.tsv", alphas)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return case, h5py.File(analyse(case.request(**changes), folder / "x.h5"))


def vectors_of(case):
    """Vectors of the residues straight from the store, zero without a partner."""
    rows = [line.split("\t")[7] for line in case.path("links.tsv").read_text().splitlines()[1:]]
    with h5py.File(case.path("store/part.h5")) as part:
        stored = part["residue"][:].astype(float)
    return np.array([stored[int(row) - 1] if row else np.zeros(stored.shape[1]) for row in rows])


# Against the definition, frame by frame


def test_the_algebra_is_the_definition_frame_by_frame():
    rng = np.random.default_rng(5)
    linked = rng.random(30) > 0.2
    vectors = rng.normal(size=(30, WIDTH)) * linked[:, None]
    maps = np.triu(rng.random((7, 30, 30)) > 0.8, 1)
    maps[3] = False  # a frame without contacts
    lists = [np.flatnonzero(one) for one in maps]
    counts, pairs = np.array([len(one) for one in lists]), np.concatenate(lists).astype(np.uint32)
    weights, coherence = weigh_residues(counts, pairs, cosine_matrix(vectors), linked)
    pooled = weights @ vectors
    for frame, contact in enumerate(maps):
        both = [(i, j) for i in range(30) for j in range(30) if contact[i, j] and linked[i] and linked[j]]
        if not both:
            assert frame == 3 and np.isnan(coherence[3]) and np.isnan(pooled[3]).all()
            continue
        cosines = [
            vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j]) for i, j in both
        ]
        wanted = np.mean([vectors[at] for pair in both for at in pair], axis=0)
        np.testing.assert_allclose(pooled[frame], wanted, atol=1e-12)
        assert coherence[frame] == pytest.approx(np.mean(cosines), abs=1e-12)
    np.testing.assert_allclose(weights[[0, 1, 2, 4, 5, 6]].sum(axis=1), 1)
    features = np.unique(rng.integers(0, 900, 40))
    marks = mark_features(counts, pairs, features)
    np.testing.assert_array_equal(marks, maps.reshape(7, 900)[:, features])
    assert marks.any() and mark_features(counts, pairs, features[:0]).shape == (7, 0)


def test_frames_are_joined_with_embeddings_as_defined(trpcage, found):
    vectors, linked = vectors_of(trpcage), np.arange(20) > 1
    maps = contacts_of(np.concatenate(trpcage.alphas), ["A"] * 20, CUTOFF_NM, SEPARATION)
    known = maps & linked & linked[:, None]
    wanted = np.array([one.sum(axis=1) @ vectors / one.sum() for one in known])
    np.testing.assert_allclose(found["frame/embedding"], wanted, atol=1e-6)
    cosine = cosine_matrix(vectors)
    coherence = [cosine[one].mean() for one in known]
    np.testing.assert_allclose(found["frame/coherence"], coherence, atol=1e-12)
    context = np.mean([one @ vectors for one in maps], axis=0)
    np.testing.assert_allclose(found["residue/context"][2:], context[2:], atol=1e-5)
    assert np.isnan(found["residue/context"][:2]).all()
    assert np.isnan(found["pair/embedding_cosine"][:2]).all()
    np.testing.assert_allclose(found["pair/embedding_cosine"][2:, 2:], cosine[2:, 2:], atol=1e-12)
    np.testing.assert_array_equal(found["pair/start_contact"], maps[0])


def test_contacts_by_heavy_atoms_are_compared_where_asked(trpcage, tmp_path):
    maps = contacts_of(np.concatenate(trpcage.alphas), ["A"] * 20, 0.7, SEPARATION)
    with h5py.File(analyse(trpcage.request(criterion="heavy"), tmp_path / "x.h5")) as file:
        assert file.attrs["criterion"] == "heavy" and "heavy atoms" in file.attrs["contact"]
        np.testing.assert_array_equal(file["pair/start_contact"], maps[0])
        np.testing.assert_array_equal(file["frame/heavy_contacts"], maps.sum(axis=(1, 2)) // 2)
        np.testing.assert_allclose(file["pair/heavy_contact_frequency"], maps.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(file["residue/heavy_contacts"], maps.mean(axis=0).sum(axis=1), atol=1e-12)
        context = maps.mean(axis=0) @ vectors_of(trpcage)
        np.testing.assert_allclose(file["residue/context"][2:], context[2:], atol=1e-5)


# Motion, against MDAnalysis and by brute force


def universe_of(alphas):
    """C-alphas in memory, in ångström."""
    universe = mda.Universe.empty(alphas.shape[1], alphas.shape[1], atom_resindex=range(alphas.shape[1]))
    universe.add_TopologyAttr("names", ["CA"] * alphas.shape[1])
    universe.add_TopologyAttr("types", ["C"] * alphas.shape[1])
    universe.add_TopologyAttr("masses", [12.0] * alphas.shape[1])
    return universe.load_new(alphas.astype(float) * 10)


def check_motion(motion, alphas):
    """Hold components of one replica, laid on its first frame, against MDAnalysis."""
    universe = universe_of(alphas)
    align.AlignTraj(universe, universe_of(alphas[:1]), select="name CA", in_memory=True).run()
    wanted = pca.PCA(universe, select="name CA", align=False, n_components=K).run()
    projected = wanted.transform(universe.atoms, n_components=K)
    # MDAnalysis divides by one frame less.
    scale = (len(alphas) - 1) / len(alphas) / 100
    np.testing.assert_allclose(motion["variance"], wanted.results.variance * scale, rtol=1e-5)
    np.testing.assert_allclose(np.cumsum(motion["share"]), wanted.results.cumulated_variance, rtol=1e-5)
    total = motion.attrs["total_variance"]
    np.testing.assert_allclose(motion["share"], motion["variance"][:] / total, rtol=1e-12)
    np.testing.assert_allclose(motion["mean_nm"], wanted.mean / 10, atol=1e-6)
    modes = motion["mode"][:].reshape(K, -1)
    signs = np.sign((modes.T * wanted.results.p_components).sum(axis=0))
    np.testing.assert_allclose(modes.T, wanted.results.p_components * signs, atol=1e-4)
    np.testing.assert_allclose(motion["projection"], projected * signs / 10, atol=1e-5)
    assert all(mode[np.abs(mode).argmax()] > 0 for mode in modes)


def test_components_of_motion_are_those_of_mdanalysis(trpcage, adk, tmp_path):
    with h5py.File(analyse(trpcage.request(replicas=[1]), tmp_path / "x.h5")) as file:
        check_motion(file["components/motion"], trpcage.alphas[0])
    case, file = adk
    check_motion(file["components/motion"], case.alphas[0])


def test_both_steps_follow_from_the_frames_of_adenylate_kinase(adk):
    """Its molecule is whole: 19.65 Å, where the raw file gives 24.38."""
    case, file = adk
    (alphas,) = case.alphas
    maps = contacts_of(alphas.astype(float), ["A"] * 214, CUTOFF_NM, SEPARATION)
    np.testing.assert_array_equal(file["frame/contacts"], maps.sum(axis=(1, 2)) // 2)
    np.testing.assert_array_equal(file["pair/start_contact"], maps[0])
    np.testing.assert_allclose(file["pair/contact_frequency"], maps.mean(axis=0), atol=1e-12)
    assert file["frame/rg_nm"][0] * 10 == pytest.approx(19.65, abs=0.005)
    universe = universe_of(alphas)
    wanted = rms.RMSD(universe, select="name CA", ref_frame=0).run().results.rmsd[:, 2]
    np.testing.assert_allclose(file["frame/rmsd_nm"][:] * 10, wanted, atol=1e-5)
    mean = universe_of(file["components/motion/mean_nm"][:][None])
    wanted = rms.RMSD(universe, mean, select="name CA").run().results.rmsd[:, 2]
    np.testing.assert_allclose(file["frame/rmsd_to_mean_nm"][:] * 10, wanted, atol=1e-5)
    cosine, vectors = file["pair/embedding_cosine"][:], vectors_of(case)
    coherence = [cosine[one].mean() for one in maps]
    np.testing.assert_allclose(file["frame/coherence"], coherence, atol=1e-12)
    context = maps.mean(axis=0) @ vectors
    np.testing.assert_allclose(file["residue/context"], context, atol=1e-4)


def test_rmsd_to_the_mean_is_that_of_mdanalysis(trpcage, found):
    alphas = np.concatenate(trpcage.alphas)
    mean = universe_of(found["components/motion/mean_nm"][:][None])
    wanted = rms.RMSD(universe_of(alphas), mean, select="name CA").run().results.rmsd[:, 2]
    np.testing.assert_allclose(found["frame/rmsd_to_mean_nm"][:] * 10, wanted, atol=1e-5)
    laid = superpose(alphas.astype(float), alphas[0].astype(float))
    np.testing.assert_allclose(found["components/motion/mean_nm"], laid.mean(axis=0), atol=1e-12)


def test_cross_correlation_is_that_of_its_definition(trpcage, found):
    groups = [(found, trpcage.alphas), *((found[f"replica/{n}"], trpcage.alphas[n - 1 : n]) for n in (1, 2))]
    for group, replicas in groups:
        laid = [superpose(each.astype(float), trpcage.alphas[0][0].astype(float)) for each in replicas]
        moved = np.concatenate([alphas - alphas.mean(axis=0) for alphas in laid])
        wanted = np.empty((20, 20))
        for i in range(20):
            for j in range(20):
                products = [
                    np.mean((moved[:, a] * moved[:, b]).sum(axis=1)) for a, b in ((i, j), (i, i), (j, j))
                ]
                wanted[i, j] = products[0] / np.sqrt(products[1] * products[2])
        np.testing.assert_allclose(group["pair/cross_correlation"], wanted, atol=1e-10)
    assert np.isnan(found["replica/3/pair/cross_correlation"]).all(), "one frame does not move"


# Moments and components, against numpy


def test_moments_do_not_depend_on_where_rows_are_cut():
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) + 1e4
    for cuts in ([], [1], [0, 17, 17, 49], [50]):
        merged = sum(map(Moments.of, np.split(rows, cuts)), Moments.nothing(6))
        assert merged.count == 50
        np.testing.assert_allclose(merged.mean, rows.mean(axis=0))
        np.testing.assert_allclose(merged.covariance, np.cov(rows.T, bias=True), rtol=1e-9)


@pytest.mark.parametrize("width", [5, 24, 60])
def test_components_of_embeddings_are_those_of_numpy(tmp_path, width):
    """Of 20 residues, with fewer numbers in a vector and with more."""
    case, file = made_up(tmp_path, 20, [40, 30], width=width, components=4)
    with file:
        vectors = vectors_of(case)
        maps = contacts_of(np.concatenate(case.alphas).astype(np.float32), ["A"] * 20, CUTOFF_NM, SEPARATION)
        rows = np.array([one.sum(axis=1) @ vectors / one.sum() for one in maps])
        centred = rows - rows.mean(axis=0)
        _, singular, modes = np.linalg.svd(centred, full_matrices=False)
        space = file["components/embedding"]
        np.testing.assert_allclose(space["variance"], singular[:4] ** 2 / 70, rtol=1e-9)
        assert space.attrs["total_variance"] == pytest.approx((centred**2).sum() / 70)
        signs = np.sign((space["mode"][:] * modes[:4]).sum(axis=1))
        np.testing.assert_allclose(space["mode"], modes[:4] * signs[:, None], atol=1e-8)
        np.testing.assert_allclose(space["projection"], centred @ modes[:4].T * signs, atol=1e-8)


def test_frames_without_contacts_are_left_out_of_the_components_of_embeddings(tmp_path):
    """Frames blown up by ten, of which the measures list no contacts."""
    case, _ = made_up(tmp_path, 20, [40])
    alphas = case.alphas[0]
    alphas[[3, 17]] *= 10
    blown, rest = (tmp_path / name for name in ("blown.h5", "rest.h5"))
    write_measures(blown, case.path("residues.tsv"), alphas)
    write_measures(rest, case.path("residues.tsv"), np.delete(alphas, [3, 17], axis=0))
    files = []
    for path in (blown, rest):
        files.append(h5py.File(analyse(request_of(tmp_path, [path]), tmp_path / f"of_{path.name}")))
    with files[0] as with_them, files[1] as without:
        lacking = np.isnan(with_them["components/embedding/projection"]).all(axis=1)
        assert np.flatnonzero(lacking).tolist() == [3, 17]
        assert np.isnan(with_them["frame/embedding"][:]).any(axis=1).tolist() == lacking.tolist()
        a, b = with_them["components/embedding"], without["components/embedding"]
        np.testing.assert_allclose(a["variance"], b["variance"], rtol=1e-9)
        np.testing.assert_allclose(a["projection"][~lacking], b["projection"], atol=1e-9)
        assert not np.isnan(with_them["components/contact/projection"]).any()
        assert np.isfinite(with_them["components/explained/r2"]).all()


def test_components_of_contacts_are_those_of_numpy(trpcage, found):
    maps = contacts_of(np.concatenate(trpcage.alphas), ["A"] * 20, CUTOFF_NM, SEPARATION)
    first, second = np.triu_indices(20, 1)
    rows = maps[:, first, second].astype(float)
    varying = (rows.mean(axis=0) > 0) & (rows.mean(axis=0) < 1)
    centred = rows[:, varying] - rows[:, varying].mean(axis=0)
    _, singular, modes = np.linalg.svd(centred, full_matrices=False)
    space = found["components/contact"]
    np.testing.assert_array_equal(space["pair"], np.stack([first[varying], second[varying]], axis=1))
    np.testing.assert_allclose(space["variance"], singular[:K] ** 2 / len(rows), rtol=1e-9)
    signs = np.sign((space["mode"][:] * modes[:K]).sum(axis=1))
    np.testing.assert_allclose(space["projection"], centred @ modes[:K].T * signs, atol=1e-8)
    assert (space.attrs["pairs_varying"], space.attrs["share_taken"]) == (varying.sum(), 1)


def test_the_pairs_that_vary_most_are_taken():
    rng = np.random.default_rng(12)
    frequency = np.triu(rng.random((30, 30)), 1)
    frequency[frequency > 0.9], frequency[0] = 1, 0
    frequency += frequency.T
    chosen = choose_features(frequency, 50)
    upper = np.triu(frequency * (1 - frequency), 1).ravel()
    assert chosen.varying == (upper > 0).sum() and (np.diff(chosen.pairs) > 0).all()
    assert upper[chosen.pairs].min() >= np.sort(upper)[-50] and len(chosen.pairs) == 50
    assert chosen.share == pytest.approx(upper[chosen.pairs].sum() / upper.sum())


def test_components_that_are_rounding_are_left_out():
    rng = np.random.default_rng(13)
    rows = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 9)) + 3
    assert len(find_components(Moments.of(rows), 5).variance) == 2
    vectors = np.repeat(rng.normal(size=(1, 30)), 6, axis=0)
    weights = rng.random((40, 6))
    weights /= weights.sum(axis=1, keepdims=True)
    (none,) = find_weighted_components(Moments.of(weights), [vectors], 5, 1e-13)
    assert len(none.variance) == 0
    assert len(find_components(Moments.of(rows[:1]), 5, 1e-13).variance) == 0
    assert np.isnan(cross_correlation(Moments.of(np.ones((4, 6))))).all()


# What explains the motion


def moments_of(features, targets, segments):
    """Moments by segment, of rows that come in two blocks."""
    found = {}
    for first, last in ((0, 17), (17, len(targets))):
        parts = segment_moments(features[first:last], targets[first:last], first, segments)
        for number, part in parts.items():
            found[number] = found[number] + part if number in found else part
    return list(found.values())


def test_motion_is_explained_as_by_regressions_without_each_segment():
    rng = np.random.default_rng(14)
    features = rng.normal(size=(130, 3)) + 5
    targets = features @ rng.normal(size=(3, 2)) + rng.normal(0, 0.5, (130, 2)) - 7
    features[7] = np.nan
    segments = cut_segments([100, 30])
    found = explain(moments_of(features, targets, segments), 2)
    error = spread = 0
    for start, stop in segments:
        test = np.zeros(130, bool)
        test[start:stop] = True
        test, train = test & ~np.isnan(features[:, 0]), ~test & ~np.isnan(features[:, 0])
        design = np.column_stack([features, np.ones(130)])
        slopes, *_ = np.linalg.lstsq(design[train], targets[train])
        error += ((targets[test] - design[test] @ slopes) ** 2).sum(axis=0)
        spread += ((targets[test] - targets[train].mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(found, 1 - error / spread, rtol=1e-9)
    assert (found > 0.5).all()
    noise = rng.normal(size=(130, 3))
    assert (explain(moments_of(noise, targets, segments), 2) < 0.1).all()


def test_where_replicas_stand_apart_explains_nothing():
    rng = np.random.default_rng(15)
    features, targets = rng.normal(size=(120, 2)), rng.normal(size=(120, 1))
    features[60:] += 9
    targets[60:] += 9
    segments = cut_segments([60, 60])
    parts = dict(enumerate(moments_of(features, targets, segments)))
    assert explain(list(parts.values()), 1) > 0.9
    apart = explain(about_replicas(parts, [0] * 5 + [1] * 5), 1)
    features[60:] -= features[60:].mean(axis=0) - features[:60].mean(axis=0)
    targets[60:] -= targets[60:].mean(axis=0) - targets[:60].mean(axis=0)
    np.testing.assert_allclose(apart, explain(moments_of(features, targets, segments), 1))
    assert apart < 0.1


@pytest.mark.parametrize(
    ("frames", "number"), [([100], 10), ([3], 3), ([40, 40, 40], 12), ([1], 1), ([5] * 15, 15)]
)
def test_segments_cover_every_frame_once_and_never_two_replicas(frames, number):
    segments = cut_segments(frames)
    assert [row for start, stop in segments for row in range(start, stop)] == list(range(sum(frames)))
    edges = {start for start, _ in segments}
    assert edges >= {sum(frames[:at]) for at in range(len(frames))} and len(segments) == number


def test_too_few_frames_explain_nothing():
    rows = np.arange(6.0).reshape(3, 2)
    assert np.isnan(explain(moments_of(rows, rows[:, :1], [(0, 3)]), 1)).all()
    assert np.isnan(explain(moments_of(rows[:, :0], rows, [(0, 2), (2, 3)]), 2)).all()


def test_random_vectors_explain_what_shuffled_ones_do(tmp_path):
    """Contact numbers tell of the motion, whatever vectors carry them; those here are told by one alone."""
    _, file = made_up(tmp_path, 60, [400, 300], width=40, components=5)
    with file:
        group = file["components/explained"]
        r2 = dict(zip(group["space"].asstr(), group["r2"][:], strict=True))
        shuffled = group["shuffled_r2"][:]
    assert shuffled.shape == (SHUFFLES, 5) and len(np.unique(shuffled[:, 0])) == SHUFFLES
    np.testing.assert_allclose(r2["shuffled"], shuffled.mean(axis=0))
    spread = shuffled.std(axis=0, ddof=1)
    assert (np.abs(r2["embedding"] - r2["shuffled"]) < 4 * spread).all()


def test_shuffled_vectors_explain_as_if_they_were_the_embedding(tmp_path):
    """An order of the residues' vectors given to the store explains what is told of it as a shuffle."""
    case, file = made_up(tmp_path, 20, [80])
    order = np.random.default_rng([case.request().seed, SHUFFLES]).permutation(20)
    with file, h5py.File(case.path("store/part.h5"), "a") as part:
        shuffled = file["components/explained/shuffled_r2"][0]
        part["residue"][...] = part["residue"][:][order]
    with h5py.File(analyse(case.request(), case.path("y.h5"))) as file:
        np.testing.assert_allclose(file["components/explained/r2"][0], shuffled, rtol=1e-6)


# The file


def test_replicas_are_pooled_by_frames(trpcage, found):
    replicas = [found[f"replica/{number}"] for number in (1, 2, 3)]
    frames = np.array([38, 1044, 1])
    np.testing.assert_array_equal(found["frame/replica"], np.repeat([1, 2, 3], frames))
    measures = [h5py.File(trpcage.path(f"{number}.h5")) for number in (1, 2, 3)]
    for name in found["frame"]:
        joined = np.concatenate([replica["frame"][name][:] for replica in replicas])
        np.testing.assert_array_equal(found["frame"][name], joined)
        if name in measures[0]["frame"]:
            np.testing.assert_array_equal(joined, np.concatenate([one["frame"][name] for one in measures]))
    for name in ("pair/contact_frequency", "residue/neighbours", "residue/helix", "residue/contacts"):
        pooled = np.average([replica[name] for replica in replicas], axis=0, weights=frames)
        np.testing.assert_allclose(found[name], pooled, atol=1e-12)
    squares = np.array([one["residue/rmsf_nm"][:] ** 2 for one in measures])
    np.testing.assert_allclose(
        found["residue/rmsf_nm"], np.sqrt(np.average(squares, axis=0, weights=frames)), atol=1e-12
    )
    np.testing.assert_array_equal(found["statistics/replica/frames"], frames)


def test_frames_of_a_replica_are_read_wherever_the_file_goes(found, tmp_path):
    path = tmp_path / "elsewhere" / "renamed.h5"
    path.parent.mkdir()
    shutil.copy(found.filename, path)
    with h5py.File(path) as moved:
        assert moved["replica/2/frame/rg_nm"].is_virtual
        for name, values in moved["frame"].items():
            np.testing.assert_array_equal(moved[f"replica/2/frame/{name}"], values[38:1082])
        assert moved["replica/1/pair/embedding_cosine"] == moved["pair/embedding_cosine"]


def test_the_file_tells_what_it_is(found):
    assert (found.attrs["cutoff_nm"], found.attrs["min_separation"]) == (CUTOFF_NM, SEPARATION)
    assert (found.attrs["permutations"], found.attrs["seed"]) == (99, 1)
    statistics = found["statistics"].attrs
    assert (statistics["identical"], statistics["substituted"], statistics["tag"]) == (17, 1, 2)
    assert found["embedding"].attrs["note"] == "random vectors"
    (uri,) = found["embedding/uri"].asstr()[:]
    assert uri == f"store/part.h5#{found['embedding/protein'].asstr()[0]}"
    assert found["residue/status"].asstr()[9] == "substituted"
    assert "".join(found["residue/code"].asstr()[:]).startswith("NLYIQWLKDGGPSS")
    assert "pair/predicted_contact" not in found
    bare = []
    found.visititems(
        lambda name, node: isinstance(node, h5py.Dataset) and "unit" not in node.attrs and bare.append(name)
    )
    assert bare == []


@pytest.mark.parametrize(
    ("n_residue", "frames", "still"),
    [
        (1, [1], False),
        (1, [4], False),
        (2, [5], False),
        (3, [3, 1], False),
        (20, [1], False),
        (20, [6], True),
    ],
)
def test_what_is_too_small_gives_a_valid_file_without_warnings(tmp_path, n_residue, frames, still):
    _, file = made_up(tmp_path, n_residue, frames, still=still)
    with file:
        variance = file["components/motion/variance"]
        assert len(variance) <= min(K, sum(frames) - 1) and (variance[:] > 0).all()
        assert (len(variance) == 0) == (still or sum(frames) == 1 or n_residue == 1)
        assert file["components/motion/mode"].shape == (len(variance), n_residue, 3)
        assert file["components/embedding/projection"].shape[0] == sum(frames)
        assert file["components/explained/r2"].shape == (3, len(variance))
        if still:
            np.testing.assert_allclose(file["frame/rmsd_to_mean_nm"], 0, atol=1e-6)


def test_a_structure_without_links_is_analysed_without_embeddings(tmp_path):
    _, file = made_up(tmp_path, 15, [20], partners=[None] * 15)
    with file:
        assert file["frame/embedding"].shape == (20, 0) and np.isnan(file["frame/coherence"]).all()
        assert np.isnan(file["pair/embedding_cosine"]).all()
        assert len(file["components/motion/variance"]) == K
        assert len(file["components/embedding/variance"]) == 0
        assert file["statistics"].attrs["frames_without_embedding"] == 20
        r2 = dict(
            zip(file["components/explained/space"].asstr(), file["components/explained/r2"], strict=True)
        )
        assert np.isnan(r2["embedding"]).all() and np.isfinite(r2["contact"]).all()


# Predicted contacts


def write_maps(folder, maps):
    """Write contact maps as the embeddings stage does."""
    names = sorted(maps)
    with h5py.File(folder / "maps.h5", "w") as h5:
        h5["protein"] = np.array([name.encode() for name in names], "S35")
        h5["length"] = np.array([len(maps[name]) for name in names], np.int32)
        h5["offset"] = np.cumsum([0, *(maps[name].size for name in names)])
        h5["contact"] = np.concatenate([maps[name].ravel() for name in names]).astype(np.float16)
        h5.attrs["below"] = 100
    (folder / "contacts").mkdir(exist_ok=True)
    rows = [(name, len(maps[name]), f"../maps.h5#{name}") for name in names]
    write_rows(folder / "contacts/000.parquet", rows, CONTACT_TYPES)
    write_rows(folder / "contacts/001.parquet", [], CONTACT_TYPES)
    return [str(folder / f"contacts/00{shard}.parquet") for shard in (0, 1)]


def test_predicted_contacts_are_laid_on_residues_by_their_links(tmp_path, caplog):
    """Two chains of one protein, a residue without a partner, and a chain whose protein is too long."""
    first, second = "MKVLAWGST", "AWGHHK"
    partners = [(first, 2), None, (first, 4), (first, 7), (first, 3), (first, 4), (second, 1), (second, 2)]
    write_inputs(tmp_path, "KCLGVLAW", partners, list("AAAABBCC"))
    alphas = np.random.default_rng(2).normal(size=(5, 8, 3))
    write_measures(tmp_path / "1.h5", tmp_path / "residues.tsv", alphas)
    contact = np.random.default_rng(3).random((9, 9)).astype(np.float16)
    contact = np.maximum(contact, contact.T)
    tables = write_maps(tmp_path, {protein_id(first): contact})
    request = request_of(tmp_path, [tmp_path / "1.h5"], contacts=tables)
    with caplog.at_level("INFO"), h5py.File(analyse(request, tmp_path / "x.h5")) as file:
        predicted = file["pair/predicted_contact"][:]
    assert predicted.dtype == np.float32
    wanted = np.full((8, 8), np.nan)
    for members in ([0, 2, 3], [4, 5]):
        for i in members:
            for j in members:
                wanted[i, j] = contact[partners[i][1] - 1, partners[j][1] - 1]
    np.testing.assert_array_equal(predicted, wanted)
    (line,) = [line for line in caplog.messages if "has no map" in line]
    assert protein_id(second) in line and "6 residues" in line

    tables = write_maps(tmp_path, {protein_id(first): contact[:8, :8]})
    with pytest.raises(
        MismatchError, match=r"000\.parquet: the contact map of SQ\.\S+ is of 8 residues, expected 9"
    ):
        analyse(request, tmp_path / "y.h5")
    contact[3, 4] = np.nan
    write_maps(tmp_path, {protein_id(first): contact})
    with pytest.raises(
        EmbeddingError, match=r"maps\.h5#SQ.*: the contact map of SQ\S+ has values that are not"
    ):
        analyse(request, tmp_path / "y.h5")
    (tmp_path / "maps.h5").write_bytes(b"")
    with pytest.raises(EmbeddingError, match=r"maps\.h5: is not a file of contact maps"):
        analyse(request, tmp_path / "y.h5")


# Ranks


@needs_mpi
def test_one_two_and_three_ranks_write_the_same_bytes_and_nothing_else(case):
    before = set(case.folder.rglob("*"))
    for ranks in (1, 2, 3):
        done = case.run(ranks)
        assert done.returncode == 0, done.stderr
        assert f"1083 frames of 3 replicas, 20 residues, {ranks} ranks" in done.stderr
    results = [case.path(f"ranks{ranks}.h5") for ranks in (1, 2, 3)]
    assert len({path.read_bytes() for path in results}) == 1
    assert set(case.folder.rglob("*")) - before == set(results)
    alone = analyse(case.request(), case.path("alone.h5"))
    assert alone.read_bytes() == results[0].read_bytes()


@needs_mpi
def test_embeddings_in_s3_are_fetched_once_for_all_ranks_of_a_node(case, monkeypatch, caplog):
    table = pq.read_table(case.path("index.parquet"))
    (row,) = table.to_pylist()
    row["uri"] = f"s3://bucket/run/part.h5#{row['protein']}"
    for name, value in {
        "ACCESS_KEY_ID": "x",
        "SECRET_ACCESS_KEY": "x",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    here = analyse(case.request(), case.path("here.h5"))
    pq.write_table(pa.Table.from_pylist([row], table.schema), case.path("index.parquet"))
    with s3_service() as (url, client), caplog.at_level("INFO", "werkzeug"):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        client.upload_file(str(case.path("store/part.h5")), "bucket", "run/part.h5")
        done = case.run(2)
        assert done.returncode == 0, done.stderr
        assert len([line for line in caplog.messages if '"HEAD /bucket/run/part.h5' in line]) == 1
    with h5py.File(case.path("ranks2.h5")) as there, h5py.File(here) as local:
        for name in ("frame/embedding", "frame/coherence", "residue/context", "pair/embedding_cosine"):
            np.testing.assert_array_equal(there[name], local[name])
        assert there["embedding/uri"].asstr()[0] == row["uri"]


@needs_mpi
def test_two_ranks_end_with_the_same_line_and_no_other(case):
    """A fault that the rank finds that reads the vectors, and one that rank 0 finds before."""
    edit(case.path("links.tsv"), 11, "partner_code", "C")
    done = case.run(2)
    assert done.returncode != 0
    (line,) = (done.stdout + done.stderr).splitlines()
    assert re.fullmatch(r"MismatchError: .*links\.tsv line 11: GLY A 20 has partner C at row 13, .*", line), (
        line
    )
    case.path("3.h5").write_bytes(b"")
    done = case.run(2)
    (line,) = (done.stdout + done.stderr).splitlines()
    assert re.fullmatch(r"MismatchError: .*3\.h5: .*", line), line
    assert not case.path("ranks2.h5").exists() and not list(case.folder.glob(".*"))


@needs_mpi
def test_a_fault_of_one_rank_ends_all(case):
    """Rank 0 cannot write, while the other one waits for it."""
    case.path("file").write_text("")
    done = case.run(2, case.path("file") / "x.h5")
    assert done.returncode != 0
    assert "FileExistsError: [Errno 17] File exists" in done.stderr and "Traceback" not in done.stderr


# What is refused


def edit(path, line, column, value):
    """Change one cell of a table; lines count from 1, the header included."""
    rows = [row.split("\t") for row in path.read_text().splitlines()]
    rows[line - 1][rows[0].index(column)] = value
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")


def edit_links(line, column, value):
    return lambda case: edit(case.path("links.tsv"), line, column, value)


def permuted_lines(case):
    head, *lines = case.path("links.tsv").read_text().splitlines()
    lines[5], lines[6] = lines[6], lines[5]
    case.path("links.tsv").write_text("\n".join([head, *lines]) + "\n")


def permuted_rows(case):
    """Residues 10 and 11 are both glycine: only their order tells."""
    edit(case.path("links.tsv"), 11, "row", "14")
    edit(case.path("links.tsv"), 12, "row", "13")


def edit_index(change):
    """Change the one row of the index."""

    def damage(case):
        table = pq.read_table(case.path("index.parquet"))
        (row,) = table.to_pylist()
        change(row)
        pq.write_table(pa.Table.from_pylist([row], table.schema), case.path("index.parquet"))

    return damage


def no_protein(case):
    pq.write_table(pq.read_table(case.path("index.parquet")).slice(1), case.path("index.parquet"))


def change_vector(case, value):
    with h5py.File(case.path("store/part.h5"), "a") as part:
        part["residue"][6] = value


def measures_of(change):
    """Change the measures of the second replica."""

    def damage(case):
        with h5py.File(case.path("2.h5"), "a") as file:
            change(file)

    return damage


REFUSALS = {
    "links' residue": (edit_links(4, "code", "W"), r"links\.tsv line 4: .*W.*Y"),
    "links' number": (edit_links(4, "number", "99"), r"links\.tsv line 4: "),
    "status": (
        edit_links(11, "status", "identical"),
        r"links\.tsv line 11: GLY A 20 is marked identical, expected substituted",
    ),
    "permuted lines": (permuted_lines, r"links\.tsv line 7: "),
    "permuted rows": (permuted_rows, r"links\.tsv line 12: GLY A 21 has row 13 after row 14"),
    "partner": (
        edit_links(11, "partner_code", "C"),
        r"links\.tsv line 11: GLY A 20 has partner C at row 13, expected A",
    ),
    "row": (edit_links(21, "row", "99"), r"links\.tsv line 21: SER A 30 has row 99, expected 1 to 25"),
    "length": (
        edit_index(lambda row: row.update(length=row["length"] + 1)),
        r"part\.h5#SQ\.\S+: 25 residues, expected the 26 of .*index\.parquet",
    ),
    "index": (
        edit_index(lambda row: row.update(row=1)),
        r"part\.h5#SQ\.\S+: 0 as first row of the part, expected the 1 of .*index\.parquet",
    ),
    "near-duplicate": (
        edit_index(lambda row: row.update(embedded="SQ.another")),
        r"index\.parquet: protein SQ\.\S+ has the embedding of SQ\.another",
    ),
    "protein": (no_protein, r"index\.parquet: no protein SQ\."),
    "part": (lambda case: case.path("store/part.h5").unlink(), r"store/part\.h5: no such part"),
    "not finite": (
        lambda case: change_vector(case, np.nan),
        r"part\.h5#SQ\.\S+: the vector of row 7 \(\S+ A 1\d\) is not finite.*verify_store",
    ),
    "zero": (
        lambda case: change_vector(case, 0),
        r"part\.h5#SQ\.\S+: the vector of row 7 \(\S+ A 1\d\) is all zero.*verify_store",
    ),
    "cutoff": (
        measures_of(lambda file: file.attrs.modify("cutoff_nm", 0.7)),
        r"2\.h5: cutoff_nm 0\.7, but 0\.8 in .*1\.h5",
    ),
    "other residues": (
        measures_of(lambda file: file["residue/number"].write_direct(np.arange(20))),
        r"2\.h5: residue 1 is 'A 0  N', expected 'A 11  N' as in .*residues\.tsv",
    ),
    "no measures": (
        measures_of(lambda file: file.pop("contact/heavy")),
        r"2\.h5: no contact/heavy, expected the measures of a replica",
    ),
    "no file": (lambda case: case.path("2.h5").write_bytes(b"x"), r"2\.h5: cannot be read"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_fit_is_refused_in_one_line(case, name):
    damage, message = REFUSALS[name]
    damage(case)
    with pytest.raises(HelixflowError, match=message) as refusal:
        analyse(case.request(), case.path("x.h5"))
    assert "\n" not in str(refusal.value)
    assert not case.path("x.h5").exists() and not list(case.folder.glob(".*"))
