"""The co-analysis in process, how to start it on ranks, and measures of replicas as tests want them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from helixflow.coanalysis.analysis import analyse_structure
from helixflow.coanalysis.inputs import Request
from helixflow.coanalysis.measures import DATASETS
from helixflow.coanalysis.replica import Settings, measure_replica
from helixflow.embeddings.index import INDEX_TYPES
from helixflow.links.status import name_statuses
from helixflow.links.table import HEADER
from helixflow.proteins.names import protein_id
from helixflow.structures.chemistry import CODES
from helixflow.structures.residues import Residue, read_residues, write_residues
from helixflow.tables import write_rows

CUTOFF_NM, HEAVY_CUTOFF_NM, SEPARATION, RADIUS_NM = 0.8, 0.45, 3, 1.0
SETTINGS = Settings(CUTOFF_NM, HEAVY_CUTOFF_NM, SEPARATION, RADIUS_NM)
MPIRUN = ["mpirun", "--quiet", "--oversubscribe", "--allow-run-as-root", "--bind-to", "none"]
needs_mpi = pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")


class Alone:
    """A communicator of one rank."""

    rank, size = 0, 1

    def bcast(self, value: Any) -> Any:
        return value

    def gather(self, value: Any) -> list[Any]:
        return [value]

    allgather = gather


def write_inputs(
    folder: Path,
    codes: str,
    partners: Sequence[tuple[str, int] | None],
    chains: Sequence[str] | None = None,
    width: int = 24,
) -> None:
    """Write residues, links and a store in which each residue of each partner has a random vector.

    `partners` names for each residue a (sequence, row), or None.
    """
    chains = chains or ["A"] * len(codes)
    names = {code: name for name, code in reversed(CODES.items())}
    residues = [
        Residue(index, chain, index + 11, "", names[code], code)
        for index, (chain, code) in enumerate(zip(chains, codes, strict=True))
    ]
    write_residues(folder / "residues.tsv", residues)
    rows = [partner[1] if partner else 0 for partner in partners]
    letters = [partner[0][partner[1] - 1] if partner else "" for partner in partners]
    lines = ["\t".join(HEADER)]
    for chain in dict.fromkeys(chains):
        members = [at for at, residue in enumerate(residues) if residue.chain == chain]
        statuses = name_statuses(
            [residues[at] for at in members], [rows[at] for at in members], [letters[at] for at in members]
        )
        for at, status in zip(members, statuses, strict=True):
            partner, residue = partners[at], residues[at]
            name = protein_id(partner[0]) if partner else ""
            place = (at, chain, residue.number, "", residue.code, 1, name, rows[at] or "", letters[at])
            lines.append("\t".join(map(str, (*place, status, 1, 1))))
    (folder / "links.tsv").write_text("\n".join(lines) + "\n")
    write_store(folder, sorted({partner[0] for partner in partners if partner}, key=protein_id), width)


def write_store(folder: Path, sequences: Sequence[str], width: int) -> None:
    """Write one part with random vectors of proteins, and the index."""
    offsets = np.cumsum([0, *map(len, sequences)])
    vectors = np.random.default_rng(1).normal(size=(offsets[-1], width)).astype(np.float16)
    (folder / "store").mkdir()
    with h5py.File(folder / "store/part.h5", "w") as part:
        part["protein"] = np.array([protein_id(sequence).encode() for sequence in sequences], "S35")
        part["offset"], part["residue"] = offsets, vectors
        part["sequence"] = np.frombuffer("".join(sequences).encode(), np.uint8)
        part["mean"] = np.zeros((len(sequences), width), np.float32)
        part.attrs["note"] = "random vectors"
    names = list(map(protein_id, sequences))
    rows = [
        (name, len(sequence), f"store/part.h5#{name}", int(offset), name)
        for name, sequence, offset in zip(names, sequences, offsets, strict=False)
    ]
    write_rows(folder / "index.parquet", rows, INDEX_TYPES)


def request_of(folder: Path, measures: Sequence[Path], **changes: Any) -> Request:
    """The request of one structure, whose residues, links and index are in a folder."""
    values: dict[str, Any] = {
        "residues": str(folder / "residues.tsv"),
        "links": str(folder / "links.tsv"),
        "index": str(folder / "index.parquet"),
        "contacts": [],
        "measures": list(map(str, measures)),
        "replicas": list(range(1, len(measures) + 1)),
        "criterion": "alphas",
        "components": 3,
        "permutations": 99,
        "seed": 1,
    }
    return Request(**values | changes)


def measure(residues: Path, replica: Path, output: Path) -> Path:
    """Run the first step on one rank; `replica` is the folder of protein.pdb and protein.xtc."""
    names = [str(path) for path in (residues, replica / "protein.pdb", replica / "protein.xtc")]
    measure_replica(Alone(), *names, SETTINGS, output)
    return output


def analyse(request: Request, output: Path) -> Path:
    """Run the second step on one rank."""
    analyse_structure(Alone(), request, output)
    return output


def contacts_of(
    alphas: NDArray[np.floating[Any]], chains: Sequence[str], cutoff: float, separation: int
) -> NDArray[np.bool_]:
    """Contact maps (T, N, N) by their definition."""
    index, names = np.arange(len(chains)), np.array(chains)
    far = (np.abs(index[:, None] - index) >= separation) | (names[:, None] != names)
    distances = np.array([cdist(frame, frame) for frame in alphas])
    return (distances < cutoff) & far


def write_measures(
    path: Path,
    residues: Path,
    alphas: NDArray[np.floating[Any]],
    heavy: float = 0.7,
    cutoff: float = CUTOFF_NM,
) -> Path:
    """Write measures of made-up frames (T, N, 3), with "heavy" contacts at another cutoff of C-alphas.

    What cannot be told from C-alphas is random.
    """
    listed, alphas = read_residues(residues), np.asarray(alphas, np.float32)
    n_frame, n_residue, _ = alphas.shape
    chains = [residue.chain for residue in listed]
    dice = np.random.default_rng(n_frame)
    values: dict[str, Any] = {
        name: dice.random(n_frame) for name in DATASETS if name.startswith("frame/") and "alphas" not in name
    }
    values |= {name: dice.random(n_residue) for name in DATASETS if name.startswith("residue/")}
    values["frame/time_ps"], values["frame/alphas"] = np.arange(n_frame) * 2.0, alphas
    for name in ("chain", "number", "insertion", "code"):
        values[f"residue/{name}"] = [getattr(residue, name) for residue in listed]
    for prefix, kind, within in (("", "alphas", cutoff), ("heavy_", "heavy", heavy)):
        maps = contacts_of(alphas.astype(float), chains, within, SEPARATION)
        upper = maps & np.triu(np.ones((n_residue, n_residue), bool), 1)
        values[f"frame/{prefix}contacts"] = upper.sum(axis=(1, 2))
        values[f"contact/{kind}"] = np.concatenate([np.flatnonzero(one) for one in upper])
        values[f"pair/{prefix}contact_frequency"] = maps.mean(axis=0)
    with h5py.File(path, "w") as file:
        for name, (dtype, *_) in DATASETS.items():
            file.create_dataset(name, data=values[name], dtype=dtype or h5py.string_dtype())
        file.attrs.update(vars(SETTINGS), trajectory="made up")
    return path
