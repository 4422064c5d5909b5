"""Every quality check passes a sound run and fails one made to violate it; numbers against other programs."""

import copy
import itertools
import json
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helixflow.errors import SimulationError
from helixflow.files import read_json, write_json
from helixflow.series import inefficiency, mean_error, slope_error
from helixflow.structures.residues import Residue, read_residues
from helixflow.structures.topology import Protein, read_protein
from helixflow.trajectories.finish import finish_replica
from helixflow.trajectories.frames import Frames
from helixflow.trajectories.images import bond_tree, make_whole
from helixflow.trajectories.quality import Judgement, energies, geometry, judge, molecule, run
from helixflow.trajectories.quality.assess import index_group
from helixflow.trajectories.quality.frames import Changes, Extremes, FrameMeasures
from helixflow.trajectories.quality.gates import MOST_NAMED, count, demand_gates
from helixflow.trajectories.quality.images import image_distance
from helixflow.trajectories.quality.logs import constraint_warnings, read_log
from helixflow.trajectories.quality.tpr import parse_dump
from simulating import RunSettings, simulate_replica
from test_trajectories import SHORT, peptide_lines, prepare
from xtc import change_frames, read_xtc

needs_gmx = pytest.mark.skipif(not shutil.which("gmx"), reason="gmx is not on PATH (make setup)")
STRICT, MARKED = Judgement(), Judgement("warn")
BOX = np.eye(3) * 5
#: What cannot be told of a run of 2 ps whose processes nobody recorded.
UNKNOWN = {"temperature_K", "drift_kJ_mol_ps_atom", "rmsd_jump_sigmas", "mdrun_status", "layout"}


class Finished:
    """A finished production: its folder, its system, and how to judge a copy that was tampered with."""

    def __init__(self, system, folder: Path) -> None:
        self.system, self.folder = system, folder

    def copy(self, folder: Path) -> Path:
        shutil.copytree(self.folder, folder)
        return folder

    def finish(self, folder: Path, judgement: Judgement = MARKED, settings=SHORT) -> dict:
        finish_replica(folder, self.system, 1, settings, judgement, "gmx", folder / "results")
        return read_json(folder / "results/quality.json")["gates"]


@pytest.fixture(scope="module")
def finished(demo, tmp_path_factory) -> Finished:
    """Ten residues of 1A8O, simulated for 2 ps."""
    folder = tmp_path_factory.mktemp("gates")
    (folder / "peptide.pdb").write_text("".join(peptide_lines(demo)))
    system = prepare(folder / "peptide.pdb", folder)
    scratch, results = folder / "scratch", folder / "1"
    simulate_replica(system, 1, SHORT, RunSettings("gmx", 1, 5, "fail"), scratch, results)
    run_folder = folder / "run"
    run_folder.mkdir()
    for name, source in {
        "tpr": "topology.tpr",
        "xtc": "trajectory.xtc",
        "edr": "energy.edr",
        "gro": "final.gro",
    }.items():
        shutil.copy(results / source, run_folder / f"production.{name}")
    (run_folder / "production.log").write_text("GROMACS version:    2022.5\n")
    return Finished(system, run_folder)


def outcomes(gates: dict) -> dict[str, str]:
    return {name: gate["outcome"] for name, gate in gates.items()}


# Gates in general


def test_check_names_the_first_and_counts_the_others():
    gate = count([f"thing {at}" for at in range(8)])
    assert (gate["value"], gate["outcome"]) == (8, "fail")
    assert gate["details"] == [*(f"thing {at}" for at in range(MOST_NAMED)), "and 3 more"]
    assert count(["one"], 1)["outcome"] == "pass"
    assert judge(2, 1, math.inf, unit="nm") | {"details": []} == {
        "value": 2, "error": 0.0, "low": 1, "high": None, "unit": "nm", "outcome": "pass", "details": []
    }  # fmt: skip


def test_failed_checks_are_an_error_with_their_details_or_a_warning(caplog, tmp_path):
    gates = {
        "a": judge(1, 0, 2),
        "b": judge(0.5, 1, math.inf, details=["least at 3 ps"]),
        "c": count(["x", "y"]),
    }
    with pytest.raises(SimulationError) as caught:
        demand_gates(gates, "fail", "s replica 1", tmp_path)
    assert "b is 0.5 (least at 3 ps), expected at least 1; c is 2 (x), expected 0" in str(caught.value)
    assert "\n" not in str(caught.value)
    demand_gates(gates, "warn", "s replica 1", tmp_path)
    assert "b is 0.5" in caplog.text


