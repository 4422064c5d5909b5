"""What is built where a structure lacks something, against what was there, Biopython and pdb2gmx."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from Bio.PDB import NeighborSearch, PDBParser
from Bio.PDB.vectors import calc_dihedral

from cleaning import atom, atoms_only, clean, number_of, refusal
from conftest import ROOT
from helixflow.errors import StructureError
from helixflow.report.accounting import _count_structures, check_entry
from helixflow.structures import repair
from helixflow.structures.deposit import by_chain, by_residue
from helixflow.structures.disulfides import check_disulfides
from helixflow.structures.geometry import find_faults
from helixflow.structures.ledger import Ledger
from helixflow.structures.read import read_structure
from helixflow.structures.refine import ideal_residue

needs_gmx = pytest.mark.skipif(not shutil.which("gmx"), reason="gmx is not on PATH (make setup)")


@pytest.fixture
def ubiquitin(data) -> list[str]:
    """1UBI as lines; chain A is 1 to 76."""
    return (data / "structures" / "1UBI.pdb").read_text().splitlines(keepends=True)


@pytest.fixture
def lysozyme(data) -> list[str]:
    """1AKI as lines; chain A is 1 to 129, with four disulfides."""
    return (data / "structures" / "1AKI.pdb").read_text().splitlines(keepends=True)


def cut(content, first, last):
    return [x for x in content if not (x.startswith(("ATOM", "HETATM")) and first <= number_of(x) <= last)]


def pdb2gmx(folder) -> str:
    """Describe a clean structure by a force field; give what was said, without a long bond."""
    call = ["gmx", "pdb2gmx", "-f", "clean.pdb", "-ignh", "-ff", "amber99sb-ildn", "-water", "tip3p"]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-2000:]
    assert "Long Bond" not in said
    return said


def check_built(folder, source, residues):
    """The file's atoms stand where they stood; the built ones fit, by Biopython's measures."""
    structure = PDBParser(QUIET=True).get_structure("x", folder / "clean.pdb")
    before = {(a.chain, a.number, a.insertion, a.name): a.xyz for a in source}
    found = list(structure.get_residues())
    built = []
    for row, residue in zip(residues, found, strict=True):
        for one in residue:
            known = before.get((row.chain, row.number, row.insertion, one.name))
            if row.origin == "observed" or (row.origin == "completed" and known):
                assert one.coord == pytest.approx(known, abs=6e-4)
            else:
                built.append(one)
    near = NeighborSearch(list(structure.get_atoms()))
    for one in built:
        others = [other for other in near.search(one.coord, 1.3) if other is not one]
        assert all(other.parent is one.parent or {one.name, other.name} == {"C", "N"} for other in others)
    for first, second in pairwise(found):
        if first.parent is second.parent and {one.parent for one in built} & {first, second}:
            points = [first["CA"], first["C"], second["N"], second["CA"]]
            angle = abs(np.degrees(calc_dihedral(*(point.get_vector() for point in points))))
            assert first["C"] - second["N"] < 1.6
            assert angle > 120 or not {first["C"], second["N"]} & set(built)
    for residue in {one.parent for one in built}:
        if "CB" in residue:
            n, ca, c, cb = (residue[name].coord for name in ("N", "CA", "C", "CB"))
            # Seen from the hydrogen, CO, R and N of an L-residue are clockwise.
            assert np.dot(np.cross(n - ca, c - ca), cb - ca) > 1
    return built


# Side chains


def test_missing_side_chain_is_built_on_its_residue(ubiquitin, made, tmp_path):
    """All of a lysine but its backbone and CB, and the carbonyl of another residue."""
    content = [
        x
        for x in ubiquitin
        if not (x.startswith("ATOM") and number_of(x) == 33 and x[12:16].strip() in ("CG", "CD", "CE", "NZ"))
        and not (x.startswith("ATOM") and number_of(x) == 40 and x[12:16].strip() == "O")
    ]
    source = made(content)
    assert "LYS A 33 has no atom CG, CD, CE, NZ; set structures/repair to sidechains" in refusal(
        source, tmp_path
    )
    report, residues = clean(source, tmp_path, repair="sidechains")
    built = check_built(tmp_path, read_structure(source, "pdb").atoms, residues)
    assert [(one.parent.id[1], one.name) for one in built] == [
        (33, "CG"),
        (33, "CD"),
        (33, "CE"),
        (33, "NZ"),
        (40, "O"),
    ]
    assert {r.number: r.origin for r in residues if r.origin != "observed"} == {
        33: "completed",
        40: "completed",
    }
    assert [(b["number"], b["whole"], b["atoms"]) for b in report["built"]] == [
        (33, False, ["CG", "CD", "CE", "NZ"]),
        (40, False, ["O"]),
    ]
    assert [(a["action"], a["number"]) for a in report["actions"]] == [
        ("built atoms", 33),
        ("built atoms", 40),
    ]
    assert (report["atoms_built"], report["residues_built"]) == (5, 0)
    # A carbonyl has one place: that of the file.
    (oxygen,) = [x for x in ubiquitin if x.startswith("ATOM") and number_of(x) == 40 and x[12:16] == " O  "]
    expected = [float(oxygen[30 + 8 * i : 38 + 8 * i]) for i in range(3)]
    assert np.linalg.norm(built[-1].coord - expected) < 0.5


def test_ligand_dropped_and_side_chain_built_give_a_model(data, tmp_path):
    """3O5R: alternate locations, FK506, and GLU 140 that ends at CB."""
    source = data / "structures" / "3O5R.pdb"
    report, residues = clean(source, tmp_path, ligands="drop", repair="sidechains")
    assert [(b["name"], b["number"], b["atoms"]) for b in report["built"]] == [
        ("GLU", 140, ["CG", "CD", "OE1", "OE2"])
    ]
    assert report["residues_removed"]["ligand or other molecule"] == ["FK5 A 1001"]
    missing = [line for line in source.read_text().splitlines() if line.startswith("REMARK 470     ")]
    assert missing[-1].split()[2:] == ["GLU", "A", "140", "CG", "CD", "OE1", "OE2"]
    assert {r.number for r in residues if r.origin == "completed"} == {140}
    assert len({a["number"] for a in report["actions"] if a["action"] == "chose location"}) == 16
    files = {"cleaning": "cleaning.json", "clean": "clean.pdb", "residues": "residues.tsv"}
    paths = {key: [tmp_path / name] for key, name in files.items()}
    counted = {}
    for entry in _count_structures(SimpleNamespace(**paths)):
        check_entry(entry)
        counted[entry.item.split(maxsplit=1)[1]] = entry.records_in
    assert counted == {"atoms": report["atoms_in"], "atoms built": 4, "residues": report["residues_in"]}
    if shutil.which("gmx"):
        pdb2gmx(tmp_path)


def test_same_input_gives_the_same_bytes_in_another_process(data, tmp_path):
    code = (
        "import sys; from helixflow.structures.clean import *; "
        "settings = CleanSettings(ligands='drop', repair='sidechains'); "
        "clean_structure(sys.argv[1], 'pdb', settings, *sys.argv[2:])"
    )
    names = ("clean.pdb", "cleaning.json", "residues.tsv")
    for seed in ("1", "2"):
        outputs = [tmp_path / seed / name for name in names]
        call = [sys.executable, "-c", code, data / "structures/3O5R.pdb", *outputs]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "PYTHONHASHSEED": seed}
        subprocess.run(call, check=True, env=environment)
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_pyroglutamate_becomes_glutamine_with_a_new_side_chain(ubiquitin, made, tmp_path):
    content = []
    for line in atoms_only(ubiquitin):
        if number_of(line) == 2:
            name = line[12:16].strip()
            if name != "NE2":
                new = "OE" if name == "OE1" else name
                content.append(f"HETATM{line[6:12]} {new:<3} PCA{line[20:]}")
        elif number_of(line) > 2 and "HOH" not in line:
            content.append(line)
    source = made(content)
    assert "GLN A 2 has no atom CG, CD, OE1, NE2; set structures/repair to sidechains" in refusal(
        source, tmp_path
    )
    _, residues = clean(source, tmp_path, repair="sidechains")
    assert (residues[0].name, residues[0].deposited, residues[0].origin) == ("GLN", "PCA", "completed")
    if shutil.which("gmx"):
        pdb2gmx(tmp_path)


# Loops


def test_short_gap_is_filled_and_the_ends_are_not(ubiquitin, made, tmp_path):
    source = made(cut(cut(cut(ubiquitin, 1, 2), 46, 48), 75, 76))
    line = refusal(source, tmp_path, repair="sidechains")
    assert "residues 46-48 AGK of SEQRES are missing between PHE A 45 and GLN A 49" in line
    assert "set structures/repair to loops" in line
    assert "more than structures/max_gap (2)" in refusal(source, tmp_path, repair="loops", max_gap=2)
    report, residues = clean(source, tmp_path, repair="loops", max_gap=3)
    check_built(tmp_path, read_structure(source, "pdb").atoms, residues)
    assert [r.number for r in residues] == list(range(3, 75))
    assert {r.number for r in residues if r.origin == "built"} == {46, 47, 48}
    (gap,) = report["gaps"]
    assert (gap["residues"], gap["length"], gap["built"]) == ("AGK", 3, True)
    (chain,) = report["chains"]
    assert (chain["missing_before"], chain["missing_after"]) == ("MQ", "GG")
    assert (report["residues_built"], report["atoms_built"]) == (3, 5 + 4 + 9)
    assert [a["action"] for a in report["actions"]] == ["built residue"] * 3
    if shutil.which("gmx"):
        pdb2gmx(tmp_path)
    again = tmp_path / "again"
    clean(source, again, repair="loops", max_gap=3)
    assert (again / "clean.pdb").read_bytes() == (tmp_path / "clean.pdb").read_bytes()


@needs_gmx
def test_integrase_becomes_a_model_without_a_long_bond(data, tmp_path):
    """1BHL: CAS 65 and 130, and 16 residues of a loop that were not seen."""
    source = data / "structures" / "1BHL.pdb"
    line = refusal(source, tmp_path, repair="loops")
    assert "these are 16 residues, more than structures/max_gap (10)" in line
    report, residues = clean(source, tmp_path, repair="loops", max_gap=16)
    natural = [
        replace(a, residue="CYS") if a.residue == "CAS" else a for a in read_structure(source, "pdb").atoms
    ]
    check_built(tmp_path, natural, residues)
    remarks = re.findall(r"^REMARK 465     (\w{3}) A +(\d+)", source.read_text(), re.MULTILINE)
    assert [(r.name, str(r.number)) for r in residues if r.origin == "built"] == remarks
    assert [(r.number, r.deposited) for r in residues if r.deposited] == [(65, "CAS"), (130, "CAS")]
    assert report["gaps"][0]["length"] == 16
    pdb2gmx(tmp_path)


def test_missing_backbone_is_built_as_a_loop_but_not_at_an_end(ubiquitin, made, tmp_path):
    def without(number, *names):
        return made(
            x for x in ubiquitin
            if not (x.startswith("ATOM") and number_of(x) == number and x[12:16].strip() in names)
        )  # fmt: skip

    line = refusal(without(47, "C"), tmp_path, repair="sidechains")
    assert "GLY A 47 has no atom C; set structures/repair to loops" in line
    source = without(47, "C")
    report, residues = clean(source, tmp_path, repair="loops")
    check_built(tmp_path, read_structure(source, "pdb").atoms, residues)
    assert [(b["number"], b["atoms"]) for b in report["built"]] == [(47, ["C"])]
    line = refusal(without(1, "N"), tmp_path / "end", repair="loops")
    assert "MET A 1 has no atom N; ends of chains are not built: remove the residue" in line
    line = refusal(without(47, "N", "C", "O"), tmp_path / "rest", repair="loops")
    assert "GLY A 47 has no atom N, C, O, which is too little to build on" in line


def test_loop_needs_the_sequence_of_the_experiment(ubiquitin, made, tmp_path):
    atoms = cut(atoms_only(ubiquitin), 46, 48)
    assert "a loop is built by the sequence of the experiment: add SEQRES" in refusal(
        made(atoms), tmp_path, repair="loops"
    )
    other = [x.replace("LYS GLU", "TRP GLU") if x.startswith("SEQRES") else x for x in cut(ubiquitin, 46, 48)]
    report_line = refusal(made(other), tmp_path, repair="loops")
    assert "a loop is built by the sequence of the experiment" in report_line


def test_disulfide_of_a_built_cysteine_is_made_where_the_file_names_it(lysozyme, made, tmp_path):
    """Cysteine 64 is bonded to 80 in the file."""
    report, residues = clean(made(cut(lysozyme, 64, 64)), tmp_path, repair="loops")
    pairs = [tuple(residues[index].number for index in pair) for pair in report["disulfides"]]
    assert pairs == [(6, 127), (30, 115), (64, 80), (76, 94)]
    if shutil.which("gmx"):
        assert len(re.findall("Linking CYS", pdb2gmx(tmp_path))) == 4


def test_disulfide_that_is_not_made_is_an_error_or_told(lysozyme, made, tmp_path, monkeypatch):
    """Named with a cysteine out of reach: an error; not named at all: the cysteine is told."""
    monkeypatch.setattr(repair, "_TRIES", 1)
    content = cut(lysozyme, 64, 64)
    far = [x.replace("CYS A   80", "CYS A  127") if x.startswith("SSBOND") else x for x in content]
    line = refusal(made(far), tmp_path, repair="loops")
    assert "what was built cannot be: bond" in line and "CYS A 64" in line
    report, _ = clean(made(x for x in content if not x.startswith("SSBOND")), tmp_path, repair="loops")
    alone = [a["number"] for a in report["actions"] if a["action"] == "built cysteine is in no disulfide"]
    assert (alone, len(report["disulfides"])) == ([64], 3)


def test_disulfide_that_a_built_side_chain_makes_is_told(lysozyme, made, tmp_path):
    """The sulfur of cysteine 6 is built where it was, beside that of 127, and no SSBOND names the two."""
    content = [
        x
        for x in lysozyme
        if not x.startswith("SSBOND") and not (x.startswith("ATOM") and x[12:26] == " SG  CYS A   6")
    ]
    report, residues = clean(made(content), tmp_path, repair="sidechains")
    pairs = [[residues[index].number for index in pair] for pair in report["disulfides"]]
    assert [6, 127] in pairs and len(pairs) == 4
    told = [a for a in report["actions"] if a["action"] == "disulfide made by what was built"]
    assert told == [{"action": "disulfide made by what was built", "chain": "A", "between": ["A 6", "A 127"]}]
    if shutil.which("gmx"):
        assert len(re.findall("Linking CYS", pdb2gmx(tmp_path))) == 4


def test_gap_too_wide_for_its_residues_is_refused_at_once(ubiquitin, made, tmp_path):
    """One residue is missing where the chain's second half is moved away by 40 Å."""
    moved = [
        f"{x[:30]}{float(x[30:38]) + 40:8.3f}{x[38:]}" if x.startswith("ATOM") and number_of(x) > 30 else x
        for x in cut(ubiquitin, 30, 30)
    ]
    for policy in ("none", "loops"):
        line = refusal(made(moved), tmp_path, repair=policy)
        assert "between LYS A 29 and GLN A 31" in line
        assert "so many reach over 7.6 Å at most: mend the places" in line


