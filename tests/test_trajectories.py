"""Minimisation and simulation of ten residues of the capsid, against MDAnalysis and undisturbed runs."""

import re
import shutil
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from helixflow.errors import ConfigError, SimulationError
from helixflow.files import read_json, write_json
from helixflow.structures.clean import CleanSettings, clean_structure
from helixflow.structures.prepare import SetupSettings, prepare_system
from helixflow.structures.residues import read_residues
from helixflow.trajectories.minimise import minimise_system
from helixflow.trajectories.quality import Judgement, judge, read_log
from helixflow.trajectories.quality.energies import judge_energies
from helixflow.trajectories.settings import MinimiseSettings, SimulationSettings, check_lengths
from helixflow.trajectories.system import System
from simulating import RESULTS, RunSettings, simulate_replica

needs_gmx = pytest.mark.skipif(not shutil.which("gmx"), reason="gmx is not on PATH (make setup)")
RUN = RunSettings(program="gmx", threads=1, checkpoint_min=5, gates="fail")
SHORT = SimulationSettings(
    seed=1, temperature_K=300, pressure_bar=1, timestep_fs=2, nvt_ps=0.4, npt_ps=0.4, production_ns=0.002,
    frame_ps=0.1,
)  # fmt: skip
#: All but what tells how it was run, and topology.tpr, which has two bytes of chance in 2022.5.
SAME_BYTES = sorted(set(RESULTS) - {"quality.json", "segments.json", "topology.tpr"})


def prepare(source: Path, folder: Path) -> System:
    """Clean, prepare and minimise a structure."""
    clean_structure(
        source,
        "pdb",
        CleanSettings((), 1, "refuse"),
        folder / "clean.pdb",
        folder / "cleaning.json",
        folder / "residues.tsv",
    )
    setup = SetupSettings("amber99sb-ildn", "tip3p", "dodecahedron", 0.7, 0.15, 1)
    prepare_system(folder, folder / "scratch", setup, "gmx")
    minimise(folder, MinimiseSettings(500, 1000))
    write_json(folder / "source.json", {"source": "pdb:1A8O"})
    names = ("topol.top", "minimised.gro", "residues.tsv", "setup.json", "source.json")
    return System("peptide", *(folder / name for name in names))


def minimise(folder: Path, settings: MinimiseSettings) -> None:
    minimise_system(
        folder / "topol.top",
        folder / "solvated.gro",
        folder / "minimised.gro",
        folder / "minimised.json",
        folder / "minimise",
        settings,
        "gmx",
        1,
    )


def peptide_lines(demo: Path) -> list[str]:
    lines = (demo / "1A8O.pdb").read_text().splitlines(keepends=True)
    return [line for line in lines if line.startswith("ATOM") and 160 <= int(line[22:26]) <= 169]


@pytest.fixture(scope="module")
def system(demo, tmp_path_factory) -> System:
    """Ten residues of 1A8O in water, minimised."""
    folder = tmp_path_factory.mktemp("peptide")
    (folder / "peptide.pdb").write_text("".join(peptide_lines(demo)))
    return prepare(folder / "peptide.pdb", folder)


@pytest.fixture(scope="module")
def replica(system, tmp_path_factory) -> Path:
    """Replica 1, never disturbed."""
    folder = tmp_path_factory.mktemp("replica")
    simulate_replica(system, 1, SHORT, RUN, folder / "scratch", folder / "1")
    return folder / "1"


def universe(replica: Path):
    import MDAnalysis

    return MDAnalysis.Universe(replica / "protein.pdb", replica / "protein.xtc")


def test_lengths_that_make_no_protocol_are_told_with_their_key():
    section = asdict(SHORT)
    check_lengths(section)
    assert replace(SHORT, production_ns=0.0021, timestep_fs=2.5, frame_ps=0.15).frames == 15
    for key, value, expected in [
        ("frame_ps", 0.301, "whole number of time steps of 2 fs"),
        ("frame_ps", 2.2, "at most the production of 0.002 ns"),
        ("nvt_ps", 0.0005, "whole number of time steps"),
        ("production_ns", 0.0020001, "whole number of time steps"),
        ("timestep_fs", 0.3, "whole number of time steps of 0.3 fs"),
    ]:
        with pytest.raises(ConfigError, match=expected):
            check_lengths({**section, key: value})


def test_outcome_of_a_check_needs_two_standard_errors():
    assert [judge(value, 0, 10, 1)["outcome"] for value in (-3, -1, 1, 5, 9, 12.5)] == [
        "fail", "unknown", "unknown", "pass", "unknown", "fail"
    ]  # fmt: skip
    assert judge(21, 21, 21)["outcome"] == "pass"
    assert judge(20, 21, 21)["outcome"] == "fail"
    assert judge(float("nan"), 0, 1) == {
        "value": None,
        "error": 0.0,
        "low": 0,
        "high": 1,
        "unit": "",
        "outcome": "unknown",
        "details": [],
    }


