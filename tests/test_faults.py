"""Kills at bad moments: the same command again gives what an undisturbed run gives (make test-faults)."""

import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from workflow import snakemake, start, write_inputs

pytestmark = pytest.mark.faults

#: What has a wall-clock time in it, or (topology.tpr) two bytes that GROMACS leaves to chance.
VARYING = (
    "quality.json", "segments.json", "topology.tpr", "index.html", "run.json", "000.json", "001.json",
    "rules-of-the-run.svg", "rules-of-the-run.tsv",
)  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    """Content of all results that are to be the same in every run."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "results").rglob("*"))
        if path.is_file() and path.name not in VARYING and not path.name.startswith(".")
    }


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a file of this pattern is there and has content."""
    while not any(path.stat().st_size for path in folder.glob(pattern)):
        assert process.poll() is None, (folder / "snakemake.log").read_text()[-3000:]
        time.sleep(0.05)


def running_in(folder: Path) -> list[int]:
    """Process ids of the programs whose working directory is below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
@pytest.mark.parametrize(
    "moment",
    ["results/sequences/*.fasta.gz", "work/trajectories/*/*/npt.log",
     "work/trajectories/*/segments/*/*/*/*.xtc",
     "results/coanalysis/*/*.h5", "results/coanalysis/*.h5"],
    ids=["sequences", "equilibration", "production", "measures", "coanalysis"],
)  # fmt: skip
def test_killed_and_started_again_is_as_never_killed(chain, tmp_path, moment, how):
    write_inputs(tmp_path)
    process = start(tmp_path)
    wait_for(tmp_path, moment, process)
    if how is signal.SIGKILL:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    process.wait(timeout=120)
    deadline = time.monotonic() + 60
    while running_in(tmp_path):
        assert time.monotonic() < deadline, "a program was left running"
        time.sleep(0.2)
    snakemake(tmp_path, "--unlock")
    snakemake(tmp_path)
    assert digests(tmp_path) == digests(chain)


@pytest.mark.parametrize(
    "moment", ["work/trajectories/*/*/npt.log", "work/trajectories/*/segments/**/production.log"],
    ids=["equilibration", "production"],
)  # fmt: skip
def test_killed_without_its_jobs_and_started_at_once_is_as_never_killed(chain, tmp_path, moment):
    """Jobs of a Snakemake that is killed alone live on for a moment, in the folders of those begun anew."""
    write_inputs(tmp_path)
    process = start(tmp_path)
    wait_for(tmp_path, moment, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=120)
    snakemake(tmp_path, "--unlock")
    snakemake(tmp_path)
    assert not running_in(tmp_path)
    assert digests(tmp_path) == digests(chain)
