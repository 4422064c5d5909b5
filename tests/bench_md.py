"""Set-up of a structure and the smoke protocol: seconds of CPU, children among them, and of the clock."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from conftest import DATA, DEMO, ROOT
from helixflow.structures.clean import CleanSettings, clean_structure
from helixflow.structures.prepare import prepare_system
from helixflow.structures.setup import SetupSettings

SETUP = SetupSettings("amber99sb-ildn", "tip3p", "dodecahedron", 1.0, 0.15, 1)


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of CPU, of this process and those that it starts, and seconds that pass."""
    start, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    used = sum(after[:4]) - sum(before[:4])
    return used, time.perf_counter() - start


def set_up(source: Path, folder: Path, **changes: object) -> None:
    """Clean and prepare a structure."""
    outputs = (folder / name for name in ("clean.pdb", "cleaning.json", "residues.tsv"))
    clean_structure(source, "pdb", CleanSettings((), 1, "refuse"), *outputs)
    prepare_system(folder, folder / "scratch", SetupSettings(**{**vars(SETUP), **changes}), "gmx")


def smoke(source: Path, folder: Path) -> None:
    """Run the whole smoke protocol of a structure by the workflow: fetch, set-up, all phases, gates."""
    folder.mkdir()
    (folder / "samples.tsv").write_text(f"sample\tkind\tsource\nx\tstructure\t{source}\n")
    keys = "structures: {box_distance_nm: 0.8}\ntrajectories: {preset: smoke, threads: 1}\n"
    (folder / "config.yaml").write_text(f"samples: samples.tsv\n{keys}")
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", folder]
    command += ["--configfile", folder / "config.yaml", "--workflow-profile", ROOT / "profiles/local"]
    command += ["trajectories"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def bench_md(folder: Path) -> None:
    """Print what set-up and the smoke protocol cost."""
    if not (shutil.which("gmx") and DATA.is_dir()):
        print("\nmolecular dynamics: left out, it needs gmx and the real structures")
        return
    lysozyme, chignolin = DATA / "structures/1AKI.pdb", DATA / "structures/5AWL.pdb"
    rows = [
        ("set-up of 1AKI, 129 residues (goal: below 15 s)", lambda: set_up(lysozyme, folder / "a")),
        ("the same with PROPKA", lambda: set_up(lysozyme, folder / "b", protonation="propka")),
        ("smoke protocol of chignolin (goal: below 60 s CPU)", lambda: smoke(chignolin, folder / "c")),
        ("smoke protocol of 1A8O (goal: below 60 s CPU)", lambda: smoke(DEMO / "1A8O.pdb", folder / "d")),
    ]
    print("\nmolecular dynamics")
    print(f"  {'':58} {'CPU s':>8} {'clock s':>8}")
    for name, work in rows:
        used, passed = measured(work)
        print(f"  {name:58} {used:8.1f} {passed:8.1f}")
