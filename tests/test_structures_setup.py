"""From a clean structure to a box, step by step, against PROPKA alone and the files themselves."""

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helixflow.errors import ConfigError, StructureError
from helixflow.files import read_json, write_json
from helixflow.gmx import GmxTools, find_gmx
from helixflow.structures import describe
from helixflow.structures.box import make_box, read_box
from helixflow.structures.clean import CleanSettings, clean_structure
from helixflow.structures.describe import describe_protein, read_numbers
from helixflow.structures.force_fields import family_of, find_force_field, force_field_files
from helixflow.structures.ions import add_ions
from helixflow.structures.prepare import prepare_system
from helixflow.structures.protonation import Titration, is_protonated, name_states, titrate
from helixflow.structures.residues import Residue, read_residues, write_residues
from helixflow.structures.setup import SetupSettings, describe_setup
from helixflow.structures.solvent import add_water
from helixflow.structures.topology import Protein, read_protein

needs_gmx = pytest.mark.skipif(not shutil.which("gmx"), reason="gmx is not on PATH (make setup)")
SETUP = SetupSettings("amber99sb-ildn", "tip3p", "dodecahedron", 0.7, 0.15, 1)


def cleaned(source: Path, folder: Path) -> Path:
    """Clean a structure into a folder."""
    names = ("clean.pdb", "cleaning.json", "residues.tsv")
    clean_structure(source, "pdb", CleanSettings((), 1, "refuse"), *(folder / name for name in names))
    return folder


def prepare(folder: Path, **changes) -> dict:
    """Prepare a clean structure; give its setup.json."""
    prepare_system(folder, folder / "scratch", replace(SETUP, **changes), "gmx")
    return read_json(folder / "setup.json")


def refusal(folder: Path, **changes) -> str:
    """Prepare what must be refused; give the one line."""
    with pytest.raises((StructureError, ConfigError)) as caught:
        prepare(folder, **changes)
    assert "\n" not in str(caught.value)
    assert not (folder / "setup.json").exists()
    return str(caught.value)


@pytest.fixture
def lysozyme(data, tmp_path) -> Path:
    return cleaned(data / "structures/1AKI.pdb", tmp_path / "1AKI")


@pytest.fixture
def chignolin(data, tmp_path) -> Path:
    return cleaned(data / "structures/5AWL.pdb", tmp_path / "5AWL")


@pytest.fixture
def own_field(tmp_path) -> Path:
    """A force field of one's own: a copy of one that ships with GROMACS."""
    library = find_force_field("amber99sb-ildn", find_gmx("gmx")).folder
    return Path(shutil.copytree(library, tmp_path / "elsewhere" / "mine.ff"))


def residue_charges(topology: Path) -> list[tuple[str, float]]:
    """Name and charge of every residue of the first molecule, added up from its lines of atoms."""
    (section,) = re.findall(
        r"^\[ atoms \]\n(.*?)\n\[", topology.read_text().split("[ moleculetype ]")[1], re.M | re.S
    )
    found: dict[str, list] = {}
    for line in section.splitlines():
        columns = line.split(";")[0].split()
        if columns:
            entry = found.setdefault(columns[2], [columns[3], 0.0])
            entry[1] += float(columns[6])
    return [(name, charge) for name, charge in found.values()]


# Protonation


@needs_gmx
@pytest.mark.parametrize("force_field", ["amber99sb-ildn", "oplsaa", "charmm27"])
@pytest.mark.parametrize("pH", [7, 3.9, 10.45])
def test_protons_follow_the_pka_of_propka_in_every_family(lysozyme, data, tmp_path, force_field, pH):
    """The pKa of PROPKA's own program on the deposited file, and charges added up atom by atom."""
    setup = prepare(lysozyme, force_field=force_field, protonation="propka", pH=pH)
    subprocess.run(
        [sys.executable, "-m", "propka", "--quiet", data / "structures/1AKI.pdb"], cwd=tmp_path, check=True
    )
    summary = (tmp_path / "1AKI.pka").read_text().partition("SUMMARY OF THIS PREDICTION")[2]
    rows = re.findall(r"^ +(\w\S*) +(\d+) A +(-?\d+\.\d+) ", summary, re.M)
    pkas = {(name, int(number)): float(value) for name, number, value in rows}
    told = {
        (group["group"], int(group["residue"].split()[2])): group for group in setup["protonation"]["groups"]
    }
    assert told.keys() == {key for key, value in pkas.items() if value < 99}
    charges = residue_charges(lysozyme / "topol.top")
    decided = 0
    for (name, number), value in pkas.items():
        if (name, number) not in told:
            continue
        assert told[name, number]["pKa"] == pytest.approx(value, abs=0.011)
        assert told[name, number]["protonated"] == (value > pH)
        # The ends of the chain have charges of their own.
        if name in ("ASP", "GLU", "HIS", "LYS") and 1 < number < 129:
            expected = {"ASP": -1, "GLU": -1, "HIS": 0, "LYS": 0}[name] + (value > pH)
            assert charges[number - 1][1] == pytest.approx(expected, abs=1e-3), (name, number)
            decided += 1
    assert decided == 15
    assert setup["charge"] == round(sum(charge for _, charge in charges))
    assert setup["protonation"]["method"] == "propka" and setup["protonation"]["pH"] == pH
    unusual = {group["residue"] for group in setup["protonation"]["groups"] if group["unusual"]}
    assert unusual == ({"LYS A 1", "TYR A 20", "TYR A 23"} if pH == 10.45 else set())


