"""Each blemish of a structure file by a small made one, and each part of cleaning on its own."""

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from Bio.Data.PDBData import protein_letters_3to1_extended
from Bio.PDB import MMCIFIO, MMCIFParser, PDBParser

from cleaning import atom, atoms_only, clean, number_of, refusal
from fetching import fetcher, source
from helixflow.errors import SheetError, StructureError
from helixflow.files import read_json
from helixflow.samples import read_sheet
from helixflow.sequences import fetch_structure
from helixflow.structures.chemistry import BONDS, HEAVY_ATOMS, LETTERS
from helixflow.structures.choose import make_assembly
from helixflow.structures.deposit import Generator, by_chain, by_residue
from helixflow.structures.gaps import inspect_chain, place_residues
from helixflow.structures.geometry import find_d_residues, find_faults, omega, torsion
from helixflow.structures.hetero import WATERS
from helixflow.structures.ledger import Ledger
from helixflow.structures.modified import MODIFIED, make_natural
from helixflow.structures.peptide import write_peptide
from helixflow.structures.read import read_structure
from helixflow.structures.read_pdb import residue_number
from helixflow.structures.residues import Residue, chain_letters, pdb_line, read_residues, write_residues

needs_gmx = pytest.mark.skipif(not shutil.which("gmx"), reason="gmx is not on PATH (make setup)")


@pytest.fixture(scope="module")
def lines(demo) -> list[str]:
    """1A8O as lines; its chain A is MSE 151 to GLY 220, then 88 waters."""
    return (demo / "1A8O.pdb").read_text().splitlines(keepends=True)


def write_cif(structure, path) -> str:
    writer = MMCIFIO()
    writer.set_structure(structure)
    writer.save(str(path))
    return path.read_text()


# Reading


def test_atoms_are_those_that_biopython_reads(data):
    for name in ("1UBI.pdb", "3O5R.pdb", "1L2Y.cif"):
        path = data / "structures" / name
        parser = MMCIFParser(QUIET=True) if name.endswith("cif") else PDBParser(QUIET=True)
        expected = {
            (model.id + 1, chain.id, *residue.id[1:], one.name, one.altloc, *np.round(one.coord, 3))
            for model in parser.get_structure("x", path)
            for chain in model
            for residue in chain
            for named in residue
            for one in (named.disordered_get_list() if named.is_disordered() else [named])
        }
        atoms = read_structure(path, "mmcif" if name.endswith("cif") else "pdb").atoms
        assert {
            (
                a.model,
                a.chain,
                a.number,
                a.insertion or " ",
                a.name,
                a.altloc or " ",
                *np.float32(a.xyz).round(3),
            )
            for a in atoms
        } == expected
        assert len(atoms) == len(expected)


def test_what_both_formats_tell_beside_atoms(data):
    deposits = [read_structure(data / "structures" / f"1L2Y.{kind}", form) for kind, form in
                (("pdb", "pdb"), ("cif", "mmcif"))]  # fmt: skip
    sequences = [deposit.sequences for deposit in deposits]
    assert sequences[0] == sequences[1] == {"A": sequences[0]["A"]}
    assert "".join(LETTERS[name] for name in sequences[0]["A"]) == "NLYIQWLKDGGPSSGRPPPS"
    generators = deposits[1].assemblies["1"]
    assert [(g.parts, np.array(g.operators).tolist()) for g in generators] == [
        (("A",), [np.eye(3, 4).tolist()])
    ]


@pytest.mark.parametrize(("text", "number"), [("  12", 12), ("-999", -999), ("A000", 10000), ("A001", 10001),
                         ("ZZZZ", 10000 + 26 * 36**3 - 1), ("a000", 10000 + 26 * 36**3)])  # fmt: skip
def test_numbers_beyond_9999_are_hybrid_36(text, number):
    assert residue_number(text) == number


@pytest.mark.parametrize("serials", ["wrapped", "hybrid-36", "overflown"])
def test_more_than_99999_atoms_in_a_pdb_file(lines, made, tmp_path, serials):
    """The protein behind 100,000 atoms of water, as programs write them."""
    water, protein = atom(1, "O", "HOH", "W", 1, (0, 0, 0), record="HETATM"), atoms_only(lines)
    waters = [f"{water[:22]}{at % 10000:4d}{water[26:]}" for at in range(100_000 - 300)]
    numbered = []
    for at, line in enumerate([*waters, *(x for x in protein if "HOH" not in x)], 1):
        over = {"wrapped": f"{at % 100_000:5d}", "hybrid-36": f"A{at - 100_000:04d}", "overflown": "*****"}
        numbered.append(f"{line[:6]}{over[serials] if at > 99_999 else f'{at:5d}'}{line[11:]}")
    report, _ = clean(made(numbered, "big.pdb"), tmp_path / "big")
    clean(made(lines), tmp_path / "small")
    assert report["atoms_in"] > 100_000
    assert (tmp_path / "big/clean.pdb").read_bytes() == (tmp_path / "small/clean.pdb").read_bytes()