def test_disulfides_before_and_after_building_are_compared(lysozyme, made):
    """By hand: a sulfur that came near, and one of the file's that was not reached."""
    atoms = [a for a in read_structure(made(lysozyme), "pdb").atoms if a.residue != "HOH"]
    whole = by_residue(atoms)
    named = read_structure(made(lysozyme), "pdb").disulfides
    check_disulfides(named, whole, whole, Ledger())
    lost = [
        [
            replace(a, built=True, xyz=(0.0, 0.0, 0.0)) if (a.number, a.name) == (64, "SG") else a
            for a in residue
        ]
        for residue in whole
    ]
    rest = [residue for residue in whole if residue[0].number != 64]
    with pytest.raises(StructureError, match="disulfide between CYS A 64 and CYS A 80 was not made"):
        check_disulfides(named, rest, lost, Ledger())
    ledger = Ledger()
    check_disulfides([], rest, whole, ledger)
    assert [(a["action"], a["between"]) for a in ledger.actions] == [
        ("disulfide made by what was built", ["A 64", "A 80"])
    ]
    with pytest.raises(StructureError, match="between CYS A 64 and CYS A 80 was lost"):
        check_disulfides([], whole, lost, Ledger())


def test_numbers_without_room_get_insertion_codes(ubiquitin, made, tmp_path):
    """Residues 46-48 are missing, and 49 follows 45 in number."""
    content = [
        f"{x[:22]}{number_of(x) - 3:4d}{x[26:]}" if x.startswith("ATOM") and number_of(x) > 48 else x
        for x in cut(ubiquitin, 46, 48)
    ]
    _, residues = clean(made(content), tmp_path, repair="loops")
    built = [(r.number, r.insertion, r.name) for r in residues if r.origin == "built"]
    assert built == [(45, "A", "ALA"), (45, "B", "GLY"), (45, "C", "LYS")]


