"""The co-analysis against MDAnalysis on real trajectories, its own definition, and what it refuses."""

import csv
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import MDAnalysis as mda
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from MDAnalysis import transformations
from MDAnalysis.analysis import align, rms
from MDAnalysis.lib.distances import distance_array
from scipy.spatial.transform import Rotation
from scipy.stats import spearmanr

from conftest import ROOT
from helixflow.coanalysis.analysis import Request, prepare
from helixflow.coanalysis.blocks import BLOCK_FRAMES, analyse_block, count_contacts
from helixflow.coanalysis.embedding import Embedding
from helixflow.coanalysis.geometry import cosine_matrix, superpose
from helixflow.coanalysis.molecule import CODES, read_molecule
from helixflow.coanalysis.statistics import correlate_pairs, spearman
from helixflow.embeddings.index import INDEX_TYPES
from helixflow.errors import MismatchError
from helixflow.links.table import HEADER as LINK_HEADER
from helixflow.proteins.names import protein_id
from helixflow.structures.residues import Residue, read_residues

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

MPIRUN = ["mpirun", "--quiet", "--oversubscribe", "--allow-run-as-root", "--bind-to", "none"]
CUTOFF, SEPARATION, WIDTH = 0.8, 3, 24
needs_mpi = pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")


@dataclass
class Case:
    """The input files of one structure."""

    folder: Path
    replicas: int

    def path(self, name: str, replica: int = 0) -> Path:
        return self.folder / (f"{replica}" if replica else "") / name

    def request(self) -> Request:
        numbers = range(1, self.replicas + 1)
        return Request(
            residues=str(self.path("residues.tsv")),
            links=str(self.path("links.tsv")),
            index=str(self.path("index.parquet")),
            topologies=[str(self.path("protein.pdb", number)) for number in numbers],
            trajectories=[str(self.path("protein.xtc", number)) for number in numbers],
            replicas=list(numbers),
            cutoff_nm=CUTOFF,
            min_separation=SEPARATION,
        )

    def run(self, ranks: int, output: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [
            *MPIRUN,
            "-n",
            ranks,
            sys.executable,
            "-m",
            "mpi4py",
            ROOT / "scripts/analyse_structure.py",
        ]
        for name, value in vars(self.request()).items():
            command += ["--" + name.replace("_", "-"), *(value if isinstance(value, list) else [value])]
        command += ["--output", output or self.path(f"{ranks}.h5")]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)

    def result(self, ranks: int = 1) -> h5py.File:
        if not self.path(f"{ranks}.h5").is_file():
            done = self.run(ranks)
            assert done.returncode == 0, done.stderr
        return h5py.File(self.path(f"{ranks}.h5"))

    def universe(self, replica: int = 1) -> mda.Universe:
        return mda.Universe(self.path("protein.pdb", replica), self.path("protein.xtc", replica))


def write_trajectory(folder, atoms, frames):
    """Write a topology and a trajectory from positions in ångström."""
    folder.mkdir(parents=True)
    atoms.write(folder / "protein.pdb")
    with mda.Writer(str(folder / "protein.xtc"), n_atoms=len(atoms)) as writer:
        for number, positions in enumerate(frames):
            atoms.positions = positions
            atoms.universe.trajectory.ts.time = 10.0 * number
            writer.write(atoms)


