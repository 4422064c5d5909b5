"""What the tests share: the bundled data set, the real data beside the checkout, one thread per process."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from workflow import DEMO, ROOT, snakemake, write_inputs

os.environ.setdefault("OMP_NUM_THREADS", "1")

DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def demo() -> Path:
    """Folder of the bundled data set."""
    return DEMO


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real genomes, structures and trajectories; the test is skipped without it."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA.relative_to(ROOT.parent)} beside the checkout")
    return DATA


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Path:
    """The whole chain, run once for all tests; one that changes something works on a copy.

    Processes of pytest that share the tests (-n) wait for the first of them to run it, and have a copy each,
    since a folder is locked while Snakemake is at work in it.
    """
    if not (shutil.which("gmx") and shutil.which("mpirun")):
        pytest.skip("gmx and mpirun are not on PATH (make setup)")
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared_chain"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "whole").exists():
            (shared / "run").mkdir(exist_ok=True)
            write_inputs(shared / "run")
            snakemake(shared / "run")
            (shared / "whole").touch()
    return Path(shutil.copytree(shared / "run", tmp_path_factory.mktemp("chain") / "run", symlinks=True))


@pytest.fixture
def made(tmp_path):
    """Write lines as a file of a structure; give its path."""

    def write(content, name="made.pdb") -> Path:
        path = tmp_path / name
        path.write_text("".join(content), newline="")
        return path

    return write
