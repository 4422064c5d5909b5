"""Trajectories that are brought along, against gmx trjconv, the annotation, and positions known before."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import h5py
import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysis.lib.formats.libmdaxdr import TRRFile, XTCFile

from coli import read_genbank
from conftest import ROOT
from fetching import fetcher, source
from helixflow.coanalysis.molecule import read_molecule
from helixflow.errors import HelixflowError, SheetError, SimulationError, SourceError
from helixflow.report.brought import brought_notices
from helixflow.samples import read_sheet
from helixflow.sequences import fetch_trajectory
from helixflow.structures.modified import natural_residue
from helixflow.structures.residues import read_residues, sequence_of, split_chains
from helixflow.trajectories import frames as frames_module
from helixflow.trajectories.brought import BroughtFiles, Outputs, bring_trajectory
from helixflow.trajectories.frames import FrameReader
from helixflow.trajectories.quality import Judgement
from servers import Page, Server
from workflow import snakemake
from xtc import read_xtc, tear, write_xtc

#: As many nm as a coordinate of an XTC file can be off, in each of two roundings.
ROUNDED = 2e-3
#: A rhombic dodecahedron of 6 nm between images.
DODECAHEDRON = np.array([[6.0, 0, 0], [0, 6.0, 0], [3.0, 3.0, 6 / np.sqrt(2)]])

needs_gmx = pytest.mark.skipif(not shutil.which("gmx"), reason="gmx is not on PATH (make setup)")


class Result:
    """What was written: quality, residues, times, positions (T, n, 3) in nm, boxes (T, 3, 3)."""

    def __init__(self, folder):
        self.folder = folder
        self.quality = json.loads((folder / "quality.json").read_text())
        self.residues = read_residues(folder / "residues.tsv")
        frames = read_xtc(folder / "protein.xtc")
        self.times = [frame.time for frame in frames]
        self.positions = np.array([frame.x for frame in frames])
        self.boxes = np.array([frame.box for frame in frames])


def bring_only(folder, topology, trajectory, gates="fail"):
    """Bring a trajectory along; files are named as in the sheet."""
    folder.mkdir(exist_ok=True)
    forms = [Path(path).suffix[1:] for path in (topology, trajectory)]
    record = {"sample": "mine", "source": f"{topology},{trajectory}", "format": "+".join(forms)}
    (folder / "mine.json").write_text(json.dumps(record))
    names = ("residues.tsv", "protein.xtc", "protein.pdb", "quality.json")
    outputs = Outputs(*(folder / name for name in names))
    bring_trajectory(BroughtFiles(topology, trajectory, folder / "mine.json"), outputs, Judgement(gates))


def bring(folder, topology, trajectory, gates="fail"):
    """Bring a trajectory along, and read what was written."""
    bring_only(folder, topology, trajectory, gates)
    return Result(folder)


def whole_by_gromacs(folder, tpr, xtc):
    """The protein's positions as gmx makes them whole."""
    command = ["gmx", "-quiet", "trjconv", "-s", tpr, "-f", xtc, "-pbc", "whole", "-o", "whole.xtc"]
    subprocess.run(command, input="Protein\n", text=True, cwd=folder, check=True, capture_output=True)
    return np.array([frame.x for frame in read_xtc(folder / "whole.xtc")])


def centred(positions):
    return positions - positions.mean(axis=1, keepdims=True)


def write_gro(path, atoms, box="0 0 0"):
    """Write a GRO file from (residue number, residue name, atom name, position)."""
    lines = ["made", str(len(atoms))]
    for number, (residue, name, atom, (x, y, z)) in enumerate(atoms, 1):
        lines.append(f"{residue % 100000:5d}{name:<5}{atom:>5}{number % 100000:5d}{x:8.3f}{y:8.3f}{z:8.3f}")
    path.write_text("\n".join([*lines, box]) + "\n")
    return path


def write_trr(path, frames, box=None, velocities=False, bare=()):
    """Write frames as TRR; those in `bare` have velocities alone."""
    box = np.zeros((3, 3), np.float32) if box is None else box.astype(np.float32)
    with TRRFile(str(path), "w") as trr:
        for number, positions in enumerate(frames):
            x = np.asarray(positions, np.float32)
            v = np.ones_like(x) if velocities or number in bare else None
            trr.write(None if number in bare else x, v, None, box, number, number, 0.0, len(x))
    return path


def read_atoms(gro):
    """Residue number, residue name, atom name of each atom of a GRO file, and positions in nm."""
    lines = Path(gro).read_text().splitlines()[2:-1]
    atoms = [(int(line[:5]), line[5:10].strip(), line[10:15].strip()) for line in lines]
    return atoms, np.array([[float(line[at : at + 8]) for at in (20, 28, 36)] for line in lines])


@pytest.fixture(scope="module")
def trpcage(data):
    """Atoms of the trp-cage and its 38 models."""
    atoms, _ = read_atoms(data / "md" / "1l2y.gro")
    return atoms, np.array([frame.x for frame in read_xtc(data / "md" / "1l2y.xtc")], np.float64)