def write_inputs(folder, codes, partners, chains=None, seed=1):
    """Write residues, links and a store in which each residue of each partner has a random vector.

    `partners` names for each residue a (protein, row), or None.
    """
    chains = chains or ["A"] * len(codes)
    lines = ["index\tchain\tnumber\tinsertion\tname\tcode\tdeposited\torigin\tplddt"]
    names = {code: name for name, code in reversed(CODES.items())}
    for index, (chain, code) in enumerate(zip(chains, codes, strict=True)):
        lines.append(f"{index}\t{chain}\t{index + 11}\t\t{names[code]}\t{code}\t\tobserved\t")
    (folder / "residues.tsv").write_text("\n".join(lines) + "\n")

    lines = ["\t".join(LINK_HEADER)]
    linked = [at for at, partner in enumerate(partners) if partner]
    for index, (chain, code, partner) in enumerate(zip(chains, codes, partners, strict=True)):
        protein, row = partner or ("", 0)
        letter = protein[row - 1] if row else ""
        unaligned = "unmatched" if linked[0] < index < linked[-1] else "tag"
        status = unaligned if not row else "identical" if letter == code else "substituted"
        name = protein_id(protein) if row else ""
        lines.append(
            f"{index}\t{chain}\t{index + 11}\t\t{code}\t1\t{name}\t{row or ''}\t{letter}\t{status}\t1\t1"
        )
    (folder / "links.tsv").write_text("\n".join(lines) + "\n")

    proteins = sorted({partner[0] for partner in partners if partner}, key=protein_id)
    offsets = np.cumsum([0, *map(len, proteins)])
    vectors = np.random.default_rng(seed).normal(size=(offsets[-1], WIDTH)).astype(np.float16)
    (folder / "store").mkdir()
    with h5py.File(folder / "store" / "part.h5", "w") as part:
        part["protein"] = np.array([protein_id(protein).encode() for protein in proteins])
        part["offset"], part["residue"] = offsets, vectors
        part["sequence"] = np.frombuffer("".join(proteins).encode(), np.uint8)
        part["mean"] = np.zeros((len(proteins), WIDTH), np.float32)
        part.attrs["note"] = "random vectors"
    write_index(folder, {protein_id(protein): protein for protein in proteins}, offsets)


def write_index(folder, proteins, offsets):
    rows = [
        {"protein": name, "length": len(protein), "uri": f"store/part.h5#{name}", "row": int(offset)}
        | {"embedded": name}
        for (name, protein), offset in zip(proteins.items(), offsets, strict=False)
    ]
    schema = pa.schema([(name, pa.type_for_alias(alias)) for name, alias in INDEX_TYPES.items()])
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "index.parquet")


def tumble(frames, count, rng):
    """Repeat frames, each turned and moved at random."""
    for number in range(count):
        yield Rotation.random(random_state=rng).apply(frames[number % len(frames)]) + rng.normal(0, 20, 3)


@pytest.fixture(scope="module")
def trpcage(data, tmp_path_factory):
    """Three replicas of trp-cage, one of several blocks; two residues without a partner, one substituted."""
    folder = tmp_path_factory.mktemp("trpcage")
    universe = mda.Universe(data / "md" / "1l2y.gro", data / "md" / "1l2y.xtc")
    frames = [universe.atoms.positions for _ in universe.trajectory]
    still = mda.Universe(data / "md" / "1l2y.gro").atoms
    codes = "".join(CODES[name] for name in still.residues.resnames)
    rng = np.random.default_rng(3)
    write_trajectory(folder / "1", still, frames[:25])
    write_trajectory(folder / "2", still, list(tumble(frames, 2 * BLOCK_FRAMES + 20, rng)))
    write_trajectory(folder / "3", still, frames[30:31])
    partner = "MKT" + codes[:9] + "A" + codes[10:] + "GG"
    write_inputs(folder, codes, [None, None, *((partner, row + 4) for row in range(2, 20))])
    return Case(folder, 3)


@pytest.fixture(scope="module")
def adk(data, tmp_path_factory):
    """Adenylate kinase, made whole; its own sequence is the partner."""
    folder = tmp_path_factory.mktemp("adk")
    universe = mda.Universe(data / "md" / "adk_oplsaa.tpr", data / "md" / "adk_oplsaa.xtc")
    protein = universe.select_atoms("protein")
    universe.trajectory.add_transformations(transformations.unwrap(protein))
    (folder / "1").mkdir()
    protein.write(folder / "1" / "protein.pdb")
    protein.write(folder / "1" / "protein.xtc", frames="all")
    codes = "".join(CODES[name] for name in protein.residues.resnames)
    write_inputs(folder, codes, [(codes, row) for row in range(1, 215)])
    return Case(folder, 1)


@pytest.fixture
def case(trpcage, tmp_path):
    """A copy of trp-cage's inputs, to be damaged."""
    folder = tmp_path / "case"
    shutil.copytree(trpcage.folder, folder, ignore=shutil.ignore_patterns("[0-9].h5", ".*"))
    return Case(folder, 3)


# Against MDAnalysis