def test_what_cannot_be_is_refused(ubiquitin, made, tmp_path, monkeypatch):
    """PDBFixer alone gives residues of the wrong hand; without the refinement that is told."""
    monkeypatch.setattr("helixflow.structures.refine.refine", lambda chains, seed, bonds: chains)
    monkeypatch.setattr(repair, "_TRIES", 1)
    line = refusal(made(cut(ubiquitin, 44, 50)), tmp_path, repair="loops")
    assert "what was built cannot be: " in line
    assert "wrong hand" in line or "trans" in line


# The checks


@pytest.fixture
def helix(ubiquitin, made):
    """Residues 23 to 34 of ubiquitin, all as if built."""
    atoms = read_structure(made(x for x in atoms_only(ubiquitin) if 23 <= number_of(x) <= 34), "pdb").atoms
    (residues,) = by_chain(replace(a, built=True) for a in atoms).values()
    return residues


def moved(residues, number, name, xyz):
    return [
        [replace(a, xyz=tuple(xyz)) if (a.number, a.name) == (number, name) else a for a in residue]
        for residue in residues
    ]


def place(residues, number, name):
    (found,) = [
        np.array(a.xyz) for residue in residues for a in residue if (a.number, a.name) == (number, name)
    ]
    return found


def test_each_fault_of_a_model_is_found(helix):
    assert find_faults([helix]) == []
    shift = moved(helix, 29, "NZ", place(helix, 29, "NZ") + np.array([1, 1, 1]))
    assert any("LYS A 29 CE to LYS A 29 NZ of" in fault for fault in find_faults([shift]))
    clash = find_faults([moved(helix, 29, "NZ", place(helix, 33, "O") + np.array([0, 0, 0.8]))])
    assert any("LYS A 29 NZ is 0.80 Å from LYS A 33 O" in fault for fault in clash)
    ca, cb = place(helix, 28, "CA"), place(helix, 28, "CB")
    normal = np.cross(place(helix, 28, "N") - ca, place(helix, 28, "C") - ca)
    normal /= np.linalg.norm(normal)
    hand = find_faults([moved(helix, 28, "CB", cb - 2 * np.dot(cb - ca, normal) * normal)])
    assert any("ALA A 28 has the wrong hand at CA" in fault for fault in hand)
    ile = moved(helix, 30, "CG1", place(helix, 30, "CG2"))
    ile = moved(ile, 30, "CG2", place(helix, 30, "CG1"))
    assert any("ILE A 30 has the wrong hand at CB" in fault for fault in find_faults([ile]))