@pytest.mark.parametrize(
    "serial", ["ATOM 200000", "ATOM 999999", "ATOM1234567", "ATOM  *****", "ATOM *****0"]
)
def test_atoms_of_any_serial_are_read(lines, made, tmp_path, serial):
    """Numbers that grew to the left are those of later atoms alone."""
    content = [f"{serial}{x[11:]}" if x.startswith("ATOM") else x for x in lines]
    report, _ = clean(made(content), tmp_path / "grown")
    clean(made(lines), tmp_path / "as it was")
    assert report["atoms_in"] == len(atoms_only(lines))
    assert (tmp_path / "grown/clean.pdb").read_bytes() == (tmp_path / "as it was/clean.pdb").read_bytes()
    line = next(at for at, x in enumerate(content, 1) if x.startswith("ATOM"))
    content[line - 1] = content[line - 1].replace("ATOM", "ATOMS", 1)
    assert f"line {line}: not a whole atom record" in refusal(made(content), tmp_path)


def test_mark_of_byte_order_is_no_part_of_a_file(lines, made, data, tmp_path):
    """Without its first atom the first residue of a bare PDB file would lack its N."""
    atoms = [x for x in atoms_only(lines) if "HOH" not in x]
    marked = tmp_path / "marked.pdb"
    marked.write_bytes(b"\xef\xbb\xbf" + "".join(atoms).encode())
    assert clean(marked, tmp_path / "marked")[0]["atoms_in"] == len(atoms)
    marked = tmp_path / "marked.cif"
    marked.write_bytes(b"\xef\xbb\xbf" + (data / "structures/1L2Y.cif").read_bytes())
    assert len(clean(marked, tmp_path / "marked")[1]) == 20


def test_two_structures_in_one_mmcif_file_are_refused(data, tmp_path):
    text = (data / "structures/1L2Y.cif").read_text()
    both = tmp_path / "both.cif"
    both.write_text(f"{text}\n{text.replace('data_1L2Y', 'DATA_again')}")
    assert "has 2 data blocks (data_1L2Y, DATA_again), expected one" in refusal(both, tmp_path)
    both.write_text(text + "\n_x.text\n;\ndata_2 is no block in a text\n;\n")
    assert len(clean(both, tmp_path)[1]) == 20


def test_mmcif_with_big_serials_numbers_insertions_and_long_chains(data, tmp_path):
    structure = PDBParser(QUIET=True).get_structure("x", data / "structures" / "5AWL.pdb")
    (chain,) = structure.get_chains()
    chain.id = "Aa"
    residues = [residue for residue in chain if residue.id[0] == " "]
    chain.child_list = residues
    for residue, number in zip(
        residues, [-3, -2, 9998, 9998, 9999, 10000, 10001, 12345, 12346, 12347], strict=True
    ):
        residue._id = (" ", number, "A" if residue is residues[3] else " ")
    text = write_cif(structure, tmp_path / "x.cif")
    text = re.sub(
        r"^ATOM   (\d+)", lambda found: f"ATOM   {100_000 + int(found[1])}", text, flags=re.MULTILINE
    )
    (tmp_path / "x.cif").write_text(text)
    report, table = clean(tmp_path / "x.cif", tmp_path)
    assert [(r.chain, r.number, r.insertion) for r in table] == [
        ("Aa", number, "A" if at == 3 else "")
        for at, number in enumerate([-3, -2, 9998, 9998, 9999, 10000, 10001, 12345, 12346, 12347])
    ]
    jumps = [f"{table[at]} to {table[at + 1]}" for at in (1, 6)]
    assert report["chains"][0]["number_jumps"] == jumps
    # A PDB file has four columns: numbers begin anew, in the same order.
    (cleaned,) = PDBParser(QUIET=True).get_structure("x", tmp_path / "clean.pdb").get_chains()
    assert (cleaned.id, [residue.id[1] for residue in cleaned][5:]) == ("A", [0, 1, 2345, 2346, 2347])