@needs_gmx
def test_histidine_states_are_those_of_the_hydrogens(lysozyme):
    setup = prepare(lysozyme)
    names = re.findall(r"^ +15HISH? +(H\w+)", (lysozyme / "solvated.gro").read_text(), re.M)
    assert ("HD1" in names, "HE2" in names) == (False, True)
    assert setup["histidines"] == [{"residue": "HIS A 15", "state": "HIE"}]
    assert setup["protonation"] == {"method": "pdb2gmx"}
    acid = prepare(lysozyme, protonation="propka", pH=4)
    names = re.findall(r"^ +15HISH? +(H\w+)", (lysozyme / "solvated.gro").read_text(), re.M)
    assert {"HD1", "HE2"} <= {*names}
    assert acid["histidines"] == [{"residue": "HIS A 15", "state": "HIP"}]


@needs_gmx
@pytest.mark.parametrize(
    ("first", "last", "pH", "charges"),
    [(21, 24, 0, {"amber99sb-ildn": -2, "charmm27": 0}), (6, 11, 14, {"amber99sb-ildn": 2, "oplsaa": 0})],
)
def test_ends_of_a_chain_have_the_states_that_the_force_field_has(data, tmp_path, first, last, pH, charges):
    """ASP-THR-ILE-GLU at pH 0 and LYS to LYS at pH 14: Amber has other states within a chain alone."""
    lines = (data / "structures/1UBI.pdb").read_text().splitlines(keepends=True)
    inside = [x for x in lines if x.startswith("ATOM") and first <= int(x[22:26]) <= last]
    (tmp_path / "part.pdb").write_text("".join(inside))
    folder = cleaned(tmp_path / "part.pdb", tmp_path / "part")
    for force_field, charge in charges.items():
        setup = prepare(folder, protonation="propka", pH=pH, force_field=force_field, box_distance_nm=1.0)
        unusual = {g["residue"] for g in setup["protonation"]["groups"] if g["unusual"]}
        ends = {f"{inside[0][17:20]} A {first}", f"{inside[-1][17:20]} A {last}"}
        # The ends of the chain itself keep their charges in every force field.
        assert setup["charge"] == charge
        told = {
            g["residue"]
            for g in setup["protonation"]["groups"]
            if g["unusual"] and g["group"] in ("ASP", "GLU", "LYS")
        }
        assert told == (ends if force_field.startswith("amber") else set()) <= unusual


def decided(residues, *protonated) -> list[Titration]:
    """States of all ASP and GLU: protonated at these numbers alone."""
    return [
        Titration(each.index, each.name, 0.0, each.number in protonated)
        for each in residues
        if each.name in ("ASP", "GLU")
    ]


