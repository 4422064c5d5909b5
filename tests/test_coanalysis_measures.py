"""Measures of a replica against MDAnalysis on real trajectories, by any number of ranks; what is refused."""

import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysis import transformations
from MDAnalysis.analysis import align, rms
from MDAnalysis.analysis.dssp import DSSP
from MDAnalysis.lib.distances import distance_array
from MDAnalysis.lib.formats.libmdaxdr import TRRFile
from scipy.spatial.transform import Rotation

from analysing import MPIRUN, SETTINGS, measure, needs_mpi
from conftest import ROOT
from helixflow.coanalysis.measures import DATASETS, Measures
from helixflow.coanalysis.molecule import read_molecule
from helixflow.coanalysis.replica import find_contacts, measure_block, prepare
from helixflow.coanalysis.secondary import assign
from helixflow.coanalysis.trajectory import BLOCK_FRAMES, find_frames, read_frames
from helixflow.errors import MismatchError, of_the_machine
from helixflow.structures.chemistry import CODES
from helixflow.structures.residues import Residue, read_residues
from helixflow.trajectories.packed import unpack_frame
from xtc import change_frames, read_xtc, write_xtc

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


@dataclass
class Case:
    """The input files of one replica."""

    folder: Path
    trajectory: str = "protein.xtc"

    def path(self, name: str) -> Path:
        return self.folder / name

    def command(self, ranks: int, output: Path | None = None) -> list[str]:
        words = [*MPIRUN, "-n", ranks, sys.executable, "-m", "mpi4py", ROOT / "scripts/measure_replica.py"]
        words += ["--residues", self.path("residues.tsv"), "--topology", self.path("protein.pdb")]
        words += ["--trajectory", self.path(self.trajectory), "--output", output or self.path(f"{ranks}.h5")]
        for name, value in vars(SETTINGS).items():
            words += ["--" + name.replace("_", "-"), value]
        return list(map(str, words))

    def run(self, ranks: int, output: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(ranks, output), capture_output=True, text=True, timeout=100)

    def prepare(self):
        names = ("residues.tsv", "protein.pdb", self.trajectory)
        return prepare(*(str(self.path(name)) for name in names), SETTINGS)

    def measures(self, ranks: int = 1) -> Measures:
        """Measure the replica, once for each number of ranks; one rank is this process."""
        path = self.path(f"{ranks}.h5")
        if ranks == 1 and not path.is_file():
            measure(self.path("residues.tsv"), self.folder, path)
        elif not path.is_file():
            done = self.run(ranks)
            assert done.returncode == 0, done.stderr
        return Measures(path, 1)

    def universe(self) -> mda.Universe:
        return mda.Universe(self.path("protein.pdb"), self.path("protein.xtc"))