@needs_mpi
@pytest.mark.parametrize("name", ["trpcage", "adk"])
def test_motion_is_that_of_mdanalysis(name, request):
    case = request.getfixturevalue(name)
    with case.result() as found:
        for replica in range(1, case.replicas + 1):
            group = found[f"replica/{replica}"]
            universe = case.universe(replica)
            alphas = universe.select_atoms("name CA")
            times = [step.time for step in universe.trajectory]
            radii = [universe.atoms.radius_of_gyration() for _ in universe.trajectory]
            np.testing.assert_allclose(group["frame/time_ps"], times)
            np.testing.assert_allclose(group["frame/rg_nm"][:] * 10, radii, atol=2e-5)
            wanted = rms.RMSD(universe, select="name CA", ref_frame=0).run().results.rmsd[:, 2]
            np.testing.assert_allclose(group["frame/rmsd_nm"][:] * 10, wanted, atol=1e-5)
            align.AlignTraj(universe, case.universe(replica), select="name CA", in_memory=True).run()
            wanted = rms.RMSF(alphas).run().results.rmsf
            np.testing.assert_allclose(group["residue/rmsf_nm"][:] * 10, wanted, atol=1e-5)


@needs_mpi
def test_adk_is_whole(adk):
    with adk.result() as found:
        assert found["frame/rg_nm"][0] * 10 == pytest.approx(19.65, abs=0.005)


@needs_mpi
@pytest.mark.parametrize("name", ["trpcage", "adk"])
def test_contacts_are_those_of_distances(name, request):
    case = request.getfixturevalue(name)
    universe = case.universe()
    alphas = universe.select_atoms("name CA")
    index = np.arange(len(alphas))
    far = np.abs(index[:, None] - index) >= SEPARATION
    distances = [distance_array(alphas.positions, alphas.positions) for _ in universe.trajectory]
    maps = np.array([(distance < CUTOFF * 10) & far for distance in distances])
    with case.result() as found:
        group = found["replica/1"]
        np.testing.assert_array_equal(group["frame/contacts"], maps.sum(axis=(1, 2)) // 2)
        np.testing.assert_allclose(group["pair/contact_frequency"], maps.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(group["residue/contacts"], maps.mean(axis=0).sum(axis=1), atol=1e-12)
    assert maps.any()


# Against the definition


def random_embedding(rng, linked):
    vectors = rng.normal(size=(len(linked), WIDTH)) * linked[:, None]
    return Embedding(vectors, linked, cosine_matrix(vectors), [], {}, {})


def test_the_algebra_is_the_definition_frame_by_frame():
    rng = np.random.default_rng(5)
    linked = rng.random(30) > 0.2
    embedding = random_embedding(rng, linked)
    alphas = rng.random((7, 30, 3)) * 2
    alphas[3] *= 100  # a frame without contacts
    eligible = np.triu(rng.random((30, 30)) > 0.3, 1)
    eligible |= eligible.T
    found = count_contacts(alphas, CUTOFF, eligible, embedding)
    for frame, positions in enumerate(alphas):
        pairs = [
            (i, j)
            for i in range(30)
            for j in range(30)
            if eligible[i, j] and np.linalg.norm(positions[i] - positions[j]) < CUTOFF
        ]
        assert found.count[frame] == len(pairs) / 2
        vectors = [embedding.vectors[i] for i, j in pairs if linked[i] and linked[j]]
        cosines = [
            embedding.vectors[i] @ embedding.vectors[j]
            / np.linalg.norm(embedding.vectors[i]) / np.linalg.norm(embedding.vectors[j])
            for i, j in pairs if linked[i] and linked[j]
        ]  # fmt: skip
        if frame == 3:
            assert np.isnan(found.coherence[3]) and np.isnan(found.embedding[3]).all()
        else:
            np.testing.assert_allclose(found.embedding[frame], np.mean(vectors, axis=0), atol=1e-12)
            assert found.coherence[frame] == pytest.approx(np.mean(cosines), abs=1e-12)


def read_vectors(case):
    """Vectors of the residues, NaN where unmatched, straight from the store."""
    with (case.path("links.tsv")).open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    with h5py.File(case.path("store/part.h5")) as part:
        stored = part["residue"][:].astype(float)
    return np.array([stored[int(row["row"]) - 1] if row["row"] else np.full(WIDTH, np.nan) for row in rows])


@needs_mpi
def test_context_is_the_mean_over_frames_of_what_touches_a_residue(trpcage):
    vectors, linked = read_vectors(trpcage), np.arange(20) > 1
    alphas = trpcage.universe().select_atoms("name CA")
    index = np.arange(20)
    far = np.abs(index[:, None] - index) >= SEPARATION
    maps = [
        (distance_array(alphas.positions, alphas.positions) < CUTOFF * 10) & far & linked & linked[:, None]
        for _ in alphas.universe.trajectory
    ]
    wanted = np.mean([contact @ np.nan_to_num(vectors) for contact in maps], axis=0)
    with trpcage.result() as found:
        context = found["replica/1/residue/context"][:]
        np.testing.assert_allclose(context[2:], wanted[2:], atol=1e-5)
        assert np.isnan(context[:2]).all()
        cosine = found["pair/embedding_cosine"][:]
        assert np.isnan(cosine[:2]).all() and np.isnan(cosine[:, :2]).all()
        a, b = vectors[4], vectors[11]
        assert cosine[4, 11] == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)), abs=1e-12)