def test_carriage_returns_in_mmcif(data, tmp_path):
    text = (data / "structures" / "1L2Y.cif").read_text()
    (tmp_path / "dos.cif").write_text(text.replace("\n", "\r\n"), newline="")
    clean(tmp_path / "dos.cif", tmp_path / "dos")
    clean(data / "structures" / "1L2Y.cif", tmp_path / "unix")
    assert (tmp_path / "dos/clean.pdb").read_bytes() == (tmp_path / "unix/clean.pdb").read_bytes()


def test_confidence_of_a_predicted_model_is_in_the_table(lines, made, tmp_path):
    """By its title, by its source, and by mmCIF's category; those of an experiment are B factors."""
    atoms = [x for x in atoms_only(lines) if "HOH" not in x]
    scored = [f"{x[:60]}{number_of(x) / 4:6.2f}{x[66:]}" for x in atoms]
    title = "TITLE     ALPHAFOLD MONOMER V2.0 PREDICTION FOR GAG\n"
    expected = [f"{number / 4:.2f}" for number in range(151, 221)]
    for path, origin in ((made([title, *scored], "af.pdb"), ""), (made(scored), "alphafold:P12497")):
        report, residues = clean(path, tmp_path, origin=origin)
        assert [f"{float(residue.plddt):.2f}" for residue in residues] == expected
        assert report["plddt_mean"] == pytest.approx(np.mean(list(map(float, expected))), abs=0.01)
    text = write_cif(PDBParser(QUIET=True).get_structure("x", made(scored)), tmp_path / "x.cif")
    assert not any(residue.plddt for residue in clean(tmp_path / "x.cif", tmp_path)[1])
    metric = (
        "loop_\n_ma_qa_metric.id\n_ma_qa_metric.mode\n_ma_qa_metric.name\n1 global pLDDT\n2 local pLDDT\n#\n"
    )
    (tmp_path / "af.cif").write_text(text + metric)
    assert [f"{float(r.plddt):.2f}" for r in clean(tmp_path / "af.cif", tmp_path)[1]] == expected
    about = "TITLE     CRYSTAL OF AN ALPHAFOLD DESIGN\nEXPDTA    X-RAY DIFFRACTION\n"
    report, residues = clean(made([about, *scored]), tmp_path)
    assert (report["plddt_mean"], {residue.plddt for residue in residues}) == (None, {""})


# Choosing


def test_assembly_of_remark_350_is_the_dimer_of_its_operators(data, made, tmp_path):
    """1BHL, a crystallographic dimer; its gap is cut off so that it needs no repair."""
    text = (data / "structures" / "1BHL.pdb").read_text().splitlines(keepends=True)
    head = [x for x in text if x.startswith("REMARK 350")]
    half = made([*head, *(x for x in atoms_only(text) if number_of(x) < 138)])
    report, residues = clean(half, tmp_path / "two", assembly="1")
    assert (report["assembly"], report["atoms_copied"]) == ("1", report["atoms_in"])
    _, single = clean(half, tmp_path / "one")
    assert [r.chain for r in residues] == ["A"] * len(single) + ["A-2"] * len(single)
    assert {"action": "copied chain", "chain": "A", "to": "A-2"} in report["actions"]
    first, second = PDBParser(QUIET=True).get_structure("x", tmp_path / "two/clean.pdb").get_chains()
    assert (first.id, second.id) == ("A", "B")
    # By hand: a turn of 120 degrees about z and a mirror of z, then a shift, as the second BIOMT says.
    half_root = 0.866025
    for one, other in zip(first.get_atoms(), second.get_atoms(), strict=True):
        x, y, z = one.coord
        expected = -x / 2 - half_root * y, -half_root * x + y / 2, 21.93333 - z
        assert other.coord == pytest.approx(expected, abs=2e-3)
    assert "no assembly '2', the file names 1" in refusal(half, tmp_path / "none", assembly=2)


