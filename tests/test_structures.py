"""Cleaning and set-up of structures, against Biopython, MDAnalysis and arithmetic by hand."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO
from Bio.PDB import MMCIFIO, PDBParser

from cleaning import atom, atoms_only, clean, number_of, refusal
from helixflow.errors import ConfigError, StructureError
from helixflow.files import read_json
from helixflow.gmx import find_gmx
from helixflow.structures.describe import check_protein
from helixflow.structures.prepare import SetupSettings, prepare_system
from helixflow.structures.residues import chain_letters, read_residues
from helixflow.structures.topology import read_protein

needs_gmx = pytest.mark.skipif(not shutil.which("gmx"), reason="gmx is not on PATH (make setup)")
SETUP = SetupSettings("amber99sb-ildn", "tip3p", "dodecahedron", 0.7, 0.15, 1)
CLEAN = [
    "1L2Y.pdb",
    "1L2Y.cif",
    "1UAO.pdb",
    "5AWL.pdb",
    "1VII.pdb",
    "1UBI.pdb",
    "1AKI.pdb",
    "1CRN_H_nochain.pdb",
]


@pytest.fixture(scope="module")
def lines(demo) -> list[str]:
    """1A8O as lines; its chain A is MSE 151 to GLY 220, then 88 waters."""
    return (demo / "1A8O.pdb").read_text().splitlines(keepends=True)


@pytest.mark.parametrize("name", CLEAN)
def test_clean_structures_pass_with_their_heavy_atoms_untouched(data, tmp_path, name):
    source = data / "structures" / name
    report, residues = clean(source, tmp_path)
    original = PDBParser(QUIET=True).get_structure("x", (source.with_suffix(".pdb")))[0]
    expected = [
        (atom.name, residue.id[1], tuple(np.round(atom.coord, 3)))
        for residue in original.get_residues()
        if residue.resname != "HOH"
        for atom in residue
        if atom.element != "H"
    ]
    cleaned = PDBParser(QUIET=True).get_structure("y", tmp_path / "clean.pdb")[0]
    assert [(a.name, a.parent.id[1], tuple(np.round(a.coord, 3))) for a in cleaned.get_atoms()] == expected
    assert report["atoms_out"] == len(expected)
    assert [residue.index for residue in residues] == list(range(len(residues)))


def test_pdb_and_mmcif_of_one_entry_give_the_same_bytes(data, tmp_path):
    for kind in ("pdb", "cif"):
        clean(data / "structures" / f"1L2Y.{kind}", tmp_path / kind, model=7)
    for name in ("clean.pdb", "residues.tsv"):
        assert (tmp_path / "pdb" / name).read_bytes() == (tmp_path / "cif" / name).read_bytes()


def test_disulfides_of_lysozyme_are_those_of_its_ssbond_records(data, tmp_path):
    source = data / "structures" / "1AKI.pdb"
    report, residues = clean(source, tmp_path)
    found = [tuple(residues[index].number for index in pair) for pair in report["disulfides"]]
    records = [line for line in source.read_text().splitlines() if line.startswith("SSBOND")]
    assert found == [(int(line[17:21]), int(line[31:35])) for line in records]
    assert len(found) == 4


def test_selenomethionine_becomes_methionine(demo, tmp_path):
    report, residues = clean(demo / "1A8O.pdb", tmp_path)
    (seqres,) = SeqIO.parse(demo / "1A8O.pdb", "pdb-seqres")
    assert "".join(residue.code for residue in residues) == str(seqres.seq)
    assert len(residues) == 70
    assert [residues[index].number for index in report["disulfides"][0]] == [198, 218]
    assert [action["number"] for action in report["actions"]] == [151, 185, 214, 215]
    assert {action["to"] for action in report["actions"]} == {"MET"}
    names = [
        line[12:16].strip() for line in (tmp_path / "clean.pdb").read_text().splitlines() if " MET " in line
    ]
    assert names[:8] == ["N", "CA", "C", "O", "CB", "CG", "SD", "CE"]
    assert report["residues_set_aside"] == {"water": 88}


def test_methylated_lysine_loses_its_methyl_groups_alone(lines, made, tmp_path):
    content = [x.replace("LYS A 158", "MLY A 158") for x in atoms_only(lines)]
    at = content.index(next(x for x in content if "MLY A 158" in x))
    methyl = [atom(9000, name, "MLY", "A", 158, (20, 20, 20), record="HETATM") for name in ("CH1", "CH2")]
    clean(made(atoms_only(lines)), tmp_path / "natural")
    report, _ = clean(made([*content[: at + 1], *methyl, *content[at + 1 :]]), tmp_path / "methylated")
    assert report["atoms_set_aside"]["atom of a modified residue"] == 2
    assert (tmp_path / "natural/clean.pdb").read_bytes() == (tmp_path / "methylated/clean.pdb").read_bytes()


def test_deposited_structures_that_no_force_field_describes_are_refused_by_name(data, tmp_path):
    line = refusal(data / "structures" / "1BHL.pdb", tmp_path, modified="refuse")
    assert "CAS A 65 is a modified CYS; set structures/modified to natural" in line
    assert "FK5 A 1001: no amino acid" in refusal(data / "structures" / "3O5R.pdb", tmp_path)
    # Without the ligand, its altlocs are resolved and the next fault shows: GLU 140 ends at CB.
    line = refusal(data / "structures" / "3O5R.pdb", tmp_path, ligands="drop")
    assert "GLU A 140 has no atom CG, CD, OE1, OE2" in line


def test_gap_of_a_real_structure_is_named_with_the_residues_of_seqres(data, tmp_path):
    line = refusal(data / "structures" / "1BHL.pdb", tmp_path)
    assert (
        "chain A: residues 138-153 EFGIPYNPQSQGVIES of SEQRES are missing between GLN A 137 and MET A 154"
        in line
    )


def test_ends_that_were_not_seen_are_recorded(lines, made, tmp_path):
    source = made([x for x in lines if not (x in atoms_only(lines) and number_of(x) in (151, 152, 219, 220))])
    (chain,) = clean(source, tmp_path)[0]["chains"]
    assert (chain["residues"], chain["seqres"]) == (66, 70)
    assert (chain["missing_before"], chain["missing_after"]) == ("MD", "QG")


def test_alternate_location_of_highest_occupancy_is_kept_and_ties_go_to_the_first(lines, made, tmp_path):
    content = []
    for line in atoms_only(lines):
        if number_of(line) in (160, 170) and line[12:16].strip() not in ("N", "C"):
            share = {160: (0.4, 0.6), 170: (0.5, 0.5)}[number_of(line)]
            for letter, part, shift in zip("AB", share, (0, 1), strict=True):
                x = f"{float(line[30:38]) + shift:8.3f}"
                content.append(f"{line[:16]}{letter}{line[17:30]}{x}{line[38:54]}{part:6.2f}{line[60:]}")
        else:
            content.append(line)
    report, _ = clean(made(content), tmp_path)
    original = {(number_of(x), x[12:16].strip()): float(x[30:38]) for x in atoms_only(lines)}
    for line in (tmp_path / "clean.pdb").read_text().splitlines():
        if line.startswith("ATOM") and number_of(line) in (160, 170):
            name = line[12:16].strip()
            moved = number_of(line) == 160 and name not in ("N", "C")
            assert float(line[30:38]) == pytest.approx(original[number_of(line), name] + moved, abs=1e-3)
    chosen = {
        a["number"]: (a["kept"], a["set_aside"]) for a in report["actions"] if a["action"] == "chose location"
    }
    assert chosen == {160: ("B", ["A"]), 170: ("A", ["B"])}


def test_two_kinds_of_residue_at_one_place_leave_the_likelier_one(lines, made, tmp_path):
    content = []
    for line in atoms_only(lines):
        if line[17:20] == "LYS" and number_of(line) == 203:
            content.append(f"{line[:16]}A{line[17:54]}{0.3:6.2f}{line[60:]}")
            if line[12:16].strip() in ("N", "CA", "C", "O", "CB"):
                content.append(f"{line[:16]}BALA{line[20:54]}{0.7:6.2f}{line[60:]}")
        else:
            content.append(line)
    report, residues = clean(made(content), tmp_path)
    assert [residue.name for residue in residues if residue.number == 203] == ["ALA"]
    assert len(residues) == 70
    assert report["residues_set_aside"]["other alternate location"] == 1


def test_insertion_codes_and_negative_numbers_survive(lines, made, tmp_path):
    def renumber(line):
        number = number_of(line) - 320
        return line[:22] + (" -160A"[1:] if number == -159 else f"{number:4d} ") + line[27:]

    source = made(map(renumber, atoms_only(lines)))
    _, residues = clean(source, tmp_path)
    around = [(residue.number, residue.insertion) for residue in residues[8:12]]
    assert around == [(-161, ""), (-160, ""), (-160, "A"), (-158, "")]
    reread = PDBParser(QUIET=True).get_structure("x", tmp_path / "clean.pdb")
    assert [residue.id[1:] for residue in reread.get_residues()][9:11] == [(-160, " "), (-160, "A")]
    if shutil.which("gmx"):
        # Fails where the topology's residues differ.
        prepare_system(tmp_path, tmp_path / "scratch", SETUP, "gmx")


def test_blank_chain_gets_a_name(lines, made, tmp_path):
    report, residues = clean(made(x[:21] + " " + x[22:] for x in atoms_only(lines)), tmp_path)
    assert {residue.chain for residue in residues} == {"A"}
    assert report["actions"][-1] == {"action": "renamed chain", "chain": "", "to": "A"}


def test_chain_with_a_long_name_gets_a_free_letter(data, tmp_path):
    structure = PDBParser(QUIET=True).get_structure("x", data / "structures" / "5AWL.pdb")
    (chain,) = structure.get_chains()
    other = chain.copy()
    other.id = "AAA"
    other.transform(np.eye(3), np.array([40, 0, 0]))
    structure[0].add(other)
    writer = MMCIFIO()
    writer.set_structure(structure)
    writer.save(str(tmp_path / "two.cif"))
    report, residues = clean(tmp_path / "two.cif", tmp_path)
    # The table keeps the name; a PDB file has one column for it.
    assert [residue.chain for residue in residues] == ["A"] * 10 + ["AAA"] * 10
    cleaned = PDBParser(QUIET=True).get_structure("x", tmp_path / "clean.pdb")
    assert [chain.id for chain in cleaned.get_chains()] == ["A", "B"]
    assert report["actions"][-1] == {"action": "renamed chain", "chain": "AAA", "to": "B"}
    _, residues = clean(tmp_path / "two.cif", tmp_path, chains=("AAA",))
    assert {residue.chain for residue in residues} == {"AAA"}
    assert chain_letters(residues) == {"AAA": "A"}


def test_carriage_returns_and_hydrogens_change_nothing(lines, made, tmp_path):
    clean(made(lines), tmp_path / "unix")
    hydrogen = atom(9999, "HA", "GLY", "A", 220, (20, 20, 20))
    report, _ = clean(
        made([x.replace("\n", "\r\n") for x in [*lines[:-2], hydrogen, lines[-1]]]), tmp_path / "dos"
    )
    assert (tmp_path / "unix/clean.pdb").read_bytes() == (tmp_path / "dos/clean.pdb").read_bytes()
    assert report["atoms_set_aside"]["hydrogen, pdb2gmx adds them"] == 1


def test_columns_of_old_files_that_name_no_element_are_not_misread(lines, made, tmp_path):
    hydrogen = atom(9999, "HA", "GLY", "A", 220, (20, 20, 20))
    old = [f"{x[:66]}      1A8O{at:4d}\n" for at, x in enumerate([*atoms_only(lines), hydrogen])]
    clean(made(lines), tmp_path / "new")
    clean(made(old), tmp_path / "old")
    assert (tmp_path / "new/clean.pdb").read_bytes() == (tmp_path / "old/clean.pdb").read_bytes()


def test_model_is_chosen_by_its_number(data, tmp_path):
    source = data / "structures" / "1L2Y.pdb"
    report, _ = clean(source, tmp_path, model=38)
    last = source.read_text().rindex("MODEL ")
    first = (tmp_path / "clean.pdb").read_text().splitlines()[1]
    assert source.read_text()[last:].splitlines()[1][30:54] == first[30:54]
    assert (report["models"], report["residues_set_aside"]["other model"]) == (38, 37 * 20)
    assert "no model 39, the file has 38" in refusal(source, tmp_path / "none", model=39)


def test_missing_atoms_are_named(lines, made, tmp_path):
    def without(number, *names):
        return made(
            x for x in lines if not (x in atoms and number_of(x) == number and x[12:16].strip() in names)
        )

    atoms = atoms_only(lines)
    assert "LYS A 158 has no atom CD, CE, NZ" in refusal(without(158, "CD", "CE", "NZ"), tmp_path)
    assert "LYS A 158 has no atom O;" in refusal(without(158, "O"), tmp_path)
    assert "GLN A 219 has no atom N;" in refusal(without(219, "N"), tmp_path)
    # The last residue may lack its OXT.
    clean(without(220, "OXT"), tmp_path)


def test_gaps_within_a_chain_are_named(lines, made, tmp_path):
    def without_part(records):
        return made(x for x in records if not (x in atoms and 160 <= number_of(x) <= 163))

    atoms = atoms_only(lines)
    place = "are missing between GLU A 159 and TYR A 164 (C-N"
    assert f"chain A: residues 160-163 PFRD of SEQRES {place}" in refusal(without_part(lines), tmp_path)
    assert f"chain A: residues 160-163 {place}" in refusal(without_part(atoms), tmp_path)
    # Numbers that go on do not hide a break, and numbers that jump do not make one.
    moved = (f"{x[:30]}{float(x[30:38]) + 9 * (number_of(x) > 180):8.3f}{x[38:]}" for x in atoms)
    assert "residues (unknown) are missing between GLU A 180 and VAL A 181" in refusal(made(moved), tmp_path)
    clean(made(f"{x[:22]}{number_of(x) + 50 * (number_of(x) > 180):4d}{x[26:]}" for x in atoms), tmp_path)


def test_twice_given_and_unknown_atoms_are_refused(lines, made, tmp_path):
    atoms = atoms_only(lines)
    line = refusal(made([*atoms, next(x for x in atoms if number_of(x) == 170)]), tmp_path)
    assert "A 170 has atom N 2 times, expected once" in line
    strange = [*atoms, atom(9999, "XX", "GLY", "A", 220, (20, 20, 20))]
    assert "GLY A 220 has atom XX, expected N CA C O OXT" in refusal(made(strange), tmp_path)
    same = [f"{x[:22]}{170:4d}{x[26:]}" if number_of(x) == 171 else x for x in atoms]
    assert "LYS A 170 shares its number with THR, expected one residue" in refusal(made(same), tmp_path)
    inside = [*atoms, atom(9999, "OXT", "LEU", "A", 202, (20, 20, 20))]
    assert "LEU A 202 has atom OXT" in refusal(made(inside), tmp_path)


@pytest.mark.parametrize("oxygens", ["O1 O2", "OC1 OC2", "OT1 OT2"])
def test_names_of_other_programs_for_the_same_atoms_are_understood(lines, made, tmp_path, oxygens):
    def renamed(*changes):
        names = {(*place, old): new for *place, old, new in changes}
        keys = ((x, (x[17:20], number_of(x), x[12:16].strip())) for x in atoms)
        return [f"{x[:12]} {names.get(key, key[2]):<3}{x[16:]}" for x, key in keys]

    atoms = [x for x in atoms_only(lines) if "HOH" not in x]
    assert any(x[12:20] == " OXT GLY" for x in atoms)
    clean(made(atoms), tmp_path / "pdb")
    first, second = oxygens.split()
    ends = ("GLY", 220, "O", first), ("GLY", 220, "OXT", second)
    report, _ = clean(made(renamed(("ILE", 153, "CD1", "CD"), *ends)), tmp_path / "other")
    assert [(done["number"], done["atoms"]) for done in report["actions"] if "atoms" in done] == [
        (153, ["CD to CD1"]), (220, [f"{first} to O", f"{second} to OXT"])
    ]  # fmt: skip
    for name in ("clean.pdb", "residues.tsv"):
        assert (tmp_path / "other" / name).read_bytes() == (tmp_path / "pdb" / name).read_bytes()
    # One of the two alone may be either, and CD of another residue is another atom.
    line = refusal(made(renamed(ends[0])), tmp_path)
    assert f"GLY A 220 has no atom O but has atom {first}, expected N CA C O; rename" in line
    line = refusal(made(renamed(("LEU", 172, "CD1", "CD"))), tmp_path)
    assert "LEU A 172 has no atom CD1 but has atom CD, expected N CA C O CB CG CD1 CD2; rename" in line


@pytest.mark.parametrize(
    ("name", "residue", "kind", "reason"),
    [
        ("C1", "LIG", "ligands", "ligand or other molecule"),
        ("CA", "GLY", "ligands", "ligand or other molecule"),
        ("ZN", "ZN", "metals", "metal or other ion"),
        ("CL", "CL", "metals", "metal or other ion"),
        ("C1", "NAG", "glycans", "glycan"),
        ("P", "DA", "nucleic_acids", "nucleic acid"),
    ],
    ids=lambda value: value,
)
def test_ligands_are_refused_by_name_or_dropped_and_counted(
    lines, made, tmp_path, name, residue, kind, reason
):
    ligand = atom(9999, name, residue, "A", 301, (50, 50, 50), record="HETATM")
    source = made([*atoms_only(lines), ligand])
    line = refusal(source, tmp_path)
    assert f"{residue} A 301" in line
    assert f"set structures/{kind} to drop" in line
    others = dict.fromkeys({"ligands", "metals", "glycans", "nucleic_acids"} - {kind}, "drop")
    assert refusal(source, tmp_path, **others) == line
    report, residues = clean(source, tmp_path, **{kind: "drop"})
    assert report["atoms_set_aside"][reason] == 1
    assert report["residues_removed"][reason] == [f"{residue} A 301"]
    assert report["actions"][0] == {
        "action": "dropped", "chain": "A", "number": 301, "insertion": "", "name": residue
    }  # fmt: skip
    assert len(residues) == 70


def test_dna_beside_the_protein(lines, made, tmp_path):
    dna = [atom(9000 + i, "P", "DA", "B", i, (50 + 7 * i, 50, 50)) for i in range(1, 9)]
    source = made([*atoms_only(lines), *dna])
    assert "DA B 1, DA B 2, DA B 3, DA B 4, DA B 5 and 3 more: no amino acid" in refusal(source, tmp_path)
    report, _ = clean(source, tmp_path, chains=("A",))
    assert report["residues_set_aside"]["other chain"] == 8
    assert "no amino acids are left" in refusal(source, tmp_path / "b", chains=("B",), nucleic_acids="drop")
    assert "no chain 'C', found A, B" in refusal(source, tmp_path / "c", chains=("A", "C"))


def test_unknown_residue_of_the_chain_is_refused_even_where_ligands_are_dropped(lines, made, tmp_path):
    name = "HETNAM     QQQ SOMETHING NEW\n"
    source = made([name, *(x.replace("LYS A 170", "QQQ A 170") for x in atoms_only(lines))])
    line = refusal(source, tmp_path, ligands="drop", repair="loops")
    assert (
        "QQQ A 170, SOMETHING NEW, is a modified residue of the chain that is not known (known: 2MR," in line
    )


def test_what_is_no_whole_structure_is_told_in_one_line(lines, made, tmp_path, data):
    text = "".join(lines)
    cif = (data / "structures" / "1L2Y.cif").read_text()
    broken = {
        "empty.pdb": "",
        "empty.cif": "",
        "waters.pdb": "".join(x for x in lines if "HOH" in x),
        "prose.pdb": "This is a letter, and no structure.\n",
        "prose.cif": "This is a letter, and no structure.\n",
        "pdb.cif": text,
        "bytes.pdb": "".join(map(chr, range(256))),
        "end.pdb": "".join(lines[:-1]),
        "cut.pdb": text[: text.index("ATOM     60") + 40],
        "naked.pdb": "".join(atoms_only(lines))[:-40],
        "nan.pdb": text.replace("  19.594", "     nan", 1),
        "occupancy.pdb": text.replace("  1.00 18.03", "   nan 18.03", 1),
        "b_factor.pdb": text.replace("  1.00 18.03", "  1.00   inf", 1),
        "occupancy.cif": cif.replace(" 1.00 0.00 ", " nan  0.00 ", 1),
        "cut.cif": cif[: cif.index("ATOM 9000 ") + 30],
        "residue.cif": cif[: re.search(r"^ATOM .* 11 +GLY A", cif, re.MULTILINE).start()],
        "columns.cif": cif.replace("_atom_site.Cartn_z", "_atom_site.other"),
    }
    expected = {
        "cut.pdb": "truncated, it has a HEADER but no END",
        "end.pdb": "truncated, it has a HEADER but no END",
        "naked.pdb": "line 644: not a whole atom record",
        "nan.pdb": "not a whole atom record of a PDB file (coordinate nan is not finite)",
        "occupancy.pdb": "(occupancy nan is not finite)",
        "b_factor.pdb": "(B factor inf is not finite)",
        "occupancy.cif": "row 1 of _atom_site is not a whole atom (occupancy nan is not finite)",
        "cut.cif": "truncated, the last row of _atom_site is not whole",
        "residue.cif": "truncated, its last line is row 176 of _atom_site, expected # or another category",
        "columns.cif": "no column _atom_site.Cartn_z",
        "waters.pdb": "no amino acids are left",
    }
    for name, content in broken.items():
        assert expected.get(name, "") in refusal(made(content, name), tmp_path), name


@pytest.fixture(scope="module")
def capsid(demo, tmp_path_factory) -> Path:
    """1A8O, cleaned and prepared."""
    folder = tmp_path_factory.mktemp("capsid")
    clean(demo / "1A8O.pdb", folder)
    prepare_system(folder, folder / "scratch", SETUP, "gmx")
    return folder


@needs_gmx
def test_prepared_system_is_the_clean_molecule_in_neutral_salt_water(capsid):
    import MDAnalysis

    setup = read_json(capsid / "setup.json")
    residues = read_residues(capsid / "residues.tsv")
    charges = {"ARG": 1, "LYS": 1, "ASP": -1, "GLU": -1}
    assert setup["charge"] == sum(charges.get(residue.name, 0) for residue in residues) == -1
    universe = MDAnalysis.Universe(capsid / "solvated.gro")
    names = [residue.resname for residue in universe.residues]
    assert names[:70] == [residue.name for residue in residues]
    assert [int(residue.resid) for residue in universe.residues[:70]] == [r.number for r in residues]
    assert setup["atoms"] == len(universe.atoms)
    assert setup["waters"] == names.count("SOL")
    assert setup["ions"] == {"NA": names.count("NA"), "CL": names.count("CL")}
    assert setup["charge"] + setup["ions"]["NA"] - setup["ions"]["CL"] == 0
    litres = abs(np.linalg.det(universe.trajectory.ts.triclinic_dimensions)) * 1e-27
    assert setup["ions"]["CL"] == pytest.approx(0.15 * 6.022e23 * litres, abs=1)
    assert setup["disulfides"] == [["CYS A 198", "CYS A 218"]]
    assert setup["protein_atoms"] == len(universe.select_atoms("protein"))
    assert setup["gmx_version"] == find_gmx("gmx").version
    assert not (capsid / "scratch").exists()


@needs_gmx
def test_topology_stands_alone_and_names_no_time_or_place(capsid, demo, tmp_path):
    text = (capsid / "topol.top").read_text()
    assert set(re.findall(r'#include "(.*)"', text)) == {
        "amber99sb-ildn.ff/forcefield.itp", "amber99sb-ildn.ff/tip3p.itp", "amber99sb-ildn.ff/ions.itp"
    }  # fmt: skip
    assert text.count("[ position_restraints ]") == 2
    clean(demo / "1A8O.pdb", tmp_path)
    prepare_system(tmp_path, tmp_path / "elsewhere", SETUP, "gmx")
    for name in ("topol.top", "solvated.gro", "setup.json"):
        assert (tmp_path / name).read_bytes() == (capsid / name).read_bytes()


@needs_gmx
def test_disulfides_between_two_chains_are_kept(data, made, tmp_path):
    lysozyme = atoms_only((data / "structures" / "1AKI.pdb").read_text().splitlines(keepends=True))
    source = made(f"{x[:21]}{'A' if number_of(x) <= 60 else 'B'}{x[22:]}" for x in lysozyme if "HOH" not in x)
    clean(source, tmp_path)
    prepare_system(tmp_path, tmp_path / "scratch", SETUP, "gmx")
    setup = read_json(tmp_path / "setup.json")
    assert ["CYS A 6", "CYS B 127"] in setup["disulfides"]
    assert len(setup["disulfides"]) == 4
    protein = read_protein((tmp_path / "topol.top").read_text())
    bonded = {frozenset((protein.atoms[i], protein.atoms[j])) for i, j in protein.bonds}
    assert frozenset(["SG"]) in bonded
    # No peptide bond was made where the chain was cut.
    ends = [(protein.residue_of[i], protein.residue_of[j]) for i, j in protein.bonds]
    assert (59, 60) not in ends


@needs_gmx
def test_disulfide_that_pdb2gmx_does_not_see_is_an_error(lines, made, tmp_path):
    (first,) = [x for x in lines if x.startswith("ATOM") and x[12:16] == " SG " and number_of(x) == 198]
    (second,) = [x for x in lines if x.startswith("ATOM") and x[12:16] == " SG " and number_of(x) == 218]
    a, b = (np.array([float(x[30 + 8 * i : 38 + 8 * i]) for i in range(3)]) for x in (first, second))
    away = b + (b - a) / np.linalg.norm(b - a) * (2.4 - np.linalg.norm(b - a))
    stretched = second[:30] + "".join(f"{value:8.3f}" for value in away) + second[54:]
    clean(made([stretched if x == second else x for x in lines]), tmp_path)
    with pytest.raises(StructureError, match="left out a disulfide between CYS A 198 and CYS A 218"):
        prepare_system(tmp_path, tmp_path / "scratch", SETUP, "gmx")


@needs_gmx
def test_topology_of_another_molecule_is_an_error(capsid):
    protein = read_protein((capsid / "topol.top").read_text())
    residues = read_residues(capsid / "residues.tsv")
    check_protein(protein, residues, [(47, 67)], "x")
    with pytest.raises(StructureError, match="has 70 residues, expected 69"):
        check_protein(protein, residues[:-1], [(47, 67)], "x")
    with pytest.raises(StructureError, match="made a disulfide between CYS A 198 and CYS A 218"):
        check_protein(protein, residues, [], "x")
    protein.charge += 0.4
    with pytest.raises(StructureError, match=r"charge is -0\.600 e"):
        check_protein(protein, residues, [(47, 67)], "x")


@needs_gmx
def test_tool_that_fails_is_told_with_its_own_words(demo, tmp_path):
    clean(demo / "1A8O.pdb", tmp_path)
    unknown = SetupSettings("amber99sb-ildn", "tip3p", "spherical", 0.7, 0.15, 1)
    with pytest.raises(StructureError, match=r"editconf failed: .*Invalid .* spherical") as caught:
        prepare_system(tmp_path, tmp_path / "scratch", unknown, "gmx")
    assert "\n" not in str(caught.value)


def test_program_that_is_no_gromacs_is_told(tmp_path):
    silent = tmp_path / "gmx"
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    for program in ("no-such-gmx", str(silent), str(tmp_path)):
        with pytest.raises(ConfigError, match="set gmx in the config") as caught:
            find_gmx(program)
        assert program in str(caught.value)
        assert "\n" not in str(caught.value)
