"""Stops of every kind, segments and blow-ups of runs of chignolin, against a run that was never stopped."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from helixflow.errors import ConfigError, SimulationError
from helixflow.files import read_json
from helixflow.gmx import GmxBuild, find_gmx
from helixflow.trajectories.layout import (
    Job,
    Layout,
    job_end,
    layout_differences,
    mdrun_options,
    mdrun_program,
    owns_node,
    read_layout,
    shared_layout,
)
from helixflow.trajectories.parts import begin_part, edr_frames, end_part, join_parts, xtc_frames
from helixflow.trajectories.runs import is_whole
from helixflow.trajectories.system import System
from simulating import RunSettings, simulate_production, simulate_replica
from test_trajectories import RUN, SAME_BYTES, SHORT, needs_gmx, prepare

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
LONG = replace(SHORT, nvt_ps=0.4, npt_ps=0.4, production_ns=0.004, frame_ps=0.2)


@pytest.fixture(scope="module")
def system(data, tmp_path_factory) -> System:
    """Chignolin in water, minimised."""
    return prepare(data / "structures/5AWL.pdb", tmp_path_factory.mktemp("chignolin"))


@pytest.fixture(scope="module")
def undisturbed(system, tmp_path_factory) -> Path:
    """A replica that was never stopped."""
    folder = tmp_path_factory.mktemp("undisturbed")
    simulate_replica(system, 1, LONG, RUN, folder / "scratch", folder / "1")
    return folder / "1"


@pytest.fixture
def ready(undisturbed, tmp_path) -> Path:
    """A folder with the run input of the production alone."""
    (tmp_path / "1").mkdir()
    for name in ("topology.tpr", "mdout.mdp", "processed.top"):
        shutil.copy(undisturbed / name, tmp_path / "1")
    return tmp_path


def demand_same(folder: Path, undisturbed: Path) -> None:
    for name in SAME_BYTES:
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name


# Stops

WORKER = """
import json, sys
from pathlib import Path
from helixflow.trajectories.system import System
from helixflow.trajectories.settings import SimulationSettings
from simulating import RunSettings, simulate_replica
system, settings, run, scratch, results = json.loads(sys.argv[1])
paths = {name: Path(path) for name, path in system.items() if name != "structure"}
simulate_replica(System(system["structure"], **paths), 1, SimulationSettings(**settings), RunSettings(**run),
                 Path(scratch), Path(results))
