"""What the tests share: the bundled data set, the real data beside the checkout, one thread per process."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "config" / "demo"
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
