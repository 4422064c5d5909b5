"""The protocol: presets, temperatures, seeds, parameters set freely, force fields, heavier hydrogens."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT
from helixflow.config import complete_config, read_schema
from helixflow.errors import ConfigError, SimulationError
from helixflow.files import read_json
from helixflow.gmx import GmxTools
from helixflow.structures.clean import CleanSettings, clean_structure
from helixflow.structures.prepare import prepare_system
from helixflow.structures.setup import SetupSettings
from helixflow.trajectories import equilibrate
from helixflow.trajectories.layout import Job
from helixflow.trajectories.masses import repartition_masses
from helixflow.trajectories.minimise import minimise_system
from helixflow.trajectories.overrides import check_overrides, override, overrides_of, read_mdp
from helixflow.trajectories.protocol import (
    check_protocol,
    protocol_of,
    simulation_settings,
    temperature_of,
    temperatures_of,
)
from helixflow.trajectories.run_input import _check_values, grompp
from helixflow.trajectories.settings import (
    MinimiseSettings,
    SimulationSettings,
    minimise_mdp,
    phase_mdp,
    temperature_folders,
)

needs_gmx = pytest.mark.skipif(not shutil.which("gmx"), reason="gmx is not on PATH (make setup)")
SCHEMA = read_schema(ROOT / "config/schema.yaml")
SHORT = SimulationSettings(
    seed=1, temperature_K=300, pressure_bar=1, timestep_fs=2, nvt_ps=0.4, npt_ps=0.4, production_ns=0.002,
    frame_ps=0.1,
)  # fmt: skip


def configured(**section) -> dict:
    """A whole configuration with these keys of the section trajectories."""
    return complete_config({"samples": "x", "trajectories": section}, SCHEMA)


def checked(**section) -> dict:
    config = configured(**section)
    check_protocol(config)
    return config["trajectories"]


def refusal(**section) -> str:
    with pytest.raises(ConfigError) as caught:
        checked(**section)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def chignolin(data, tmp_path_factory) -> Path:
    """Chignolin in water."""
    return prepared(data, tmp_path_factory.mktemp("chignolin"), "amber99sb-ildn")


def prepared(data: Path, folder: Path, force_field: str, name: str = "5AWL") -> Path:
    outputs = (folder / name for name in ("clean.pdb", "cleaning.json", "residues.tsv"))
    clean_structure(data / f"structures/{name}.pdb", "pdb", CleanSettings((), 1, "refuse"), *outputs)
    setup = SetupSettings(force_field, "tip3p", "dodecahedron", 0.8, 0.15, 1)
    prepare_system(folder, folder / "scratch", setup, "gmx")
    return folder


@pytest.fixture
def tools(chignolin, tmp_path) -> GmxTools:
    """GROMACS in a folder with a solvated system."""
    for name in ("topol.top", "solvated.gro"):
        shutil.copy(chignolin / name, tmp_path)
    return GmxTools("gmx", tmp_path, SimulationError, "chignolin")


INPUTS = {"p": "topol.top", "c": "solvated.gro"}


def dumped(tpr: Path) -> str:
    return subprocess.run(["gmx", "dump", "-s", tpr], capture_output=True, text=True, check=True).stdout


# Presets


def test_preset_fills_what_is_left_out_and_no_more():
    standard, smoke = configured(), configured(preset="smoke")
    standard, smoke = standard["trajectories"], smoke["trajectories"]
    assert (standard["production_ns"], standard["replicas"]) == (100, 3)
    assert (standard["nvt_ps"], standard["npt_ps"]) == (100, 100)
    assert 10 <= standard["frame_ps"] <= 100
    assert (smoke["nvt_ps"], smoke["npt_ps"], smoke["production_ns"], smoke["replicas"]) == (2, 2, 0.002, 1)
    own = configured(preset="smoke", replicas=2, production_ns="0.004")["trajectories"]
    assert own == smoke | {"replicas": 2, "production_ns": 0.004}
    assert {key for key in smoke if smoke[key] != standard[key]} <= {"preset", *SCHEMA_PRESETS["smoke"]}
    check_protocol(configured(preset="smoke"))


SCHEMA_PRESETS = SCHEMA["properties"]["trajectories"]["presets"]


def test_presets_are_those_of_the_key_and_hold_what_the_schema_allows():
    section = SCHEMA["properties"]["trajectories"]["properties"]
    assert list(SCHEMA_PRESETS) == section["preset"]["enum"]
    for name, values in SCHEMA_PRESETS.items():
        assert values.keys() <= section.keys(), name
        assert configured(**values)["trajectories"] == configured(preset=name)["trajectories"] | {
            "preset": "standard"
        }
    with pytest.raises(
        ConfigError, match="'trajectories/preset' is 'quick', expected one of standard, smoke"
    ):
        configured(preset="quick")
    with pytest.raises(ConfigError, match="'trajectories/preset'"):
        configured(preset=["smoke"])


def test_frames_and_the_last_step_of_a_production_meet():
    checked(production_ns=0.01, frame_ps=2.5)
    message = refusal(production_ns=0.01, frame_ps=4)
    assert "'trajectories/frame_ps' is 4, expected a whole number of frames" in message
    assert "'trajectories/production_ns' is 0.01" in message


def test_limits_that_no_run_can_keep_are_refused():
    message = refusal(quality={"density_low_kg_m3": 1200})
    assert "'trajectories/quality/density_low_kg_m3' is 1200, expected less than" in message
    assert "density_high_kg_m3, which is 1150" in message
    refusal(quality={"density_low_kg_m3": 1000, "density_high_kg_m3": "1000"})
    checked(quality={"density_low_kg_m3": 1149})


def texts(**section) -> str:
    """What is given to jobs, as it is compared with that of earlier runs."""
    config = configured(**section)
    temperatures = temperatures_of(config["trajectories"]["temperature_K"])
    return repr(
        (protocol_of(MinimiseSettings, config), protocol_of(SimulationSettings, config), temperatures)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"temperature_K": 300.0}, {"temperature_K": 300}),
        ({"temperature_K": "300"}, {}),
        ({"temperature_K": [300.0, "310.0"]}, {"temperature_K": [300, 310]}),
        ({"temperature_K": "310.150"}, {"temperature_K": 310.15}),
        ({"timestep_fs": "2", "pressure_bar": 1.0, "frame_ps": "2e1"}, {"frame_ps": 20}),
        ({"seed": "1.0", "minimise_steps": 5e3}, {}),
        ({"mdp": {"npt": {"tau-p": "5.0"}}}, {"mdp": {"npt": {"tau-p": 5}}}),
        ({"mdp": {"all": {"rvdw": "1.10"}}}, {"mdp": {"all": {"rvdw": 1.1}}}),
    ],
)
def test_the_same_number_written_otherwise_repeats_nothing(one, other):
    assert texts(**one) == texts(**other)
    assert texts(**one) != texts(**one, npt_ps=50)


# Temperatures and seeds


def test_one_temperature_has_no_folder_and_several_have_one_each():
    assert temperature_folders(300) == [""]
    assert temperature_folders([300]) == ["/300K"]
    assert temperature_folders([300.0, 310.15, 450]) == ["/300K", "/310.15K", "/450K"]
    assert temperature_of("", 305.5) == 305.5
    assert temperature_of("/310.15K", [300, 310.15]) == 310.15
    folders = temperature_folders([1, 1.00001, 12.5, 273.15, 1000, 9999.99, 10000])
    assert all(re.fullmatch(r"(/[0-9.]+K)?", each) for each in folders)


def test_list_of_temperatures_is_read_from_files_and_command_line():
    assert checked(temperature_K=["300", "320.5"])["temperature_K"] == [300, 320.5]
    assert checked(temperature_K="310")["temperature_K"] == 310
    assert "expected a value of type number or array" in refusal(temperature_K="warm")
    assert "'trajectories/temperature_K/1' is 'warm', expected a value of type number" in refusal(
        temperature_K=[300, "warm"]
    )
    assert "expected entries that differ" in refusal(temperature_K=[300, "300"])
    assert "differ in their first six digits" in refusal(temperature_K=[300, 300.0001])
    assert "expected at least 1 entry" in refusal(temperature_K=[])
    assert "at least 1" in refusal(temperature_K=[300, -1])
    assert "'trajectories/temperature_K' is 1e-05, expected at least 1" in refusal(temperature_K=0.00001)
    assert "'trajectories/temperature_K' is 1000000, expected at most 10000" in refusal(temperature_K=1e6)
    assert "expected a finite number" in refusal(temperature_K=[300, float("nan")])


def test_every_replica_at_every_temperature_has_a_seed_of_its_own():
    config = configured(temperature_K=[273.15, *range(280, 480, 10)], replicas=999, seed=2_000_000)
    runs = [
        simulation_settings(config, each) for each in temperatures_of(config["trajectories"]["temperature_K"])
    ]
    seeds = [run.run_seed(replica) for run in runs for replica in range(1, 1000)]
    assert len({*seeds}) == len(seeds) == 21 * 999
    assert min(seeds) > 0 and max(seeds) < 2**31
    assert replace(SHORT, temperature_K=300.0).run_seed(7) == SHORT.run_seed(7) == 300_001_007
    assert "differ by 0.001 K, within 2147 K" in refusal(temperature_K=[300, 300 + 2147.483])


def test_one_temperature_takes_part_of_a_list(tmp_path):
    """The settings of a replica do not know of the other temperatures, so adding one repeats nothing."""
    alone = simulation_settings(configured(temperature_K=320), 320)
    assert simulation_settings(configured(temperature_K=[300, 320]), 320) == alone
    assert phase_mdp("nvt", alone, 2) == phase_mdp("nvt", replace(alone, temperature_K=320.0), 2)
    assert "ref-t = 320 320\n" in phase_mdp("nvt", alone, 2)


# Parameters that are set freely


@pytest.mark.parametrize(
    ("phase", "name", "message"),
    [
        ("all", "nsteps", "decided by trajectories/minimise_steps, nvt_ps, npt_ps and production_ns"),
        ("production", "DT", "'trajectories/mdp/production/DT' is decided by trajectories/timestep_fs"),
        ("npt", "ref_t", "trajectories/temperature_K"),
        ("nvt", "gen-seed", "trajectories/seed"),
        ("production", "nstxout_compressed", "trajectories/frame_ps"),
        ("minimise", "emtol", "trajectories/minimise_force_kJ_mol_nm"),
        ("production", "mass-repartition-factor", "trajectories/hydrogen_mass_factor"),
        ("nvt", "Gen_Vel", "velocities are made once"),
        ("production", "nstxout", "positions are those of trajectory.xtc"),
        ("minimise", "integrator", "cannot be set: steepest descent it is"),
        ("all", "include", "self-contained"),
    ],
)
def test_parameter_that_is_decided_elsewhere_is_refused_with_its_key(phase, name, message):
    assert message in refusal(mdp={phase: {name: 1}})


def test_parameters_are_those_of_gromacs_whatever_their_spelling():
    assert "is the parameter 'tau-p' again" in refusal(mdp={"npt": {"tau-p": 1, "Tau_P": 2}})
    assert override({"tau-p": 2.0, "pcoupl": "C-rescale"}, {"Tau_P": 5, "nstcomm": 50}) == {
        "tau-p": 5, "pcoupl": "C-rescale", "nstcomm": 50
    }  # fmt: skip
    section = {"all": {"tau_t": "1 1", "nstcomm": 10}, "npt": {"tau-t": "2 2"}}
    assert overrides_of(section, "npt") == {"nstcomm": 10, "tau-t": "2 2"}
    assert overrides_of(section, "nvt") == section["all"]
    for name in ("sd", "MD_VV", "md-vv-avek", "bd"):
        check_overrides({"all": {"integrator": name}})
    assert overrides_of({"all": {"Integrator": "sd", "rvdw": 1.1}}, "minimise") == {"rvdw": 1.1}


@pytest.mark.parametrize("name", ["steep", "cg", "l-bfgs", "nm", "tpi", "mimic", 1])
def test_integrators_of_the_phases_are_those_of_dynamics(name):
    message = refusal(mdp={"production": {"Integrator": name}})
    assert f"'trajectories/mdp/production/Integrator' is {name!r}, expected one of md, md-vv" in message
    assert "expected one of md" in refusal(mdp={"all": {"integrator": name}})


def test_unknown_phases_and_strange_names_and_values_do_not_pass():
    assert "unknown key 'trajectories/mdp/prodution'; did you mean 'trajectories/mdp/production'?" in refusal(
        mdp={"prodution": {}}
    )
    assert "is 'tau t', expected a text that matches" in refusal(mdp={"npt": {"tau t": 1}})
    assert "'trajectories/mdp/npt/tau-p' is ' ', expected a text that matches" in refusal(
        mdp={"npt": {"tau-p": " "}}
    )
    assert "expected a text that matches" in refusal(mdp={"npt": {"tau-p": ""}})
    assert "expected a text that matches" in refusal(mdp={"npt": {"tau-p": "1 ; x"}})
    assert "expected a text that matches" in refusal(mdp={"npt": {"tau-p": "1\nnsteps = 5"}})
    assert "expected a value of type number or boolean or string" in refusal(mdp={"npt": {"tau-p": [1]}})


@needs_gmx
def test_parameters_that_were_set_are_in_the_run_input(tools):
    config = configured(
        preset="smoke",
        mdp={"all": {"tau_t": "0.5", "tc-grps": "System"}, "production": {"Tau-P": 5, "nstcomm": 50}},
    )
    settings = simulation_settings(config, 300)
    assert settings.mdp["nvt"] == {"tau_t": 0.5, "tc-grps": "System"}
    grompp(
        tools,
        "production",
        phase_mdp("production", settings, 1, exact=True),
        INPUTS,
        processed="processed.top",
    )
    found = dict(re.findall(r"^ +(\S+) *[=:] +(.*)$", dumped(tools.folder / "production.tpr"), re.M))
    assert (found["tau-p"], found["nstcomm"], found["ref-t"].split(), found["tau-t"].split()) == (
        "5", "50", ["300"], ["0.5"]
    )  # fmt: skip


@needs_gmx
def test_what_is_published_of_a_run_input_names_no_time_or_place_and_makes_the_same_run(
    tools, chignolin, tmp_path
):
    mdp = phase_mdp("production", SHORT, 1)
    grompp(tools, "production", mdp, INPUTS, processed="processed.top")
    full, processed = tools.folder / "production_full.mdp", tools.folder / "processed.top"
    for text in (full.read_text(), processed.read_text()):
        assert ";" not in text.split("\n")[0] and str(tmp_path) not in text
        assert not re.search(r"^[;*#]|generated|By user|On host", text, re.M)
    again = tmp_path / "again"
    again.mkdir()
    for path in (full, processed, chignolin / "solvated.gro"):
        shutil.copy(path, again)
    others = GmxTools("gmx", again, SimulationError, "again")
    others("grompp", f=full.name, c="solvated.gro", p="processed.top", o="x.tpr", po="x.mdp")
    first, second = (
        dumped(path).partition("\n")[2] for path in (tools.folder / "production.tpr", again / "x.tpr")
    )
    assert first == second
    bytes_before = full.read_bytes(), processed.read_bytes()
    grompp(tools, "production", mdp, INPUTS, processed="processed.top")
    assert (full.read_bytes(), processed.read_bytes()) == bytes_before


@needs_gmx
def test_unknown_parameter_is_an_error_before_anything_runs(chignolin, tmp_path):
    settings = replace(SHORT, mdp={"production": {"nst-com": 10}})
    with pytest.raises(ConfigError) as caught:
        minimise(chignolin, tmp_path, MinimiseSettings(500, 1000), settings)
    assert re.fullmatch(
        r"config: 'trajectories/mdp' sets 'nst-com' for production, "
        r"which is no mdp parameter of GROMACS 20\S+; did you mean 'nstcomm'\?",
        str(caught.value),
    )
    assert not (tmp_path / "minimised.gro").exists()
    assert not list(tmp_path.rglob("minimise.log"))
    with pytest.raises(ConfigError, match=r"sets 'emstepp' for minimise, .*did you mean 'emstep'"):
        minimise(chignolin, tmp_path, MinimiseSettings(500, 1000, mdp={"minimise": {"emstepp": 10}}), None)


def minimise(
    system: Path, folder: Path, settings: MinimiseSettings, protocol: SimulationSettings | None
) -> None:
    minimise_system(
        system / "topol.top", system / "solvated.gro", folder / "minimised.gro", folder / "minimised.json",
        folder / "scratch", settings, "gmx", 1, protocol,
    )  # fmt: skip


@needs_gmx
def test_protocol_decides_nothing_of_the_minimisation(chignolin, tmp_path):
    minimise(chignolin, tmp_path / "a", MinimiseSettings(500, 1000), None)
    minimise(chignolin, tmp_path / "b", MinimiseSettings(500, 1000), SHORT)
    for name in ("minimised.gro", "minimised.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    minimise(chignolin, tmp_path / "c", MinimiseSettings(500, 1000, mdp={"minimise": {"emstep": 0.02}}), None)
    assert (
        read_json(tmp_path / "c/minimised.json")["steps"] != read_json(tmp_path / "a/minimised.json")["steps"]
    )


@needs_gmx
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tau-t": "0.1"}, "Invalid T coupling input: 2 groups, 2 ref-t values and 1 tau-t values"),
        ({"pcoupl": "Berendson"}, "Invalid enum 'Berendson' for variable pcoupl"),
        ({"pcoupl": "Berendsen"}, "Berendsen barostat does not generate"),
        ({"nstcheckpoint": 5}, "GROMACS ignores the mdp parameter 'nstcheckpoint' of npt"),
    ],
)
def test_what_grompp_warns_of_is_an_error(tools, changes, message):
    settings = replace(SHORT, mdp={"npt": changes})
    with pytest.raises((SimulationError, ConfigError), match=message) as caught:
        grompp(tools, "npt", phase_mdp("npt", settings, 1), {**INPUTS, "r": "solvated.gro"})
    assert "\n" not in str(caught.value)


@needs_gmx
def test_parameters_changed_after_the_minimisation_are_checked_before_the_first_phase(
    chignolin, tmp_path, monkeypatch
):
    ran = []

    def stop(gmx, phase, *_):
        ran.append(phase)
        raise SimulationError("stopped")

    monkeypatch.setattr(equilibrate, "run_phase", stop)

    def begin(settings):
        files = chignolin / "topol.top", chignolin / "solvated.gro"
        job, folders = Job("gmx", 1, cores=1), (tmp_path / "scratch", tmp_path / "results")
        equilibrate.equilibrate_replica("chignolin", 1, *files, settings, job, *folders)

    wrong = replace(SHORT, mdp={"production": {"pcoupl": "Berendson"}})
    for _ in range(2):
        with pytest.raises(SimulationError, match="Invalid enum 'Berendson'"):
            begin(wrong)
    assert ran == []
    with pytest.raises(SimulationError, match="stopped"):
        begin(SHORT)
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == [
        "inputs.sha256", "minimised.gro", "topol.top"
    ]  # fmt: skip
    # One that continues needs no check.
    monkeypatch.setattr(equilibrate, "check_protocol", None)
    with pytest.raises(SimulationError, match="stopped"):
        begin(SHORT)
    assert ran == ["nvt", "nvt"]


def test_values_that_gromacs_took_are_compared_with_those_that_were_asked():
    asked = read_mdp(
        "tau-p = 2.0\ngen_vel = no\ntc-grps = Protein Non-Protein ; x\ndt = 0.002\ndefine = -DPOSRES\n"
    )
    found = read_mdp(
        "tau_p  = 2\ngen-vel = no\ntc-grps = Protein Non-Protein\ndt= 0.002\ndefine = -DPOSRES\npbc = xyz"
    )
    _check_values(asked, found, "npt", "x")
    for name, other in [("taup", "3"), ("genvel", "yes"), ("tcgrps", "Protein"), ("define", "")]:
        with pytest.raises(
            ConfigError,
            match=f"'{name}' of npt is .* but GROMACS took '{other}'; set another in trajectories/mdp",
        ):
            _check_values(asked, {**found, name: other}, "npt", "x")
    del found["dt"]
    with pytest.raises(ConfigError, match="GROMACS ignores the mdp parameter 'dt' of npt"):
        _check_values(asked, found, "npt", "x")


def test_jobs_take_what_decides_them_and_no_more():
    mdp = {"all": {"nstcomm": 50, "pme-order": 6}, "minimise": {"emstep": 0.02}, "npt": {"tau-p": 5}}
    config = configured(mdp=mdp)
    assert protocol_of(MinimiseSettings, config)["mdp"] == {"minimise": {"pme-order": 6, "emstep": 0.02}}
    decided = protocol_of(SimulationSettings, config)
    assert decided["mdp"] == {
        "nvt": mdp["all"], "npt": {**mdp["all"], "tau-p": 5}, "production": mdp["all"]
    }  # fmt: skip
    assert not {"threads", "gates", "replicas", "preset", "temperature_K"} & decided.keys()
    assert "emstep = 0.02\n" in minimise_mdp(MinimiseSettings(**protocol_of(MinimiseSettings, config)))


# Families of force fields


def test_cut_offs_are_those_of_the_family():
    amber, charmm = (
        read_mdp(phase_mdp("nvt", replace(SHORT, family=each), 1, exact=True)) for each in ("amber", "charmm")
    )
    assert (amber["rvdw"], amber["rcoulomb"], amber["dispcorr"], amber["rlist"]) == (
        "1.0",
        "1.0",
        "EnerPres",
        "1.05",
    )
    assert (charmm["rvdw"], charmm["rcoulomb"], charmm["dispcorr"], charmm["rlist"]) == (
        "1.2",
        "1.2",
        "no",
        "1.25",
    )
    assert (charmm["vdwmodifier"], charmm["rvdwswitch"]) == ("Force-switch", "1.0")
    wide = replace(SHORT, mdp={"nvt": {"rvdw": 1.1, "r_coulomb": 1.1, "nstlist": 20}})
    changed = read_mdp(phase_mdp("nvt", wide, 1, exact=True))
    assert (changed["rlist"], changed["nstlist"]) == ("1.15", "20")
    assert "rlist" not in read_mdp(phase_mdp("nvt", SHORT, 1))
    assert (
        read_mdp(phase_mdp("nvt", replace(SHORT, timestep_fs=4, hydrogen_mass_factor=3), 1, exact=True))[
            "nstlist"
        ]
        == "5"
    )
    assert protocol_of(SimulationSettings, configured())["family"] == "amber"
    config = complete_config({"samples": "x", "structures": {"force_field": "charmm27"}}, SCHEMA)
    assert protocol_of(MinimiseSettings, config)["family"] == "charmm"


@needs_gmx
@pytest.mark.parametrize("family", ["charmm", "oplsaa"])
def test_other_families_are_taken_and_minimise(data, tmp_path, family):
    field = {"charmm": "charmm27", "oplsaa": "oplsaa"}[family]
    system = prepared(data, tmp_path / "system", field)
    minimise(system, tmp_path, MinimiseSettings(500, 1000, family), replace(SHORT, family=family))
    assert read_json(tmp_path / "minimised.json")["outcome"] == "converged"


# Heavier hydrogens


def test_long_time_step_wants_heavier_hydrogens():
    assert "'trajectories/timestep_fs' is 4, expected at most 2.5" in refusal(timestep_fs=4)
    assert "at most 2.5" in refusal(timestep_fs=4, hydrogen_mass_factor=1.5)
    checked(timestep_fs=4, hydrogen_mass_factor=3)
    checked(timestep_fs=2.5, nvt_ps=100, frame_ps=10)


def masses_of(tpr: Path) -> np.ndarray:
    """Masses of the first molecule, as GROMACS has them."""
    first = dumped(tpr).partition("moltype (0)")[2].partition("moltype (1)")[0]
    return np.array(re.findall(r" m= *(\S+?),", first), float)


@needs_gmx
def test_mass_moves_from_heavy_atoms_to_their_hydrogens(tools):
    import MDAnalysis

    grompp(tools, "plain", phase_mdp("production", SHORT, 1), INPUTS)
    plain = masses_of(tools.folder / "plain.tpr")
    text = (tools.folder / "topol.top").read_text()
    assert repartition_masses(text, 1) == text
    (tools.folder / "topol.top").write_text(repartition_masses(text, 3))
    grompp(tools, "heavy", phase_mdp("production", SHORT, 1), INPUTS)
    heavy = masses_of(tools.folder / "heavy.tpr")
    light = plain < 1.2
    np.testing.assert_allclose(heavy[light], 3 * plain[light], rtol=1e-5)
    assert heavy.sum() == pytest.approx(plain.sum(), abs=1e-3)
    # Atom by atom, with the bonds that MDAnalysis reads out of the run input.
    system = MDAnalysis.Universe(tools.folder / "plain.tpr")
    for atom in system.atoms[: len(plain)]:
        if not light[atom.index]:
            hydrogens = sum(plain[other.index] < 1.2 for other in atom.bonded_atoms)
            assert heavy[atom.index] == pytest.approx(plain[atom.index] - hydrogens * 2 * 1.008, abs=1e-3)
    water = MDAnalysis.Universe(tools.folder / "heavy.tpr").select_atoms("resname SOL")[:3]
    assert water.masses == pytest.approx([16.0, 1.008, 1.008], abs=1e-4)
    with pytest.raises(
        ConfigError, match=r"hydrogen_mass_factor' is 4, which leaves atom \d+ \(\w+\) \d\.\d+ u"
    ):
        repartition_masses(text, 4)


@needs_gmx
def test_four_femtoseconds_want_heavier_hydrogens_but_not_those_of_pdb2gmx(data, tmp_path):
    """No bond may oscillate in less than 5 steps; with -heavyh, four times as heavy, those of methyls do."""
    system = prepared(data, tmp_path / "system", "amber99sb-ildn", "1L2Y")
    slow = replace(SHORT, timestep_fs=4, hydrogen_mass_factor=3, frame_ps=0.2)
    minimise(system, tmp_path, MinimiseSettings(1000, 1000), slow)
    gmx = GmxTools("gmx", tmp_path, SimulationError, "1L2Y")
    topology = (system / "topol.top").read_text()
    (tmp_path / "topol.top").write_text(repartition_masses(topology, 3))
    inputs = {"p": "topol.top", "c": "minimised.gro", "r": "minimised.gro"}
    grompp(gmx, "nvt", phase_mdp("nvt", replace(slow, nvt_ps=1), 1, exact=True), inputs)
    subprocess.run(
        ["gmx", "mdrun", "-deffnm", "nvt", "-ntmpi", "1", "-ntomp", "1"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    gmx("energy", f="nvt.edr", o="t.xvg", answers=["Temperature"])
    rows = [line.split() for line in (tmp_path / "t.xvg").read_text().splitlines() if line[0] not in "#@"]
    temperatures = np.array(rows, float)[2:, 1]
    assert 250 < temperatures.mean() < 350
    subprocess.run(
        ["gmx", "pdb2gmx", "-f", "system/clean.pdb", "-o", "h.gro", "-p", "h.top", "-i", "h.itp",
         "-ff", "amber99sb-ildn", "-water", "tip3p", "-ignh", "-heavyh"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    heavyh = (tmp_path / "h.top").read_text()
    (atoms,) = re.findall(r"^\[ atoms \]\n.*?\n\n", heavyh, re.M | re.S)
    (ours,) = re.findall(r"^\[ atoms \]\n.*?\n\n", topology, re.M | re.S)
    (tmp_path / "topol.top").write_text(topology.replace(ours, atoms))
    with pytest.raises(SimulationError, match="less than 5 times the time step"):
        grompp(gmx, "nvt", phase_mdp("nvt", slow, 1), inputs)