# Energies


def correlated(rng, number: int, memory: float) -> np.ndarray:
    """A series in which each value keeps so much of the one before; its variance is one."""
    values = np.empty(number)
    values[0] = rng.normal()
    for at, noise in enumerate(rng.normal(0, math.sqrt(1 - memory**2), number - 1), 1):
        values[at] = memory * values[at - 1] + noise
    return values


def test_standard_error_is_that_of_many_repetitions():
    rng = np.random.default_rng(5)
    for memory in (0.0, 0.8):
        exact = (1 + memory) / (1 - memory)
        series = [correlated(rng, 2000, memory) for _ in range(200)]
        assert np.mean([inefficiency(values) for values in series]) == pytest.approx(exact, rel=0.1)
        spread = np.std([values.mean() for values in series])
        assert np.mean([mean_error(values)[1] for values in series]) == pytest.approx(spread, rel=0.15)
        times = np.arange(2000.0)
        slopes = np.std([np.polyfit(times, values, 1)[0] for values in series])
        assert np.mean([slope_error(times, values)[1] for values in series]) == pytest.approx(
            slopes, rel=0.15
        )
    assert inefficiency(np.ones(10)) == 1


def test_mean_temperature_must_be_within_three_standard_errors():
    rng = np.random.default_rng(2)
    times = np.linspace(0, 500, 501)
    noise = 4 * correlated(rng, 501, 0.5)
    noise -= noise.mean()
    error = mean_error(noise)[1]
    allowed = max(3 * error, 0.3)
    for shift, outcome in [
        (0, "pass"),
        (0.9 * allowed, "pass"),
        (1.1 * allowed, "fail"),
        (-1.1 * allowed, "fail"),
    ]:
        gate = energies.temperature_gate(times, 300 + shift + noise, 300, STRICT)
        assert gate["outcome"] == outcome
        assert gate["error"] == pytest.approx(error)
    # However sure the mean of a long run is, the time step shifts it a little.
    sure = 300.2 + rng.normal(0, 0.01, 501)
    assert energies.temperature_gate(times, sure, 300, STRICT)["outcome"] == "pass"
    exact = replace(STRICT, temperature_tolerance=0)
    assert energies.temperature_gate(times, sure, 300, exact)["outcome"] == "fail"


def test_temperature_that_cannot_be_told_says_why():
    rng = np.random.default_rng(3)
    short = energies.temperature_gate(np.linspace(0, 19, 200), 350 + rng.normal(0, 1, 200), 300, STRICT)
    assert (short["outcome"], short["details"]) == (
        "unknown",
        ["the run of 19 ps is shorter than 20 ps, so the box still relaxes"],
    )
    few = energies.temperature_gate(np.linspace(0, 100, 11), 350 + rng.normal(0, 1, 11), 300, STRICT)
    assert few["outcome"] == "unknown"
    assert "independent ones, expected 30" in few["details"][0]


def test_density_and_drift_and_numbers_that_are_none():
    rng = np.random.default_rng(4)
    times = np.linspace(0, 100, 201)
    density = 1000 + rng.normal(0, 5, 201)
    assert energies.density_gate(density, 900, 1150)["outcome"] == "pass"
    assert energies.density_gate(density - 150, 900, 1150)["outcome"] == "fail"
    conserved = rng.normal(0, 0.001, 201)
    for slope, outcome in [(0.005, "pass"), (0.02, "fail"), (-0.02, "fail")]:
        gate = energies.drift_gate(times, conserved + slope * times, STRICT)
        assert (gate["value"], gate["outcome"]) == (pytest.approx(slope, abs=1e-4), outcome)
    assert energies.drift_gate(times / 10, conserved, STRICT)["outcome"] == "unknown"
    table = {"time_ps": times, "potential_kJ_mol": np.where(times == 50, np.nan, 1.0)}
    gate = energies.finite_gate(table)
    assert (gate["outcome"], gate["details"]) == ("fail", ["potential_kJ_mol at 50 ps"])
    assert energies.finite_gate({"time_ps": times})["outcome"] == "pass"


# What mdrun did