@pytest.fixture
def made(tmp_path, trpcage):
    """Files of the trp-cage in a cubic box, 5 frames; what is made of them can be damaged."""
    atoms, models = trpcage
    box = np.diag([5.0, 5.0, 5.0])
    gro = write_gro(
        tmp_path / "m.gro",
        [(*atom, xyz) for atom, xyz in zip(atoms, models[0], strict=True)],
        "5 5 5",
    )
    return gro, write_xtc(tmp_path / "m.xtc", models[:5], box)


@pytest.fixture(scope="module")
def adk(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adk")
    return bring(folder, data / "md" / "adk_oplsaa.tpr", data / "md" / "adk_oplsaa.xtc")


# Adenylate kinase, whose protein is broken over the box


def test_adenylate_kinase_is_made_whole(adk, data):
    universe = mda.Universe(adk.folder / "protein.pdb", adk.positions * 10)
    assert universe.atoms.radius_of_gyration() == pytest.approx(19.65, abs=0.01)
    atoms = universe.atoms.indices  # the protein comes first in the file
    universe.atoms.positions = read_xtc(data / "md" / "adk_oplsaa.xtc")[0].x[atoms] * 10
    assert universe.atoms.radius_of_gyration() == pytest.approx(24.38, abs=0.01)
    assert adk.quality["passed"] and adk.quality["frames_made_whole"] == 10
    assert (adk.quality["atoms"], adk.quality["protein_atoms"], adk.quality["frames"]) == (47681, 3341, 10)
    assert adk.quality["frame_ps"] == pytest.approx(100, abs=1e-3)
    assert adk.quality["left_out"] == {"NA+": 4, "SOL": 11084}
    middle = adk.boxes.sum(axis=1) / 2
    np.testing.assert_allclose(adk.positions.mean(axis=1), middle, atol=ROUNDED)


@needs_gmx
@pytest.mark.parametrize("name", ["adk_oplsaa", "trpcage"])
def test_positions_are_those_of_gromacs_but_for_a_shift(data, tmp_path, name):
    tpr, xtc = data / "md" / f"{name}.tpr", data / "md" / f"{name}.xtc"
    found = bring(tmp_path / "own", tpr, xtc)
    expected = whole_by_gromacs(tmp_path, tpr, xtc)
    np.testing.assert_allclose(centred(found.positions), centred(expected), atol=ROUNDED)
    assert found.times == [frame.time for frame in read_xtc(xtc)]


def test_residues_of_adenylate_kinase_are_those_of_its_gene(adk, data):
    gene = read_genbank(data)[0]["adk"][1]
    assert sequence_of(adk.residues) == gene
    assert [residue.number for residue in adk.residues] == list(range(1, 215))
    assert {residue.chain for residue in adk.residues} == {"A"}
    assert adk.quality["renamed"] == {"CYSH to CYS": 1, "HISB to HIS": 3, "LYSH to LYS": 18}
    assert {residue.deposited for residue in adk.residues if residue.code == "K"} == {"LYSH"}
    assert {residue.origin for residue in adk.residues} == {"observed"}
    head = (adk.folder / "residues.tsv").read_text().splitlines()[0]
    assert head.split("\t") == [
        *("index", "chain", "number", "insertion", "name", "code", "deposited", "origin", "plddt")
    ]


def test_a_gro_file_gives_the_same_bytes_as_the_tpr(adk, data, tmp_path):
    """Bonds are found by distance there, over the box too; two terminal hydrogens have other names."""
    found = bring(tmp_path, data / "md" / "adk_oplsaa.gro", data / "md" / "adk_oplsaa.xtc")
    assert (tmp_path / "protein.xtc").read_bytes() == (adk.folder / "protein.xtc").read_bytes()
    assert sequence_of(found.residues) == sequence_of(adk.residues)
    assert found.quality["bonds_from"] == "distances in the first frame"


def test_models_without_a_box_stay_as_they_are(data, tmp_path, trpcage):
    """1L2Y's models have a cube of 1 Å, which is no box, and nothing to be near to."""
    found = bring(tmp_path, data / "md" / "1l2y.gro", data / "md" / "1l2y.xtc")
    np.testing.assert_allclose(centred(found.positions), centred(trpcage[1]), atol=ROUNDED)
    assert found.quality["frames"] == 38 and found.quality["passed"]
    assert (found.quality["frames_with_box"], found.quality["frames_made_whole"]) == (0, 0)
    image = found.quality["gates"]["image_distance_nm"]
    assert (image["outcome"], image["details"]) == ("unknown", ["no frame is finite and in a periodic box"])
    assert not found.boxes.any()


# Chains


def two_chains(trpcage, distance):
    """Atoms and models of two trp-cages, the second one moved along x."""
    atoms, models = trpcage
    second = [(number + 20, *rest) for number, *rest in atoms]
    return [*atoms, *second], np.concatenate([models, models[::-1] + np.array([distance, 0, 0])], axis=1)


@pytest.mark.parametrize("form", ["xtc", "trr"])
@pytest.mark.parametrize("box", [DODECAHEDRON, np.diag([6.0, 5.0, 5.5])], ids=["dodecahedron", "brick"])
def test_chains_torn_to_single_atoms_come_together_again(tmp_path, trpcage, box, form):
    atoms, models = two_chains(trpcage, 1.8)
    gro = write_gro(tmp_path / "m.gro", [(*atom, (0, 0, 0)) for atom in atoms])
    frames = tear(np.random.default_rng(1), models[:6], box)
    write = write_xtc if form == "xtc" else write_trr
    more = {} if form == "xtc" else {"velocities": True}
    found = bring(tmp_path / "own", gro, write(tmp_path / f"m.{form}", frames, box, **more))
    np.testing.assert_allclose(centred(found.positions), centred(models[:6]), atol=ROUNDED)
    chains = split_chains(found.residues)
    assert [(chain, len(residues)) for chain, residues in chains.items()] == [("A", 20), ("B", 20)]
    assert [residue.number for residue in found.residues] == list(range(1, 41))
    universe = mda.Universe(tmp_path / "own/protein.pdb")
    assert [len(segment.residues) for segment in universe.segments] == [20, 20]


def test_chains_that_drift_apart_over_the_walls_do_so_steadily(tmp_path, trpcage):
    """Both go through the box many times; their distance grows from 2.0 to 2.9 nm of the box's 6."""
    atoms, models = trpcage
    start = np.concatenate([models[0], models[0] + [0, 0, 2.0]])
    number = len(models[0])
    both = [*atoms, *((number + 30, name, atom) for number, name, atom in atoms)]
    gro = write_gro(tmp_path / "m.gro", [(*a, x) for a, x in zip(both, start, strict=True)], "6 6 6")
    frames = np.array([start + 0.7 * at for at in range(31)])
    frames[:, number:, 2] += 0.03 * np.arange(31)[:, None]
    xtc = write_xtc(tmp_path / "m.xtc", np.mod(frames, 6), 6 * np.eye(3))
    found = bring(tmp_path / "own", gro, xtc)
    apart = found.positions[:, number:].mean(axis=1) - found.positions[:, :number].mean(axis=1)
    np.testing.assert_allclose(apart[:, 2], 2.0 + 0.03 * np.arange(31), atol=ROUNDED)
    np.testing.assert_allclose(centred(found.positions), centred(frames), atol=ROUNDED)


@needs_gmx
@pytest.mark.parametrize("merge", ["no", "all"])
def test_chains_of_a_tpr_are_its_molecules_or_what_is_bonded_in_one(tmp_path, trpcage, merge):
    """Made by pdb2gmx and grompp of two trp-cages, as two molecules and as one; against gmx trjconv too."""
    atoms, models = two_chains(trpcage, 1.8)
    heavy = [at for at, (_, _, atom) in enumerate(atoms) if not atom.startswith("H")]
    with (tmp_path / "two.pdb").open("w") as pdb:
        for serial, at in enumerate(heavy, 1):
            number, name, atom = atoms[at]
            chain, (x, y, z) = "XY"[number > 20], models[0, at] * 10
            shown = number + 130 * (number > 20)
            pdb.write(f"ATOM  {serial:5d}  {atom:<3} {name} {chain}{shown:4d}    {x:8.3f}{y:8.3f}{z:8.3f}\n")
    (tmp_path / "run.mdp").write_text("integrator = md\nnsteps = 0\ncutoff-scheme = Verlet\n")
    for command in (
        f"pdb2gmx -f two.pdb -ff amber99sb-ildn -water none -merge {merge} -o x.gro -p x.top",
        "editconf -f x.gro -o box.gro -bt dodecahedron -box 6",
        "grompp -f run.mdp -c box.gro -p x.top -o x.tpr -maxwarn 5",
    ):
        subprocess.run(["gmx", "-quiet", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    start = read_atoms(tmp_path / "box.gro")[1]
    frames = tear(np.random.default_rng(1), np.array([start, start]), DODECAHEDRON)
    xtc = write_xtc(tmp_path / "x.xtc", frames, DODECAHEDRON)
    found = bring(tmp_path / "own", tmp_path / "x.tpr", xtc)
    # The second frame is torn in another way.
    np.testing.assert_allclose(centred(found.positions), centred(np.array([start, start])), atol=ROUNDED)
    chains = split_chains(found.residues)
    assert [len(residues) for residues in chains.values()] == [20, 20]
    assert [residue.number for residue in chains[list(chains)[1]]] == list(range(151, 171))
    if merge == "no":
        assert list(chains) == ["X", "Y"]
        inside = frames @ np.linalg.inv(DODECAHEDRON) % 1 @ DODECAHEDRON
        write_xtc(tmp_path / "inside.xtc", inside, DODECAHEDRON)
        expected = whole_by_gromacs(tmp_path, "x.tpr", "inside.xtc")
        for part in (slice(0, 304), slice(304, 608)):
            own, theirs = centred(found.positions[:, part]), centred(expected[:, part])
            np.testing.assert_allclose(own, theirs, atol=ROUNDED)


def test_a_jump_of_numbers_alone_is_no_end_of_a_chain(tmp_path, made):
    gro, xtc = made
    lines = gro.read_text().splitlines()
    lines[2:-1] = [f"{int(line[:5]) + 100 * (int(line[:5]) > 9):5d}{line[5:]}" for line in lines[2:-1]]
    gro.write_text("\n".join(lines) + "\n")
    found = bring(tmp_path / "own", gro, xtc)
    assert {residue.chain for residue in found.residues} == {"A"}
    assert [residue.number for residue in found.residues] == [*range(1, 10), *range(110, 121)]


def test_ids_of_a_pdb_file_are_kept_and_a_hole_begins_a_chain(tmp_path, trpcage):
    """Chain C, of which residues 6 to 8 are not there, and chain A with an insertion code."""
    atoms, models = two_chains(trpcage, 2.0)
    kept = [at for at, (number, *_) in enumerate(atoms) if number not in (6, 7, 8)]
    lines = []
    for serial, at in enumerate(kept, 1):
        number, name, atom = atoms[at]
        place = f"C{number:4d} " if number <= 20 else f"A{8:4d}A" if number == 29 else f"A{number - 20:4d} "
        x, y, z = models[0, at] * 10
        spelled = atom if len(atom) > 3 else f" {atom:<3}"
        lines.append(f"ATOM  {serial:5d} {spelled} {name} {place}   {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00")
    pdb = tmp_path / "m.pdb"
    pdb.write_text("\n".join([*lines, "END"]) + "\n")
    found = bring(tmp_path / "own", pdb, write_xtc(tmp_path / "m.xtc", models[:3, kept]))
    chains = split_chains(found.residues)
    assert [(chain, len(residues)) for chain, residues in chains.items()] == [("C", 5), ("B", 12), ("A", 20)]
    assert [(chains["A"][at].number, chains["A"][at].insertion) for at in (7, 8)] == [(8, ""), (8, "A")]


def test_neighbours_of_one_number_and_name_stay_two_residues(tmp_path, trpcage):
    """Prolines 17 and 18 as 17 and 17A, as a GRO file has insertion codes."""
    atoms, models = trpcage
    renumbered = [(number - (number > 17), name, atom) for number, name, atom in atoms]
    gro = write_gro(tmp_path / "m.gro", [(*atom, (0, 0, 0)) for atom in renumbered])
    found = bring(tmp_path / "own", gro, write_xtc(tmp_path / "m.xtc", models[:2]))
    assert [(r.number, r.insertion) for r in found.residues[15:19]] == [
        (16, ""),
        (17, ""),
        (17, "A"),
        (18, ""),
    ]
    assert len(mda.Universe(tmp_path / "own/protein.pdb").residues) == 20


# Names


@pytest.mark.parametrize(
    ("names", "natural"),
    [
        ("HIS HID HIE HIP HSD HSE HSP HISA HISB HISD HISE HISH HIS1 HIS2 NHIE CHIP", "HIS"),
        ("CYS CYX CYM CYSH CYS1 CYS2 NCYX CCYX", "CYS"), ("LYS LYN LYSH LSN LYP NLYS CLYS", "LYS"),
        ("ASP ASH ASPH ASPP CASP", "ASP"), ("GLU GLH GLUH GLUP NGLU", "GLU"), ("ARG ARGN CARG", "ARG"),
        ("ALA NALA CALA", "ALA"), ("ASN NASN CASN", "ASN"), ("MSE", "MET"),
        ("SOL HOH NA NA+ CL CLA CA ZN ACE NME NH2 DA DG POPC CHL1 NAG LIG TIP3 GL", ""),
    ],
)  # fmt: skip
def test_names_of_force_fields(names, natural):
    assert {natural_residue(name) for name in names.split()} == {natural}


def test_caps_ions_and_water_are_left_out_and_counted(tmp_path, trpcage):
    atoms, models = trpcage
    system = [(*atom, xyz) for atom, xyz in zip(atoms, models[0], strict=True)]
    x, y, z = models[0, 0]
    caps = [(0, "ACE", "CH3", (x, y, z - 0.3)), (0, "ACE", "C", (x, y, z - 0.13)), (0, "ACE", "O", (x, y, z))]
    water = [(30 + at, "SOL", "OW", (0, 0, at)) for at in range(3)] + [(33, "NA+", "NA+", (1, 1, 1))]
    gro = write_gro(tmp_path / "m.gro", [*caps, *system, *water])
    everything = np.array([xyz for *_, xyz in [*caps, *system, *water]])
    found = bring(tmp_path / "own", gro, write_xtc(tmp_path / "m.xtc", [everything] * 2))
    assert found.quality["left_out"] == {"ACE": 1, "NA+": 1, "SOL": 3}
    np.testing.assert_allclose(centred(found.positions[:1]), centred(models[:1]), atol=ROUNDED)


def test_selenomethionine_is_methionine_and_weighs_what_it_does(tmp_path, made):
    """Leucine 2 with selenium in place of a carbon: the name decides, and the element tells the mass."""
    gro, xtc = made
    lines = gro.read_text().splitlines()
    changed = [
        line.replace("    2LEU     CG", "    2MSE     SE").replace("    2LEU", "    2MSE") for line in lines
    ]
    gro.write_text("\n".join(changed) + "\n")
    found = bring(tmp_path / "own", gro, xtc)
    second = found.residues[1]
    assert (second.name, second.code, second.deposited) == ("MET", "M", "MSE")
    molecule = read_molecule(tmp_path / "own/protein.pdb", found.residues, "residues.tsv")
    assert sorted(molecule.masses)[-1] == pytest.approx(78.97, abs=0.01)
    assert (molecule.masses > 35).sum() == 1


# What is refused, in one line


def cut(path, by):
    path.write_bytes(path.read_bytes()[:-by])


def append(path, content):
    path.write_bytes(path.read_bytes() + content)


def edit(path, old, new, times=-1):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, times))


def drop_atom(gro):
    lines = gro.read_text().splitlines()
    gro.write_text("\n".join(["x", "303", *lines[2:-2], lines[-1]]) + "\n")


def turn_round(xtc):
    """The same number of atoms in another order."""
    write_xtc(xtc, [frame.x[::-1] for frame in read_xtc(xtc)])


DAMAGES = {
    "fewer atoms": (
        lambda gro, xtc: drop_atom(gro),
        r"mine: m\.xtc: has 304 atoms, expected the 303 of m\.gro",
    ),
    "truncated": (lambda gro, xtc: cut(xtc, 200), r"mine: m\.xtc: frame 4 cannot be read"),
    "cut in a header": (
        lambda gro, xtc: append(xtc, xtc.read_bytes()[:2]),
        r"mine: m\.xtc: frame 5 cannot be read \(bytes are left",
    ),
    "empty": (lambda gro, xtc: xtc.write_bytes(b""), r"mine: m\.xtc: is empty"),
    "no trajectory": (lambda gro, xtc: xtc.write_bytes(b"<html>" * 99), r"mine: m\.xtc: "),
    "no topology": (lambda gro, xtc: gro.write_text("<html>\nno\n"), r"mine: m\.gro: cannot be read as GRO"),
    "no protein": (
        lambda gro, xtc: gro.write_text(re.sub(r"(?m)^( *\d+)[A-Z]{3}  ", r"\1LIG  ", gro.read_text())),
        r"mine: m\.gro: residue LIG 1 has the backbone of an amino acid but is not known",
    ),
    "unknown residue": (
        lambda gro, xtc: edit(gro, "TYR", "DTY"),
        r"mine: m\.gro: residue DTY 3 has the backbone",
    ),
    "no CA": (lambda gro, xtc: edit(gro, "  CA", " BB1", 1), r"ASN 1 has 0 atoms CA, expected one each"),
    "another order": (lambda gro, xtc: turn_round(xtc), r"m\.gro: residue ASN 1: atom \d+ of it is bonded"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, made, name):
    damage, message = DAMAGES[name]
    damage(*made)
    with pytest.raises(SourceError, match=message) as refusal:
        bring(tmp_path / "own", *made)
    assert "\n" not in str(refusal.value)
    assert list((tmp_path / "own").iterdir()) == [tmp_path / "own/mine.json"]


@pytest.mark.parametrize("form", ["xtc", "trr"])
@pytest.mark.parametrize("by", [-1, -200, 50])
def test_frames_of_another_number_of_atoms_are_refused(tmp_path, made, trpcage, form, by):
    """Fewer would leave those of the frame before; more would be written beyond the memory for one."""
    write = {"xtc": write_xtc, "trr": write_trr}[form]
    whole = trpcage[1][:2]
    other = np.concatenate([whole, whole[:, :50]], axis=1)[:, : whole.shape[1] + by]
    path = write(tmp_path / f"n.{form}", whole)
    append(path, write(tmp_path / f"o.{form}", other).read_bytes())
    with pytest.raises(SourceError, match=rf"frame 2 cannot be read \(it has {304 + by} atoms, expected 304"):
        bring(tmp_path / "own", made[0], path)


#: Reads files in which one bit is another than it was; counts those that are refused.
FLIPS = """
import random, sys
from pathlib import Path
from helixflow.trajectories.frames import FrameReader
path, times, end = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
whole, refused = path.read_bytes(), 0
for seed in range(times):
    content, rng = bytearray(whole), random.Random(seed)
    content[rng.randrange(end or len(whole))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    reader = FrameReader(path, form=path.suffix[1:])
    frames = sum(len(block.times) for block in reader)
    refused += bool(reader.damage)
    assert reader.damage or frames == 5, (seed, frames)
print(refused)
"""


@pytest.mark.parametrize(
    ("form", "end"), [("xtc", 0), ("xtc", 92), ("trr", 92)], ids=["xtc", "xtc's header", "trr's header"]
)
def test_no_wrong_bit_ends_the_program(tmp_path, trpcage, form, end):
    """In a process of its own: the library would have it stopped by a signal, as 1 in 50 did."""
    path = {"xtc": write_xtc, "trr": write_trr}[form](tmp_path / f"m.{form}", trpcage[1][:5])
    ran = subprocess.run(
        [sys.executable, "-c", FLIPS, path, "300", str(end)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert 5 < int(ran.stdout) < 300


def test_every_frame_of_a_good_file_is_read(data, tmp_path):
    """Those of GROMACS; few atoms, which are not packed; positions too far apart to be packed as one."""
    rng = np.random.default_rng(4)
    far = np.linspace(0, 20_000, 400)[None, :, None] * np.ones((3, 1, 3))
    made = [far, rng.random((3, 9, 3)), rng.normal(0, 0.05, (3, 4000, 3)),
            np.cumsum(rng.normal(0, 0.1, (3, 4000, 3)), axis=1), np.zeros((3, 40, 3))]  # fmt: skip
    files = [write_xtc(tmp_path / f"{at}.xtc", frames) for at, frames in enumerate(made)]
    for path in [*files, *sorted((data / "md").glob("*.xtc"))]:
        copy = Path(shutil.copy(path, tmp_path / "copy.xtc"))
        reader = FrameReader(copy)
        found = np.concatenate([block.positions for block in reader])
        assert reader.damage == ""
        np.testing.assert_array_equal(found, np.array([frame.x for frame in read_xtc(copy)]))


def test_frames_of_different_precision_get_that_of_the_first(tmp_path, made, trpcage):
    for name, precisions in (("fine first", (10_000, 100)), ("coarse first", (100, 10_000))):
        with XTCFile(str(tmp_path / "m.xtc"), "w") as xtc:
            xtc.write(trpcage[1][0].astype(np.float32), np.zeros((3, 3), np.float32), 0, 0, precisions[0])
        with XTCFile(str(tmp_path / "n.xtc"), "w") as xtc:
            xtc.write(trpcage[1][1].astype(np.float32), np.zeros((3, 3), np.float32), 1, 1, precisions[1])
        append(tmp_path / "m.xtc", (tmp_path / "n.xtc").read_bytes())
        found = bring(tmp_path / name, made[0], tmp_path / "m.xtc")
        assert [frame.prec for frame in read_xtc(tmp_path / name / "protein.xtc")] == [precisions[0]] * 2
        np.testing.assert_allclose(centred(found.positions), centred(trpcage[1][:2]), atol=0.011)


def test_a_system_of_water_has_no_protein(tmp_path):
    atoms = [(at, "SOL", "OW", (0.3 * at, 0, 0)) for at in range(1, 20)]
    gro = write_gro(tmp_path / "m.gro", atoms)
    frames = np.array([[xyz for *_, xyz in atoms]], float)
    with pytest.raises(SourceError, match=r"m\.gro: has no protein, .*found SOL"):
        bring(tmp_path / "own", gro, write_xtc(tmp_path / "m.xtc", frames))


def test_a_tpr_of_no_known_version_is_refused(tmp_path, made, data):
    tpr = tmp_path / "m.tpr"
    tpr.write_bytes((data / "md" / "trpcage.tpr").read_bytes()[:3000])
    with pytest.raises(SourceError, match=r"m\.tpr: cannot be read as TPR .*or a \.gro of the same atoms"):
        bring(tmp_path / "own", tpr, made[1])


@pytest.mark.parametrize("form", ["xtc", "trr"])
def test_frame_with_positions_that_are_none_fails_or_is_left_out(tmp_path, made, trpcage, form):
    write = {"xtc": write_xtc, "trr": write_trr}[form]
    frames = trpcage[1][:4].copy()
    # An XTC file has its greatest numbers where a simulation had none.
    frames[2] = np.nan if form == "trr" else 2147483.0
    path = write(tmp_path / f"m.{form}", frames)
    with pytest.raises(SimulationError, match=r"mine: .*positions_not_finite is 1 \(at 2 ps\), expected 0"):
        bring(tmp_path / "own", made[0], path)
    assert list((tmp_path / "own").iterdir()) == [tmp_path / "own/mine.json"]
    found = bring(tmp_path / "own", made[0], path, gates="warn")
    counted = [found.quality[name] for name in ("frames_in_file", "frames", "frames_without_positions")]
    assert (counted, found.times) == ([4, 3, 1], [0, 1, 3])
    np.testing.assert_allclose(centred(found.positions), centred(trpcage[1][[0, 1, 3]]), atol=ROUNDED)
    frames[0] = frames[2]
    with pytest.raises(SourceError, match=r"the first frame has 304 atoms without a finite position"):
        bring(tmp_path / "none", made[0], write(tmp_path / f"n.{form}", frames))


def test_a_box_that_gromacs_would_not_write_is_refused(tmp_path, made, trpcage):
    trr = write_trr(tmp_path / "m.trr", trpcage[1][:2], DODECAHEDRON.T)
    with pytest.raises(SourceError, match=r"frame 0 cannot be read \(its box vectors are not in the lower"):
        bring(tmp_path / "own", made[0], trr)


def test_frames_of_velocities_alone_are_passed_over_and_counted(tmp_path, made, trpcage):
    trr = write_trr(tmp_path / "m.trr", trpcage[1][:6], bare=(1, 3, 5))
    found = bring(tmp_path / "own", made[0], trr)
    counted = [found.quality[name] for name in ("frames_in_file", "frames", "frames_without_positions")]
    assert (counted, found.times) == ([6, 3, 3], [0, 2, 4])
    with pytest.raises(SourceError, match="has no frame with positions"):
        bring(tmp_path / "none", made[0], write_trr(tmp_path / "n.trr", trpcage[1][:2], bare=(0, 1)))


# Checks


def test_a_protein_torn_without_a_box_fails_or_is_marked(tmp_path, made, trpcage):
    frames = trpcage[1][:4].copy()
    frames[2, 150:] += 5
    xtc = write_xtc(tmp_path / "torn.xtc", frames)
    with pytest.raises(SimulationError, match=r"mine: .*longest_bond_nm is \d"):
        bring(tmp_path / "own", made[0], xtc)
    assert not (tmp_path / "own/quality.json").exists()
    found = bring(tmp_path / "own", made[0], xtc, gates="warn")
    assert found.quality["gates"]["longest_bond_nm"]["outcome"] == "fail" and not found.quality["passed"]
    short, notice = brought_notices(SimpleNamespace(brought_quality=[tmp_path / "own/quality.json"]))
    assert notice.text.endswith("failed: mine longest_bond_nm.")
    assert "mine (" in short.text


def test_a_protein_beside_its_image_is_seen(tmp_path, made, trpcage):
    size = np.ptp(trpcage[1][:3], axis=1).max()
    box = np.diag([size + 0.5, 9, 9])
    with pytest.raises(SimulationError, match=r"image_distance_nm is 0\.[5-9]\d* .*at least 1"):
        bring(tmp_path / "own", made[0], write_xtc(tmp_path / "m.xtc", trpcage[1][:3], box))


def test_a_lost_or_repeated_frame_is_seen(tmp_path, made, trpcage):
    for times in ([0, 10, 20, 40, 50], [0, 10, 20, 20, 30]):
        xtc = write_xtc(tmp_path / "t.xtc", trpcage[1][:5], times=times)
        with pytest.raises(SimulationError, match=r"uneven_frame_steps is 1 \(20 to \d+ ps, .*expected 0"):
            bring(tmp_path / "own", made[0], xtc)


def test_memory_does_not_follow_the_number_of_frames(tmp_path, made, trpcage, monkeypatch):
    monkeypatch.setattr(frames_module, "_BLOCK_ATOMS", 10_000)
    peaks = []
    for number, copies in enumerate((3, 30)):
        xtc = write_xtc(tmp_path / f"{copies}.xtc", np.concatenate([trpcage[1]] * copies))
        tracemalloc.start()
        bring_only(tmp_path / str(number), made[0], xtc)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # All frames of the longer one are 4 MB.
    assert peaks[1] < peaks[0] + 500_000


# The sheet and the fetch


@pytest.mark.parametrize(
    "text",
    ["m.tpr", "m.xtc,m.tpr", "m.tpr,m.xtc,m.xtc", "m.tpr,m.tpr", "m.tpr,m.dcd", ",m.xtc", "pdb:1A8O,m.xtc"],
)
def test_a_source_that_is_no_pair_is_refused(tmp_path, text):
    for name in ("m.tpr", "m.xtc", "m.dcd"):
        (tmp_path / name).touch()
    (tmp_path / "s.tsv").write_text(f"sample\tkind\tsource\nx\ttrajectory\t{text}\n")
    with pytest.raises(SheetError, match=r"s\.tsv line 2: .*topology and a trajectory .*m(d)?\.tpr,md\.xtc"):
        read_sheet(tmp_path / "s.tsv")


def test_a_pair_is_read_and_its_files_must_be_there(tmp_path):
    (tmp_path / "m.GRO").touch()
    (tmp_path / "s.tsv").write_text("sample\tkind\tsource\nx\ttrajectory\tm.GRO, https://host/m.trr?x=1.b\n")
    sample = read_sheet(tmp_path / "s.tsv")["x"]
    assert (sample.kind, sample.paths) == ("trajectory", [str(tmp_path / "m.GRO")])
    assert sample.origins[1] == "https://host/m.trr?x=1.b"
    (tmp_path / "s.tsv").write_text("sample\tkind\tsource\nx\ttrajectory\tm.GRO,m.xtc\n")
    with pytest.raises(SheetError, match=r"source 'm\.xtc' is not a file"):
        read_sheet(tmp_path / "s.tsv")


def fetch(folder, row, server="http://127.0.0.1:9"):
    outputs = [folder / "results" / name for name in ("x.topology", "x.trajectory", "x.json")]
    fetch_trajectory(fetcher(folder, server), row, *outputs)
    return [*outputs[:2], json.loads(outputs[2].read_text())]


def test_files_of_this_machine_are_linked_and_left_alone(tmp_path, made):
    before = [path.stat() for path in made]
    topology, trajectory, record = fetch(tmp_path, source("x", "trajectory", *made))
    assert [path.resolve() for path in (topology, trajectory)] == [path.resolve() for path in made]
    assert topology.is_symlink() and trajectory.is_symlink()
    after = [path.stat() for path in made]
    assert [(s.st_mtime_ns, s.st_nlink) for s in after] == [(s.st_mtime_ns, s.st_nlink) for s in before]
    assert (record["format"], record["written"], record["records"]) == (
        "gro+xtc", ["x.topology", "x.trajectory"], 2
    )  # fmt: skip
    fetch(tmp_path, source("x", "trajectory", *made))
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "x.json", "x.topology", "x.trajectory"
    ]  # fmt: skip


def test_downloads_lie_in_the_results_alone(tmp_path, made):
    gro, xtc = made
    with Server() as server:
        server.pages = {"/m.gro": Page(gro.read_bytes()), "/m.xtc": Page(xtc.read_bytes())}
        row = source("x", "trajectory", f"{server.url}/m.gro", f"{server.url}/m.xtc")
        topology, trajectory, record = fetch(tmp_path, row, server.url)
        assert not trajectory.is_symlink() and trajectory.read_bytes() == xtc.read_bytes()
        assert topology.read_bytes() == gro.read_bytes() and trajectory.stat().st_nlink == 1
        assert [file["url"][-6:] for file in record["files"]] == ["/m.gro", "/m.xtc"]
        server.pages = {"/m.gro": Page(gro.read_bytes()), "/m.xtc": Page(b"<html>not found</html>")}
        with pytest.raises(SourceError, match=r"/m\.xtc: is not XTC \(it begins with b'<html>no'\)"):
            fetch(tmp_path, row, server.url)


def test_another_checksum_is_refused(tmp_path, made):
    wrong = f"md5:{'0' * 32},md5:{'0' * 32}"
    with pytest.raises(HelixflowError, match=r"x: .*m\.gro: md5 is .*, expected 0{32} as the sheet says"):
        fetch(tmp_path, source("x", "trajectory", *made, checksum=wrong))


# The whole way


@pytest.fixture(scope="module")
def chain(data, tmp_path_factory):
    """The workflow on the trajectory of adenylate kinase and the stretch of the genome about its gene."""
    if not shutil.which("mpirun"):
        pytest.skip("mpirun is not on PATH (make setup)")
    folder = tmp_path_factory.mktemp("chain")
    genes, genome = read_genbank(data)
    start = genes["adk"][0]
    (folder / "coli.fna").write_text(f">stretch\n{genome[start - 2000 : start + 3000]}\n")
    files = ",".join(str(data / "md" / f"adk_oplsaa.{form}") for form in ("tpr", "xtc"))
    (folder / "samples.tsv").write_text(
        f"sample\tkind\tsource\nadk\ttrajectory\t{files}\ncoli\tgenome\tcoli.fna\n"
    )
    (folder / "config.yaml").write_text(
        "samples: samples.tsv\ncoanalysis: {ranks: 1}\n"
        "embeddings:\n  {model: results/embeddings/closed_form_model, threads: 1, shards: 1}\n"
    )
    snakemake(folder)
    return folder


def test_the_gene_is_found_and_every_residue_linked(chain):
    with (chain / "results/links/adk.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert [row["status"] for row in rows] == ["identical"] * 214
    assert [int(row["row"]) for row in rows] == list(range(1, 215))
    (told,) = json.loads((chain / "results/links/adk.json").read_text())["chains"]
    assert told["considered"][0]["found_by"][0] == "digest"
    place = told["partners"][0]["first_places"][0]
    assert (place["sample"], place["end"] - place["start"] + 1) == ("coli", 645)


def test_it_is_analysed_and_shown_as_structures_are(chain):
    with h5py.File(chain / "results/coanalysis/adk.h5") as h5:
        rg = h5["frame/rg_nm"][:]
        assert (len(rg), h5["pair/contact_frequency"].shape) == (10, (214, 214))
        assert rg[0] == pytest.approx(1.965, abs=1e-3) and rg.max() < 2.05
        assert np.isfinite(h5["frame/coherence"][:]).all()
        assert set(h5["residue/status"].asstr()[:]) == {"identical"}
        assert len(h5["components/motion/variance"]) == 5
    page = (chain / "results/report/index.html").read_text()
    assert 'id="brought"' in page and "adk_oplsaa.xtc" in page
    with (chain / "results/provenance/accounting.tsv").open() as stream:
        rows = {(row["stage"], row["item"]): row for row in csv.DictReader(stream, delimiter="\t")}
    for key, count in (
        (("sequences", "adk files"), "2"), (("links", "adk residues"), "214"),
        (("trajectories", "adk frames"), "10"), (("coanalysis", "adk frames"), "10"),
    ):  # fmt: skip
        assert (rows[key]["records_in"], rows[key]["records_out"]) == (count, count)


def test_nothing_is_simulated_and_nothing_repeated(chain):
    ran = {path.name for path in (chain / "benchmarks").iterdir()}
    assert "bring_trajectory" in ran and not ran & {"clean_structure", "prepare_system", "simulate_replica"}
    done = snakemake(chain, "-n")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_the_rules_stand_alone():
    """Neither the fetch nor the reading asks for proteins, embeddings or links."""
    text = (ROOT / "rules" / "trajectories.smk").read_text()
    rule = text[text.index("rule bring_trajectory") :].split("    output:")[0]
    assert "results/sequences/" in rule and not re.search("proteins/|embeddings/|links/", rule)
