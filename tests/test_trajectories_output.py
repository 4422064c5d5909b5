"""The protein's trajectory: whole, together, centred and rounded as asked, against MDAnalysis and GROMACS."""

import itertools
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helixflow.errors import SimulationError
from helixflow.files import read_json
from helixflow.gmx import GmxTools
from helixflow.structures.residues import Residue
from helixflow.structures.topology import Protein, read_protein
from helixflow.trajectories import finish, frames
from helixflow.trajectories.frames import FrameReader
from helixflow.trajectories.images import APART_NM, Assembly, bond_tree, centre, image_shifts, make_whole
from helixflow.trajectories.protein import extract_protein, start_protein, write_first_frame
from helixflow.trajectories.quality import Judgement
from helixflow.trajectories.settings import phase_mdp
from helixflow.trajectories.system import read_gro, read_start
from simulating import RunSettings, simulate_replica
from test_trajectories import SHORT, peptide_lines, prepare
from xtc import read_xtc, tear, write_xtc

needs_gmx = pytest.mark.skipif(not shutil.which("gmx"), reason="gmx is not on PATH (make setup)")
BOXES = {
    "rectangular": np.diag([2.5, 3.0, 2.8]),
    "dodecahedron": np.array([[3.4, 0, 0], [0, 3.4, 0], [1.7, 1.7, 2.4]]),
    "octahedron": np.array([[3.0, 0, 0], [1.0, 2.83, 0], [-1.0, 1.41, 2.45]]),
}


def chain_of(atoms: int, first: int = 0) -> list[tuple[int, int]]:
    return [(first + at, first + at + 1) for at in range(atoms - 1)]


def random_chain(rng, atoms: int) -> np.ndarray:
    steps = rng.normal(size=(atoms, 3))
    return (0.15 * steps / np.linalg.norm(steps, axis=1, keepdims=True)).cumsum(axis=0)


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_short_vectors_lose_their_images(box):
    rng = np.random.default_rng(1)
    short = rng.uniform(-0.6, 0.6, (5, 40, 3))
    torn = short + rng.integers(-2, 3, short.shape) @ box
    found = torn - image_shifts(torn, np.tile(box, (5, 1, 1)))
    np.testing.assert_allclose(found, short, atol=1e-12)


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_torn_molecules_are_made_whole_whatever_the_box(box):
    rng = np.random.default_rng(2)
    boxes = np.array([box * scale for scale in (1.0, 0.99, 1.02)])
    # Longer than the box, so that no rule on distances from a centre would do.
    whole = np.stack([np.concatenate([random_chain(rng, 60), random_chain(rng, 25) + 1]) for _ in boxes])
    tree = bond_tree(85, chain_of(60) + chain_of(25, 60))
    assert [len(molecule) for molecule in tree.molecules] == [60, 25]
    found = make_whole(tear(rng, whole, boxes), boxes, tree)
    for molecule in tree.molecules:
        a, b = found[:, molecule], whole[:, molecule]
        np.testing.assert_allclose(a - a[:, :1], b - b[:, :1], atol=1e-9)
    untouched = make_whole(whole, boxes, tree)
    np.testing.assert_array_equal(untouched, whole)
    middle = centre(found, boxes)
    np.testing.assert_allclose(middle.mean(axis=1), boxes.sum(axis=1) / 2, atol=1e-9)