def test_end_and_frames():
    assert run.end_gate(2.0, 1000, 0.002)["outcome"] == "pass"
    assert run.end_gate(1.998, 1000, 0.002)["outcome"] == "fail"
    times = [float(np.float32(at * 0.1)) for at in range(1001)]
    assert run.frames_gate(times, 1001, 0.1)["outcome"] == "pass"
    lost = run.frames_gate(times[:-1], 1001, 0.1, "XTC read error")
    assert (lost["outcome"], lost["details"]) == ("fail", ["frame 1001 cannot be read: XTC read error"])
    twice = run.frames_gate([*times[:6], *times[5:-1]], 1001, 0.1)
    assert (twice["outcome"], twice["details"]) == ("fail", ["frame 7 is at 0.5 ps, expected 0.6"])


def test_steps_from_frame_to_frame_are_even_as_files_have_them():
    exact = np.arange(0, 2e6, 100) * 0.1
    assert run.spacing_gate(exact.astype(np.float32).astype(float).tolist())["value"] == 0
    assert run.spacing_gate([5.0])["outcome"] == "pass"
    lost = run.spacing_gate(np.delete(exact, 777).tolist())
    assert (lost["outcome"], lost["details"]) == ("fail", ["7760 to 7780 ps, expected 10 ps"])
    assert run.spacing_gate([0.0, 1.0, 2.0, 2.0, 3.0])["value"] == 1


def test_status_of_the_last_process_of_each_segment_counts(tmp_path):
    stopped = {"phase": "production", "segment": 2, "exit_status": 1, "step_files": []}
    good = {**stopped, "exit_status": 0}
    crashed = {**good, "segment": 4, "exit_status": -11, "step_files": ["step12b.pdb", "step12c.pdb"]}
    nvt = {**crashed, "phase": "nvt", "step_files": ["step1.pdb"]}
    assert run.status_gate([nvt, stopped, good])["outcome"] == "pass"
    gate = run.status_gate([good, crashed])
    assert (gate["outcome"], gate["details"]) == ("fail", ["production 4: status -11"])
    assert run.status_gate(None)["outcome"] == "unknown"
    assert run.step_files_gate(tmp_path, [nvt, good])["outcome"] == "pass"
    (tmp_path / "step7b.pdb").touch()
    gate = run.step_files_gate(tmp_path, [crashed])
    assert (gate["outcome"], gate["details"]) == ("fail", ["step12b.pdb", "step12c.pdb", "step7b.pdb"])


def test_layout_that_differs_is_a_warning():
    asked = {"phase": "production", "segment": 1, "layout_asked": {"ranks": 1, "threads": 4}}
    assert run.layout_gate([asked])["outcome"] == "unknown"
    ran = {**asked, "layout_ran": {"ranks": 1, "threads": 4}, "layout_differences": []}
    assert run.layout_gate([ran])["outcome"] == "pass"
    other = {**ran, "layout_differences": ["2 threads, asked for 4"]}
    gate = run.layout_gate([ran, other, other])
    assert (gate["outcome"], gate["details"]) == ("warn", ["2 threads, asked for 4"])


def test_warnings_of_constraints_are_found_in_the_log():
    log = """
Step 12, time 0.024 (ps)  LINCS WARNING
relative constraint deviation after LINCS:
rms 0.018, max 0.09 (between atoms 3 and 5)

step 14: Water molecule starting at atom 310 can not be settled.
Check for bad contacts and/or reduce the timestep if appropriate.
"""
    assert constraint_warnings(log.splitlines()) == ["LINCS at step 12", "SETTLE at step 14"]
    assert run.warnings_gate(log.splitlines(), 0)["outcome"] == "fail"
    assert run.warnings_gate(log.splitlines(), 2)["outcome"] == "pass"
    assert run.warnings_gate(["   Constr. Lincs   0.1"], 0)["outcome"] == "pass"


def test_log_names_the_devices_and_counts_continuations():
    log = (
        "GROMACS version:    2024.1\nMapping of GPU IDs to the 2 GPU tasks in the 1 rank on this node:\n"
        "  PP:0,PME:0\nRestarting from checkpoint, appending to previous log file.\n"
    )
    told = read_log(log)
    assert (told["gpus"], told["continuations"], told["ranks"]) == ("PP:0,PME:0", 1, None)


# The molecule


TRICLINIC = np.array([[3.4, 0, 0], [0, 3.4, 0], [1.7, 1.7, 2.4]])


def brute_image_distance(positions: np.ndarray, box: np.ndarray) -> float:
    """By all pairs of atoms and all images two boxes around."""
    pairs = positions[:, None] - positions
    return min(
        float(np.sqrt(((pairs + np.array(turns) @ box) ** 2).sum(axis=2)).min())
        for turns in itertools.product(range(-2, 3), repeat=3)
        if any(turns)
    )