# The file


@needs_mpi
def test_replicas_are_pooled_by_frames(trpcage):
    with trpcage.result() as found:
        replicas = [found[f"replica/{number}"] for number in (1, 2, 3)]
        frames = np.array([25, 2 * BLOCK_FRAMES + 20, 1])
        np.testing.assert_array_equal(found["frame/replica"], np.repeat([1, 2, 3], frames))
        for name in found["frame"]:
            joined = np.concatenate([replica["frame"][name][:] for replica in replicas])
            np.testing.assert_array_equal(found["frame"][name], joined)
        frequencies = np.array([replica["pair/contact_frequency"] for replica in replicas])
        np.testing.assert_allclose(
            found["pair/contact_frequency"], np.average(frequencies, axis=0, weights=frames), atol=1e-12
        )
        squares = np.array([replica["residue/rmsf_nm"][:] ** 2 for replica in replicas])
        np.testing.assert_allclose(
            found["residue/rmsf_nm"], np.sqrt(np.average(squares, axis=0, weights=frames)), atol=1e-12
        )
        assert (replicas[2]["residue/rmsf_nm"][:] < 1e-9).all()
        np.testing.assert_array_equal(found["statistics/replica/frames"], frames)
        assert found["statistics/replica/rg_nm"][1] == pytest.approx(replicas[1]["frame/rg_nm"][:].mean())


@needs_mpi
def test_the_file_tells_what_it_is(trpcage):
    with trpcage.result() as found:
        assert (found.attrs["cutoff_nm"], found.attrs["min_separation"]) == (CUTOFF, SEPARATION)
        statistics = found["statistics"].attrs
        assert (statistics["identical"], statistics["substituted"], statistics["tag"]) == (17, 1, 2)
        assert statistics["contacts_per_frame"] == pytest.approx(found["frame/contacts"][:].mean())
        left_out = found["pair/contact_frequency"][:]
        assert statistics["contacts_per_frame_left_out"] == pytest.approx(left_out[:2, 2:].sum())
        assert found["embedding"].attrs["note"] == "random vectors"
        (uri,) = found["embedding/uri"].asstr()[:]
        assert uri == f"store/part.h5#{found['embedding/protein'].asstr()[0]}"
        assert found["residue/status"].asstr()[9] == "substituted"
        assert "".join(found["residue/code"].asstr()[:]).startswith("NLYIQWLKDGGPSS")
        bare = []
        found.visititems(
            lambda name, node: (
                isinstance(node, h5py.Dataset) and "unit" not in node.attrs and bare.append(name)
            )
        )
        assert bare == []


@needs_mpi
def test_one_two_and_three_ranks_write_the_same_bytes_and_nothing_else(case):
    before = set(case.folder.rglob("*"))
    results = {ranks: case.result(ranks).filename for ranks in (1, 2, 3)}
    assert len({Path(path).read_bytes() for path in results.values()}) == 1
    assert set(case.folder.rglob("*")) - before == set(map(Path, results.values()))


@needs_mpi
def test_contacts_of_chains_are_compared_apart(case):
    rows = [line.split("\t") for line in case.path("residues.tsv").read_text().splitlines()]
    links = [line.split("\t") for line in case.path("links.tsv").read_text().splitlines()]
    for table, name in ((rows, "residues.tsv"), (links, "links.tsv")):
        for row in table[11:]:
            row[1] = "B"
        case.path(name).write_text("\n".join("\t".join(row) for row in table) + "\n")
    with case.result() as found:
        pairs = dict(
            zip(
                found["statistics/contact_cosine/pairs"].asstr()[:],
                found["statistics/contact_cosine/number"][:],
                strict=True,
            )
        )
        between = found["pair/contact_frequency"][9, 10]
    # Ten residues of each chain, two of the first without a partner.
    assert pairs["of two chains"] == 8 * 10
    assert pairs["all"] == 8 * 10 + sum(8 - s for s in range(3, 8)) + sum(10 - s for s in range(3, 10))
    assert between == 1, "neighbours in space of two chains are in contact, however near in number"


