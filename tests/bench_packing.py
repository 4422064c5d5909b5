"""Replicas packed by the workflow beside layouts made by hand, and what the workflow costs around mdrun.

Wall time is compared here, as CPU time says nothing of throughput where threads wait for each other. The
ways alternate in several rounds, so that what else runs on the machine strikes all alike.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT
from helixflow.trajectories.layout import Job
from helixflow.trajectories.runs import Segment
from helixflow.trajectories.segments import simulate_segment
from helixflow.trajectories.settings import SimulationSettings
from helixflow.trajectories.system import System
from simulating import equilibrate
from test_trajectories import prepare

ROUNDS = 3
STRUCTURE = ROOT.parent / "shared/data/structures/5AWL.pdb"
#: Frames far apart, as in production.
SETTINGS = SimulationSettings(
    seed=1, temperature_K=300, pressure_bar=1, timestep_fs=2, nvt_ps=0.4, npt_ps=0.4, production_ns=0.02,
    frame_ps=10,
)  # fmt: skip
MPIRUN = "mpirun --quiet --oversubscribe --allow-run-as-root --bind-to none -n 2"


def by_hand(inputs: list[Path], folder: Path, layout: str) -> None:
    """Run two replicas as somebody would who types the commands."""
    folders = []
    for number, path in enumerate(inputs):
        folders.append(folder / str(number))
        folders[-1].mkdir(parents=True)
        shutil.copy(path, folders[-1] / "topol.tpr")
    # mdrun takes offence at an OMP_NUM_THREADS that is not its -ntomp.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    if layout == "multidir":
        command = f"{MPIRUN} gmx_mpi mdrun -ntomp 1 -pin off -multidir 0 1"
        subprocess.run(command.split(), cwd=folder, check=True, **quiet)
        return
    threads = 2 if layout == "one after the other" else 1
    command = f"gmx mdrun -ntmpi 1 -ntomp {threads} -pin off".split()
    processes = []
    for place in folders:
        processes.append(subprocess.Popen(command, cwd=place, **quiet))
        if layout == "one after the other":
            processes[-1].wait()
    assert not any(process.wait() for process in processes)


def bench_packs(folder: Path, system: System) -> None:
    """Two replicas on two cores: the layout that calibration chose, and three made by hand."""
    job = Job("gmx", threads=2, cores=2)
    for replica in (1, 2):
        equilibrate(system, replica, SETTINGS, job, folder / "scratch", folder / str(replica))
    inputs = [folder / str(replica) / "topology.tpr" for replica in (1, 2)]
    given = dict(zip((1, 2), inputs, strict=True))
    # The first segment tries the layouts; those timed take its choice over, as all further segments do.
    first = folder / "first"
    simulate_segment(Segment("x", "10", 5000, given, None), job, "auto", folder / "work", first, 6)
    ways = ["two processes", "one after the other", *(["multidir"] if shutil.which("gmx_mpi") else [])]
    times: dict[str, list[float]] = {way: [] for way in ["packing: auto", *ways]}
    for number in range(ROUNDS):
        for way in times:
            place = folder / f"{way} {number}"
            start = time.perf_counter()
            if way == "packing: auto":
                # From the first segment's end to 30 ps, as many steps as the others run.
                segment = Segment("x", "30", 15000, given, first)
                simulate_segment(segment, job, "auto", folder / "work", place)
            else:
                by_hand(inputs, place, way)
            times[way].append(time.perf_counter() - start)
    rates = {
        way: 2 * SETTINGS.production_ns * 86400 / statistics.median(seconds) for way, seconds in times.items()
    }
    best = max(rates[way] for way in ways)
    print(f"\npacking: two replicas of chignolin, two cores, 20 ps, median of {ROUNDS} rounds by wall time")
    print(f"  {'':40} {'ns/day together':>16} {'to best by hand':>16}")
    for way, rate in rates.items():
        print(f"  {way:40} {rate:16.3g} {rate / best:16.2f}")


def bench_overhead(folder: Path, production_ns: float) -> None:
    """Wall time of `snakemake trajectories` beside that of the mdrun processes in it."""
    (folder / "samples.tsv").write_text(f"sample\tkind\tsource\npeptide\tstructure\t{STRUCTURE}\n")
    (folder / "config.yaml").write_text(
        "samples: samples.tsv\nstructures: {box_distance_nm: 0.7}\n"
        "trajectories: {replicas: 1, threads: 1, minimise_steps: 2000, nvt_ps: 2, npt_ps: 2, frame_ps: 1, "
        f"gates: warn, production_ns: {production_ns}}}\n"
    )
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        ROOT / "Snakefile",
        "--configfile",
        "config.yaml",
    ]
    command += ["--workflow-profile", ROOT / "profiles/local", "--"]

    def run(*targets: str) -> float:
        start = time.perf_counter()
        subprocess.run([*command, *targets], cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - start

    # What is done once for a structure is not around the production.
    run("results/trajectories/peptide/1/topology.tpr")
    whole = run("trajectories")
    log = next((folder / "logs/simulate_segment").rglob("*.log")).read_text()
    mdrun = sum(float(seconds) for seconds in re.findall(r"^ +Time: +\S+ +(\S+)", log, re.M))
    print(f"\noverhead of the workflow around one mdrun: {production_ns} ns of chignolin, one thread")
    print(
        f"  mdrun {mdrun:.1f} s, snakemake trajectories {whole:.1f} s: {100 * (whole / mdrun - 1):.1f} % more"
    )


def bench_packing(folder: Path) -> None:
    if not (shutil.which("gmx") and STRUCTURE.exists()):
        print("\npacking: left out, it needs gmx and the structures beside the checkout")
        return
    prepared = folder / "system"
    prepared.mkdir()
    bench_packs(folder, prepare(STRUCTURE, prepared))
    (folder / "workflow").mkdir()
    bench_overhead(folder / "workflow", 0.15)