@pytest.mark.parametrize(
    "box",
    [np.diag([2.5, 3.0, 2.8]), TRICLINIC, np.array([[3.0, 0, 0], [1.0, 2.83, 0], [-1.0, 1.41, 2.45]])],
    ids=["rectangular", "dodecahedron", "octahedron"],
)
def test_image_distance_is_that_of_all_pairs(box):
    rng = np.random.default_rng(8)
    for size in (0.3, 1.0, 1.8):
        positions = rng.normal(0, size / 2, (60, 3)) * [1, 0.6, 0.8] + rng.uniform(-5, 5, 3)
        assert image_distance(positions, box) == pytest.approx(
            brute_image_distance(positions, box), rel=1e-12
        )
    assert math.isnan(image_distance(np.full((3, 3), np.nan), box))
    assert math.isnan(image_distance(np.zeros((1, 3)), np.zeros((3, 3))))
    assert image_distance(np.zeros((1, 3)), np.eye(3) * 2) == 2


def test_image_too_near_is_told_with_its_frame():
    times, distances = np.array([0.0, 1.0, 2.0]), np.array([1.4, 0.9, 1.2])
    gate = molecule.image_gate(times, distances, 1.0)
    assert (gate["value"], gate["low"], gate["outcome"]) == (0.9, 1.0, "fail")
    assert gate["details"] == ["least at 1 ps", "below 1 nm in 1 of 3 frames"]
    assert molecule.image_gate(times, distances + 0.2, 1.0)["outcome"] == "pass"
    assert molecule.image_gate(times, distances * np.nan, 1.0)["outcome"] == "unknown"


def test_moves_from_frame_to_frame_are_those_of_mdanalysis():
    from MDAnalysis.analysis.rms import rmsd

    rng = np.random.default_rng(9)
    positions = rng.normal(size=(1, 40, 3)) + rng.normal(0, 0.1, (12, 40, 3)).cumsum(axis=0)
    mirrored = np.concatenate([positions, positions[-1:] * [1, 1, -1]])
    expected = [rmsd(after, before, superposition=True) for before, after in itertools.pairwise(mirrored)]
    np.testing.assert_allclose(geometry.steps_rmsd(mirrored), expected, rtol=1e-6)


def test_jump_above_nine_sigmas_fails_where_there_are_frames_enough():
    rng = np.random.default_rng(10)
    steps = np.abs(rng.normal(0.1, 0.01, 400))
    times = np.arange(401.0)
    assert molecule.jump_gate(times, steps, 9)["outcome"] == "pass"
    steps[250] = 0.6
    gate = molecule.jump_gate(times, steps, 9)
    assert gate["outcome"] == "fail"
    assert gate["value"] == pytest.approx((0.6 - steps.mean()) / steps.std())
    assert gate["details"][0].startswith("0.600 nm from 250 to 251 ps")
    # Of n values, the farthest is the root of n - 1 standard deviations away at most.
    few = molecule.jump_gate(times[:82], np.where(np.arange(81) == 40, 1e6, 1.0), 9)
    assert few["value"] < 9 and few["outcome"] == "unknown"
    assert molecule.jump_gate(times[:1], steps[:0], 9)["outcome"] == "unknown"


def small_protein() -> tuple[Protein, np.ndarray, list[Residue]]:
    """The heavy atoms of two residues, threonine and alanine, of exact geometry."""
    from PeptideBuilder import PeptideBuilder as builder

    structure = builder.make_structure("TA", [-120.0], [140.0])
    atoms = list(structure.get_atoms())
    names = [atom.get_name() for atom in atoms]
    residue_of = [atom.get_parent().id[1] - 1 for atom in atoms]
    positions = np.array([atom.coord for atom in atoms], float) / 10
    bonds = [
        (one, other)
        for one, other in itertools.combinations(range(len(atoms)), 2)
        if np.linalg.norm(positions[one] - positions[other]) < 0.17
    ]
    protein = Protein(names, residue_of, [("1", "THR"), ("2", "ALA")], bonds)
    residues = [Residue(0, "A", 1, "", "THR", "T"), Residue(1, "A", 2, "", "ALA", "A")]
    return protein, positions, residues