def test_assembly_of_mmcif_composes_operators(data, tmp_path):
    text = (data / "structures" / "1L2Y.cif").read_text()
    text = text.replace(
        "_pdbx_struct_assembly_gen.oper_expression   1 ",
        "_pdbx_struct_assembly_gen.oper_expression   (1,2)(3)",
    )
    start, end = text.index("_pdbx_struct_oper_list.id"), text.index("loop_\n_struct_conf.conf_type_id")
    names = [f"matrix[{i}][{j}]" for i in (1, 2, 3) for j in (1, 2, 3)] + [f"vector[{i}]" for i in (1, 2, 3)]
    rows = ["1 1 0 0 0 1 0 0 0 1 0 0 0", "2 0 -1 0 1 0 0 0 0 1 0 0 50", "3 1 0 0 0 1 0 0 0 1 10 0 0"]
    loop = "loop_\n" + "".join(f"_pdbx_struct_oper_list.{name}\n" for name in ["id", *names])
    text = text[:start] + loop + "\n".join(rows) + "\n#\n" + text[end:]
    (tmp_path / "x.cif").write_text(text)
    _, residues = clean(tmp_path / "x.cif", tmp_path, assembly="1")
    assert [r.chain for r in residues] == ["A"] * 20 + ["A-2"] * 20
    clean(data / "structures" / "1L2Y.cif", tmp_path / "one")
    original = np.array(
        [a.coord for a in PDBParser(QUIET=True).get_structure("x", tmp_path / "one/clean.pdb").get_atoms()]
    )
    first, second = (
        np.array([a.coord for a in chain.get_atoms()])
        for chain in PDBParser(QUIET=True).get_structure("x", tmp_path / "clean.pdb").get_chains()
    )
    # First the shift, then the quarter turn.
    shifted = original + np.array([10, 0, 0])
    assert np.allclose(first, shifted, atol=2e-3)
    assert np.allclose(
        second, np.column_stack([-shifted[:, 1], shifted[:, 0], shifted[:, 2] + 50]), atol=2e-3
    )


def test_assembly_without_the_chosen_chain_is_refused(data):
    deposit = read_structure(data / "structures" / "1BHL.pdb", "pdb")
    other = [a for a in deposit.atoms if a.residue == "HOH"]
    with pytest.raises(StructureError, match="has none of the chains that were chosen"):
        make_assembly([replace(a, part="Z") for a in other], "1", deposit.assemblies, Ledger())


OPERATOR = [f"REMARK 350   BIOMT{at + 1}   1{' 0.0' * at} 1.0{' 0.0' * (2 - at)} 0.0\n" for at in range(3)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*OPERATOR, *OPERATOR[:2]], "REMARK 350 gives assembly 1 5 rows BIOMT, expected three for each"),
        (
            [OPERATOR[0][:-5] + "\n", *OPERATOR[1:]],
            "line 3: not a row of an operator (3 numbers, expected 4)",
        ),
        ([], "assembly 1 has no operators in the file"),
    ],
)
def test_operator_of_remark_350_that_is_not_whole_is_refused(lines, made, tmp_path, rows, message):
    head = ["REMARK 350 BIOMOLECULE: 1\n", "REMARK 350 APPLY THE FOLLOWING TO CHAINS: A\n"]
    content = [x for x in lines if not x.startswith("REMARK 350")]
    assert message in refusal(made([*head, *rows, *content]), tmp_path, assembly=1)
    clean(made([*head, *OPERATOR, *content]), tmp_path, assembly=1)


def test_assemblies_of_mmcif_with_what_is_not_there_or_twice(data, tmp_path):
    """An operator that is not listed; a copy of chain A that would be called as another chain is."""
    text, made = (data / "structures/1L2Y.cif").read_text(), tmp_path / "made.cif"
    row = "_pdbx_struct_assembly_gen.oper_expression   1 "
    assert row in text
    made.write_text(text.replace(row, row.replace("1 ", "1,7 ")))
    line = refusal(made, tmp_path, assembly=1)
    assert "assembly 1 is made by operator '7', expected one of _pdbx_struct_oper_list (1)" in line
    atom = read_structure(data / "structures/1L2Y.cif", "mmcif").atoms[0]
    twice = {"1": [Generator(("A", "B"), (np.eye(3, 4).tolist(), np.eye(3, 4).tolist()))]}
    atoms = [atom, replace(atom, chain="A-2", part="B")]
    with pytest.raises(StructureError, match="copy 2 of chain A would be called A-2, as another chain"):
        make_assembly(atoms, "1", twice, Ledger())
    assert len(make_assembly([atom, replace(atom, chain="C", part="B")], "1", twice, Ledger())) == 4