def test_ring_of_bonds_and_position_that_is_none_harm_no_other_atom():
    ring = [(0, 1), (1, 2), (2, 3), (3, 0), (3, 4)]
    positions = np.array([[[0, 0, 0], [0.1, 0, 0], [0.1, 0.1, 0], [0, 0.1, 5], [np.nan, 0, 0]]])
    found = make_whole(positions, np.eye(3)[None] * 5, bond_tree(5, ring))
    np.testing.assert_allclose(found[0, 3], [0, 0.1, 0], atol=1e-12)
    assert np.isfinite(found[0, :4]).all()


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_chains_stay_together_while_they_tumble_and_drift(box):
    """Three chains move as one through many boxes; each is torn and put into any image in every frame."""
    rng = np.random.default_rng(3)
    parts = [random_chain(rng, 20) for _ in range(3)]
    start = np.concatenate([part - part.mean(axis=0) + [0.45 * at, 0, 0] for at, part in enumerate(parts)])
    tree = bond_tree(60, [bond for at in range(3) for bond in chain_of(20, 20 * at)])
    assembly = Assembly(tree, np.arange(0, 60, 3), start, box)
    whole = []
    for frame in range(150):
        a = 0.1 * frame
        turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        whole.append(start @ turn + 0.2 * frame + rng.normal(0, 0.01, start.shape))
    whole, boxes = np.array(whole), np.tile(box, (150, 1, 1))
    torn = tear(rng, whole, boxes)
    parts = [torn[:40], torn[40:41], torn[41:]]  # In blocks.
    found = np.concatenate([
        assembly.gather(make_whole(part, box_part, tree), box_part)
        for part, box_part in zip(parts, (boxes[:40], boxes[40:41], boxes[41:]), strict=True)
    ])  # fmt: skip
    np.testing.assert_allclose(found - found[:, :1], whole - whole[:, :1], atol=1e-9)


def test_chains_that_part_may_meet_again_through_another_image():
    box = np.eye(3) * 6.0
    tree = bond_tree(2, [])
    start = np.array([[1.0, 1, 1], [1.4, 1, 1]])
    assembly = Assembly(tree, np.arange(2), start, box)
    # The second walks away in +x, until it stands before the next image of the first.
    way = np.arange(0.4, 5.7, 0.25)
    walk = np.array([[[1.0, 1, 1], [1 + x, 1, 1]] for x in way])
    found = assembly.gather(walk % 6.0, np.tile(box, (len(walk), 1, 1)))
    apart = found[:, 1, 0] - found[:, 0, 0]
    nearest = np.where(way > 3, way - 6, way)
    np.testing.assert_allclose(apart, nearest, atol=1e-9)
    # While they touch, the image is kept although another one is nearer, in which the file has it.
    small = np.eye(3) * 1.5
    assembly = Assembly(tree, np.arange(2), start, small)
    walk = np.array([[[0.0, 0, 0], [x, 0, 0]] for x in (0.4, 0.6, 0.8, 0.95)])
    kept = assembly.gather(np.where(walk > 0.7, walk - 1.5, walk), np.tile(small, (4, 1, 1)))
    np.testing.assert_allclose(kept[:, 1, 0], [0.4, 0.6, 0.8, 0.95], atol=1e-9)
    assert APART_NM == 1.0


def test_gro_files_of_any_precision_and_box(tmp_path):
    rows = [f"    1ALA     CA{at:5d}{at:8.3f}{-at:8.3f}{0.5:8.3f}" for at in (1, 2)]
    fine = [f"    1ALA     CA{at:5d}{at:11.6f}{-at:11.6f}{0.5:11.6f}" for at in (1, 2)]
    for lines, box in ((rows, "3 3 3"), (fine, "3.4 3.4 2.4 0 0 0 0 1.7 1.7")):
        (tmp_path / "a.gro").write_text("\n".join(["title", "2", *lines, box, ""]))
        positions, vectors = read_gro(tmp_path / "a.gro")
        np.testing.assert_array_equal(positions, [[1, -1, 0.5], [2, -2, 0.5]])
    np.testing.assert_array_equal(vectors, [[3.4, 0, 0], [0, 3.4, 0], [1.7, 1.7, 2.4]])
    with pytest.raises(SimulationError, match="2 atoms, expected the 3 of the protein"):
        read_start(tmp_path / "a.gro", Protein(["CA"] * 3, [0, 1, 2], [("1", "ALA")] * 3, []))


# Real molecules