def measured(protein: Protein, start: np.ndarray, frames: np.ndarray, box=BOX) -> FrameMeasures:
    lengths = geometry.bond_lengths(start[None], geometry.pairs(protein.bonds))[0]
    measures = FrameMeasures(protein, lengths, start)
    number = len(frames)
    for at in range(0, number, 3):  # In blocks, as a long trajectory comes.
        block = frames[at : at + 3]
        times = np.arange(at, at + len(block), dtype=float)
        boxes = np.tile(box, (len(block), 1, 1))
        measures.update(Frames(times, times.astype(int), boxes, block, np.full(len(block), 1000.0)))
    return measures


def judged(protein, start, frames, residues, **limits) -> dict:
    measures = measured(protein, start, frames)
    return molecule.judge_molecule(measures, protein, residues, 1.0, replace(STRICT, **limits))


def test_centres_and_peptide_bonds_are_found():
    protein, positions, _ = small_protein()
    named = [[protein.atoms[at] for at in centre] for centre in geometry.chiral_centres(protein)]
    assert named == [["CA", "N", "C", "CB"], ["CB", "CA", "OG1", "CG2"], ["CA", "N", "C", "CB"]]
    assert [[protein.atoms[at] for at in bond] for bond in geometry.peptide_bonds(protein)] == [
        ["CA", "C", "N", "CA"]
    ]
    left = geometry.left_handed(positions[None], geometry.chiral_centres(protein))[0]
    # L amino acids: all CA alike; threonine's CB is R.
    assert left[0] == left[2]
    mirrored = geometry.left_handed(positions[None] * [1, 1, -1], geometry.chiral_centres(protein))[0]
    assert (mirrored != left).all()


def test_glycine_has_no_hand_and_a_lone_residue_no_peptide_bond():
    protein = Protein(["N", "CA", "C", "O"], [0] * 4, [("1", "GLY")], [(0, 1), (1, 2), (2, 3)])
    assert geometry.chiral_centres(protein).shape == (0, 4)
    assert geometry.peptide_bonds(protein).shape == (0, 4)
    frames = np.random.default_rng(1).normal(0, 0.1, (4, 4, 3))
    gates = judged(protein, frames[0], frames, [Residue(0, "A", 1, "", "GLY", "G")])
    assert gates["chirality_changed"]["outcome"] == gates["peptides_changed"]["outcome"] == "pass"


def test_omega_is_that_of_mdanalysis():
    from MDAnalysis.lib.distances import calc_dihedrals

    frames = np.random.default_rng(11).normal(size=(500, 4, 3))
    omega = calc_dihedrals(*(frames[:, at].astype(np.float32) for at in range(4)))
    cis = geometry.is_cis(frames, np.array([[0, 1, 2, 3]]))[:, 0]
    np.testing.assert_array_equal(cis, np.abs(omega) < math.pi / 2)


def turn(positions: np.ndarray, origin: int, axis_end: int, moved: list[int], angle: float) -> np.ndarray:
    """Turn some atoms about a bond (Rodrigues)."""
    turned = positions.copy()
    axis = positions[axis_end] - positions[origin]
    axis /= np.linalg.norm(axis)
    arms = positions[moved] - positions[origin]
    turned[moved] = (
        positions[origin]
        + arms * math.cos(angle)
        + np.cross(axis, arms) * math.sin(angle)
        + np.outer(arms @ axis, axis) * (1 - math.cos(angle))
    )
    return turned