@needs_gmx
@pytest.mark.parametrize("merged", [True, False])
def test_questions_of_pdb2gmx_get_the_answers_of_the_right_residues(lysozyme, tmp_path, merged):
    """Two chains, in one molecule where a disulfide joins them: the order of the questions is another."""
    folder = Path(shutil.copytree(lysozyme, tmp_path / "two"))
    residues = read_residues(folder / "residues.tsv")
    residues = [replace(each, chain="A" if each.number <= 60 else "B") for each in residues]
    cut = [
        f"{line[:21]}{'A' if int(line[22:26]) <= 60 else 'B'}{line[22:]}"
        for line in (folder / "clean.pdb").read_text().splitlines(keepends=True)
        if line.startswith("ATOM")
    ]
    (folder / "clean.pdb").write_text("TITLE     TWO\n" + "".join(cut))
    disulfides = [tuple(pair) for pair in read_json(folder / "cleaning.json")["disulfides"]]
    gmx = GmxTools("gmx", folder, StructureError, "two")
    protonated = (7, 48, 66, 119)
    if merged:
        protein = describe_protein(
            gmx, "amber99sb-ildn", "tip3p", residues, disulfides, decided(residues, *protonated)
        )
    else:
        # Sulfurs too far for pdb2gmx to bond them.
        table = folder / "specbond.dat"
        table.write_text("0\n")
        protein = describe_protein(
            gmx, "amber99sb-ildn", "tip3p", residues, [], decided(residues, *protonated)
        )
    names = [name for _, name in protein.residues]
    found = {each.number for each, name in zip(residues, names, strict=True) if name in ("ASH", "GLH")}
    found |= {each.number for each, name in zip(residues, names, strict=True) if name in ("ASPH", "GLUH")}
    assert found == set(protonated)


def test_histidine_that_pdb2gmx_gives_both_protons_against_its_pka_is_asked_again(monkeypatch, tmp_path):
    residue = Residue(0, "A", 1, "", "HIS", "H")
    (tmp_path / "clean.pdb").write_text("ATOM      1  N   HIS A   1 \n")
    asked = []

    def run(gmx, force_field, water, residues, disulfides, states):
        asked.append(dict(states))
        atoms = ["N", "HE2"] if states else ["N", "HD1", "HE2"]
        return Protein(atoms, [0] * len(atoms), [("1", "HIE" if states else "HIP")])

    monkeypatch.setattr(describe, "_run_pdb2gmx", run)
    gmx = SimpleNamespace(folder=tmp_path, subject="x")
    groups = [Titration(0, "HIS", 5.0, False)]
    describe_protein(gmx, "f", "w", [residue], [], groups)
    assert asked == [{}, {0: "HISE"}]
    with pytest.raises(StructureError, match=r"gave HIS A 1 the other state than its pKa of 9\.0"):
        monkeypatch.setattr(describe, "_run_pdb2gmx", lambda *_: Protein(["N"], [0], [("1", "HIS")]))
        describe_protein(gmx, "f", "w", [residue], [], [Titration(0, "HIS", 9.0, True)])


def test_states_are_named_for_pdb2gmx():
    groups = [
        Titration(0, "ASP", 8.0, True),
        Titration(1, "GLU", 4.0, False),
        Titration(2, "LYS", 6.0, False),
        Titration(3, "HIS", 8.0, True),
        Titration(4, "HIS", 6.0, False),
        Titration(5, "CYS", 6.0, False),
        Titration(6, "TYR", 9.0, True),
    ]
    assert name_states(groups, {}) == {0: "ASPH", 2: "LYSN", 3: "HISH"}
    assert name_states(groups, {4: "HISE"}) == {0: "ASPH", 2: "LYSN", 3: "HISH", 4: "HISE"}
    assert [group.unusual for group in groups] == [False] * 5 + [True, False]
    assert is_protonated("ASP", ["H", "HA", "HB1", "HB2", "HD2"])
    assert not is_protonated("LYS", ["H", "HA", "HZ1", "HZ2"])
    assert not is_protonated("HIS", ["H", "HA", "HD1", "HD2", "HE1"])


def test_pka_does_not_depend_on_numbers(lysozyme):
    """Insertion codes, negative and repeated numbers: PROPKA alone would take two such residues for one."""
    pdb = (lysozyme / "clean.pdb").read_text()
    residues = read_residues(lysozyme / "residues.tsv")
    plain = titrate(pdb, residues, 7, "x")
    lines = [
        f"{line[:22]}{int(line[22:26]) // 2 - 20:4d}{' A'[int(line[22:26]) % 2]}{line[27:]}"
        if line.startswith("ATOM")
        else line
        for line in pdb.splitlines(keepends=True)
    ]
    assert titrate("".join(lines), residues, 7, "x") == plain
    assert len(plain) == 32
    with pytest.raises(StructureError, match="x: 129 residues, expected 128"):
        titrate(pdb, residues[:-1], 7, "x")


def test_propka_that_is_not_installed_is_told(lysozyme, monkeypatch):
    monkeypatch.setitem(sys.modules, "propka.run", None)
    assert "PROPKA is not installed" in refusal(lysozyme, protonation="propka")


# Topology: what pdb2gmx makes of a structure that is not what it should be