def test_adenylate_kinase_is_whole_and_centred_as_by_mdanalysis(data, tmp_path):
    """A simulation in a triclinic box whose protein crosses its walls."""
    import MDAnalysis
    from MDAnalysis.transformations import center_in_box, unwrap

    # MDAnalysis leaves an index beside what it reads.
    files = data / "md/adk_oplsaa.tpr", Path(shutil.copy(data / "md/adk_oplsaa.xtc", tmp_path))
    theirs = MDAnalysis.Universe(*files)
    part = theirs.select_atoms("protein")
    assert (part.indices == np.arange(len(part))).all()
    bonds = [tuple(pair) for pair in part.intra_bonds.indices]
    residue_of = (part.resindices - part.resindices[0]).tolist()
    names = [(str(one.resid), one.resname) for one in part.residues]
    protein = Protein(list(part.names), residue_of, names, bonds)
    theirs.trajectory.add_transformations(unwrap(part), center_in_box(part, center="geometry"))
    reader = FrameReader(files[1], len(part))
    first = reader.first()
    start = start_protein(protein, first.positions[0], first.boxes[0])
    seen = []
    found = extract_protein(reader, tmp_path / "protein.xtc", start, seen.append)
    assert (len(found.times), found.with_box, found.mended, reader.damage) == (10, 10, 10, "")
    ours = read_xtc(tmp_path / "protein.xtc")
    assert sum(len(block.times) for block in seen) == len(ours) == len(theirs.trajectory) == 10
    gyrations = []
    for frame, other in zip(ours, theirs.trajectory, strict=True):
        np.testing.assert_allclose(frame.x * 10, part.positions, atol=0.02)
        np.testing.assert_allclose(frame.box * 10, other.triclinic_dimensions, atol=1e-4)
        assert frame.time == other.time
        gyrations.append(
            np.sqrt(
                ((part.positions - part.center_of_mass()) ** 2).sum(axis=1) @ part.masses / part.masses.sum()
            )
        )
    raw = MDAnalysis.Universe(*files).select_atoms("protein")
    assert raw.radius_of_gyration() - gyrations[0] > 3


@pytest.fixture(scope="module")
def two_chains(demo, tmp_path_factory):
    """Two chains of ten residues beside each other in water, minimised."""
    folder = tmp_path_factory.mktemp("two")
    lines = peptide_lines(demo)
    other = [f"{x[:21]}B{x[22:38]}{float(x[38:46]) + 13:8.3f}{x[46:]}" for x in lines]
    (folder / "two.pdb").write_text("".join([*lines, *other]))
    return prepare(folder / "two.pdb", folder)


@needs_gmx
@pytest.mark.parametrize("shift", [(1.4, 2.3, 0.8), (3.1, 0.2, 1.9), (0, 0, 0)])
def test_chains_torn_over_the_box_are_put_together(two_chains, tmp_path, shift):
    import MDAnalysis

    folder = two_chains.topology.parent
    for name in ("minimised.gro", "topol.top"):
        shutil.copy(folder / name, tmp_path)
    gmx = GmxTools("gmx", tmp_path, SimulationError, "two")
    (tmp_path / "run.mdp").write_text("integrator = md\n")
    gmx("grompp", f="run.mdp", c="minimised.gro", p="topol.top", o="run.tpr", po="full.mdp")
    torn = {"trans": list(shift), "pbc": "atom", "answers": ["System"]}
    gmx("trjconv", s="run.tpr", f="minimised.gro", o="torn.xtc", **torn)
    protein = read_protein(two_chains.topology.read_text())
    first, second = np.array(protein.bonds).T
    [broken] = read_xtc(tmp_path / "torn.xtc")
    assert np.linalg.norm(broken.x[first] - broken.x[second], axis=1).max() > 1
    start = read_start(tmp_path / "minimised.gro", protein)
    reader = FrameReader(tmp_path / "torn.xtc", len(protein.atoms))
    extract_protein(reader, tmp_path / "protein.xtc", start, lambda _: None)
    [whole] = read_xtc(tmp_path / "protein.xtc")
    assert np.linalg.norm(whole.x[first] - whole.x[second], axis=1).max() < 0.2
    # mdrun has put the second chain of minimised.gro into another image; in the solvated box it lies as it
    # was deposited, but for the moves of the minimisation.
    original, deposited = (
        MDAnalysis.Universe(folder / name).select_atoms("protein").positions / 10
        for name in ("minimised.gro", "solvated.gro")
    )
    for chain in (slice(0, 187), slice(187, 374)):
        ours, theirs = whole.x[chain], original[chain]
        np.testing.assert_allclose(ours - ours[0], theirs - theirs[0], atol=0.003)
    assert np.abs((original - original[0]) - (deposited - deposited[0])).max() > 3
    assert np.abs((whole.x - whole.x[0]) - (deposited - deposited[0])).max() < 0.3
    np.testing.assert_allclose(whole.x.mean(axis=0), whole.box.sum(axis=0) / 2, atol=0.001)