def test_sound_frames_pass_and_each_violation_is_named():
    protein, start, residues = small_protein()
    rng = np.random.default_rng(12)
    frames = start + rng.normal(0, 0.002, (100, *start.shape))
    assert set(outcomes(judged(protein, start, frames, residues)).values()) == {"pass"}
    index = {(protein.atoms[at], protein.residue_of[at]): at for at in range(len(start))}

    def tampered(change, frame=40) -> dict:
        other = frames.copy()
        other[frame] = change(other[frame].copy())
        return judged(protein, start, other, residues)

    def swap_cb_and_the_rest(positions):
        # The mirror image of the centre: CB goes through the plane of CA, N and C.
        ca, n, c = (positions[index[name, 1]] for name in ("CA", "N", "C"))
        normal = np.cross(n - ca, c - ca)
        normal /= np.linalg.norm(normal)
        at = index["CB", 1]
        positions[at] -= 2 * ((positions[at] - ca) @ normal) * normal
        return positions

    gate = tampered(swap_cb_and_the_rest)["chirality_changed"]
    assert (gate["value"], gate["details"]) == (1, ["CA of ALA A 2 in 1 frames, first at 40 ps"])

    second = [at for at in range(len(start)) if protein.residue_of[at] == 1 and protein.atoms[at] != "N"]
    to_cis = lambda positions: turn(positions, index["C", 0], index["N", 1], second, math.pi)  # noqa: E731
    gates = tampered(to_cis)
    assert gates["peptides_changed"]["details"] == [
        "THR A 1 to ALA A 2: trans to cis in 1 frames, first at 40 ps"
    ]
    assert gates["bond_stretch"]["outcome"] == "pass", "only the torsion is another"

    cis_start = to_cis(start)
    from_cis = judged(protein, cis_start, frames, residues)["peptides_changed"]
    assert from_cis["details"] == ["THR A 1 to ALA A 2: cis to trans in 100 frames, first at 0 ps"]

    def stretch(positions):
        positions[index["CB", 1]] += 0.5 * (positions[index["CB", 1]] - positions[index["CA", 1]])
        return positions

    gates = tampered(stretch)
    assert gates["bond_stretch"]["outcome"] == "fail"
    assert gates["bond_stretch"]["value"] == pytest.approx(1.5, abs=0.05)
    assert gates["bond_stretch"]["details"][0].startswith("CA of ALA A 2 to CB of ALA A 2: 1.")
    assert gates["bond_stretch"]["details"][0].endswith("at 40 ps")
    assert gates["longest_bond_nm"]["outcome"] == "pass"

    def shrink(positions):
        positions[index["CB", 1]] -= 0.4 * (positions[index["CB", 1]] - positions[index["CA", 1]])
        return positions

    gate = tampered(shrink)["bond_stretch"]
    assert (gate["outcome"], gate["value"]) == ("fail", pytest.approx(1 / 0.6, abs=0.05))

    def tear(positions):
        positions[index["CB", 1]] += [5, 0, 0]
        return positions

    gates = tampered(tear)
    assert gates["longest_bond_nm"]["outcome"] == gates["bond_stretch"]["outcome"] == "fail"
    assert gates["longest_bond_nm"]["value"] == pytest.approx(5, abs=0.2)
    assert gates["rmsd_jump_sigmas"]["outcome"] in ("fail", "pass")

    def lose(positions):
        positions[3] = np.nan
        return positions

    gates = tampered(lose, frame=41)
    assert (gates["positions_not_finite"]["outcome"], gates["positions_not_finite"]["details"]) == (
        "fail",
        ["at 41 ps"],
    )
    assert gates["chirality_changed"]["outcome"] == gates["longest_bond_nm"]["outcome"] == "pass"


def test_disulfide_that_opens_is_named():
    protein = Protein(["SG", "SG"], [0, 1], [("1", "CYS"), ("8", "CYS")], [(0, 1)])
    residues = [Residue(0, "A", 1, "", "CYS", "C"), Residue(1, "A", 8, "", "CYS", "C")]
    start = np.array([[0, 0, 0], [0.204, 0, 0]])
    frames = np.tile(start, (20, 1, 1))
    frames[5, 1, 0] = 0.24
    assert judged(protein, start, frames, residues)["disulfides_lost"]["outcome"] == "pass"
    frames[7, 1, 0] = 0.26
    gate = judged(protein, start, frames, residues)["disulfides_lost"]
    assert (gate["value"], gate["outcome"]) == (1, "fail")
    assert gate["details"] == ["SG of CYS A 1 to SG of CYS A 8: 0.260 nm, at 7 ps"]
    assert judged(protein, start, frames, residues, disulfide_nm=0.3)["disulfides_lost"]["outcome"] == "pass"


def test_blocks_of_frames_do_not_show_in_what_is_measured():
    rng = np.random.default_rng(13)
    values, times = rng.normal(size=(50, 6)), np.arange(50.0)
    whole, parts = Extremes.of(6), Extremes.of(6)
    whole.update(values, times)
    changed, changed_parts = Changes.of(6), Changes.of(6)
    changed.update(values > 1.5, times)
    for at in (0, 7, 20, 50):
        some = slice({0: 0, 7: 0, 20: 7, 50: 20}[at], at)
        parts.update(values[some], times[some])
        if at:
            changed_parts.update(values[some] > 1.5, times[some])
    np.testing.assert_array_equal(parts.values, values.max(axis=0))
    np.testing.assert_array_equal(parts.times, times[values.argmax(axis=0)])
    np.testing.assert_array_equal(whole.values, parts.values)
    np.testing.assert_array_equal(changed.frames, changed_parts.frames)
    np.testing.assert_array_equal(changed.first, changed_parts.first)