def test_peptide_bond_that_is_not_trans_is_found(helix):
    """The part behind a peptide bond, turned by half a turn about it."""
    axis = place(helix, 29, "N") - place(helix, 28, "C")
    axis /= np.linalg.norm(axis)
    origin = place(helix, 29, "N")

    def turn(xyz):
        along = np.dot(np.array(xyz) - origin, axis) * axis
        return tuple(origin + 2 * along - (np.array(xyz) - origin))

    turned = [[replace(a, xyz=turn(a.xyz)) if a.number >= 29 else a for a in residue] for residue in helix]
    faults = find_faults([turned])
    assert any("peptide bond ALA A 28 to LYS A 29 is not trans" in fault for fault in faults)


def test_bond_through_a_ring_is_found(made):
    """A bond of lysine through the middle of a phenylalanine's ring, one beside it not."""

    def write(name, number, places):
        return [atom(1, key, name, "A", number, value) for key, value in places.items()]

    ring = {key: np.array(value) for key, value in ideal_residue("PHE").items()}
    names = ["CG", "CD1", "CE1", "CZ", "CE2", "CD2"]
    centre = np.mean([ring[name] for name in names], axis=0)
    normal = np.cross(ring["CD1"] - ring["CG"], ring["CD2"] - ring["CG"])
    normal /= np.linalg.norm(normal)
    chain = {key: np.array(value) for key, value in ideal_residue("LYS").items()}
    for aside, pierced in ((0.0, True), (3.0, False)):
        along = (chain["CE"] - chain["CD"]) / np.linalg.norm(chain["CE"] - chain["CD"])
        # Turn the lysine such that CD-CE lies along the normal, its middle in the ring's.
        axis = np.cross(along, normal)
        sine, cosine = np.linalg.norm(axis), np.dot(along, normal)
        axis /= sine
        matrix = np.cross(np.eye(3), -axis)
        rotation = np.eye(3) + sine * matrix + (1 - cosine) * matrix @ matrix
        middle = (chain["CD"] + chain["CE"]) / 2
        side = aside * (ring["CG"] - centre) / np.linalg.norm(ring["CG"] - centre)
        lysine = {key: rotation @ (value - middle) + centre + side for key, value in chain.items()}
        rows = [*write("PHE", 1, ring), *write("LYS", 5, lysine)]
        residues = by_residue(replace(a, built=True) for a in read_structure(made(rows), "pdb").atoms)
        faults = [
            f for f in find_faults([[residues[0]], [residues[1]]]) if "goes through the ring of PHE A 1" in f
        ]
        assert bool(faults) == pierced
        assert not pierced or "LYS A 5 CD to LYS A 5 CE" in faults[0]
