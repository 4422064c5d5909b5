"""The parts of the page on the co-analysis of a structure hold what its file holds, whatever that is."""

import re
import warnings
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

from analysis_file import BINS, SERIES, write_analysis
from conftest import DEMO
from helixflow.report.blocks import Figure, Section, Table, View, number
from helixflow.report.coanalysis import coanalysis_parts
from helixflow.report.figures import split_map
from helixflow.report.motion import structure_blocks
from helixflow.report.page import render
from helixflow.report.plots import Chance, Plane, null_panels, planes, signed_map, trace
from helixflow.report.statistics import p_words
from helixflow.report.view import Backbone

HOSTILE = "<img/src=x/onerror=alert(1)>"


@pytest.fixture(scope="module")
def topology(tmp_path_factory):
    """The chain of 1A8O alone, 70 residues."""
    path = tmp_path_factory.mktemp("topology") / "protein.pdb"
    atoms = [line for line in (DEMO / "1A8O.pdb").read_text().splitlines()
             if line.startswith(("ATOM", "HETATM")) and line[17:20] != "HOH"]  # fmt: skip
    path.write_text("\n".join([*atoms, ""]))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("analysis") / "x.h5"
    write_analysis(path, residues=70)
    return path


@pytest.fixture(scope="module")
def blocks(file, topology):
    """All blocks of all parts, by caption or title, and the sentences."""
    parts = coanalysis_parts("x", file, True, "", topology)
    found = [block for part in parts for block in part.blocks]
    named = {getattr(block, "caption", getattr(block, "title", "")): block for block in found}
    return named | {"words": " ".join(block for block in found if isinstance(block, str))}


def texts(block):
    return [[cell.text for cell in row] for row in block.rows]


def test_every_figure_says_how_to_read_it_and_has_its_data(blocks):
    figures = [block for block in blocks.values() if isinstance(block, Figure)]
    assert len(figures) == 16
    for figure in figures:
        assert figure.reading.endswith(".") and figure.alt.endswith("."), figure.title
        assert len(next(iter(figure.drawing.data.values()))), figure.title
        assert ElementTree.fromstring(figure.drawing.svg).tag.endswith("svg")


def test_figures_show_the_values_of_the_file(blocks, file):
    def data(title, at):
        return list(blocks[title].drawing.data.values())[at]

    with h5py.File(file) as h5:
        upper = np.triu_indices(70, 1)
        for title, values in {
            "RMSD to the mean structure": h5["frame/rmsd_to_mean_nm"][:],
            "Contacts of heavy atoms over time": h5["frame/heavy_contacts"][:],
            "Residues that move together": h5["pair/cross_correlation"][:][upper],
            "Where the structure moves": h5["residue/rmsf_nm"][:],
        }.items():
            assert np.array_equal(data(title, -1), values), title
        maps = blocks["Contacts beside embeddings"].drawing.data
        cosines = h5["pair/embedding_cosine"][:]
        assert np.array_equal(list(maps.values())[-1], cosines[upper])
        drawn = blocks["Frames on the first two components"].drawing.data
        for at, space in enumerate(("motion", "embedding", "contact")):
            projection = h5[f"components/{space}/projection"][:, :2]
            columns = list(drawn.values())[2 + 2 * at : 4 + 2 * at]
            assert np.array_equal(np.stack(columns, axis=1), projection)
        profile = blocks["RMSF"].drawing.data
        told = [name == "told by embeddings" for name in profile["curve"]]
        assert np.array_equal(list(profile.values())[-1][told], h5["statistics/rmsf/predicted"][:])
        signal = data("The embedding's own signal", -1)
        others = [np.delete(cosines[at], at).mean() for at in range(70)]
        assert np.allclose(signal, others, rtol=1e-12)


def test_null_distributions_are_those_of_the_file(blocks, file):
    data = blocks["What chance would give"].drawing.data
    *_, values = map(np.array, data.values())

    def drawn(null, kind):
        return values[(np.array(data["null"]) == null) & (np.array(data["value of"]) == kind)]

    with h5py.File(file) as h5:
        group = h5["statistics/contact_cosine"]
        scaled = (group["null"][:] - group["null_mean"][:][:, None]) / group["null_sd"][:][:, None]
        assert np.allclose(drawn("shuffled", "chance"), scaled.ravel())
        assert np.array_equal(drawn("shuffled", "found"), group["effect"][:])
        assert np.array_equal(drawn("moved", "chance"), group["shift_null"][:].ravel())
        assert np.array_equal(drawn("moved", "found"), group["shift_effect"][:])