# A real run


@needs_gmx
def test_real_run_passes_and_is_described(finished, tmp_path):
    folder = finished.copy(tmp_path / "run")
    gates = finished.finish(folder, STRICT)
    found = outcomes(gates)
    assert {name for name, outcome in found.items() if outcome == "unknown"} == UNKNOWN
    assert {outcome for name, outcome in found.items() if name not in UNKNOWN} == {"pass"}
    quality = read_json(folder / "results/quality.json")
    told = quality["metadata"]
    assert told["pdb_id"] == "1A8O"
    assert told["sequences"] == {"A": "PFRDYVDRFY"}
    assert (told["ensemble"], told["timestep_fs"], told["cutoff_nm"]) == ("NPT", 2, 1.0)
    assert (told["force_field"], told["water_model"]) == ("amber99sb-ildn", "tip3p")
    assert told["atoms"] == quality["atoms"]
    assert quality["settings"]["seed"] == 1
    assert quality["limits"]["jump_sigmas"] == 9


def test_index_files_have_no_line_that_gromacs_cannot_read():
    lines = index_group("Solute", 100_000).splitlines()
    assert max(map(len, lines)) < 4096
    assert lines[0] == "[ Solute ]"
    assert " ".join(lines[1:]).split() == [str(atom) for atom in range(1, 100_001)]