@pytest.fixture(scope="module")
def coarse(two_chains, tmp_path_factory):
    """A replica of two chains, with positions rounded to 0.01 nm; the folder of the run is kept beside it."""
    folder = tmp_path_factory.mktemp("coarse")
    settings = replace(SHORT, nvt_ps=0.1, npt_ps=0.1, production_ns=0.001, precision_per_nm=100)
    kept = folder / "kept"
    original = shutil.rmtree

    def keep(path, *rest, **more):
        if (
            Path(path) == folder / "scratch" / "joined"
            and not kept.exists()
            and (Path(path) / "production.gro").exists()
        ):
            shutil.copytree(path, kept, copy_function=os.link)
        original(path, *rest, **more)

    patch = pytest.MonkeyPatch()
    patch.setattr(shutil, "rmtree", keep)
    try:
        simulate_replica(
            two_chains, 1, settings, RunSettings("gmx", 1, 5, "fail"), folder / "scratch", folder / "1"
        )
    finally:
        patch.undo()
    return folder, settings


@needs_gmx
def test_positions_are_rounded_as_asked_and_no_more_is_written_twice(coarse):
    folder, _ = coarse
    assert "compressed-x-precision = 100\n" in phase_mdp("production", coarse[1], 1)
    full, protein = (read_xtc(folder / "1" / name) for name in ("trajectory.xtc", "protein.xtc"))
    assert {frame.prec for frame in full + protein} == {100.0}
    for frame in full[:3] + protein[:3]:
        steps = frame.x.astype(float) * 100
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert [frame.time for frame in full] == [frame.time for frame in protein]
    assert [frame.step for frame in full] == [frame.step for frame in protein]
    # The full trajectory is mdrun's own file, under another name and never copied.
    assert (folder / "1/trajectory.xtc").samefile(folder / "kept/production.xtc")
    assert (folder / "1/protein.xtc").samefile(folder / "kept/protein.xtc")
    assert not (folder / "scratch").exists()


@needs_gmx
def test_every_frame_is_that_of_gmx_trjconv(coarse, two_chains):
    """GROMACS' own way from the full trajectory: whole, then clustered."""
    folder = coarse[0] / "kept"
    for answers, options in (("Protein", ["-pbc", "whole", "-f", "production.xtc", "-s", "production.tpr"]),):
        subprocess.run(["gmx", "-quiet", "trjconv", *options, "-o", "theirs.xtc"], cwd=folder, input=answers,
                       text=True, capture_output=True, check=True)  # fmt: skip
    protein = read_protein(two_chains.topology.read_text())
    tree = bond_tree(len(protein.atoms), protein.bonds)
    theirs, ours = read_xtc(folder / "theirs.xtc"), read_xtc(coarse[0] / "1/protein.xtc")
    assert len(theirs) == len(ours) == coarse[1].frames == 11
    for one, other in zip(theirs, ours, strict=True):
        for molecule in tree.molecules:
            a, b = one.x[molecule], other.x[molecule]
            np.testing.assert_allclose(a - a.mean(axis=0), b - b.mean(axis=0), atol=0.016)
        np.testing.assert_allclose(one.box, other.box)


@needs_gmx
def test_size_of_blocks_does_not_show_in_the_bytes(coarse, two_chains, tmp_path, monkeypatch):
    folder, settings = coarse
    results = []
    for most in (1, 1200, 10**9):
        monkeypatch.setattr(frames, "_BLOCK_ATOMS", most)
        run = tmp_path / str(most)
        shutil.copytree(folder / "kept", run)
        finish.finish_replica(run, two_chains, 1, settings, Judgement(), "gmx", run / "results")
        gates = read_json(run / "results/quality.json")["gates"]
        told = {name: gate["value"] for name, gate in gates.items() if gate["value"] is not None}
        results.append(((run / "results/protein.xtc").read_bytes(), told))
    assert {protein for protein, _ in results} == {(folder / "1/protein.xtc").read_bytes()}
    assert results[1][1] == pytest.approx(results[0][1], rel=1e-9)
    assert results[2][1] == pytest.approx(results[0][1], rel=1e-9)