def test_checks_of_energies_find_what_was_put_in():
    rng = np.random.default_rng(1)
    times = np.linspace(0, 100, 501)
    good = {
        "time_ps": times,
        "temperature_K": 300 + rng.normal(0, 4, 501),
        "pressure_bar": rng.normal(0, 300, 501),
        "density_kg_m3": 1000 + rng.normal(0, 5, 501),
        "potential_kJ_mol": rng.normal(-5e4, 200, 501),
        "conserved_kJ_mol": -4e4 + 0.002 * 3000 * times + rng.normal(0, 5, 501),
    }

    def outcomes(**changed):
        return {
            name: gate["outcome"]
            for name, gate in judge_energies({**good, **changed}, 300, 3000, Judgement()).items()
        }

    gates = judge_energies(good, 300, 3000, Judgement())
    slope = np.polyfit(times, good["conserved_kJ_mol"], 1)[0] / 3000
    assert gates["drift_kJ_mol_ps_atom"]["value"] == pytest.approx(slope, rel=1e-9)
    assert gates["drift_kJ_mol_ps_atom"]["value"] == pytest.approx(0.002, rel=0.05)
    assert set(outcomes().values()) == {"pass"}
    assert outcomes(temperature_K=good["temperature_K"] + 10)["temperature_K"] == "fail"
    assert outcomes(density_kg_m3=good["density_kg_m3"] - 200)["density_kg_m3"] == "fail"
    steep = good["conserved_kJ_mol"] + 0.02 * 3000 * times
    assert outcomes(conserved_kJ_mol=steep)["drift_kJ_mol_ps_atom"] == "fail"
    torn = good["potential_kJ_mol"].copy()
    torn[100] = np.nan
    assert outcomes(potential_kJ_mol=torn)["energies_not_finite"] == "fail"
    short = judge_energies({name: values[:50] for name, values in good.items()}, 300, 3000, Judgement())
    assert short["drift_kJ_mol_ps_atom"]["outcome"] == "unknown"


@needs_gmx
def test_minimisation_says_how_it_ended(system, tmp_path):
    folder = system.minimised.parent
    told = read_json(folder / "minimised.json")
    assert told["outcome"] == "converged"
    assert told["greatest_force_kJ_mol_nm"] < 1000
    assert 0 < told["steps"] < 500
    assert not (folder / "minimise").exists()
    for name in ("topol.top", "solvated.gro"):
        shutil.copy(folder / name, tmp_path)
    minimise(tmp_path, MinimiseSettings(500, 1000))
    assert (tmp_path / "minimised.gro").read_bytes() == system.minimised.read_bytes()
    (tmp_path / "minimised.gro").unlink()
    with pytest.raises(
        SimulationError, match=r"after 6 steps the greatest force is .*raise trajectories/minimise_steps"
    ):
        minimise(tmp_path, MinimiseSettings(5, 1000))
    assert not (tmp_path / "minimised.gro").exists()


