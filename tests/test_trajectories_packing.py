"""Replicas that share a job: which, how they share the machine, and that no byte depends on it."""

import os
import shutil
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from helixflow.errors import ConfigError, SimulationError
from helixflow.files import read_json, write_json
from helixflow.gmx import GmxBuild, find_gmx
from helixflow.trajectories.layout import Job, Layout
from helixflow.trajectories.mdrun import Launch, run_together
from helixflow.trajectories.packing import (
    candidate_layouts,
    choose_layout,
    fixed_layout,
    shared_gpu,
)
from helixflow.trajectories.plan import (
    check_running,
    pack_name,
    pack_replicas,
    plan_pack,
    plan_replicas,
    record_begin,
    segment_ends,
)
from helixflow.trajectories.protocol import temperature_of
from helixflow.trajectories.system import System
from simulating import equilibrate, simulate_production
from test_trajectories import RUN, SHORT, needs_gmx, prepare

LAUNCHER = "mpirun --quiet --oversubscribe --allow-run-as-root --bind-to none"
BUILD = GmxBuild("/opt/gmx", "2022.5", "thread_mpi")
MPI = replace(BUILD, mpi="MPI")
SECTION = {
    "timestep_fs": 2, "production_ns": 0.01, "frame_ps": 0.2, "segment_ns": 0.004, "packing": "auto",
    "gpu": 0, "ranks": 1,
}  # fmt: skip
needs_mpi = pytest.mark.skipif(
    not (shutil.which("gmx_mpi") and shutil.which("mpirun")), reason="gmx_mpi and mpirun are not on PATH"
)


# Which replicas and segments


def test_packs_are_named_by_their_replicas():
    for replicas, name in (([1], "1"), ([1, 2, 3], "1-3"), ([3, 1, 5, 6], "1_3_5-6"), ([12, 13], "12-13")):
        assert pack_name(replicas) == name
        assert pack_replicas(name) == sorted(replicas)


def test_segments_cover_the_production_in_whole_frames():
    assert segment_ends(SECTION) == ("4", "8", "10")
    assert segment_ends({**SECTION, "segment_ns": 0}) == ("10",)
    assert segment_ends({**SECTION, "segment_ns": 1}) == ("10",)
    assert segment_ends({**SECTION, "production_ns": 100, "segment_ns": 12.5})[-2:] == ("87500", "100000")
    assert segment_ends({**SECTION, "segment_ns": 0.0034})[0] == "3.4"
    with pytest.raises(ConfigError, match=r"segment_ns' is 0.0033, expected a multiple of 0.0002"):
        segment_ends({**SECTION, "segment_ns": 0.0033})
    # A frame of 5 steps, but a pair list of 10.
    with pytest.raises(ConfigError, match="pair lists of 10 steps"):
        segment_ends({**SECTION, "frame_ps": 0.01, "segment_ns": 0.00003})
    for key, value in (("packing", "all"), ("packing", "0")):
        with pytest.raises(ConfigError, match="trajectories/packing"):
            check_running({**SECTION, key: value})
    with pytest.raises(ConfigError, match="trajectories/ranks"):
        check_running({**SECTION, "gpu": 1, "ranks": 2})


def test_temperature_is_that_of_the_folder():
    assert temperature_of("", 300) == 300
    assert temperature_of("/310.5K", [300, 310.5]) == 310.5


def test_replicas_keep_the_split_they_were_begun_with(tmp_path):
    def packs(**keys) -> dict[int, str]:
        plans = plan_replicas("x", [1, 2, 3, 4], {**SECTION, **keys}, tmp_path)
        return {replica: f"{plan.pack}: {' '.join(plan.ends)}" for replica, plan in plans.items()}

    assert set(packs().values()) == {"1-4: 4 8 10"}
    assert list(packs(packing=1).values()) == [f"{replica}: 4 8 10" for replica in (1, 2, 3, 4)]
    record_begin("x", "1", ["10"], tmp_path)
    finished = tmp_path / "results/trajectories/x/3/segments.json"
    write_json(finished, {"pack": "3", "segments_ps": ["5", "10"]})
    expected = {1: "1: 10", 2: "2_4: 4 8 10", 3: "3: 5 10", 4: "2_4: 4 8 10"}
    assert packs() == expected
    assert packs(packing=2, segment_ns=0) == {**expected, 2: "2_4: 10", 4: "2_4: 10"}
    assert plan_pack("x", "1", SECTION, tmp_path) == ("10",)
    assert plan_pack("x", "1-2", SECTION, tmp_path) == ("4", "8", "10")
    # Of another length, they are made anew.
    assert set(packs(production_ns=0.02).values()) == {"1-4: 4 8 12 16 20"}