def test_tables_show_the_numbers_of_the_file(blocks, file):
    with h5py.File(file) as h5:
        group = h5["statistics/contact_cosine"]
        shown = texts(blocks["Do residues in contact have similar embeddings?"])
        assert [row[0] for row in shown] == BINS
        assert [row[2] for row in shown] == [number(round(value, 3)) for value in group["spearman"]]
        assert [row[5] for row in shown] == [p_words(value, 99) for value in group["p"]]
        assert [row[7] for row in shown] == [p_words(value, 20) for value in group["shift_p"]]
        series = texts(blocks["How sure the means over time are"])
        assert len(series) == len(SERIES)
        group = h5["statistics/series"]
        means = zip(group["mean"], group["error"], strict=True)
        means = [f"{number(mean)} ± {number(error, 2)}" for mean, error in means]
        assert [row[1] for row in series] == [*means[:6], *["0 by construction"] * 3]
        errors = list(zip(group["error"], group["replica_error"], strict=True))
        greater = [" !" if replicas > 2 * error else "" for error, replicas in errors]
        assert 0 < greater.count(" !") < len(greater)
        digits = {
            "block_error": 2,
            "autocorrelation_ps": 3,
            "effective": 3,
            "replica_sd": 2,
            "replica_error": 2,
        }
        for column, name in enumerate(digits, start=2):
            expected = [number(value, digits[name]) for value in group[name]]
            if name == "replica_error":
                expected = [shown + mark for shown, mark in zip(expected, greater, strict=True)]
                said = blocks["words"].partition("Replicas differ more than the error tells: ")[2]
                assert ("coherence" in said.partition(".")[0]) == (greater[5] == " !")
            assert [row[column] for row in series] == expected, name
        precision = texts(blocks["Are the contacts that the model's attention predicts made?"])
        expected = [number(round(value, 3)) for value in h5["statistics/attention/precision"]]
        assert [row[3] for row in precision] == expected
        explained = texts(blocks["What contacts and embeddings explain of the motion (R²)"])
        r2 = h5["components/explained/r2"][:]
        assert [row[1:] for row in explained] == [[number(round(value, 3), 3) for value in row] for row in r2]
    assert texts(blocks["Do embeddings tell which residues are flexible?"]) == [
        ["embedding", "0.31"], ["amino acid", "−0.12"], ["neighbours", "0.25"], ["chain end", "0.2"],
    ]  # fmt: skip
    assert "Warning: only 12 residues are linked" in blocks["words"]
    assert texts(blocks["Predicted, never formed"])[0][:2] == ["A1", "A8"]
    assert "Formed, not predicted: no pair." in blocks["words"]


def test_every_heading_of_a_number_has_its_unit(blocks):
    """Those without are shares, counts, correlations and the like, which are named here."""
    without = re.compile(
        "replica|frames|contacts|coherence|n|Spearman's ρ|p, .*|shifts|component|share|with those .*|motion "
        ".*|embeddings of .*|contact map|mean ± standard error|error by blocks|sd of replicas|error by "
        "replicas|independent frames|R²|pairs|precision|of random pairs"
    )
    for block in blocks.values():
        for name, kind in block.columns if isinstance(block, Table) else ():
            assert kind != "number" or re.search(r"\(.+\)$", name) or without.fullmatch(name), name


@pytest.mark.parametrize(("p", "n", "said"), [
    (2 / 1000, 999, "≤ 0.002"), (0.0, 999, "≤ 0.002"), (0.004, 999, "0.004"), (1.0, 999, "1"),
    (1.0, 1, "≤ 1"), (float("nan"), 999, "not available"),
])  # fmt: skip
def test_a_p_value_is_never_zero(p, n, said):
    assert p_words(p, n) == said


@pytest.mark.parametrize(("p", "shift_p", "said"), [
    (0.002, 0.004, "rarely so by chance, be it by shifted"),
    (0.002, 0.3, "neighbours in sequence are alike is enough"),
    (0.4, 0.3, "which chance gives as well"),
    (0.4, np.nan, "cannot be told"),
])  # fmt: skip
def test_words_on_the_relation_follow_both_nulls(tmp_path, p, shift_p, said):
    path = tmp_path / "x.h5"
    write_analysis(path)
    with h5py.File(path, "a") as h5:
        h5["statistics/contact_cosine/p"][0], h5["statistics/contact_cosine/shift_p"][0] = p, shift_p
    blocks = [block for part in coanalysis_parts("x", path, False) for block in part.blocks]
    (words,) = [block for block in blocks if isinstance(block, str) and "ρ = " in block]
    assert said in words.replace("\n", " ")


def test_few_independent_frames_are_told(tmp_path):
    path = tmp_path / "x.h5"
    write_analysis(path)
    with h5py.File(path, "a") as h5:
        h5["statistics/series/effective"][:] = [9.9, *[10.0] * (len(SERIES) - 1)]
    blocks = [block for part in coanalysis_parts("x", path, False) for block in part.blocks]
    said = [block for block in blocks if isinstance(block, str) and block.startswith("Fewer than")]
    assert len(said) == 1 and "frames: RMSD to the first frame (nm). Means" in said[0]


@pytest.mark.parametrize(
    ("frames", "effective", "warned"), [(40, 10.0, False), (14, 10.0, True), (40, 9.9, True)]
)
def test_how_many_frames_the_motion_is_explained_from_is_told(tmp_path, frames, effective, warned):
    path = tmp_path / "x.h5"
    write_analysis(path, frames=frames)
    with h5py.File(path, "a") as h5:
        h5["statistics/series/effective"][:] = effective
    blocks = [block for part in coanalysis_parts("x", path, False) for block in part.blocks]
    words = " ".join(block for block in blocks if isinstance(block, str))
    assert f"R² is of {2 * frames} frames in 10 segments of time, told by at most 3 components" in words
    assert ("R² may be far off" in words) is warned