@needs_gmx
def test_bond_across_a_gap_is_an_error(lysozyme):
    residues = read_residues(lysozyme / "residues.tsv")
    kept = [residue for residue in residues if not 40 <= residue.number <= 44]
    write_residues(lysozyme / "residues.tsv", [replace(each, index=at) for at, each in enumerate(kept)])
    lines = (lysozyme / "clean.pdb").read_text().splitlines(keepends=True)
    keep = [line for line in lines if not (line.startswith("ATOM") and 40 <= int(line[22:26]) <= 44)]
    (lysozyme / "clean.pdb").write_text("".join(keep))
    cleaning = read_json(lysozyme / "cleaning.json")
    shifted = [[at - 5 * (at > 40) for at in pair] for pair in cleaning["disulfides"]]
    write_json(lysozyme / "cleaning.json", {**cleaning, "disulfides": shifted})
    line = refusal(lysozyme)
    assert re.search(r"clean\.pdb: pdb2gmx made a bond across a gap: Long Bond \(.*nm\)", line)


@needs_gmx
def test_disulfide_that_was_not_expected_or_is_left_out_is_an_error(lysozyme):
    cleaning = read_json(lysozyme / "cleaning.json")
    write_json(lysozyme / "cleaning.json", {**cleaning, "disulfides": cleaning["disulfides"][1:]})
    assert "pdb2gmx made a disulfide between CYS A 6 and CYS A 127" in refusal(lysozyme)
    more = sorted([*cleaning["disulfides"], [1, 2]])
    write_json(lysozyme / "cleaning.json", {**cleaning, "disulfides": more})
    assert "pdb2gmx left out a disulfide between VAL A 2 and PHE A 3" in refusal(lysozyme)


@needs_gmx
def test_changed_sequence_is_an_error(chignolin):
    residues = read_residues(chignolin / "residues.tsv")
    write_residues(chignolin / "residues.tsv", [replace(residues[0], name="PHE"), *residues[1:]])
    assert "the topology has 10 residues, expected 10 (TYR instead of PHE A 1)" in refusal(chignolin)


@needs_gmx
def test_charge_that_is_not_whole_is_an_error(chignolin, own_field):
    table = own_field / "aminoacids.rtp"
    text = table.read_text()
    (glycine,) = re.findall(r"^\[ GLY \]\n.*?\n \[ bonds \]", text, re.M | re.S)
    table.write_text(text.replace(glycine, glycine.replace("-0.41570", "-0.21570")))
    assert re.search(
        r"charge is -?\d\.\d+ e, expected a whole number", refusal(chignolin, force_field=str(own_field))
    )


@needs_gmx
def test_numbers_that_begin_anew_behind_9999_survive(chignolin):
    """A PDB file has four digits; the table has the true numbers."""
    residues = read_residues(chignolin / "residues.tsv")
    true = [replace(residue, number=residue.number + 9995) for residue in residues]
    write_residues(chignolin / "residues.tsv", true)
    lines = [
        f"{line[:22]}{(int(line[22:26]) + 9995) % 10000:4d}{line[26:]}" if line.startswith("ATOM") else line
        for line in (chignolin / "clean.pdb").read_text().splitlines(keepends=True)
    ]
    (chignolin / "clean.pdb").write_text("".join(lines))
    assert [number for number, _ in read_numbers(chignolin / "clean.pdb")][3:6] == ["9999", "0", "1"]
    prepare(chignolin)
    protein = read_protein((chignolin / "topol.top").read_text())
    assert len(protein.residues) == 10


@needs_gmx
def test_box_of_more_than_99999_atoms(chignolin):
    setup = prepare(chignolin, box_shape="cubic", box_distance_nm=4.3)
    lines = (chignolin / "solvated.gro").read_text().splitlines()
    assert setup["atoms"] == len(lines) - 3 > 100_000
    assert lines[2 + 100_000][15:20] == "    1" or int(lines[2 + 100_000][15:20]) < 2
    charge = setup["charge"] + setup["ions"]["NA"] - setup["ions"]["CL"]
    assert charge == 0
    assert setup["atoms"] == setup["protein_atoms"] + 3 * setup["waters"] + sum(setup["ions"].values())


# Force fields


@pytest.mark.parametrize(
    ("force_field", "message"),
    [
        ("gromos54a7", "twin-range cut-off"),
        ("martini", "expected the name of an Amber, OPLS or CHARMM force field"),
        ("amber; rm", "expected the name of"),
        ("no/such.ff", "expected a folder with forcefield.itp in it"),
    ],
)
def test_force_field_that_cannot_be_served_is_refused_before_any_job(force_field, message):
    with pytest.raises(ConfigError, match=message):
        family_of(force_field)