# Parts


def test_superposition_turns_but_never_mirrors():
    rng = np.random.default_rng(7)
    reference = rng.normal(size=(12, 3))
    turned = Rotation.random(5, random_state=rng).as_matrix() @ reference.T
    np.testing.assert_allclose(
        superpose(np.swapaxes(turned, 1, 2) + 3, reference),
        np.broadcast_to(reference, (5, 12, 3)),
        atol=1e-12,
    )
    mirrored = reference * [1, 1, -1]
    found = superpose(mirrored[None], reference)[0]
    turn, root = Rotation.align_vectors(reference - reference.mean(0), mirrored - mirrored.mean(0))
    assert np.sqrt(((found - reference) ** 2).sum()) == pytest.approx(root)
    np.testing.assert_allclose(found, turn.apply(mirrored - mirrored.mean(0)) + reference.mean(0), atol=1e-9)


def test_spearman_is_scipys():
    rng = np.random.default_rng(8)
    for x, y in (
        (rng.normal(size=50), rng.normal(size=50)),
        (rng.integers(0, 4, 60).astype(float), rng.integers(0, 9, 60).astype(float)),
        (np.arange(9.0), -(np.arange(9.0) ** 3)),
    ):
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert np.isnan(spearman(np.ones(9), np.arange(9.0)))
    assert np.isnan(spearman(np.arange(2.0), np.arange(2.0)))


def test_pairs_are_binned_by_separation():
    chains = np.repeat([0, 1], [30, 5])
    index = np.arange(35)
    eligible = (np.abs(index[:, None] - index) >= 3) | (chains[:, None] != chains)
    rng = np.random.default_rng(9)
    contact, cosine = rng.random((2, 35, 35))
    found = {entry.pairs: entry for entry in correlate_pairs(contact, cosine, eligible, chains)}
    numbers = {name: entry.number for name, entry in found.items()}
    assert numbers["of two chains"] == 150
    assert numbers["12 to 23 residues apart"] == sum(30 - separation for separation in range(12, 24))
    assert numbers["1 to 5 residues apart"] == sum(30 - s for s in (3, 4, 5)) + 2 + 1
    assert numbers["all"] == sum(numbers.values()) - numbers["all"]
    first, second = np.nonzero(np.triu(chains[:, None] != chains, 1))
    wanted = spearmanr(contact[first, second], cosine[first, second]).statistic
    assert found["of two chains"].spearman == pytest.approx(wanted)


def test_masses_are_those_of_the_elements_named_or_meant(case, tmp_path):
    path = case.path("protein.pdb", 1)
    residues = read_residues(case.path("residues.tsv"))
    wanted = mda.Universe(path).atoms.masses
    bare = tmp_path / "bare.pdb"
    bare.write_text("".join(line[:76].rstrip("\n") + "\n" for line in path.read_text().splitlines(True)))
    for topology in (path, bare):
        found = read_molecule(topology, residues, "residues.tsv")
        np.testing.assert_allclose(found.masses, wanted)
        assert len(found.alphas) == 20


# What is refused


def edit(path, line, column, value):
    """Change one cell of a table; lines count from 1, the header included."""
    rows = [row.split("\t") for row in path.read_text().splitlines()]
    rows[line - 1][rows[0].index(column)] = value
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")


def change_frame(case, replica, frame, change):
    """Rewrite a trajectory with one frame changed."""
    universe = case.universe(replica)
    target = case.path("changed.xtc", replica)
    with mda.Writer(str(target), n_atoms=len(universe.atoms)) as writer:
        for ts in universe.trajectory:
            if ts.frame == frame:
                change(universe)
            writer.write(universe.atoms)
    target.replace(case.path("protein.xtc", replica))


def tear(universe):
    """Move the end of the chain by a box, as in a molecule that is not whole."""
    universe.select_atoms("resid 8:20").positions += [70, 0, 0]