ODD = {
    "one frame, no attention": {"frames": 1, "replicas": 1, "permutations": 0, "attention": False},
    "one residue": {"residues": 1},
    "nothing linked": {"linked": False},
    "many replicas, no components": {"replicas": 9, "components": 0},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_analyses_make_a_page(tmp_path, odd, topology):
    path = tmp_path / "x.h5"
    write_analysis(path, **({"residues": 70} | odd))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        parts = coanalysis_parts("x", path, True, "", topology)
    html = render("t", "s", [], [Section("structures", "Structures", parts=parts)])
    assert "nan" not in re.sub(r"base64,[^\"]*|<script.*?</script>", "", html, flags=re.S).lower().split()
    for part in parts:
        for block in part.blocks:
            if isinstance(block, Figure):
                ElementTree.fromstring(block.drawing.svg)


def test_numbers_that_are_missing_everywhere_do_not_break_the_page(tmp_path, topology):
    path = tmp_path / "x.h5"
    write_analysis(path, residues=70)
    with h5py.File(path, "a") as h5:
        found = []
        h5.visititems(lambda name, one: found.append(one) if isinstance(one, h5py.Dataset) else None)
        for dataset in found:
            if dataset.dtype.kind == "f" and not dataset.name.endswith("time_ps"):
                dataset[...] = np.nan
    parts = coanalysis_parts("x", path, True, "", topology)
    assert "not available" in render("t", "s", [], [Section("a", "A", parts=parts)])


def test_hostile_names_are_text(tmp_path, topology):
    path = tmp_path / "x.h5"
    write_analysis(path, residues=70, chain=HOSTILE)
    parts = coanalysis_parts(HOSTILE, path, True, HOSTILE, topology)
    html = render("t", "s", [], [Section("structures", "Structures", parts=parts)])
    assert "<img/src" not in html and "&lt;img/src" in html
    (view,) = [block for part in parts for block in part.blocks if isinstance(block, View)]
    assert any("<img/src" in kind for kind in view.data["colourings"][-1]["values"])


def test_a_topology_of_another_structure_has_no_view_but_words(tmp_path, topology):
    path = tmp_path / "x.h5"
    write_analysis(path, residues=12)
    with h5py.File(path) as h5:
        blocks = structure_blocks(h5, Backbone(topology), "x")
    assert blocks == ["There is no 3-D view: the topology has 70 residues, the co-analysis 12."]


# Kinds of figures


def test_figures_of_many_residues_and_frames_stay_small():
    places = [("A", at, "") for at in range(1000)]
    random = np.random.default_rng(1)
    noise = random.random((1000, 1000))
    assert len(signed_map(2 * noise - 1, places, "c").svg) < 300_000
    assert len(split_map(noise, noise, places, "a", "b").svg) < 300_000
    frames = 20_000
    plane = Plane("m", random.normal(size=frames), random.normal(size=frames), "x", "y")
    times, replicas = np.tile(np.arange(frames / 2), 2), np.repeat([1, 2], frames // 2)
    assert len(planes([plane] * 3, times, replicas, [1, 2]).svg) < 600_000
    walk = random.normal(size=(5000, 3)).cumsum(axis=0)
    drawn = trace(walk, np.zeros(5000, int), random.random(5000), [("A", at, "") for at in range(5000)], "v")
    assert len(drawn.svg) < 300_000


def test_nulls_without_values_are_told():
    nothing = Chance("all", "moved", "moves", np.full(9, np.nan), np.nan, "not available")
    assert "not available" in null_panels([nothing], 1, "x").svg


def test_kinds_of_pairs_that_there_are_none_of_are_not_drawn():
    some = Chance("all", "moved", "moves", np.arange(9.0), 2.0, "0.3")
    none = Chance("of two chains", "moved", "moves", np.full(9, np.nan), np.nan, "not available")
    shown = null_panels([some, none], 1, "x")
    assert "found 2" in shown.svg and "p 0.3" in shown.svg and "of two chains" not in shown.svg
    assert list(shown.data["pairs of residues"]).count("of two chains") == 10


def test_a_trace_is_seen_from_its_widest_side():
    points = np.random.default_rng(2).normal(size=(50, 3)) * [1, 9, 3]
    data = trace(points, np.zeros(50, int), np.arange(50.0), [("A", at, "") for at in range(50)], "v").data
    spread = [np.std(data[name]) for name in ("x as drawn (nm)", "y as drawn (nm)", "depth as drawn (nm)")]
    assert spread == sorted(spread, reverse=True)
    turned = np.stack([data[name] for name in list(data)[3:6]], axis=1)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    assert np.allclose(np.linalg.norm(turned[:, None] - turned, axis=2), apart)
