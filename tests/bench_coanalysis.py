"""Co-analysis against MDAnalysis: the same measures and the same algebra of one trajectory, on one core.

The trajectory is made of the ten frames of adenylate kinase beside the checkout: made whole, one changed into
the next step by step, shaken and tumbled. A peer computes no more than is computed here.
"""

import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from conftest import DATA, ROOT
from measuring import cost, show

FRAMES, WIDTH = 4_000, 1_024
#: Frames to see how time and memory grow.
GROWTH, MOST = (1_000, 2_000, 4_000), 8_000
CUTOFF, HEAVY_CUTOFF, SEPARATION, RADIUS = 8.0, 4.5, 3, 10.0
HEAVY = "not name H* 1H* 2H* 3H*"


def make_inputs(folder: Path) -> None:
    """Write topology, residues, links and a store of random vectors, and trajectories of several lengths."""
    import MDAnalysis as mda
    from MDAnalysis import transformations

    from analysing import write_inputs
    from helixflow.coanalysis.trajectory import find_frames
    from helixflow.structures.chemistry import CODES
    from xtc import write_xtc

    warnings.simplefilter("ignore")
    for name in ("adk_oplsaa.tpr", "adk_oplsaa.xtc"):
        shutil.copy(DATA / "md" / name, folder / name)
    universe = mda.Universe(folder / "adk_oplsaa.tpr", folder / "adk_oplsaa.xtc")
    protein = universe.select_atoms("protein")
    universe.trajectory.add_transformations(transformations.unwrap(protein))
    frames = [protein.positions / 10 for _ in universe.trajectory]
    protein.write(folder / "protein.pdb")
    codes = "".join(CODES[name] for name in protein.residues.resnames)
    write_inputs(folder, codes, [(codes, row + 1) for row in range(len(codes))], width=WIDTH)
    path = write_xtc(folder / f"{MOST}.xtc", list(tumble(frames, MOST)))
    offsets = find_frames(path, len(protein)).offsets
    for number in GROWTH:
        (folder / f"{number}.xtc").write_bytes(path.read_bytes()[: offsets[number]])