@needs_gmx
def test_results_of_a_replica_are_there_and_judged(replica):
    assert {path.name for path in replica.iterdir()} == {*RESULTS, "topology.tpr"}
    assert not (replica.parent / "scratch").exists()
    quality = read_json(replica / "quality.json")
    assert quality["passed"] is True
    outcomes = {name: gate["outcome"] for name, gate in quality["gates"].items()}
    for name in ("drift_kJ_mol_ps_atom", "temperature_K", "rmsd_jump_sigmas"):
        assert outcomes.pop(name) == "unknown", name
    assert set(outcomes.values()) == {"pass"}
    assert quality["frames"] == quality["frames_expected"] == 21
    assert quality["seeds"] == {"gen_seed": 300001001, "ld_seed": 300001001}
    assert quality["run"]["threads"] == 1
    assert quality["run"]["continuations"] == 0
    assert quality["run"]["performance_ns_day"] > 0
    assert quality["run"]["gmx_version"] in subprocess.run(
        ["gmx", "--version"], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip


@needs_gmx
def test_run_input_holds_what_was_asked_for(replica):
    dump = subprocess.run(
        ["gmx", "dump", "-s", replica / "topology.tpr"], capture_output=True, text=True, check=True
    ).stdout
    found = dict(re.findall(r"^   (\S+) += (.*)$", dump, re.MULTILINE))
    expected = {
        "dt": "0.002", "nsteps": "1000", "nstxout-compressed": "50", "nstenergy": "50",
        "ld-seed": "300001001", "tcoupl": "V-rescale", "pcoupl": "C-rescale", "continuation": "true",
        "cutoff-scheme": "Verlet", "nstlist": "10", "rlist": "1.05", "verlet-buffer-tolerance": "-1",
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert re.search(r"Position Rest.:\s+nr: 0", dump)


@needs_gmx
def test_protein_is_whole_with_the_residues_of_the_structure(replica, system):
    import MDAnalysis

    protein = universe(replica)
    assert [frame.time for frame in protein.trajectory] == pytest.approx(np.arange(21) * 0.1, abs=1e-4)
    residues = read_residues(system.residues)
    assert [(r.resname, r.resid, r.segid) for r in protein.residues] == [
        (r.name, r.number, "A") for r in residues
    ]
    # MDAnalysis' own way to make molecules whole, from the trajectory as it was simulated.
    everything = MDAnalysis.Universe(replica / "topology.tpr", replica / "trajectory.xtc")
    part = everything.select_atoms("protein")
    assert [atom.name for atom in part] == [atom.name for atom in protein.atoms]
    for ours, theirs in zip(protein.trajectory, everything.trajectory, strict=True):
        whole = part.unwrap(inplace=False)
        a = protein.atoms.positions - protein.atoms.positions[0]
        np.testing.assert_allclose(a, whole - whole[0], atol=0.05)
        middle = protein.atoms.positions.mean(axis=0)
        np.testing.assert_allclose(middle, theirs.triclinic_dimensions.sum(axis=0) / 2, atol=0.1)
        assert ours.n_atoms == len(part)


@needs_gmx
def test_energies_are_in_their_columns(replica):
    header, *rows = (line.split("\t") for line in (replica / "energy.tsv").read_text().splitlines())
    assert header == [
        "time_ps", "temperature_K", "pressure_bar", "density_kg_m3", "potential_kJ_mol", "conserved_kJ_mol"
    ]  # fmt: skip
    table = dict(zip(header, np.array(rows, float).T, strict=True))
    assert len(rows) == 21
    assert 280 < table["temperature_K"].min() < table["temperature_K"].max() < 320
    volumes = [frame.volume for frame in universe(replica).trajectory]
    masses = 1e27 * table["density_kg_m3"] * np.array(volumes) * 1e-30
    # Density times volume is the mass at every frame, whatever the pressure did to both.
    np.testing.assert_allclose(masses, masses[0], rtol=1e-4)
    kinetic = table["conserved_kJ_mol"] - table["potential_kJ_mol"]
    assert (kinetic > 0).all()


@needs_gmx
def test_second_replica_differs_and_ignores_what_another_input_left(system, replica, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "inputs.sha256").write_text("of another system")
    (scratch / "nvt.gro").write_text("not to be continued from")
    simulate_replica(system, 2, SHORT, RUN, scratch, tmp_path / "2")
    assert read_json(tmp_path / "2" / "quality.json")["seeds"]["gen_seed"] == 300001002
    first, second = (universe(folder).atoms.positions for folder in (replica, tmp_path / "2"))
    assert np.abs(first - second).max() > 0.1


@needs_gmx
def test_time_step_that_the_bonds_do_not_bear_is_refused_before_the_run(system, tmp_path):
    long_step = replace(SHORT, timestep_fs=8, frame_ps=0.4)
    with pytest.raises(SimulationError, match=r"grompp failed: .*less than 5 times the time step"):
        simulate_replica(system, 1, long_step, RUN, tmp_path / "scratch", tmp_path / "1")


@needs_gmx
def test_failed_check_stops_or_is_marked_and_costs_no_second_run(system, tmp_path):
    scratch = tmp_path / "scratch"
    hot = replace(SHORT, temperature_K=2000, nvt_ps=0.2, npt_ps=0.6, production_ns=0.0004)
    with pytest.raises(
        SimulationError, match=r"replica 1: production does not pass its checks: .*density_kg_m3 is"
    ):
        simulate_replica(system, 1, hot, RUN, scratch, tmp_path / "1")
    assert not (tmp_path / "1" / "quality.json").exists()
    segments = {path: path.stat().st_mtime_ns for path in (tmp_path / "segments").rglob("production.xtc")}
    run_input = (tmp_path / "1" / "topology.tpr").read_bytes()
    assert len(segments) == 1
    with pytest.raises(SimulationError, match="does not pass"):
        simulate_replica(system, 1, hot, RUN, scratch, tmp_path / "1")
    assert {path: path.stat().st_mtime_ns for path in segments} == segments
    simulate_replica(system, 1, hot, replace(RUN, gates="warn"), scratch, tmp_path / "1")
    assert (tmp_path / "1" / "topology.tpr").read_bytes() == run_input
    quality = read_json(tmp_path / "1" / "quality.json")
    assert quality["passed"] is False
    assert quality["gates"]["density_kg_m3"]["outcome"] == "fail"


def test_log_tells_what_ran():
    log = "GROMACS version:    2026.1\nSIMD instructions:  AVX_512\nUsing 2 OpenMP threads\n"
    told = read_log(
        log + "Performance:       12.5        1.9\n" + log + "Performance:       25.568        0.939\n"
    )
    assert (told["gmx_version"], told["threads"], told["performance_ns_day"]) == ("2026.1", 2, 25.568)
    assert told["simd_possible"] is None