def write_residues(folder, names, chains=None):
    lines = ["index\tchain\tnumber\tinsertion\tname\tcode\tdeposited\torigin\tplddt"]
    for index, (name, chain) in enumerate(zip(names, chains or ["A"] * len(names), strict=True)):
        lines.append(f"{index}\t{chain}\t{index + 11}\t\t{name}\t{CODES[name]}\t\tobserved\t")
    (folder / "residues.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def trpcage(data, tmp_path_factory):
    """The structures of trp-cage, over and over, turned and moved at random: several blocks."""
    folder = tmp_path_factory.mktemp("trpcage")
    shutil.copy(data / "md" / "1l2y.xtc", folder / "given.xtc")
    frames = [frame.x.astype(float) for frame in read_xtc(folder / "given.xtc")]
    still = mda.Universe(data / "md" / "1l2y.gro").atoms
    still.write(folder / "protein.pdb")
    write_residues(folder, still.residues.resnames)
    rng = np.random.default_rng(3)
    turned = [
        Rotation.random(random_state=rng).apply(frames[number % len(frames)]) + rng.normal(0, 2, 3)
        for number in range(2 * BLOCK_FRAMES + 20)
    ]
    write_xtc(folder / "protein.xtc", turned, times=[10.0 * number for number in range(len(turned))])
    return Case(folder)


@pytest.fixture(scope="module")
def adk(data, tmp_path_factory):
    """Adenylate kinase made whole, and as it was simulated, broken across the box."""
    folder = tmp_path_factory.mktemp("adk")
    for name in ("adk_oplsaa.tpr", "adk_oplsaa.xtc"):
        shutil.copy(data / "md" / name, folder / name)
    universe = mda.Universe(folder / "adk_oplsaa.tpr", folder / "adk_oplsaa.xtc")
    protein = universe.select_atoms("protein")
    protein.write(folder / "raw.xtc", frames="all")
    universe.trajectory.add_transformations(transformations.unwrap(protein))
    protein.write(folder / "protein.pdb")
    protein.write(folder / "protein.xtc", frames="all")
    write_residues(folder, protein.residues.resnames)
    return Case(folder)


@pytest.fixture
def case(trpcage, tmp_path):
    """A copy of trp-cage's inputs, to be damaged."""
    for name in ("residues.tsv", "protein.pdb", "protein.xtc"):
        shutil.copy(trpcage.path(name), tmp_path / name)
    return Case(tmp_path)


# Against MDAnalysis


@pytest.mark.parametrize("name", ["trpcage", "adk"])
def test_motion_is_that_of_mdanalysis(name, request):
    case = request.getfixturevalue(name)
    universe = case.universe()
    with case.measures() as found:
        np.testing.assert_allclose(found.read("frame/time_ps"), [step.time for step in universe.trajectory])
        radii = [universe.atoms.radius_of_gyration() for _ in universe.trajectory]
        np.testing.assert_allclose(found.read("frame/rg_nm") * 10, radii, rtol=0, atol=1e-5)
        wanted = rms.RMSD(universe, select="name CA", ref_frame=0).run().results.rmsd[:, 2]
        np.testing.assert_allclose(found.read("frame/rmsd_nm") * 10, wanted, rtol=0, atol=1e-5)
        stored = [universe.select_atoms("name CA").positions for _ in universe.trajectory]
        np.testing.assert_allclose(found.alphas(0, found.frames) * 10, stored, rtol=0, atol=1e-5)
        align.AlignTraj(universe, case.universe(), select="name CA", in_memory=True).run()
        wanted = rms.RMSF(universe.select_atoms("name CA")).run().results.rmsf
        np.testing.assert_allclose(found.read("residue/rmsf_nm") * 10, wanted, rtol=0, atol=1e-5)


def test_adk_is_whole_or_refused(adk):
    with adk.measures() as found:
        assert found.read("frame/rg_nm")[0] * 10 == pytest.approx(19.65, abs=0.005)
    with pytest.raises(
        MismatchError, match=r"raw\.xtc: frame 0 \(0 ps\) has \d\.\d\d nm between the C-alphas of"
    ):
        Case(adk.folder, "raw.xtc").prepare()


def residue_distances(atoms, chosen):
    """Least distance of any chosen atom of each residue to any of each other one, in ångström."""
    chosen = atoms.select_atoms(chosen)
    distances = distance_array(chosen.positions, chosen.positions)
    starts = np.flatnonzero(np.diff(chosen.resindices, prepend=-1))
    return np.minimum.reduceat(np.minimum.reduceat(distances, starts, axis=0), starts, axis=1)


def differ(found, wanted, distances, cutoff):
    """Whether contacts differ where the distance is not the cutoff to the last digits of float32."""
    return ((found != wanted) & (np.abs(distances - cutoff) > 1e-5)).any()


@pytest.mark.parametrize("name", ["trpcage", "adk"])
@pytest.mark.parametrize(
    ("criterion", "cutoff", "chosen"), [("alphas", 8, "name CA"), ("heavy", 4.5, "not name H* 1H* 2H* 3H*")]
)
def test_contacts_are_those_of_distances(name, criterion, cutoff, chosen, request):
    case = request.getfixturevalue(name)
    universe = case.universe()
    index = np.arange(len(universe.residues))
    far = np.abs(index[:, None] - index) >= SETTINGS.min_separation
    with case.measures() as measures:
        counts, pairs = measures.contacts(criterion, 0, measures.frames)
        total = np.zeros((len(index),) * 2)
        ties = 0
        for of_frame, _ in zip(np.split(pairs, np.cumsum(counts)[:-1]), universe.trajectory, strict=True):
            assert (np.diff(of_frame.astype(int)) > 0).all()
            found = np.zeros((len(index),) * 2, bool)
            found.flat[of_frame] = True
            assert not np.tril(found).any()
            found |= found.T
            distances = residue_distances(universe.atoms, chosen)
            wanted = (distances < cutoff) & far
            assert not differ(found, wanted, distances, cutoff)
            ties += (found != wanted).sum()
            total += found
        frequency = measures.read(f"pair/{'' if criterion == 'alphas' else 'heavy_'}contact_frequency")
    assert total.any() and ties <= 4
    np.testing.assert_allclose(frequency, total / len(counts), atol=1e-12)


@pytest.mark.parametrize("name", ["trpcage", "adk"])
def test_neighbours_are_counted_about_the_c_betas(name, request):
    case = request.getfixturevalue(name)
    betas = case.universe().select_atoms("name CB or (name CA and resname GLY)")
    counts = []
    for _ in betas.universe.trajectory:
        distances = distance_array(betas.positions, betas.positions)
        counts.append((distances < 10).sum(axis=1) - 1)
    with case.measures() as found:
        np.testing.assert_allclose(found.read("residue/neighbours"), np.mean(counts, axis=0), atol=0.021)


@pytest.mark.parametrize("name", ["trpcage", "adk"])
def test_secondary_structure_is_that_of_mdanalysis(name, request):
    case = request.getfixturevalue(name)
    wanted = DSSP(case.universe(), heavyatom_names=("N", "CA", "C", "O O1 OT1 OC1")).run().results.dssp
    task = case.prepare()
    parts = [measure_block(block, task) for block in task.trajectory.blocks()]
    helix, strand = (np.concatenate([getattr(part, kind) for part in parts]) for kind in ("helix", "strand"))
    assert (helix == (wanted == "H")).mean() > 0.9995 and (strand == (wanted == "E")).mean() > 0.9995
    assert helix.any() and (strand.any() or name == "trpcage") and not (helix & strand).any()
    with case.measures() as found:
        np.testing.assert_allclose(found.read("frame/helix"), helix.mean(axis=1), atol=1e-12)
        np.testing.assert_allclose(found.read("residue/strand"), strand.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("name", ["1AKI", "1UBI", "1VII", "1A8O", "3O5R", "1L2Y", "1BHL"])
def test_secondary_structure_of_structures_is_that_of_mdanalysis(name, data, tmp_path):
    path = shutil.copy(data / "structures" / f"{name}.pdb", tmp_path)
    protein = mda.Merge(mda.Universe(path).select_atoms("protein and not altloc B C D")).atoms
    wanted = "".join(DSSP(protein).run().results.dssp[0])
    groups = [protein.select_atoms(f"name {atom}") for atom in ("N", "CA", "C", "O")]
    helix, strand = np.empty((2, 1, len(wanted)), bool)
    assign(
        np.float32(protein.positions / 10)[None],
        np.array([group.indices for group in groups]).T.astype(np.int64),
        groups[0].resnames != "PRO",
        np.unique(groups[0].chainIDs, return_inverse=True)[1].astype(np.int64),
        helix,
        strand,
    )
    found = "".join(np.select([helix[0], strand[0]], ["H", "E"], "-"))
    assert set("HE" if name in ("1AKI", "1UBI", "3O5R", "1BHL") else "H") <= set(found)
    # MDAnalysis takes residues on both sides of a gap for neighbours.
    gaps = np.linalg.norm(groups[2].positions[:-1] - groups[0].positions[1:], axis=1) > 2.5
    apart = [at for at, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other]
    assert all(np.abs(np.flatnonzero(gaps) - at).min(initial=99) <= 5 for at in apart)
    assert (name == "1BHL") == bool(apart)


# Reading


def unpack(path):
    """The positions of each frame."""
    atoms = struct.unpack_from(">i", path.read_bytes(), 4)[0]
    offsets = find_frames(path, atoms).offsets
    for start, stop in pairwise(offsets):
        positions = np.empty((atoms, 3), np.float32)
        yield positions if unpack_frame(path.read_bytes()[start:stop], positions) else None


@pytest.mark.parametrize("name", ["1l2y.xtc", "adk_oplsaa.xtc", "trpcage.xtc"])
def test_frames_are_unpacked_as_libmdaxdr_does(name, data, tmp_path):
    path = Path(shutil.copy(data / "md" / name, tmp_path))
    for found, wanted in zip(unpack(path), read_xtc(path), strict=True):
        np.testing.assert_array_equal(found, wanted.x)


@pytest.mark.parametrize("reach", [0.01, 1, 30, 800, 4_000, 8_000, 30_000])
def test_positions_near_and_far_are_unpacked(reach, tmp_path):
    """From steps of a few bits to numbers of 72 bits, and beyond where each axis is packed alone."""
    rng = np.random.default_rng(4)
    frames = [rng.uniform(-reach, reach, (60, 3)) for _ in range(4)]
    frames += [np.cumsum(rng.normal(0, step, (60, 3)), axis=0) + frames[0][0] for step in (0.1, reach / 60)]
    frames += [rng.normal(0, 1, (60, 3)) + reach * np.sign(np.arange(60) - 30)[:, None]]
    path, compared = write_xtc(tmp_path / "x.xtc", frames), 0
    for found, wanted, frame in zip(unpack(path), read_xtc(path), frames, strict=True):
        # libmdaxdr does not read what it writes of steps of more than 64 bits.
        if np.allclose(wanted.x, frame, atol=0.002):
            np.testing.assert_array_equal(found, wanted.x)
            compared += 1
    assert compared >= 3


def test_damaged_positions_are_told_or_stay_in_their_place(data):
    content = (data / "md" / "1l2y.xtc").read_bytes()[:4000]
    frame = content[: content.index(content[:8], 8)]
    rng = np.random.default_rng(6)
    room, told = np.zeros((306, 3), np.float32), 0
    for _ in range(3000):
        damaged = bytearray(frame)
        for _ in range(rng.integers(1, 20)):
            damaged[rng.integers(92, len(frame))] = rng.integers(256)
        told += not unpack_frame(bytes(damaged[: rng.integers(92, len(frame) + 1)]), room[1:-1])
        assert not room[[0, -1]].any()
    assert 1500 < told < 3000


def write_trr(path, frames):
    """Write positions in nm as TRR; a frame that is None has velocities alone."""
    atoms = len(next(frame for frame in frames if frame is not None))
    with TRRFile(str(path), "w") as trr:
        for number, frame in enumerate(frames):
            velocities = np.zeros((atoms, 3), np.float32) if frame is None else None
            box = np.eye(3, dtype=np.float32)
            trr.write(frame, velocities, None, box, number, 10.0 * number, 0, atoms)
    return path


def test_trr_gives_what_xtc_gives_for_the_same_positions(case):
    frames = [frame.x for frame in read_xtc(case.path("protein.xtc"))]
    write_trr(case.path("protein.trr"), frames)
    one, other = case.prepare(), Case(case.folder, "protein.trr").prepare()
    assert (one.trajectory.form, other.trajectory.form) == ("xtc", "trr")
    np.testing.assert_array_equal(one.trajectory.times, other.trajectory.times)
    for block in one.trajectory.blocks():
        found, wanted = measure_block(block, other), measure_block(block, one)
        np.testing.assert_array_equal(found.alphas, wanted.alphas)
        np.testing.assert_array_equal(found.rg_nm, wanted.rg_nm)
        np.testing.assert_array_equal(found.contacts["heavy"].pairs, wanted.contacts["heavy"].pairs)


def test_trr_of_double_precision_is_read(case):
    """As GROMACS writes it where it is built so: parts of twice the size, and time as a double."""
    frames = [frame.x.astype(float) for frame in read_xtc(case.path("protein.xtc"))[:3]]
    with case.path("double.trr").open("wb") as stream:
        for number, frame in enumerate(frames):
            stream.write(struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file"))
            stream.write(struct.pack(">13i", 0, 0, 72, 0, 0, 0, 0, frame.nbytes, 0, 0, len(frame), number, 0))
            stream.write(struct.pack(">2d", 10.0 * number, 0.0) + np.eye(3).astype(">f8").tobytes())
            stream.write(frame.astype(">f8").tobytes())
    task = Case(case.folder, "double.trr").prepare()
    np.testing.assert_array_equal(task.trajectory.times, [0, 10, 20])
    np.testing.assert_array_equal(read_frames(task.trajectory, 0, 3, task.molecule), np.float32(frames))


# The file


@needs_mpi
def test_one_two_and_three_ranks_write_the_same_bytes_and_nothing_else(case):
    before = set(case.folder.rglob("*"))
    for ranks in (1, 2, 3):
        case.measures(ranks).close()
    files = [case.path(f"{ranks}.h5") for ranks in (1, 2, 3)]
    assert len({path.read_bytes() for path in files}) == 1
    assert set(case.folder.rglob("*")) - before == set(files)


def test_the_file_tells_what_it_is(trpcage):
    with trpcage.measures() as found, h5py.File(found.path) as file:
        assert found.settings == vars(SETTINGS) and file.attrs["trajectory"] == "protein.xtc"
        datasets = []
        file.visititems(lambda name, node: datasets.append(node) if isinstance(node, h5py.Dataset) else None)
        assert {node.name[1:] for node in datasets} == set(DATASETS)
        for node in datasets:
            kind, *told = DATASETS[node.name[1:]]
            assert [node.attrs["unit"], node.attrs["description"]] == told
            assert not kind or node.dtype == kind
        assert "".join(found.read("residue/code")) == "NLYIQWLKDGGPSSGRPPPS"
        found.check_residues(read_residues(trpcage.path("residues.tsv")), "residues.tsv")


def test_measures_that_do_not_belong_together_are_refused(trpcage, tmp_path):
    residues = read_residues(trpcage.path("residues.tsv"))
    other = [*residues[:-1], Residue(19, "A", 31, "", "SER", "S")]
    path = Path(shutil.copy(trpcage.measures().path, tmp_path / "2.h5"))
    with h5py.File(path, "a") as file:
        file.attrs["heavy_cutoff_nm"] = 0.5
    with trpcage.measures() as measures, Measures(path, 2) as changed:
        with pytest.raises(MismatchError, match=r"1\.h5: measures of 20 residues, expected the 19 of x\.tsv"):
            measures.check_residues(residues[1:], "x.tsv")
        with pytest.raises(MismatchError, match=r"1\.h5: residue 20 is 'A 30  S', expected 'A 31  S' as in"):
            measures.check_residues(other, "x.tsv")
        with pytest.raises(MismatchError, match=r"2\.h5: heavy_cutoff_nm 0\.5, but 0\.45 in .*1\.h5"):
            changed.check_settings(measures)
    with h5py.File(path, "a") as file:
        del file["contact/heavy"]
    with pytest.raises(MismatchError, match=r"2\.h5: no contact/heavy, expected the measures of a replica"):
        Measures(path, 2)
    path.write_bytes(b"x")
    with pytest.raises(MismatchError, match=r"2\.h5: cannot be read"):
        Measures(path, 2)


def test_contacts_of_some_frames_are_read_alone(trpcage):
    with trpcage.measures() as measures:
        counts, pairs = measures.contacts("alphas", 3, 7)
        all_counts, all_pairs = measures.contacts("alphas", 0, measures.frames)
        start = all_counts[:3].sum()
        np.testing.assert_array_equal(counts, all_counts[3:7])
        np.testing.assert_array_equal(pairs, all_pairs[start : start + counts.sum()])


# Chains and residues


def test_pairs_of_two_chains_count_however_near_in_number(trpcage):
    residues = read_residues(trpcage.path("residues.tsv"))
    two = [Residue(r.index, "AB"[r.index >= 10], r.number, "", r.name, r.code) for r in residues]
    molecule = read_molecule(trpcage.path("protein.pdb"), two, "residues.tsv")
    positions = read_frames(find_frames(trpcage.path("protein.xtc"), 304), 0, 1, molecule)
    found = find_contacts(positions, molecule.alphas, np.arange(21), molecule.chains, 0.8, 3)
    assert 9 * 20 + 10 in found.pairs and 8 * 20 + 9 not in found.pairs
    assert found.counts.tolist() == [len(found.pairs)]


def test_contacts_are_found_where_they_are_more_than_expected(trpcage):
    """All pairs of many residues, which is more than there is room for at first."""
    task = trpcage.prepare()
    positions = read_frames(task.trajectory, 0, 2, task.molecule)
    found = find_contacts(positions, np.arange(304), np.arange(305), np.arange(304), 99, 1)
    first, second = np.triu_indices(304, 1)
    assert found.counts.tolist() == [len(first)] * 2
    np.testing.assert_array_equal(found.pairs, np.tile(first * 304 + second, 2))


def test_what_cannot_be_told_is_neither_helix_nor_strand(case):
    """A residue without O, in the middle of the helix of trp-cage."""
    whole = measure_block((0, 20), case.prepare())
    path = case.path("protein.pdb")
    lines = [line for line in path.read_text().splitlines() if line.startswith(("ATOM", "HETATM"))]
    at = next(n for n, line in enumerate(lines) if line[12:16].strip() == "O" and line[22:26].strip() == "5")
    lines[at] = lines[at][:12] + " OX " + lines[at][16:]
    path.write_text("\n".join(lines) + "\nEND\n")
    parted = measure_block((0, 20), case.prepare())
    assert whole.helix[:, 4].all() and not parted.helix[:, 4].any() and not parted.strand[:, 4].any()
    np.testing.assert_array_equal(whole.alphas, parted.alphas)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_molecules_of_a_few_atoms_are_measured(number, tmp_path):
    """Positions of up to 9 atoms are not packed; there are no contacts, no oxygens, perhaps one residue."""
    universe = mda.Universe.empty(
        3 * number, number, atom_resindex=np.repeat(np.arange(number), 3), trajectory=True
    )
    universe.add_TopologyAttr("names", ["N", "CA", "C"] * number)
    universe.add_TopologyAttr("resnames", ["GLY"] * number)
    universe.add_TopologyAttr("resids", list(range(1, number + 1)))
    positions = np.arange(9.0 * number).reshape(-1, 3) / 20
    universe.atoms.positions = positions * 10
    universe.atoms.write(tmp_path / "protein.pdb")
    write_residues(tmp_path, ["GLY"] * number)
    write_xtc(tmp_path / "protein.xtc", [positions, positions + 1])
    case = Case(tmp_path)
    part = measure_block((0, 2), case.prepare())
    np.testing.assert_allclose(part.rmsd_nm, 0, atol=1e-6)
    np.testing.assert_allclose(part.rg_nm[0] * 10, universe_radius(positions), atol=1e-4)
    assert part.contacts["alphas"].counts.tolist() == part.contacts["heavy"].counts.tolist() == [0, 0]
    assert not part.helix.any() and not part.strand.any()
    broken = positions.copy()
    broken[1, 1] = np.nan
    write_xtc(tmp_path / "protein.xtc", [positions, broken])
    with pytest.raises(MismatchError, match=r"frame 1 \(1 ps\) has no finite position of atom 2"):
        measure_block((0, 2), case.prepare())


def universe_radius(positions):
    """Radius of gyration of N, CA, C over and over, in ångström."""
    masses = np.tile([14.007, 12.011, 12.011], len(positions) // 3)
    centred = positions - np.average(positions, axis=0, weights=masses)
    return 10 * np.sqrt(np.average((centred**2).sum(axis=1), weights=masses))


# What is refused


def tear(frame, atoms):
    """Change of a file: move atoms of one frame by a box."""

    def change(number, positions, box):
        if number == frame:
            positions[atoms] += [7, 0, 0]

    return lambda case: change_frames(case.path("protein.xtc"), change)


def cut(case, by):
    case.path("protein.xtc").write_bytes(case.path("protein.xtc").read_bytes()[:-by])


def cut_in_header(case):
    path = case.path("protein.xtc")
    path.write_bytes(path.read_bytes() + path.read_bytes()[:20])


def damage(case, where, by):
    """Change bytes of frame 70, counted from where it begins."""
    path = case.path("protein.xtc")
    content, start = bytearray(path.read_bytes()), int(find_frames(path, 304).offsets[70])
    content[start + where : start + where + len(by)] = by
    path.write_bytes(content)


def rewrite(case, times=None, atoms=304):
    frames = [frame.x[:atoms] for frame in read_xtc(case.path("protein.xtc"))[:3]]
    write_xtc(case.path("protein.xtc"), frames, times=times)


def join(case):
    """The same file twice, one behind the other."""
    path = case.path("protein.xtc")
    path.write_bytes(path.read_bytes() * 2)


def velocities_alone(case):
    frames = [frame.x for frame in read_xtc(case.path("protein.xtc"))[:3]]
    write_trr(case.path("protein.xtc"), [*frames, None])


def changed(change):
    """Change of a file: the positions of its third frame, in TRR so that they stay as they are."""

    def damage(case):
        frames = [frame.x.copy() for frame in read_xtc(case.path("protein.xtc"))[:3]]
        frames[2] = change(frames[2]).astype(np.float32)
        write_trr(case.path("protein.xtc"), frames)

    return damage


def not_finite(case):
    frames = [frame.x.copy() for frame in read_xtc(case.path("protein.xtc"))[:3]]
    frames[2][17, 1] = np.nan
    write_trr(case.path("protein.xtc"), frames)


def another_residue(case):
    path = case.path("protein.pdb")
    path.write_text(re.sub("GLN( .   5)", r"GLU\1", path.read_text()))


def fewer_residues(case):
    mda.Universe(case.path("protein.pdb")).select_atoms("not resid 20").write(case.path("protein.pdb"))


def no_alpha(case):
    path = case.path("protein.pdb")
    path.write_text(path.read_text().replace("  CA  LEU", "  CB  LEU", 1))


REFUSALS = {
    "residue": (another_residue, r"protein\.pdb: residue 5 is GLU, expected Q \(GLN A 15\)"),
    "residues": (fewer_residues, r"protein\.pdb: 19 residues, expected the 20 of .*residues\.tsv"),
    "alpha": (no_alpha, r"protein\.pdb: LEU A 12 has 0 CA atoms"),
    "atoms": (
        lambda case: rewrite(case, atoms=300),
        r"frame 0 cannot be read \(it has 300 atoms, expected 304\)",
    ),
    "truncated": (
        lambda case: cut(case, 200),
        r"frame 147 \(behind 1460 ps\) cannot be read \(of \d+ bytes of positions",
    ),
    "cut in the header": (
        cut_in_header,
        r"frame 148 \(behind 1470 ps\) cannot be read \(the file ends 20 bytes",
    ),
    "empty": (lambda case: cut(case, 10**6), r"protein\.xtc: no frame, expected one at least"),
    "other format": (
        lambda case: case.path("protein.xtc").write_text("no trajectory " * 99),
        r"frame 0 cannot be read \(no XTC frame begins at byte 0\)",
    ),
    "no such file": (
        lambda case: case.path("protein.xtc").unlink(),
        r"protein\.xtc: cannot be opened \(No such file",
    ),
    "magic": (
        lambda case: damage(case, 0, bytes(4)),
        r"frame 70 \(behind 690 ps\) cannot be read \(no XTC frame begins at byte",
    ),
    "number of atoms": (
        lambda case: damage(case, 4, struct.pack(">i", 1 << 30)),
        r"frame 70 \(behind 690 ps\) cannot be read \(it has 1073741824 atoms, expected 304\)",
    ),
    "packed": (
        lambda case: damage(case, 92, bytes(800)),
        r"frame 70 \(700 ps\) cannot be read \(its packed positions are damaged\)",
    ),
    "torn chain": (
        tear(130, slice(120, None)),
        r"protein\.xtc: frame 130 \(1300 ps\) has \d\.\d\d nm between the C-alphas of \w{3} A \d+ and of",
    ),
    "torn side chain": (
        tear(131, [15]),
        r"frame 131 \(1310 ps\) has \d\.\d\d nm between atom 16 and the C-alpha of its residue ASN A 11",
    ),
    "not finite": (not_finite, r"frame 2 \(20 ps\) has no finite position of atom 18; the simulation failed"),
    "all zero": (
        changed(np.zeros_like),
        r"frame 2 \(20 ps\) has 0\.00 nm between the C-alphas of ASN A 11 and of the next .* at least 0\.2",
    ),
    "half size": (changed(lambda x: x / 2), r"frame 2 \(20 ps\) has 0\.19 nm between the C-alphas of ASN A"),
    "far": (
        changed(lambda x: x + 1e6),
        r"frame 2 \(20 ps\) has atom 1 at 1e\+06 nm, expected at most 100000",
    ),
    "precision": (
        lambda case: damage(case, 56, struct.pack(">f", 500)),
        r"frame 70 \(700 ps\) has precision 500, expected 1000 as the first frame",
    ),
    "time without end": (
        lambda case: rewrite(case, [0, 1, np.inf]),
        r"frame 2 \(inf ps\) stands behind one of",
    ),
    "velocities": (velocities_alone, r"frame 3 \(30 ps\) has no positions, expected those of 304 atoms"),
    "time again": (
        lambda case: rewrite(case, [0, 1, 1]),
        r"frame 2 \(1 ps\) stands behind one of 1 ps, expected times that ascend",
    ),
    "time falls": (lambda case: rewrite(case, [5, 3, 4]), r"frame 1 \(3 ps\) stands behind one of 5 ps"),
    "no time": (lambda case: rewrite(case, [np.nan, 3, 4]), r"frame 0 \(nan ps\) stands, expected times"),
    "joined": (join, r"frame 148 \(0 ps\) stands behind one of 1470 ps, expected times that ascend"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_fit_is_refused_in_one_line(case, name):
    damage, message = REFUSALS[name]
    damage(case)
    with pytest.raises(MismatchError, match=message) as refusal:
        task = case.prepare()
        for block in task.trajectory.blocks():
            measure_block(block, task)
    assert "\n" not in str(refusal.value)


@needs_mpi
def test_the_first_of_several_bad_frames_is_named_whatever_the_ranks(case):
    for frame in (140, 80, 100):
        tear(frame, slice(120, None))(case)
    for ranks in (1, 3):
        done = case.run(ranks)
        assert done.returncode == 1 and not list(case.folder.glob("*.h5")) + list(case.folder.glob(".*"))
        (line,) = (done.stdout + done.stderr).splitlines()
        assert line.startswith("MismatchError: ") and "protein.xtc: frame 80 (800 ps) has" in line


@needs_mpi
def test_a_file_that_cannot_be_written_ends_all_ranks(case):
    case.path("file").write_text("")
    done = case.run(2, case.path("file") / "x.h5")
    assert done.returncode != 0
    assert "FileExistsError: [Errno 17] File exists" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("size_kB", [8, 64, 400])
def test_a_full_disk_is_told_and_nothing_is_left(case, size_kB):
    """A limit on the size of files stands for the disk's; the frames are three blocks."""
    measure(case.path("residues.tsv"), case.folder, case.path("x.h5"))
    assert case.path("x.h5").stat().st_size > 400_000
    case.path("x.h5").unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_kB * 1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*x\.h5") as told:
            measure(case.path("residues.tsv"), case.folder, case.path("x.h5"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(of_the_machine(told.value)).endswith("make room or name another folder, and run again")
    assert not list(case.folder.glob("*x.h5"))


@needs_mpi
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_ends_the_job_with_a_line(case, victim):
    frames = [frame.x for frame in read_xtc(case.path("protein.xtc"))] * 150
    write_xtc(case.path("protein.xtc"), frames)
    job = subprocess.Popen(case.command(2), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list(case.folder.glob(".*.h5")))
    ranks = children(job.pid)
    assert len(ranks) == 2
    os.kill(ranks[victim], signal.SIGKILL)
    said, wrong = job.communicate(timeout=60)
    assert job.returncode != 0 and not case.path("2.h5").exists()
    (line,) = (said + wrong).splitlines()
    assert line.startswith(f"ERROR rank {1 - victim} was told to end (SIGTERM): another rank failed, as")
    if victim:
        write_xtc(case.path("protein.xtc"), frames[:3])
        assert case.run(2).returncode == 0 and not list(case.folder.glob(".*"))


def children(parent):
    """Numbers of the processes that a launcher started, in the order of their ranks."""
    stats = [path.read_text().rsplit(")", 1) for path in Path("/proc").glob("[0-9]*/stat")]
    return sorted(int(head.split()[0]) for head, tail in stats if int(tail.split()[1]) == parent)


def wait_for(found, seconds=60):
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.02)