"""


def start_worker(system: System, folder: Path, run: RunSettings = RUN) -> subprocess.Popen[str]:
    """Simulate the replica in another process."""
    given = [asdict(system), asdict(LONG), asdict(run), folder / "scratch", folder / "1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(given, default=str)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def running_below(folder: Path) -> list[int]:
    """Processes that work in a folder or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve(strict=True).is_relative_to(folder.resolve()):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_until(condition, seconds=60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def folder_of(folder: Path, phase: str) -> Path:
    return folder / "scratch" / ("segments/4/1" if phase == "production" else "")


def wait_for_step(folder: Path, phase: str, steps: int) -> None:
    def reached() -> bool:
        logs = list(folder_of(folder, phase).glob(f"{phase}*.log"))
        return any(re.search(rf"^ +{steps} +\d+\.\d+$", log.read_text(), re.MULTILINE) for log in logs)

    wait_until(reached)


SEGMENT = """
import sys
from pathlib import Path
from helixflow.trajectories.runs import Segment
from helixflow.trajectories.segments import simulate_segment
from test_trajectories import RUN
folder = Path(sys.argv[1])
segment = Segment("peptide", "4", 2000, {1: folder / "1/topology.tpr"}, None, last=True)
simulate_segment(segment, RUN.job, 1, folder / "scratch/4", folder / "segments/1/4")
"""


@needs_gmx
@linux
def test_second_job_in_a_folder_waits_for_the_first_and_takes_its_output(ready, undisturbed):
    """As after a kill -9 of Snakemake: its job lives on, and the same one is begun anew."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    jobs = []
    for _ in range(2):
        command = [sys.executable, "-c", SEGMENT, str(ready)]
        jobs.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        wait_until(lambda: list((ready / "scratch/4/1").glob("production.log")))
    printed = [job.communicate(timeout=120)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0]
    assert [len(re.findall(r"^\$ .* mdrun ", text, re.MULTILINE)) for text in printed] == [1, 0]
    assert "another job is at work there; waiting" in printed[1]
    made = ready / "segments/1/4/1"
    assert (made / "production.xtc").read_bytes() == (undisturbed / "trajectory.xtc").read_bytes()
    assert len(read_json(made / "runs.json")) == 1


@needs_gmx
@linux
def test_phase_that_lacks_its_last_coordinates_alone_begins_anew(system, undisturbed, tmp_path):
    """As after a kill between the last checkpoint and the coordinates, or where a full disk cut them off."""
    worker = start_worker(system, tmp_path)
    wait_for_step(tmp_path, "npt", 100)
    worker.kill()
    worker.communicate(timeout=60)
    wait_until(lambda: not running_below(tmp_path))
    scratch = folder_of(tmp_path, "nvt")
    whole = (scratch / "nvt.gro").read_text()
    (scratch / "nvt_unfinished.gro").write_text(whole[: len(whole) // 2])
    for path in (scratch / "nvt.gro", *scratch.glob("npt*")):
        path.unlink()
    with pytest.raises(SimulationError, match=r"replica 1: nvt was stopped before .* nvt begins anew$"):
        simulate_replica(system, 1, LONG, RUN, tmp_path / "scratch", tmp_path / "1")
    simulate_replica(system, 1, LONG, RUN, tmp_path / "scratch", tmp_path / "1")
    demand_same(tmp_path / "1", undisturbed)


def test_a_gpu_is_refused_where_gromacs_cannot_use_one():
    build = GmxBuild("/opt/gmx", "2022.5", "thread_mpi", gpu="disabled")
    with pytest.raises(ConfigError, match=r"'trajectories/gpu' is 1, but /opt/gmx is built without GPU"):
        mdrun_program(build, Job("gmx", gpus=1), 1)
    assert mdrun_program(replace(build, gpu="CUDA"), Job("gmx", gpus=1), 1) == ["/opt/gmx", "mdrun"]


@linux
def test_job_whose_snakemake_has_ended_is_told_from_one_that_is_looked_after():
    code = "import os, time; from helixflow.trajectories.alone import *; c = chain_to_snakemake(); print(c);"
    code += " time.sleep(1.5); print(is_orphaned(c), flush=True)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for orphaned in (False, True):
        # A shell by the name of Snakemake, which ends before its job does or waits for it.
        shell = f"{sys.executable} -c '{code}' & {'sleep 0.7' if orphaned else 'wait'}"
        done = subprocess.run(
            ["bash", "-c", shell, "snakemake"], env=environment, capture_output=True, text=True
        )
        chain, answer = done.stdout.splitlines()
        assert chain != "[]" and answer == str(orphaned)


@needs_gmx
@linux
@pytest.mark.parametrize("killer", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1], ids=lambda how: how.name)
@pytest.mark.parametrize(("phase", "steps"), [("npt", 100), ("production", 1000)])
def test_run_that_was_told_to_stop_continues_to_the_same_bytes(
    system, undisturbed, tmp_path, phase, steps, killer
):
    worker = start_worker(system, tmp_path)
    wait_for_step(tmp_path, phase, steps)
    assert running_below(tmp_path)
    worker.send_signal(killer)
    _, printed = worker.communicate(timeout=60)
    assert f"replica 1: {phase} was stopped by {killer.name}; run again to continue it" in printed
    assert not running_below(tmp_path)
    assert (folder_of(tmp_path, phase) / f"{phase}.cpt").exists()
    simulate_replica(system, 1, LONG, replace(RUN, checkpoint_min=1), tmp_path / "scratch", tmp_path / "1")
    demand_same(tmp_path / "1", undisturbed)
    again = [run["continued"] for run in read_json(tmp_path / "1/segments.json")["runs"]]
    assert again == ([False, True] if phase == "production" else [False])


@needs_gmx
@linux
@pytest.mark.parametrize("after_checkpoint", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("all_at_once", [False, True], ids=["parent", "reboot"])
def test_run_that_was_killed_continues_to_the_same_bytes(
    system, undisturbed, ready, after_checkpoint, all_at_once
):
    """Before and after the first checkpoint; the parent alone, or every process as a reboot does."""
    run = replace(RUN, checkpoint_min=0.005 if after_checkpoint else 60)
    worker = start_worker(system, ready, run)
    place = folder_of(ready, "production")
    wait_for_step(ready, "production", 500)
    if after_checkpoint:
        wait_until(lambda: (place / "production.cpt").exists())
    for process in running_below(ready) if all_at_once else []:
        os.kill(process, signal.SIGKILL)
    worker.kill()
    worker.wait(timeout=60)
    wait_until(lambda: not running_below(ready))
    if all_at_once:
        assert (place / "production.cpt").exists() == after_checkpoint
    assert not (place / "production.gro").exists()
    simulate_replica(system, 1, LONG, RUN, ready / "scratch", ready / "1")
    demand_same(ready / "1", undisturbed)


@needs_gmx
@linux
def test_stopped_again_and_again_it_ends_the_same(system, undisturbed, ready):
    for steps in (400, 900, 1400):
        worker = start_worker(system, ready)
        wait_for_step(ready, "production", steps)
        worker.terminate()
        worker.communicate(timeout=60)
    simulate_replica(system, 1, LONG, RUN, ready / "scratch", ready / "1")
    demand_same(ready / "1", undisturbed)
    assert read_json(ready / "1/quality.json")["run"]["continuations"] == 3


@needs_gmx
def test_time_limit_is_told_and_the_run_continues(system, undisturbed, ready):
    job = replace(RUN.job, end=time.time() + 2)
    scratch = ready / "scratch" / "segments"
    with pytest.raises(SimulationError, match=r"stopped by its time limit at \d\.?\d* ps; run again to"):
        simulate_production(system, [1], LONG, job, scratch, ready, ["4"])
    [run] = read_json(scratch / "4/1/runs.json")
    assert (run["exit_status"], run["maxh_stops"]) == (0, 1)
    assert not (ready / "segments").exists()
    simulate_replica(system, 1, LONG, RUN, ready / "scratch", ready / "1")
    demand_same(ready / "1", undisturbed)


@needs_gmx
@linux
def test_full_disk_is_told_and_the_run_continues_when_there_is_room(system, undisturbed, ready):
    small = ready / "scratch"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=480k", "tmpfs", small], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("no leave to mount a small file system")
    try:
        with pytest.raises(SimulationError, match="no room is left on the disk"):
            simulate_production(system, [1], LONG, RUN.job, small / "segments", ready, ["4"])
        subprocess.run(["mount", "-o", "remount,size=20m", small], check=True)
        segments = simulate_production(system, [1], LONG, RUN.job, small / "segments", ready, ["4"])
        assert segments == [ready / "segments/1/4"]
    finally:
        subprocess.run(["umount", small], check=True)
    simulate_replica(system, 1, LONG, RUN, ready / "other", ready / "1")
    demand_same(ready / "1", undisturbed)


@needs_gmx
def test_run_that_blows_up_is_told_and_not_repeated(system, tmp_path):
    hot = replace(LONG, temperature_K=20000)
    lines = []
    for _ in range(2):
        with pytest.raises(SimulationError, match=r"replica 1: nvt blew up") as caught:
            simulate_replica(system, 1, hot, RUN, tmp_path / "scratch", tmp_path / "1")
        lines.append(str(caught.value))
        (tmp_path / "scratch" / "nvt.tpr").unlink(missing_ok=True)
    assert lines[0] == lines[1] and "\n" not in lines[0]
    assert not (tmp_path / "scratch" / "nvt.tpr").exists()
    assert not (tmp_path / "1").exists()


@needs_gmx
def test_production_with_steps_of_8_fs_blows_up_and_leaves_the_others_of_its_pack_alone(
    system, undisturbed, ready
):
    (ready / "2").mkdir()
    mdp = (ready / "1/mdout.mdp").read_text()
    (ready / "long.mdp").write_text(re.sub(r"^dt +=.*$", "dt = 0.008", mdp, flags=re.MULTILINE))
    gro = system.minimised
    subprocess.run(
        ["gmx", "grompp", "-f", "long.mdp", "-c", gro, "-p", "1/processed.top", "-maxwarn", "9",
         "-o", "2/topology.tpr", "-po", "x.mdp"], cwd=ready, check=True, capture_output=True,
    )  # fmt: skip
    alone = {"system": system, "settings": LONG, "job": RUN.job, "results": ready}
    for _ in range(2):
        with pytest.raises(SimulationError, match="replica 2: production blew up"):
            simulate_production(replicas=[2], scratch=ready / "alone", ends=["4"], **alone)
    assert len(read_json(ready / "alone/4/2/runs.json")) == 1
    job = {**alone, "job": replace(RUN.job, cores=2)}
    segments = simulate_production(replicas=[1, 2], scratch=ready / "pack", ends=["2", "4"], **job)
    assert "blew up" in (segments[-1] / "2/blown_up").read_text()
    assert [path.name for path in (segments[-1] / "2").iterdir()] == ["blown_up"]
    steps = join(segments, 1, ready, ".xtc")
    assert (ready / "joined.xtc").read_bytes() == (undisturbed / "trajectory.xtc").read_bytes()
    assert steps == 21


# Segments


def join(segments: list[Path], replica: int, folder: Path, kind: str) -> int:
    parts = [segment / str(replica) / f"production{kind}" for segment in segments]
    return join_parts(parts, folder / f"joined{kind}", 100, 2000)


@needs_gmx
def test_one_segment_and_five_give_the_same_bytes(system, tmp_path):
    """1 x 10 ps and 5 x 2 ps, as the issue asks, frames every 0.2 ps."""
    settings = replace(LONG, production_ns=0.01)
    simulate_replica(system, 1, settings, RUN, tmp_path / "scratch", tmp_path / "1")
    (tmp_path / "5/1").mkdir(parents=True)
    for name in ("topology.tpr", "mdout.mdp", "processed.top"):
        shutil.copy(tmp_path / "1" / name, tmp_path / "5/1")
    ends = ["2", "4", "6", "8", "10"]
    simulate_replica(system, 1, settings, RUN, tmp_path / "5/scratch", tmp_path / "5/1", ends)
    demand_same(tmp_path / "5/1", tmp_path / "1")
    assert read_json(tmp_path / "5/1/segments.json")["segments_ps"] == ends
    import MDAnalysis

    frames = MDAnalysis.Universe(tmp_path / "5/1/topology.tpr", tmp_path / "5/1/trajectory.xtc").trajectory
    assert [round(frame.time, 6) for frame in frames] == [round(0.2 * n, 6) for n in range(51)]


@needs_gmx
def test_energies_with_sums_between_frames_join_to_the_same_bytes(system, tmp_path):
    """With frames further apart than energies are known, a frame has sums; so do those at a seam."""
    settings = replace(LONG, frame_ps=1)
    simulate_replica(system, 1, settings, RUN, tmp_path / "scratch", tmp_path / "1")
    (tmp_path / "4/1").mkdir(parents=True)
    for name in ("topology.tpr", "mdout.mdp", "processed.top"):
        shutil.copy(tmp_path / "1" / name, tmp_path / "4/1")
    simulate_replica(system, 1, settings, RUN, tmp_path / "4/scratch", tmp_path / "4/1", ["1", "3", "4"])
    demand_same(tmp_path / "4/1", tmp_path / "1")


@needs_gmx
def test_last_coordinates_that_were_cut_are_no_end_of_a_run(system, tmp_path):
    text = system.minimised.read_text()
    cut = tmp_path / "cut.gro"
    assert not is_whole(cut)
    for kept in (text, text[:-60], text[: len(text) // 2], ""):
        cut.write_text(kept)
        assert is_whole(cut) == (kept == text)


@needs_gmx
def test_frames_of_parts_are_those_that_gromacs_counts(undisturbed, tmp_path):
    for name, reader in (("trajectory.xtc", xtc_frames), ("energy.edr", edr_frames)):
        with (undisturbed / name).open("rb") as stream:
            frames = list(reader(stream))
        assert [frame.step for frame in frames] == list(range(0, 2001, 100))
        whole = (undisturbed / name).read_bytes()
        assert frames[-1].end == len(whole)
        # Half a frame at the end is none, wherever it is cut.
        for cut in (1, 30, 60, frames[-1].end - frames[-1].start - 1):
            part = tmp_path / name
            part.write_bytes(whole[: frames[-1].end - cut])
            with part.open("rb") as stream:
                assert list(reader(stream)) == frames[:-1]
        joined = tmp_path / f"joined{part.suffix}"
        with pytest.raises(
            SimulationError, match="20 frames, expected 21; where step 2000 should be there is n"
        ):
            join_parts([part], joined, 100, 2000)
        last = tmp_path / "last"
        last.write_bytes(whole[frames[-2].start :])
        part.write_bytes(whole[: frames[-1].start])
        with pytest.raises(
            SimulationError, match="22 frames, expected 21; where step 2000 should be there is 19"
        ):
            join_parts([part, last], joined, 100, 2000)
        damaged = tmp_path / f"damaged{part.suffix}"
        damaged.write_bytes(whole[: frames[3].start] + b"\0" * 99 + whole[frames[3].start :])
        with damaged.open("rb") as stream, pytest.raises(SimulationError, match=f"byte {frames[3].start}"):
            list(reader(stream))


def test_part_begins_where_the_one_before_ended_and_keeps_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("helixflow.trajectories.parts.TAIL", 100)
    letters = bytes(range(250)) * 2
    (tmp_path / "grown").write_bytes(letters)
    end_part(tmp_path / "grown", 450, tmp_path / "part", tmp_path / "tail")
    assert (tmp_path / "part").read_bytes() == letters[450:]
    assert (tmp_path / "tail").read_bytes() == letters[-100:]
    begin_part(tmp_path / "tail", 500, tmp_path / "begun")
    assert (tmp_path / "begun").read_bytes() == bytes(400) + letters[-100:]


@needs_gmx
def test_segment_behind_a_long_trajectory_appends_to_its_end_alone(system, tmp_path, monkeypatch):
    """With more than is kept of the files, mdrun finds a hole where the segments before wrote."""
    settings = replace(LONG, frame_ps=0.02)
    simulate_replica(system, 1, settings, RUN, tmp_path / "scratch", tmp_path / "1")
    assert (tmp_path / "1/trajectory.xtc").stat().st_size > 1.8 * (1 << 20)
    (tmp_path / "2/1").mkdir(parents=True)
    for name in ("topology.tpr", "mdout.mdp", "processed.top"):
        shutil.copy(tmp_path / "1" / name, tmp_path / "2/1")
    monkeypatch.setattr("helixflow.trajectories.parts.TAIL", 1100000)
    simulate_replica(system, 1, settings, RUN, tmp_path / "2/scratch", tmp_path / "2/1", ["3", "4"])
    demand_same(tmp_path / "2/1", tmp_path / "1")


# The layout

GPU_LOG = """\
Command line:
  gmx mdrun -deffnm production
SIMD instructions:  AVX_512
Highest SIMD level supported by all nodes in run: AVX_512
1 GPU selected for this run.
Mapping of GPU IDs to the 2 GPU tasks in the 1 rank on this node:
  PP:0,PME:0
PP tasks will do (non-perturbed) short-ranged and most bonded interactions on the GPU
PP task will update and constrain coordinates on the GPU
PME tasks will do all aspects on the GPU
Using 1 MPI thread
Using 8 OpenMP threads

Pinning threads with an auto-selected logical core stride of 1
"""


def test_log_tells_what_of_the_layout_ran():
    asked = Layout(threads=8, gpus=1, pin=True)
    ran = read_layout(GPU_LOG)
    assert ran["gpu_tasks"] == ["nonbonded", "bonded", "pme", "update"]
    assert ran["gpu_mapping"] == "PP:0,PME:0"
    assert layout_differences(asked, ran) == []
    without = GPU_LOG.replace("PP task will update and constrain coordinates on the GPU\n", "")
    without = without.replace("8 OpenMP", "4 OpenMP").replace("Pinning threads", "NOTE: no")
    assert layout_differences(asked, read_layout(without)) == [
        "threads 8 asked for, 4 ran", "not on the GPU: update", "threads were not pinned"
    ]  # fmt: skip
    # Of a log with several starts, the last one counts.
    assert read_layout(without + GPU_LOG) == ran


@needs_gmx
def test_layout_of_a_real_run_is_read(undisturbed):
    [run] = read_json(undisturbed / "segments.json")["runs"]
    assert (run["layout_ran"]["ranks"], run["layout_ran"]["threads"]) == (1, 1)
    assert run["layout_ran"]["pinned"] is False and run["layout_ran"]["gpu_tasks"] == []
    assert run["layout_ran"]["simd"] and run["exit_status"] == 0


@needs_gmx
def test_options_follow_the_layout():
    build = find_gmx("gmx")
    exact = Job("gmx", cores=2)
    told = mdrun_options(build, exact, shared_layout(exact, build, 2, {}), 1)
    assert "-reprod" in told and told[:6] == ["-ntmpi", "1", "-ntomp", "1", "-pin", "off"]
    gpu = Job("gmx", threads=4, gpus=2, cores=8)
    told = mdrun_options(build, gpu, shared_layout(gpu, build, 4, {}), 3)
    assert " ".join(told).startswith(
        "-ntmpi 1 -ntomp 2 -pin off -nb gpu -pme gpu -bonded gpu -update gpu -gpu_id 1 -cpt"
    )
    assert "-reprod" not in told
    pinned = mdrun_options(build, gpu, replace(shared_layout(gpu, build, 4, {}), pin=True), 3)
    assert "-pin on -pinoffset 6 -pinstride 1" in " ".join(pinned)
    ranks = Job("gmx", threads=2, ranks=4, cores=8)
    assert shared_layout(ranks, build, 1, {}) == Layout(1, 4, 2)
    with pytest.raises(ConfigError, match="trajectories/mpi"):
        mdrun_program(replace(build, mpi="MPI"), ranks, 4)


def test_job_ends_by_the_scheduler_and_only_a_whole_node_is_pinned():
    assert job_end(60, {}, 1000) is None
    assert job_end(60, {"SLURM_JOB_ID": "1"}, 1000) == pytest.approx(1000 + 0.97 * 3600)
    slurm = {"SLURM_JOB_ID": "1", "SLURM_JOB_START_TIME": "400"}
    assert job_end(60, slurm, 1000) == pytest.approx(400 + 0.97 * 3600)
    cores = os.cpu_count()
    assert owns_node({"SLURM_CPUS_ON_NODE": str(cores)}, cores)
    assert not owns_node({"SLURM_CPUS_ON_NODE": str(cores)}, cores - 1)
    assert not owns_node({"SLURM_CPUS_ON_NODE": str(cores - 1)}, cores)
    assert not owns_node({}, cores)