def test_family_of_a_folder_is_what_it_defines(tmp_path):
    folder = tmp_path / "x.ff"
    folder.mkdir()
    for text, family in [
        ("#define _FF_CHARMM\n", "charmm"),
        ("; x\n#define _FF_AMBER\n#define _FF_AMBER03\n", "amber"),
    ]:
        (folder / "forcefield.itp").write_text(text)
        assert family_of(str(folder)) == family
    for text in ("#define _FF_OPLS\n#define _FF_AMBER\n", "[ defaults ]\n"):
        (folder / "forcefield.itp").write_text(text)
        with pytest.raises(ConfigError, match="expected one of _FF_AMBER, _FF_OPLS"):
            family_of(str(folder))
    (folder / "forcefield.itp").write_text("#define _FF_GROMOS96\n")
    with pytest.raises(ConfigError, match="twin-range"):
        family_of(str(folder))


@needs_gmx
def test_force_fields_of_gromacs_are_found_and_known():
    build = find_gmx("gmx")
    for name in ("amber99sb-ildn", "oplsaa", "charmm27"):
        field = find_force_field(name, build)
        assert field.digest == "" and {"spc", "tip3p", "tip4p"} <= {*field.waters()}
        ions = field.ions()
        assert (ions["NA"], ions["K"], ions["CL"], ions["MG"]) == (1, 1, -1, 2)
    with pytest.raises(ConfigError, match=r"amber1, which .* does not have; it has .*amber99sb-ildn"):
        find_force_field("amber1", build)