def another_topology(case):
    path = case.path("protein.pdb", 2)
    path.write_text(re.sub("GLN( .   5)", r"GLU\1", path.read_text()))


def missing_residue(case):
    universe = case.universe(3)
    universe.select_atoms("not resid 20").write(case.path("protein.pdb", 3))


def no_alpha(case):
    path = case.path("protein.pdb", 1)
    path.write_text(path.read_text().replace("  CA  LEU", "  CB  LEU", 1))


def fewer_atoms(case):
    case.universe(3).select_atoms("not name HA").write(case.path("fewer.xtc", 3), frames="all")
    case.path("fewer.xtc", 3).replace(case.path("protein.xtc", 3))


def other_atoms(case):
    path = case.path("protein.pdb", 3)
    path.write_text("\n".join(line for line in path.read_text().splitlines() if " HA  ASN" not in line))


def permuted_lines(case):
    head, *lines = case.path("links.tsv").read_text().splitlines()
    lines[5], lines[6] = lines[6], lines[5]
    case.path("links.tsv").write_text("\n".join([head, *lines]) + "\n")


def permuted_rows(case):
    """Residues 10 and 11 are both glycine: only their order tells."""
    edit(case.path("links.tsv"), 11, "row", "14")
    edit(case.path("links.tsv"), 12, "row", "13")


def shifted_rows(case):
    """The last row runs past the end of the partner."""
    edit(case.path("links.tsv"), 21, "row", "99")


def shorter_embedding(case):
    rows = pq.read_table(case.path("index.parquet")).to_pylist()
    rows[0]["length"] += 1
    pq.write_table(pa.Table.from_pylist(rows), case.path("index.parquet"))


def other_index_row(case):
    rows = pq.read_table(case.path("index.parquet")).to_pylist()
    rows[0]["row"] += 1
    pq.write_table(pa.Table.from_pylist(rows), case.path("index.parquet"))


def no_protein(case):
    pq.write_table(pq.read_table(case.path("index.parquet")).slice(1), case.path("index.parquet"))


def truncated(case, by):
    path = case.path("protein.xtc", 2)
    path.write_bytes(path.read_bytes()[:-by])


def cut_in_header(case):
    """The last frame begins and has no more than 20 bytes; a count of frames leaves it out."""
    path = case.path("protein.xtc", 2)
    path.write_bytes(path.read_bytes() + path.read_bytes()[:20])