@pytest.mark.parametrize("first", ["blank", "lettered"])
def test_two_residues_of_one_number_need_letters_each(lines, made, tmp_path, first):
    """GLN 155 once more as an alanine; in either order it would be a choice that nobody made."""
    there = [x for x in atoms_only(lines) if number_of(x) == 155 and "HOH" not in x]
    lettered = [f"{x[:16]}A{x[17:]}" for x in there]
    alanine = [f"{x[:17]}ALA{x[20:]}" for x in there if x[12:16].strip() in HEAVY_ATOMS["ALA"]]
    both = [*alanine, *lettered] if first == "blank" else [*lettered, *alanine]
    at = lines.index(there[0])
    rest = [x for x in lines if x not in there]
    line = refusal(made([*rest[:at], *both, *rest[at:]]), tmp_path)
    assert "A 155 shares its number with " in line and "as alternate location" in line
    both = [*lettered, *(f"{x[:16]}B{x[17:]}" for x in alanine)]
    report, _ = clean(made([*rest[:at], *both, *rest[at:]]), tmp_path)
    assert [a["kept"] for a in report["actions"] if a["action"] == "chose location"] == ["A"]


def test_what_has_no_room_in_the_columns_of_a_pdb_file(data, tmp_path):
    """A coordinate is refused; a B factor, of which nothing depends, is the nearest that fits."""
    structure = PDBParser(QUIET=True).get_structure("x", data / "structures/1UBI.pdb")
    for each in structure.get_atoms():
        each.bfactor = 12345.6 if each.name == "CA" else -123.4
    write_cif(structure, tmp_path / "x.cif")
    clean(tmp_path / "x.cif", tmp_path / "b")
    written = atoms_only((tmp_path / "b/clean.pdb").read_text().splitlines())
    assert {x[60:66] for x in written} == {"999.99", "-99.99"}
    for place, found in ((-1200.0, "-1200.000"), (12345.5, "12345.500")):
        structure[0]["A"][1]["O"].coord = np.array([place, 0, 0])
        write_cif(structure, tmp_path / "x.cif")
        line = refusal(tmp_path / "x.cif", tmp_path)
        assert f"MET A 1: x of O is {found} Å, but a PDB file has room for -999.999 to 9999.999" in line


def test_alternate_location_by_letter(lines, made, tmp_path):
    content = []
    for line in atoms_only(lines):
        if number_of(line) in (160, 170) and line[12:16].strip() not in ("N", "C"):
            letters = "AB" if number_of(line) == 160 else "AC"
            for letter, part, shift in zip(letters, (0.7, 0.3), (0, 1), strict=True):
                x = f"{float(line[30:38]) + shift:8.3f}"
                content.append(f"{line[:16]}{letter}{line[17:30]}{x}{line[38:54]}{part:6.2f}{line[60:]}")
        else:
            content.append(line)
    report, _ = clean(made(content), tmp_path, altloc="B")
    chosen = {a["number"]: a["kept"] for a in report["actions"] if a["action"] == "chose location"}
    # Where a residue has no B, the likeliest.
    assert chosen == {160: "B", 170: "A"}
    assert report["altloc"] == "B"
    assert "no alternate location 'D', found A, B, C" in refusal(made(content), tmp_path / "none", altloc="D")


# Modified residues and D-residues


def test_natural_parents_are_those_of_biopython():
    for name, (natural, changes) in MODIFIED.items():
        told = protein_letters_3to1_extended.get(name)
        assert natural in HEAVY_ATOMS
        # Biopython has no letter for selenocysteine, which is U, not C, in sequences.
        assert told == LETTERS[natural] or name == "SEC", name
        assert all(new in HEAVY_ATOMS[natural] for new in changes.values() if new), name
        if name != "PCA":
            assert not {old for old, new in changes.items() if not new} & set(HEAVY_ATOMS[natural]) - {
                "CD2"
            }, name


