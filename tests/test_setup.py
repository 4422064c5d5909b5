"""Set-up: nothing to do where all is there, and where it may not install, what is missing by name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helixflow.report.view import PROGRAM
from workflow import ROOT

TOOLS = ["bash", "cat", "cmp", "cp", "dirname", "env", "grep", "python3", "sha256sum", "tail"]


def set_up(folder: Path, tools: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the set-up on a machine that has these programs alone."""
    programs = folder / "bin"
    programs.mkdir()
    for tool in tools:
        found = sys.executable if tool == "python3" else shutil.which(tool)
        (programs / tool).symlink_to(found or shutil.which("true"))
    (folder / "envs").mkdir()
    for name in ("setup.sh", "viewer.sh", "requirements.lock"):
        shutil.copy(ROOT / "envs" / name, folder / "envs" / name)
    return subprocess.run(
        [folder / "envs" / "setup.sh"],
        env={"PATH": str(programs), **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("also", [[], ["gmx"], ["mpirun"]])
def test_without_apt_it_names_what_is_missing_and_the_two_ways(tmp_path, also):
    done = set_up(tmp_path, TOOLS + also)
    assert done.returncode == 1
    assert ("gromacs" in done.stderr.splitlines()[0]) == ("gmx" not in also)
    assert ("openmpi-bin" in done.stderr.splitlines()[0]) == ("mpirun" not in also)
    assert (
        "distribution's packages" in done.stderr and "conda env create -f envs/workflow.yaml" in done.stderr
    )
    assert not (tmp_path / ".venv").exists()


def test_it_does_nothing_where_all_is_there(tmp_path):
    (tmp_path / ".venv/share/helixflow").mkdir(parents=True)
    shutil.copy(ROOT / "envs/requirements.lock", tmp_path / ".venv/requirements.lock")
    if PROGRAM.is_file():
        shutil.copytree(PROGRAM.parent, tmp_path / ".venv/share/helixflow", dirs_exist_ok=True)
    done = set_up(tmp_path, [*TOOLS, "gmx", "mpirun"])
    # Without npm, and with nothing that could fetch it.
    without = (
        "" if PROGRAM.is_file() else "3dmol@2.5.5 needs npm, which is not here: the report will have no "
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(without) and (without or not done.stdout)


def test_another_gmx_counts(tmp_path):
    """GMX names a program that is not on PATH, so that none is installed beside it."""
    (tmp_path / ".venv").mkdir()
    shutil.copy(ROOT / "envs/requirements.lock", tmp_path / ".venv/requirements.lock")
    done = set_up(tmp_path, [*TOOLS, "mpirun"], GMX=str(shutil.which("true")))
    assert done.returncode == 0