def test_file_is_copied_where_it_cannot_be_linked(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("x")
    finish.put_in_place(tmp_path / "a", tmp_path / "results/b")
    assert (tmp_path / "a").samefile(tmp_path / "results/b")

    def refuse(*_):
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refuse)
    finish.put_in_place(tmp_path / "a", tmp_path / "results/c")
    assert (tmp_path / "results/c").read_text() == "x"
    assert not (tmp_path / "a").samefile(tmp_path / "results/c")
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["b", "c"]


def test_frames_come_in_blocks_up_to_the_last_that_can_be_read(tmp_path, monkeypatch):
    write_xtc(tmp_path / "a.xtc", np.random.default_rng(6).random((7, 50, 3)), np.eye(3) * 4)
    monkeypatch.setattr(frames, "_BLOCK_ATOMS", 60)
    reader = FrameReader(tmp_path / "a.xtc", 20)
    blocks = list(reader)
    assert [len(block.times) for block in blocks] == [3, 3, 1]
    assert np.concatenate([block.steps for block in blocks]).tolist() == list(range(7))
    assert blocks[0].positions.shape == (3, 20, 3)
    assert reader.damage == ""
    whole = (tmp_path / "a.xtc").read_bytes()
    (tmp_path / "b.xtc").write_bytes(whole[: len(whole) - 30])
    cut = FrameReader(tmp_path / "b.xtc", 20)
    assert sum(len(block.times) for block in cut) == 6
    assert "XTC" in cut.damage
    (tmp_path / "c.xtc").write_bytes(whole + whole[:2])
    more = FrameReader(tmp_path / "c.xtc", np.array([7, 3]))
    found = list(more)
    assert sum(len(block.times) for block in found) == 7 and more.damage.startswith("bytes are left")
    np.testing.assert_array_equal(found[0].positions[0], blocks[0].positions[0, [7, 3]])
    (tmp_path / "d.xtc").write_bytes(b"no trajectory")
    none = FrameReader(tmp_path / "d.xtc")
    assert (list(none), none.first()) == ([], None) and none.damage


def test_first_frame_has_columns_whatever_chains_and_numbers_are(tmp_path):
    """Chains of two letters, numbers of five digits and below -999, more chains than there are letters."""
    chains = ["B", "AB", "A-2", *(f"x{at}" for at in range(67))]
    numbers = [1, 12345, -1234, *range(67)]
    residues = [Residue(at, chain, numbers[at], "", "GLY", "G") for at, chain in enumerate(chains)]
    names, elements = ["N", "CA", "1HA", "HH11x"] * 70, ["N", "C", "H", "H"] * 70
    protein = Protein(names, [at // 4 for at in range(280)], [("", "GLY")] * 70, [])
    positions = np.random.default_rng(7).uniform(-99, 99, (280, 3)).astype(np.float32)
    write_xtc(tmp_path / "a.xtc", positions[None])
    write_first_frame(tmp_path / "a.xtc", protein, residues, tmp_path / "a.pdb", elements)
    lines = (tmp_path / "a.pdb").read_text().splitlines()
    assert [lines[at] for at in range(4, 350, 5)] == ["TER"] * 70 and lines[-1] == "END"
    atoms = [line for line in lines if line.startswith("ATOM")]
    assert {len(line) for line in atoms} == {78}
    xyz = [[float(line[at : at + 8]) for at in (30, 38, 46)] for line in atoms]
    np.testing.assert_allclose(xyz, positions * 10, atol=0.006)
    assert [line[12:16] for line in atoms[:4]] == [" N  ", " CA ", " 1HA", "HH11"]
    assert [line[76:78].strip() for line in atoms] == elements
    letters = [line[21] for line in atoms[::4]]
    assert letters[:4] == ["B", "A", "C", "D"] and len(set(letters)) == 62
    assert [line[22:26] for line in atoms[:12:4]] == ["   1", "2345", "8766"]
    assert all(one != other for one, other in itertools.pairwise(letters))


@needs_gmx
def test_replica_is_described_with_its_chains(coarse):
    quality = read_json(coarse[0] / "1/quality.json")
    assert list(quality["metadata"]["sequences"]) == ["A", "B"]
    assert quality["settings"]["precision_per_nm"] == 100
    pairs = list(itertools.pairwise(sorted(quality["metadata"]["sequences"].values())))
    assert pairs[0][0] == pairs[0][1] == "PFRDYVDRFY"