@pytest.mark.parametrize(
    ("name", "natural", "renamed", "extra"),
    [
        ("MSE", "MET", {"SD": "SE"}, []),
        ("SME", "MET", {"SD": "S"}, ["OE"]),
        ("CSO", "CYS", {}, ["OD"]),
        ("OCS", "CYS", {}, ["OD1", "OD2", "OD3"]),
        ("SEP", "SER", {}, ["P", "O1P", "O2P", "O3P"]),
        ("TPO", "THR", {}, ["P", "O1P", "O2P", "O3P"]),
        ("PTR", "TYR", {}, ["P", "O1P", "O2P", "O3P"]),
        ("HYP", "PRO", {}, ["OD1"]),
        ("KCX", "LYS", {}, ["CX", "OQ1", "OQ2"]),
    ],
)
def test_modified_residue_becomes_the_natural_one(lines, made, tmp_path, name, natural, renamed, extra):
    plain = []
    for line in atoms_only(lines):
        plain.append(line.replace("MSE", "MET").replace("SE   MET", " SD  MET").replace("HETATM", "ATOM  "))
    number = next(number_of(x) for x in plain if x[17:20] == natural)
    content, written = [], []
    for line in (x for x in plain if "HOH" not in x):
        written.append(line)
        if number_of(line) == number:
            old = line[12:16].strip()
            new = renamed.get(old, old)
            content.append(f"HETATM{line[6:12]} {new:<3}{line[16:17]}{name}{line[20:]}")
            if old == "CA":
                content += [
                    atom(9000, x, name, "A", number, (60 + i, 60, 60), record="HETATM")
                    for i, x in enumerate(extra)
                ]
        else:
            content.append(line)
    report, residues = clean(made(content), tmp_path / "x")
    clean(made(written, "plain.pdb"), tmp_path / "y")
    assert (tmp_path / "x/clean.pdb").read_bytes() == (tmp_path / "y/clean.pdb").read_bytes()
    (action,) = [a for a in report["actions"] if a["action"] == "made natural"]
    assert (action["name"], action["to"], action["removed"]) == (name, natural, extra)
    assert action["renamed"] == [f"{new} to {old}" for old, new in renamed.items()]
    assert {r.deposited: r.number for r in residues if r.deposited} == {name: number}
    line = refusal(made(content), tmp_path / "z", modified="refuse")
    assert f"{name} A {number} is a modified {natural}; set structures/modified to natural" in line


def test_d_residue_is_refused_by_name_and_by_its_atoms(lines, made, tmp_path):
    atoms = atoms_only(lines)
    named = made(x.replace("ALA A 174", "DAL A 174") if "ALA A 174" in x else x for x in atoms)
    assert "DAL A 174 is a D-residue" in refusal(named, tmp_path, ligands="drop")
    # CB of an alanine, mirrored at the plane of N, CA and C.
    place = {x[12:16].strip(): np.array([float(x[30 + 8 * i : 38 + 8 * i]) for i in range(3)])
             for x in atoms if number_of(x) == 174}  # fmt: skip
    normal = np.cross(place["N"] - place["CA"], place["C"] - place["CA"])
    normal /= np.linalg.norm(normal)
    mirrored = place["CB"] - 2 * np.dot(place["CB"] - place["CA"], normal) * normal
    content = [
        f"{x[:30]}{''.join(f'{value:8.3f}' for value in mirrored)}{x[54:]}"
        if number_of(x) == 174 and x[12:16].strip() == "CB"
        else x
        for x in atoms
    ]
    assert "ALA A 174 is a D-residue by its atoms' places" in refusal(made(content), tmp_path)


def test_hands_and_peptide_bonds_of_real_structures(data):
    from Bio.PDB.vectors import calc_dihedral

    for name in ("1AKI.pdb", "1UBI.pdb"):
        path = data / "structures" / name
        (residues,) = by_chain(a for a in read_structure(path, "pdb").atoms if not a.hetero).values()
        assert find_d_residues(residues) == []
        (chain,) = PDBParser(QUIET=True).get_structure("x", path).get_chains()
        whole = [r for r in chain if r.id[0] == " "]
        for at in range(len(whole) - 1):
            one, two = whole[at], whole[at + 1]
            points = [one["CA"], one["C"], two["N"], two["CA"]]
            expected = np.degrees(calc_dihedral(*(point.get_vector() for point in points)))
            assert omega(residues[at], residues[at + 1]) == pytest.approx(expected, abs=0.05)
    assert torsion([(1, 0, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1)]) == pytest.approx(90)


def test_bonds_are_those_of_the_structures_distances(data):
    """In a good crystal structure, atoms of a residue nearer than 1.9 Å are the bonded ones."""
    seen = set()
    for name in ("1AKI.pdb", "1UBI.pdb", "1VII.pdb", "1UAO.pdb"):
        atoms = [
            a
            for a in read_structure(data / "structures" / name, "pdb").atoms
            if a.model == 1 and not a.hetero
        ]
        for residue in by_residue(a for a in atoms if a.element != "H"):
            kind, places = residue[0].residue, {a.name: np.array(a.xyz) for a in residue}
            near = {
                frozenset((one, two))
                for one in places
                for two in places
                if one < two and np.linalg.norm(places[one] - places[two]) < 1.95
            }
            there = {frozenset(pair) for pair in BONDS[kind] if set(pair) <= places.keys()}
            assert near == there, kind
            seen.add(kind)
    assert seen == set(BONDS)


# Gaps


def cut(content, first, last):
    return [x for x in content if not (x.startswith(("ATOM", "HETATM")) and first <= number_of(x) <= last)]


