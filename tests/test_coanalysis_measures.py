"""The measures of a replica against MDAnalysis on real trajectories, by any number of ranks, and what is refused."""

import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysis import transformations
from MDAnalysis.analysis import align, rms
from MDAnalysis.analysis.dssp import DSSP
from MDAnalysis.lib.distances import distance_array
from MDAnalysis.lib.formats.libmdaxdr import TRRFile, XTCFile
from scipy.spatial.transform import Rotation

from conftest import ROOT
from helixflow.coanalysis import kernels, secondary
from helixflow.coanalysis.measures import DATASETS, Measures
from helixflow.coanalysis.molecule import read_molecule
from helixflow.coanalysis.replica import Settings, find_contacts, measure_block, prepare
from helixflow.coanalysis.trajectory import BLOCK_FRAMES, find_frames, read_frames
from helixflow.errors import MismatchError
from helixflow.structures.chemistry import CODES
from helixflow.structures.residues import Residue, read_residues
from xtc import read_xtc, write_xtc

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

SETTINGS = Settings(cutoff_nm=0.8, heavy_cutoff_nm=0.45, min_separation=3, neighbour_radius_nm=1.0)
MPIRUN = ["mpirun", "--quiet", "--oversubscribe", "--allow-run-as-root", "--bind-to", "none"]
needs_mpi = pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")


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
        if not self.path(f"{ranks}.h5").is_file():
            done = self.run(ranks)
            assert done.returncode == 0, done.stderr
        return Measures(self.path(f"{ranks}.h5"), 1)

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


@needs_mpi
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


@needs_mpi
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


@needs_mpi
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


@needs_mpi
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


@needs_mpi
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