def damaged_frame(case):
    """A frame in the middle does not begin as a frame does."""
    path = case.path("protein.xtc", 2)
    content = bytearray(path.read_bytes())
    begin = content.index(content[:8], len(content) // 2)
    content[begin : begin + 4] = bytes(4)
    path.write_bytes(content)


REFUSALS = {
    "topology": (another_topology, r"2/protein\.pdb: residue 5 is GLU, expected Q \(GLN A 15\)"),
    "residues": (missing_residue, r"3/protein\.pdb: 19 residues, expected the 20 of .*residues\.tsv"),
    "alpha": (no_alpha, r"1/protein\.pdb: LEU A 12 has 0 CA atoms"),
    "atoms": (fewer_atoms, r"3/protein\.xtc: \d+ atoms, expected the 304"),
    "other atoms": (other_atoms, r"3/protein\.pdb: other atoms than in .*1/protein\.pdb"),
    "links' residue": (
        lambda case: edit(case.path("links.tsv"), 4, "code", "W"),
        r"links\.tsv line 4: .*W.*Y",
    ),
    "links' number": (lambda case: edit(case.path("links.tsv"), 4, "number", "99"), r"links\.tsv line 4: "),
    "status": (
        lambda case: edit(case.path("links.tsv"), 11, "status", "identical"),
        r"links\.tsv line 11: GLY A 20 is marked identical, expected substituted",
    ),
    "permuted lines": (permuted_lines, r"links\.tsv line 7: "),
    "permuted rows": (permuted_rows, r"links\.tsv line 12: GLY A 21 has row 13 after row 14"),
    "partner": (
        lambda case: edit(case.path("links.tsv"), 11, "partner_code", "C"),
        r"links\.tsv line 11: GLY A 20 has partner C at row 13, expected A",
    ),
    "row": (shifted_rows, r"links\.tsv line 21: SER A 30 has row 99, expected 1 to 25"),
    "length": (shorter_embedding, r"part\.h5#SQ\.\S+: 25 residues, expected the 26"),
    "index": (other_index_row, r"links\.tsv line 4: TYR A 13 has partner Y at row 6, expected I"),
    "protein": (no_protein, r"index\.parquet: no protein SQ\."),
    "truncated": (lambda case: truncated(case, 200), r"2/protein\.xtc: the last frame cannot be read"),
    "cut in header": (cut_in_header, r"2/protein\.xtc: the last frame cannot be read .*bytes are left"),
    "empty": (
        lambda case: case.path("protein.xtc", 2).write_bytes(b""),
        r"2/protein\.xtc: the header cannot",
    ),
    "damaged": (damaged_frame, r"2/protein\.xtc: frame \d+ cannot be read"),
    "torn": (
        lambda case: change_frame(case, 2, 130, tear),
        r"2/protein\.xtc: frame 130 \(1300 ps\) has \d\.\d\d nm between the C-alphas of LEU A 17",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_fit_is_refused_in_one_line(case, name):
    damage, message = REFUSALS[name]
    damage(case)
    with pytest.raises(MismatchError, match=message) as refusal:
        task = prepare(case.request())
        for block in task.blocks():
            analyse_block(block, task)
    assert "\n" not in str(refusal.value)


@needs_mpi
@pytest.mark.parametrize("name", ["partner", "truncated", "torn"])
def test_two_ranks_end_with_the_same_line_and_no_other(case, name):
    """Two found by rank 0 before the frames, one in a block of the other rank."""
    damage, message = REFUSALS[name]
    damage(case)
    done = case.run(2)
    assert done.returncode != 0
    assert not case.path("2.h5").exists() and not list(case.folder.glob(".*"))
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("MismatchError: ") and re.search(message, line), line


@needs_mpi
def test_the_first_of_several_bad_frames_is_named_whatever_the_ranks(case):
    for frame in (140, 80):
        change_frame(case, 2, frame, tear)
    for ranks in (1, 2, 3):
        (line,) = case.run(ranks).stderr.splitlines()
        assert "2/protein.xtc: frame 80 (" in line


@needs_mpi
def test_positions_that_are_not_finite_are_refused(tmp_path):
    """Up to 9 atoms are stored as plain numbers; the packing of more cannot hold NaN."""
    universe = mda.Universe.empty(9, 3, atom_resindex=np.repeat([0, 1, 2], 3), trajectory=True)
    universe.add_TopologyAttr("names", ["N", "CA", "C"] * 3)
    universe.add_TopologyAttr("resnames", ["GLY", "ALA", "GLY"])
    universe.add_TopologyAttr("resids", [1, 2, 3])
    universe.add_TopologyAttr("chainIDs", ["A"] * 9)
    positions = np.arange(27.0).reshape(9, 3) / 2
    broken = positions.copy()
    broken[4, 1] = np.nan
    write_trajectory(tmp_path / "1", universe.atoms, [positions, positions, broken])
    # MDAnalysis gives the last frame's positions to the topology too.
    universe.atoms.positions = positions
    universe.atoms.write(tmp_path / "1" / "protein.pdb")
    write_inputs(tmp_path, "GAG", [("GAG", row) for row in (1, 2, 3)])
    done = Case(tmp_path, 1).run(2)
    assert done.returncode != 0
    assert done.stderr.splitlines() == [
        f"MismatchError: {tmp_path}/1/protein.xtc: frame 2 (20 ps) has no finite position of atom 5; "
        "the simulation failed there, run it again"
    ]


@needs_mpi
def test_a_fault_of_one_rank_ends_all(case):
    """Rank 0 cannot write, while the other one waits for it."""
    case.path("file").write_text("")
    done = case.run(2, case.path("file") / "x.h5")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_chains_of_a_molecule_do_not_touch_in_sequence(case):
    residues = read_residues(case.path("residues.tsv"))
    two = [Residue(r.index, "AB"[r.index >= 10], r.number, "", r.name, r.code) for r in residues]
    molecule = read_molecule(case.path("protein.pdb", 1), two, "residues.tsv")
    assert molecule.neighbours().tolist() == [*range(9), *range(10, 19)]
    eligible = molecule.eligible_pairs(3)
    assert eligible[9, 10] and not eligible[8, 9] and eligible[0, 3] and not eligible.diagonal().any()