@needs_gmx
def test_lengths_at_rest_are_those_of_the_force_field(finished):
    dump = subprocess.run(
        ["gmx", "-quiet", "dump", "-s", finished.folder / "production.tpr"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = parse_dump(dump.splitlines())
    protein = read_protein(finished.system.topology.read_text())
    # ffbonded.itp of amber99sb-ildn, bonds of N-CA, CA-C, C=O and C-N, and that of N-H by LINCS.
    expected = {
        ("N", "CA"): 0.1449,
        ("CA", "C"): 0.1522,
        ("C", "O"): 0.1229,
        ("C", "N"): 0.1335,
        ("N", "H"): 0.1010,
    }
    checked = set()
    for first, second in protein.bonds:
        names = protein.atoms[first], protein.atoms[second]
        for pair in (names, names[::-1]):
            if pair in expected and protein.residue_of[first] not in (0, len(protein.residues) - 1):
                assert found.lengths[tuple(sorted((first, second)))] == pytest.approx(
                    expected[pair], rel=1e-6
                )
                checked.add(pair)
    assert checked == set(expected)
    assert found.cutoff_nm == 1.0
    nve = copy.deepcopy(found)
    nve.parameters |= {"tcoupl": "No", "pcoupl": "No"}
    assert (found.ensemble, nve.ensemble) == ("NPT", "NVE")


@needs_gmx
def test_image_distance_is_that_of_gmx_mindist(finished, tmp_path):
    folder = finished.copy(tmp_path / "run")
    value = finished.finish(folder)["image_distance_nm"]["value"]
    subprocess.run(
        ["gmx", "-quiet", "mindist", "-s", "protein.tpr", "-f", "protein.xtc", "-pi", "-od", "image.xvg"],
        cwd=folder, input="0\n", text=True, capture_output=True, check=True,
    )  # fmt: skip
    rows = [line.split() for line in (folder / "image.xvg").read_text().splitlines() if line[0] not in "#@"]
    theirs = np.array([float(row[1]) for row in rows])
    frames = read_xtc(folder / "protein.xtc")
    ours = [image_distance(frame.x.astype(float), frame.box.astype(float)) for frame in frames]
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert value == pytest.approx(theirs.min(), abs=2e-3)


@needs_gmx
def test_box_that_is_too_small_is_found(finished, tmp_path):
    """The same molecule with box vectors of which one is nearly as short as the molecule is wide."""
    folder = finished.copy(tmp_path / "run")
    protein = read_protein(finished.system.topology.read_text())
    tree = bond_tree(len(protein.atoms), protein.bonds)

    def narrow(at, positions, box):
        part = positions[: len(protein.atoms)]
        part[:] = make_whole(part[None].astype(float), box[None].astype(float), tree)[0]
        if at == 7:
            box[:] = np.diag([4.0, 4.0, float(np.ptp(part[:, 2])) + 0.5])

    change_frames(folder / "production.xtc", narrow)
    gate = finished.finish(folder)["image_distance_nm"]
    assert gate["outcome"] == "fail"
    assert 0.4 < gate["value"] < 1
    assert gate["details"] == ["least at 0.7 ps", "below 1 nm in 1 of 21 frames"]


@needs_gmx
def test_tampered_run_fails_the_check_that_it_is_made_for_and_no_other(finished, tmp_path):
    protein = read_protein(finished.system.topology.read_text())
    residues = read_residues(finished.system.residues)
    index = {
        (name, at): atom
        for atom, (name, at) in enumerate(zip(protein.atoms, protein.residue_of, strict=True))
    }

    def fails(name: str, change, *expected: str) -> dict:
        folder = finished.copy(tmp_path / name)
        change(folder)
        gates = finished.finish(folder)
        assert {gate for gate, outcome in outcomes(gates).items() if outcome == "fail"} == set(expected), name
        assert read_json(folder / "results/quality.json")["passed"] is False
        return gates

    def in_frame(number: int, change):
        def tampered(at, positions, _):
            if at == number:
                change(positions)

        return lambda folder: change_frames(folder / "production.xtc", tampered)

    def cut(folder):
        whole = (folder / "production.xtc").read_bytes()
        (folder / "production.xtc").write_bytes(whole[: len(whole) * 2 // 3])

    gates = fails("cut", cut, "frames")
    assert 10 < gates["frames"]["value"] < 15
    assert "cannot be read" in gates["frames"]["details"][0]

    def warn(folder):
        with (folder / "production.log").open("a") as log:
            log.write("\nStep 12, time 0.024 (ps)  LINCS WARNING\n")

    fails("lincs", warn, "constraint_warnings")
    fails("step_file", lambda folder: (folder / "step5b.pdb").touch(), "step_files")

    def crash(folder):
        one = {"phase": "production", "segment": 2, "exit_status": 139, "step_files": []}
        write_json(folder / "runs.json", [one])

    fails("crash", crash, "mdrun_status")

    def short(folder):
        subprocess.run(["gmx", "-quiet", "eneconv", "-f", "production.edr", "-o", "cut.edr", "-e", "1.5"],
                       cwd=folder, capture_output=True, check=True)  # fmt: skip
        (folder / "cut.edr").rename(folder / "production.edr")

    fails("short", short, "end_ps")

    def flip(positions):
        ca, cb, ha = (positions[index[name, 4]].copy() for name in ("CA", "CB", "HA"))
        for name, old, new in (("CB", cb, ha), ("HA", ha, cb)):
            arm = (new - ca) / np.linalg.norm(new - ca) * np.linalg.norm(old - ca)
            positions[index[name, 4]] = ca + arm

    gates = fails("flipped", in_frame(9, flip), "chirality_changed", "bond_stretch", "longest_bond_nm")
    assert gates["chirality_changed"]["details"] == [f"CA of {residues[4]} in 1 frames, first at 0.9 ps"]

    assert residues[4].name == "TYR"


@needs_gmx
def test_run_without_a_readable_frame_is_told(finished, tmp_path):
    folder = finished.copy(tmp_path / "run")
    whole = (folder / "production.xtc").read_bytes()
    (folder / "production.xtc").write_bytes(whole[:2000])
    with pytest.raises(
        SimulationError, match=r"^peptide replica 1: .*production.xtc has no frame that can be read"
    ):
        finished.finish(folder)


@needs_gmx
def test_limits_are_the_configurations(finished, tmp_path):
    folder = finished.copy(tmp_path / "run")
    with pytest.raises(
        SimulationError, match=r"image_distance_nm is .*expected at least 3\.0 .*trajectories/quality"
    ):
        finished.finish(folder, replace(STRICT, image_cutoffs=3))
    assert not (folder / "results").exists()
    gates = finished.finish(folder, Judgement("warn", image_cutoffs=3))
    assert gates["image_distance_nm"]["outcome"] == "fail"
    assert json.loads((folder / "results/quality.json").read_text())["passed"] is False


def test_configuration_has_every_limit_with_its_default():
    import yaml

    from conftest import ROOT

    section = yaml.safe_load((ROOT / "config/schema.yaml").read_text())["properties"]["trajectories"][
        "properties"
    ]
    defaults = {name: key["default"] for name, key in section["quality"]["properties"].items()}
    assert Judgement(section["gates"]["default"], **defaults) == STRICT