def test_three_signs_of_a_gap_are_told(lines, made, tmp_path):
    """Where numbers alone jump there is no gap; where the chain breaks, SEQRES names what is missing."""
    sequence = read_structure(made(lines), "pdb").sequences["A"]
    (residues,) = by_chain(natural(read_structure(made(cut(lines, 160, 163)), "pdb").atoms)).values()
    state = inspect_chain("A", residues, sequence)
    (gap,) = state.gaps
    told = gap.told(built=False)
    assert told["residues"] == "PFRD"
    assert (told["length"], told["by_numbers"], told["after"], told["before"]) == (
        4,
        4,
        "GLU A 159",
        "TYR A 164",
    )
    assert told["c_n_distance_A"] > 3
    renumbered = made(
        f"{x[:22]}{number_of(x) + 50 * (number_of(x) > 180):4d}{x[26:]}" for x in atoms_only(lines)
    )
    report, _ = clean(renumbered, tmp_path)
    assert report["gaps"] == []
    assert report["chains"][0]["number_jumps"] == ["GLU A 180 to VAL A 231"]


def natural(atoms):
    return make_natural([a for a in atoms if a.residue not in WATERS], "natural", Ledger())


def test_repeats_are_placed_where_the_numbers_say(lines, made):
    """AAA of AAAAAAA can be anywhere: numbers decide."""
    residue = [x for x in atoms_only(lines) if number_of(x) == 174]

    def chain(*numbers):
        content = [
            f"{x[:22]}{number:4d}{x[26:30]}{float(x[30:38]) + 40 * number:8.2f}{x[38:]}"
            for number in numbers
            for x in residue
        ]
        return by_residue(read_structure(made(content), "pdb").atoms)

    sequence = ["ALA"] * 7
    assert place_residues(chain(3, 5, 6), sequence) == [0, 2, 3]
    assert place_residues(chain(3, 4, 9), sequence) == [0, 1, 6]
    assert place_residues(chain(*range(8)), sequence) is None
    assert place_residues(chain(1, 2), ["GLY", "ALA", "TRP", "ALA"]) == [1, 3]


def test_broken_bond_between_neighbours_of_seqres_is_no_gap_to_fill(lines, made, tmp_path):
    moved = [
        f"{x[:30]}{float(x[30:38]) + 5 * (number_of(x) > 180):8.3f}{x[38:]}"
        if x.startswith(("ATOM", "HETATM"))
        else x
        for x in lines
    ]
    line = refusal(made(moved), tmp_path, repair="loops")
    assert "the chain is broken between GLU A 180 and VAL A 181" in line
    assert "mend the bond" in line


@pytest.mark.parametrize(
    ("names", "policy"), [("CD CE NZ", "sidechains"), ("O", "sidechains"), ("C", "loops")]
)
def test_missing_atoms_are_refused_with_what_to_set(lines, made, tmp_path, names, policy):
    content = [
        x for x in atoms_only(lines) if not (number_of(x) == 158 and x[12:16].strip() in names.split())
    ]
    line = refusal(made(content), tmp_path)
    assert f"LYS A 158 has no atom {', '.join(names.split())}; set structures/repair to {policy}" in line


# What is written


def test_every_residue_that_goes_is_named(lines, made, tmp_path):
    report, _ = clean(made(lines), tmp_path)
    numbers = []
    for name in report["residues_removed"].pop("water"):
        first, last = re.fullmatch(r"HOH A (\d+)(?:-(\d+))?", name).groups()
        numbers += range(int(first), int(last or first) + 1)
    assert report["residues_removed"] == {}
    assert sorted(numbers) == sorted(number_of(x) for x in atoms_only(lines) if "HOH" in x)


def test_table_survives_writing(tmp_path):
    rows = [
        Residue(0, "AB", -5, "C", "MET", "M", "MSE", "completed", "91.5"),
        Residue(1, "AB", 12000, "", "GLY", "G"),
    ]
    write_residues(tmp_path / "x.tsv", rows)
    assert read_residues(tmp_path / "x.tsv") == rows
    header = (tmp_path / "x.tsv").read_text().splitlines()[0]
    assert header.split("\t") == [
        *("index", "chain", "number", "insertion", "name", "code", "deposited", "origin", "plddt")
    ]