# How they share the machine


def test_exact_runs_have_one_thread_each_and_nothing_to_try():
    job = Job("gmx", cores=4)
    assert candidate_layouts(job, BUILD, 6, {}) == [Layout(together=4)]
    assert choose_layout([Layout(together=4)], lambda layout: 1 / 0) == (Layout(together=4), [])


def test_candidates_go_from_one_after_the_other_to_all_at_a_time():
    job = Job("gmx", threads=2, cores=12)
    shapes = [(layout.together, layout.threads) for layout in candidate_layouts(job, BUILD, 6, {})]
    assert shapes == [(1, 12), (2, 6), (4, 3), (6, 2)]
    assert all(not layout.pin for layout in candidate_layouts(job, BUILD, 6, {}))
    mpi = candidate_layouts(replace(job, launcher="mpirun"), MPI, 6, {})
    assert [layout.multidir for layout in mpi] == [False] * 4 + [True]
    assert fixed_layout(replace(job, cores=5), BUILD, 3, {}) == Layout(together=3, threads=1)


def test_fastest_layout_is_chosen_and_one_that_fails_is_not():
    candidates = [Layout(), Layout(threads=2), Layout(together=2)]

    def measure(layout: Layout) -> float:
        if layout.threads == 2:
            raise SimulationError("no")
        return 10.0 * layout.together

    chosen, table = choose_layout(candidates, measure)
    assert chosen == candidates[2]
    assert [row["ns_day"] for row in table] == [10, 0, 20]
    with pytest.raises(SimulationError, match="no way to share the machine runs"):
        choose_layout(candidates, lambda layout: 0.0)


def test_service_that_shares_a_gpu_is_the_jobs_own_and_ends_with_it(tmp_path, monkeypatch):
    """With a program in place of NVIDIA's: what it is told, and where its files are to be."""
    program = tmp_path / "nvidia-cuda-mps-control"
    program.write_text(
        f'#!/bin/sh\n{{ echo "$@"; echo $CUDA_MPS_PIPE_DIRECTORY; [ "$1" ] || cat; }} >> {tmp_path}/told\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    job = Job("gmx", threads=4, gpus=1, cores=8)
    layouts = candidate_layouts(job, BUILD, 2, {})
    assert [(layout.together, layout.mps) for layout in layouts] == [(1, False), (2, False), (2, True)]
    with shared_gpu(layouts[-1]):
        pipes = os.environ["CUDA_MPS_PIPE_DIRECTORY"]
        assert Path(pipes).is_dir()
    assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ and not Path(pipes).exists()
    assert (tmp_path / "told").read_text().split() == ["-d", pipes, pipes, "quit"]
    with shared_gpu(layouts[0]):
        assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ


def test_programs_wait_for_their_turn_and_for_a_place_of_their_own(tmp_path):
    statuses = []
    code = "echo $0 b >> log; sleep 0.3; echo $0 e >> log; exit $0"
    launches = [
        Launch(tmp_path, lambda slot: ["sh", "-c", code, str(slot)], statuses.append) for _ in range(5)
    ]
    assert run_together(launches, 2) == ""
    assert sorted(statuses) in ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])
    running: set[str] = set()
    for line in (tmp_path / "log").read_text().splitlines():
        slot, what = line.split()
        assert (slot in running) == (what == "e")
        running ^= {slot}
        assert len(running) <= 2


# Real runs


@pytest.fixture(scope="module")
def system(data, tmp_path_factory) -> System:
    """Chignolin in water, minimised."""
    return prepare(data / "structures/5AWL.pdb", tmp_path_factory.mktemp("chignolin"))


@pytest.fixture(scope="module")
def ready(system, tmp_path_factory) -> Path:
    """Run inputs of the productions of two replicas."""
    folder = tmp_path_factory.mktemp("ready")
    for replica in (1, 2):
        equilibrate(system, replica, SHORT, RUN.job, folder / "scratch", folder / str(replica))
    return folder