@needs_gmx
def test_force_field_by_path_gives_the_same_system_and_a_topology_that_needs_no_folder(
    chignolin, own_field, tmp_path
):
    shipped = prepare(chignolin)
    coordinates = (chignolin / "solvated.gro").read_bytes()
    setup = prepare(chignolin, force_field=str(own_field))
    assert (chignolin / "solvated.gro").read_bytes() == coordinates
    topology = (chignolin / "topol.top").read_text()
    assert "#include" not in topology and topology.count("#ifdef POSRES\n") == 1
    for text in (topology, (chignolin / "setup.json").read_text()):
        assert str(tmp_path) not in text
    lines = [
        f"{path.relative_to(own_field)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in sorted(own_field.rglob("*"))
        if path.is_file()
    ]
    assert setup["force_field_sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert (setup["force_field"], setup["force_field_family"]) == ("mine", "amber")
    same = ("charge", "protein_atoms", "waters", "ions", "atoms", "histidines")
    assert {key: setup[key] for key in same} == {key: shipped[key] for key in same}
    assert force_field_files(str(own_field)) and not force_field_files("amber99sb-ildn")
    # Where the folder is gone, on another machine, grompp needs nothing but the topology.
    shutil.rmtree(own_field)
    (chignolin / "em.mdp").write_text("integrator = steep\n")
    gmx = GmxTools("gmx", chignolin, StructureError, "x")
    gmx("grompp", f="em.mdp", c="solvated.gro", r="solvated.gro", p="topol.top", o="em.tpr", po="full.mdp")


@needs_gmx
def test_force_field_as_people_write_it_gives_the_same_system(chignolin, own_field):
    """Spaces around #include that GROMACS lets pass, and names of people in Latin-1."""
    prepare(chignolin, force_field=str(own_field))
    plain = (chignolin / "topol.top").read_text()
    field = own_field / "forcefield.itp"
    text = field.read_text()
    assert text.count('#include "ff') == 2
    field.write_text(
        text.replace('#include "ffn', '  #include "ffn').replace('#include "ffb', '#  include  "ffb')
    )
    for name in ("forcefield.itp", "ions.itp", "watermodels.dat", "tip3p.itp"):
        file = own_field / name
        file.write_bytes("; König\n".encode("latin-1") + file.read_bytes())
    prepare(chignolin, force_field=str(own_field))
    assert (chignolin / "topol.top").read_text() == plain


@needs_gmx
def test_force_field_that_cannot_be_read_is_told(chignolin, own_field):
    field, ions = own_field / "forcefield.itp", own_field / "ions.itp"
    text = field.read_text()
    for more in ('#include "forcefield.itp"', '#include "more.itp"'):
        (own_field / "more.itp").write_text('#include "forcefield.itp"\n')
        field.write_text(f"{text}\n{more}\n")
        assert "which includes it in turn" in refusal(chignolin, force_field=str(own_field))
    field.write_text(text)
    whole = ions.read_text()
    ions.write_text(whole[: whole.index("[ atoms ]") + 20])
    assert "ions.itp: molecule IB+ has no atom with a charge" in refusal(
        chignolin, force_field=str(own_field)
    )
    ions.write_text(whole + "[ moleculetype ]\n")
    assert "ions.itp: molecule (no name) has no atom" in refusal(chignolin, force_field=str(own_field))
    ions.write_text(whole)
    for target in (own_field, own_field / "nowhere"):
        (own_field / "more").symlink_to(target)
        line = refusal(chignolin, force_field=str(own_field))
        assert "mine.ff/more: is a link to a folder or to nothing" in line
        (own_field / "more").unlink()
    (own_field / "linked.itp").symlink_to(own_field / "tip3p.itp")
    prepare(chignolin, force_field=str(own_field))


@needs_gmx
def test_water_and_ions_must_be_of_the_force_field(chignolin, own_field):
    models = own_field / "watermodels.dat"
    models.write_text("".join(x for x in models.read_text().splitlines(True) if not x.startswith("tip4p")))
    line = refusal(chignolin, force_field=str(own_field), water="tip4p")
    assert (
        "'structures/water' is tip4p, which force field mine does not have; it has tip3p, spc, spce" in line
    )
    assert "'structures/cation' is XX, expected an ion of charge +1" in refusal(chignolin, cation="XX")
    assert "which has NA, K, " in refusal(chignolin, cation="MG").replace("IB+, ", "")
    assert "'structures/anion' is NA, expected an ion of charge -1" in refusal(chignolin, anion="NA")


@needs_gmx
@pytest.mark.parametrize("force_field", ["oplsaa", "charmm27"])
def test_other_ions_water_and_families(chignolin, force_field):
    setup = prepare(chignolin, force_field=force_field, water="tip4p", cation="K")
    names = [line[5:10].strip() for line in (chignolin / "solvated.gro").read_text().splitlines()[2:-1]]
    assert setup["ions"] == {"K": names.count("K"), "CL": names.count("CL")}
    assert setup["ions"]["K"] > 0
    assert 4 * setup["waters"] == names.count("SOL")


# The steps alone


@needs_gmx
def test_every_step_can_be_called_alone(chignolin, tmp_path):
    scratch = tmp_path / "steps"
    scratch.mkdir()
    shutil.copy(chignolin / "clean.pdb", scratch)
    gmx = GmxTools("gmx", scratch, StructureError, "5AWL")
    protein = describe_protein(gmx, "amber99sb-ildn", "tip3p", read_residues(chignolin / "residues.tsv"), [])
    assert round(protein.charge) == -2
    make_box(gmx, "cubic", 0.9)
    atoms, box = read_box((scratch / "box.gro").read_text())
    assert atoms == len(protein.atoms)
    lines = (scratch / "box.gro").read_text().splitlines()[2:-1]
    xyz = np.array([[float(line[20 + 8 * i : 28 + 8 * i]) for i in range(3)] for line in lines])
    # editconf makes a cube as wide as the molecule's diameter and the distance on both sides.
    diameter = np.linalg.norm(xyz[:, None] - xyz, axis=-1).max()
    assert box == pytest.approx([diameter + 1.8] * 3, abs=0.01)
    assert (np.array(box) - np.ptp(xyz, axis=0)).min() >= 1.8
    add_water(gmx, "tip3p")
    add_ions(gmx, "NA", "CL", 0.0, 1)
    names = [line[5:10].strip() for line in (scratch / "solvated.gro").read_text().splitlines()[2:-1]]
    assert (names.count("NA"), names.count("CL")) == (2, 0)


@needs_gmx
def test_start_that_was_made_from_a_sequence_is_labelled(chignolin):
    @dataclass(frozen=True)
    class Made(Residue):
        origin: str = "idealised"

    setup = prepare(chignolin)
    assert setup["label"] == ""
    protein = read_protein((chignolin / "topol.top").read_text())
    made = [
        Made(r.index, r.chain, r.number, r.insertion, r.name, r.code)
        for r in read_residues(chignolin / "residues.tsv")
    ]
    field = find_force_field("amber99sb-ildn", find_gmx("gmx"))
    texts = [(chignolin / name).read_text() for name in ("topol.top", "solvated.gro")]
    assert (
        describe_setup(SETUP, field, made, protein, [], [], *texts)["label"] == "idealised start, not a fold"
    )
