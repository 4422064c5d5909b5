"""Provenance of a run: the versions, the sheet, the configuration and the seeds it was made with."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from helixflow import __version__
from helixflow.config import Settings, leaves
from helixflow.files import read_json, write_json
from helixflow.samples import Sample

#: Libraries that decide what comes out, by the names they are installed under.
LIBRARIES = (
    "biopython", "gromacswrapper", "h5py", "MDAnalysis", "mpi4py", "numpy",
    "pyarrow", "pyrodigal", "pysam", "safetensors", "torch", "transformers",
)  # fmt: skip


def record_run(
    path: str | os.PathLike[str],
    config: Settings,
    sheet: Sequence[Mapping[str, Any]],
    setups: Iterable[str | os.PathLike[str]],
    qualities: Iterable[str | os.PathLike[str]],
) -> None:
    """Write what a run was made with.

    Parameters
    ----------
    path : path
        JSON: helixflow, git, python, snakemake, gmx, libraries, seeds, samples, config.
    config : dict
        The complete configuration.
    sheet : sequence of dict
        The rows of the sample sheet, see `sheet_rows`.
    setups, qualities : iterable of path
        The ``setup.json`` and ``quality.json`` files, which name the GROMACS they were made with.
    """
    gmx = {read_json(setup)["gmx_version"] for setup in setups}
    gmx |= {read_json(quality)["run"]["gmx_version"] for quality in qualities} - {None}
    write_json(
        path,
        {
            "helixflow": __version__,
            "git": git_state(Path(__file__).parent),
            "python": platform.python_version(),
            "snakemake": installed("snakemake"),
            "gmx": {"program": config["gmx"], "versions": sorted(gmx)},
            "libraries": {name: installed(name) for name in LIBRARIES},
            "seeds": {key: value for key, value in leaves(config) if key.endswith("seed")},
            "samples": list(sheet),
            "config": config,
        },
    )


def sheet_rows(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Return the rows of the sample sheet with the names of its columns."""
    return [
        {
            "sample": sample.name,
            "kind": sample.kind,
            "source": sample.source,
            "checksum": sample.checksum,
            "taxon": sample.taxon,
            "genetic_code": sample.genetic_code,
            "chain": ",".join(sample.chains),
            "circular": ",".join(sample.circular),
        }
        for sample in samples
    ]


def installed(package: str) -> str | None:
    """Return the version of an installed package; None where this Python has none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_state(folder: Path) -> dict[str, str | bool]:
    """Return the commit of a checkout and whether files in it were changed, "unknown" without git."""
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
            ).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": "unknown"}
    return {"commit": commit.strip(), "dirty": bool(changes)}