def trajectories(segments: list[Path], replica: int) -> list[bytes]:
    return [
        path.read_bytes() for segment in segments for path in (segment / str(replica)).glob("production.xtc")
    ]


@pytest.fixture(scope="module")
def alone(system, ready, tmp_path_factory) -> dict[int, list[bytes]]:
    """Trajectories of the replicas, each simulated in a job of its own."""
    scratch = tmp_path_factory.mktemp("alone")
    return {
        replica: trajectories(
            simulate_production(system, [replica], SHORT, RUN.job, scratch, ready, ["1", "2"]), replica
        )
        for replica in (1, 2)
    }


@needs_gmx
def test_packed_replicas_are_those_that_run_alone(system, ready, alone, tmp_path):
    for cores in (1, 2):
        results = Path(shutil.copytree(ready, tmp_path / f"cores{cores}"))
        shutil.rmtree(results / "segments", ignore_errors=True)
        job = replace(RUN.job, cores=cores)
        segments = simulate_production(
            system, [1, 2], SHORT, job, tmp_path / "scratch", results, ["1", "2"], packing="auto"
        )
        assert read_json(segments[0] / "layout.json")["layout"]["together"] == cores
        for replica in (1, 2):
            assert trajectories(segments, replica) == alone[replica]


@needs_gmx
@needs_mpi
def test_one_program_of_mpi_gives_the_same_bytes_also_when_one_replica_is_behind(
    system, ready, alone, tmp_path
):
    results = Path(shutil.copytree(ready, tmp_path / "mpi"))
    shutil.rmtree(results / "segments", ignore_errors=True)
    job = Job("gmx_mpi", cores=2, launcher=LAUNCHER)
    assert fixed_layout(job, find_gmx("gmx_mpi"), 2, {}).multidir
    given = (system, [1, 2], SHORT, job, tmp_path / "scratch", results, ["1", "2"], 2)
    limited = replace(job, end=time.time())
    with pytest.raises(SimulationError, match="stopped by its time limit"):
        simulate_production(*given[:3], limited, *given[4:])
    # As if replica 2 had been killed before its first checkpoint.
    (tmp_path / "scratch/1/2/production.cpt").unlink()
    record = read_json(tmp_path / "scratch/1/2/runs.json")
    write_json(tmp_path / "scratch/1/2/runs.json", [{**record[0], "exit_status": None}])
    segments = simulate_production(*given)
    for replica in (1, 2):
        text = (segments[0] / str(replica) / "production.log").read_text()
        assert "-multidir" not in text.rpartition("Command line:")[2][:300]
        assert trajectories(segments, replica) == alone[replica]


@needs_gmx
@needs_mpi
def test_one_program_of_mpi_goes_on_from_segment_to_segment(system, ready, alone, tmp_path):
    results = Path(shutil.copytree(ready, tmp_path / "mpi"))
    shutil.rmtree(results / "segments", ignore_errors=True)
    job = Job("gmx_mpi", cores=2, launcher=LAUNCHER)
    segments = simulate_production(system, [1, 2], SHORT, job, tmp_path / "scratch", results, ["1", "2"], 2)
    for replica in (1, 2):
        assert trajectories(segments, replica) == alone[replica]
    # The log of the first replica tells the command of the program of both.
    for segment in segments:
        text = (segment / "1/production.log").read_text()
        assert " -multidir 1 2" in text and text.count("Finished mdrun") == 1


@needs_gmx
def test_layout_is_tried_once_and_taken_over_by_the_next_segment(system, ready, tmp_path):
    results = Path(shutil.copytree(ready, tmp_path / "tried"))
    shutil.rmtree(results / "segments", ignore_errors=True)
    job = replace(RUN.job, threads=2, cores=2)
    segments = simulate_production(
        system, [1, 2], SHORT, job, tmp_path / "scratch", results, ["1", "2"], packing="auto"
    )
    first, second = (read_json(segment / "layout.json") for segment in segments)
    shapes = [(row["together"], row["threads"]) for row in first["tried"]]
    assert shapes == [(1, 2), (2, 1)]
    assert all(row["ns_day"] > 0 for row in first["tried"])
    best = max(first["tried"], key=lambda row: row["ns_day"])
    assert first["layout"] == {name: best[name] for name in first["layout"]}
    assert second == first
    assert not (segments[0] / "trial").exists()