def test_chains_get_letters_of_their_own():
    def residues(*chains):
        return [Residue(at, chain, 1, "", "GLY", "G") for at, chain in enumerate(chains)]

    assert chain_letters(residues("B", "AA", "A", "A-2", "b")) == {
        "B": "B",
        "AA": "C",
        "A": "A",
        "A-2": "D",
        "b": "b",
    }
    assert chain_letters(residues("AB", "", "01")) == {"AB": "A", "": "B", "01": "C"}
    assert chain_letters(residues("BC", "XYZ", "A")) == {"BC": "B", "XYZ": "C", "A": "A"}
    assert len(set(chain_letters(residues(*(f"X{at}" for at in range(62)))).values())) == 62
    with pytest.raises(StructureError, match="63 chains, expected at most 62"):
        chain_letters(residues(*(f"X{at}" for at in range(63))))
    line = pdb_line(100_001, "CA", Residue(0, "A", 12345, "", "GLY", "G"), (1, 2, 3))
    assert (line[6:11], line[22:27]) == ("    1", "2345 ")


# Peptides


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("GYB", "'peptide:GYB' has 'B' at position 3 (expected the 20 natural residues"),
        ("gy", "has 'g' at position 1"),
        ("A" * 31, "has 31 residues (expected 2 to 30"),
        ("A", "has 1 residues (expected 2 to 30"),
        ("", "has 0 residues (expected 2 to 30"),
    ],
)
def test_bad_peptide_is_told_with_its_line(tmp_path, source, message):
    sheet = tmp_path / "samples.tsv"
    sheet.write_text(f"sample\tkind\tsource\n\nx\tstructure\tpeptide:{source}\n")
    with pytest.raises(SheetError) as caught:
        read_sheet(sheet)
    assert str(caught.value).startswith(f"{sheet} line 3: ")
    assert message in str(caught.value)


def test_peptide_with_a_checksum_or_of_another_kind_is_told(tmp_path):
    sheet = tmp_path / "samples.tsv"
    sheet.write_text(f"sample\tkind\tsource\tchecksum\nx\tstructure\tpeptide:GY\tmd5:{'0' * 32}\n")
    with pytest.raises(SheetError, match="has no meaning for peptide:GY, which is built"):
        read_sheet(sheet)
    sheet.write_text("sample\tkind\tsource\nx\tproteins\tpeptide:GY\n")
    with pytest.raises(SheetError, match="does not give kind proteins"):
        read_sheet(sheet)


def test_peptide_is_built_whole_labelled_and_without_network(tmp_path):
    """All pairs of neighbours that matter, proline's among them; the fetcher's server answers nothing."""
    sequence = "ACDEFGHIKLMNPQRSTVWYPPGWWIIPHH"
    out, record = tmp_path / "x.structure", tmp_path / "x.json"
    fetch_structure(fetcher(tmp_path), source("x", "structure", f"peptide:{sequence}"), out, record)
    told = read_json(record)
    assert (told["format"], told["files"], told["residues"]) == ("pdb", [], 30)
    assert told["label"] == "idealised start, not a fold"
    assert told["records"] == sum(len(HEAVY_ATOMS[r.name]) for r in clean(out, tmp_path)[1]) + 1
    assert out.read_text() == write_peptide(sequence)
    report, residues = clean(out, tmp_path, origin=f"peptide:{sequence}")
    assert report["label"] == "idealised start, not a fold"
    assert "".join(r.code for r in residues) == sequence
    assert {r.origin for r in residues} == {"idealised"}
    built = [[replace(a, built=True) for a in r] for r in by_residue(read_structure(out, "pdb").atoms)]
    assert find_faults([built]) == []
    assert built[-1][-1].name == "OXT"


@needs_gmx
def test_minimisation_of_a_peptide_converges(tmp_path):
    (tmp_path / "x.pdb").write_text(write_peptide("GYDPETGTWG"))
    clean(tmp_path / "x.pdb", tmp_path, origin="peptide:GYDPETGTWG")
    (tmp_path / "em.mdp").write_text("integrator = steep\nnsteps = 1000\nemtol = 500\n")
    for call in (
        "pdb2gmx -f clean.pdb -ignh -ff amber99sb-ildn -water tip3p",
        "editconf -f conf.gro -o box.gro -d 0.7 -bt cubic",
        "solvate -cp box.gro -cs spc216.gro -p topol.top -o water.gro",
        "grompp -f em.mdp -c water.gro -o em.tpr -maxwarn 1",
        "mdrun -deffnm em -ntmpi 1 -ntomp 1 -nb cpu",
    ):
        done = subprocess.run(
            ["gmx", *call.split()], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert "Long Bond" not in done.stdout + done.stderr
    assert "converged to Fmax < 500" in done.stdout + done.stderr + (tmp_path / "em.log").read_text()