def tumble(frames: list[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Give positions between one frame and the next, each shaken by 0.01 nm, turned and moved at random."""
    from scipy.spatial.transform import Rotation

    dice, steps = np.random.default_rng(3), count // len(frames)
    for number in range(count):
        at, share = number // steps, number % steps / steps
        between = frames[at] * (1 - share) + frames[(at + 1) % len(frames)] * share
        shaken = between - between.mean(axis=0) + dice.normal(scale=0.01, size=between.shape)
        yield Rotation.random(random_state=dice).apply(shaken) + dice.normal(size=3)


def measure(folder: Path, frames: int) -> Callable[[], None]:
    """Make the first step ready, with what it compiles loaded."""
    from analysing import SETTINGS, Alone
    from helixflow.coanalysis import recording  # noqa: F401
    from helixflow.coanalysis.replica import measure_block, measure_replica, prepare

    names = [str(folder / name) for name in ("residues.tsv", "protein.pdb", f"{frames}.xtc")]
    measure_block((0, 1), prepare(*names, SETTINGS))
    return lambda: measure_replica(Alone(), *names, SETTINGS, folder / f"{frames}.measures.h5")


def analyse(folder: Path, frames: int) -> Callable[[], None]:
    """Make the second step ready, without permutations to speak of: no peer has them."""
    from analysing import Alone, request_of
    from helixflow.coanalysis.analysis import analyse_structure

    request = request_of(folder, [folder / f"{frames}.measures.h5"], permutations=1, components=1)
    return lambda: analyse_structure(Alone(), request, folder / f"{frames}.h5")


def both(folder: Path, frames: int) -> Callable[[], None]:
    """Make both steps ready."""
    first, second = measure(folder, frames), analyse(folder, frames)

    def run() -> None:
        first()
        second()

    return run


class Peer:
    """What the peers read and select."""

    def __init__(self, folder: Path, frames: int) -> None:
        import h5py
        import MDAnalysis as mda

        # The index that MDAnalysis leaves beside a file is made before the time is taken.
        self.universe = mda.Universe(str(folder / "protein.pdb"), str(folder / f"{frames}.xtc"))
        self.alphas = self.universe.select_atoms("name CA")
        self.betas = self.universe.select_atoms("name CB or (name CA and resname GLY)")
        self.heavy = self.universe.select_atoms(HEAVY)
        with h5py.File(folder / "store/part.h5") as part:
            self.embedding = part["residue"][:].astype(float)
        unit = self.embedding / np.linalg.norm(self.embedding, axis=1, keepdims=True)
        self.cosine = unit @ unit.T
        index = np.arange(len(self.alphas))
        self.far = np.abs(np.subtract.outer(index, index)) >= SEPARATION

    def contacts(self) -> np.ndarray:
        """Contacts of C-alphas in this frame, (N, N) bool."""
        from MDAnalysis.lib.distances import distance_array

        return (distance_array(self.alphas.positions, self.alphas.positions) < CUTOFF) & self.far

    def heavy_contacts(self) -> np.ndarray:
        """Contacts of heavy atoms in this frame, (N, N) bool."""
        from MDAnalysis.lib.distances import self_capped_distance

        pairs = self_capped_distance(self.heavy.positions, HEAVY_CUTOFF, return_distances=False)
        contacts = np.zeros(self.far.shape, bool)
        contacts[tuple(self.heavy.resindices[pairs].T)] = True
        return (contacts | contacts.T) & self.far

    def neighbours(self) -> np.ndarray:
        """Number of other C-betas near each one in this frame, (N,)."""
        from MDAnalysis.lib.distances import distance_array

        return (distance_array(self.betas.positions, self.betas.positions) < RADIUS).sum(axis=1) - 1


def by_classes(folder: Path, frames: int, simple: bool = False) -> Callable[[], None]:
    """MDAnalysis as its guide has it: a pass over the frames for each analysis; `simple` leaves some out."""
    from MDAnalysis.analysis import align, rms
    from MDAnalysis.analysis.base import AnalysisFromFunction
    from MDAnalysis.analysis.dssp import DSSP

    peer = Peer(folder, frames)
    universe, embedding = peer.universe, peer.embedding

    def of_frame() -> np.ndarray:
        contacts = peer.contacts()
        context[:] += contacts @ embedding
        (contacts * peer.cosine).sum() / max(contacts.sum(), 1)
        return contacts.sum(axis=1) @ embedding / max(contacts.sum(), 1)

    context = np.zeros_like(embedding)

    def run() -> None:
        rms.RMSD(universe, select="name CA").run()
        AnalysisFromFunction(universe.atoms.radius_of_gyration, universe.trajectory).run()
        AnalysisFromFunction(of_frame, universe.trajectory).run()
        if not simple:
            AnalysisFromFunction(lambda: peer.heavy_contacts().sum(), universe.trajectory).run()
            AnalysisFromFunction(peer.neighbours, universe.trajectory).run()
            DSSP(universe).run()
        align.AlignTraj(universe, universe, select="name CA", in_memory=True).run()
        rms.RMSF(peer.alphas).run()

    return run


def by_one_loop(folder: Path, frames: int, simple: bool = False) -> Callable[[], None]:
    """MDAnalysis for reading and distances, the same algebra in numpy: one pass, no work per frame in D."""
    from MDAnalysis.analysis.dssp.pydssp_numpy import assign

    from helixflow.coanalysis.geometry import superpose

    peer = Peer(folder, frames)
    universe, atoms = peer.universe, peer.universe.atoms
    backbone = [universe.select_atoms(f"name {name}").indices for name in ("N", "CA", "C", "O O1 OT1")]
    donors = peer.alphas.resnames != "PRO"

    def run() -> None:
        alphas = np.empty((frames, len(peer.alphas), 3))
        degrees, frequency = np.empty((frames, len(peer.alphas))), np.zeros(peer.far.shape)
        heavy, neighbours, radii, cosines = np.zeros(peer.far.shape), 0, [], []
        for step in universe.trajectory:
            contacts = peer.contacts()
            alphas[step.frame], degrees[step.frame] = peer.alphas.positions, contacts.sum(axis=1)
            frequency += contacts
            cosines.append(peer.cosine[contacts].sum())
            radii.append(atoms.radius_of_gyration())
            if not simple:
                heavy += peer.heavy_contacts()
                neighbours = neighbours + peer.neighbours()
                assign(step.positions[np.array(backbone).T], donors)
        degrees @ peer.embedding / degrees.sum(axis=1, keepdims=True)
        frequency / frames @ peer.embedding
        deviation = superpose(alphas, alphas[0]) - alphas[0]
        np.sqrt((deviation**2).sum(axis=2).mean(axis=1))
        np.sqrt(((deviation - deviation.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))

    return run


def clock(folder: Path, ranks: int, frames: int) -> float:
    """Seconds that the program of the first step takes."""
    command = ["mpirun", "--quiet", "--oversubscribe", "--allow-run-as-root", "--bind-to", "none"]
    command += ["-n", ranks, sys.executable, "-m", "mpi4py", ROOT / "scripts/measure_replica.py"]
    command += ["--residues", folder / "residues.tsv", "--topology", folder / "protein.pdb"]
    command += ["--trajectory", folder / f"{frames}.xtc", "--output", folder / "clock.h5"]
    command += ["--cutoff-nm", CUTOFF / 10, "--heavy-cutoff-nm", HEAVY_CUTOFF / 10]
    command += ["--neighbour-radius-nm", RADIUS / 10, "--min-separation", SEPARATION]
    start = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return time.perf_counter() - start


def bench_coanalysis(folder: Path) -> None:
    if not (DATA / "md").is_dir():
        print("\ncoanalysis: left out, it needs the trajectories of ../shared/data/md")
        return
    load = os.getloadavg()[0]
    make_inputs(folder)
    ours = ("helixflow, both steps", FRAMES, cost(both, folder, FRAMES))
    for name, peer in (("a pass for each analysis", by_classes), ("the same algebra, one loop", by_one_loop)):
        fewer, same = cost(peer, folder, FRAMES, True), cost(peer, folder, FRAMES)
        show(
            f"coanalysis: {FRAMES} frames of 214 residues (3,341 atoms), D = {WIDTH}, one rank",
            "frames/CPU s",
            [
                ours,
                ("MDAnalysis, no heavy contacts, neighbours and DSSP", FRAMES, fewer),
                (f"MDAnalysis, {name}", FRAMES, same),
            ],
        )
    show(
        "coanalysis: growth with the number of frames",
        "frames/CPU s",
        [
            (f"helixflow, first step, {frames} frames", frames, cost(measure, folder, frames))
            for frames in (*GROWTH, MOST)
        ],
    )
    if shutil.which("mpirun"):
        whole = [clock(folder, ranks, MOST) for ranks in (1, 2)]
        # Less the time of fewer frames: what is left is free of the start of Python and MPI.
        one, two = (seconds - clock(folder, ranks, GROWTH[0]) for ranks, seconds in enumerate(whole, 1))
        print(f"\ncoanalysis: first step, {MOST} frames: {whole[0]:.1f} s on 1 rank, {whole[1]:.1f} s on 2;")
        print(f"  without the start 2 ranks are {one / two:.2f} times faster than 1")
        print(f"  (load before, of {os.cpu_count()} cores: {load:.1f}; only idle cores tell)")
