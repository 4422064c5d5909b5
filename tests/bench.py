"""Benchmarks: CPU time and memory beside a named peer that does the same work in the same run.

    make bench

The machine's speed drops out of a ratio; absolute rates hold for this machine alone. Every piece of
work runs in a process of its own, on one thread; its CPU seconds and peak memory are those that the
operating system counted.
"""

import os
import platform
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from bench_buckets import bench_buckets
from bench_embeddings import bench_embeddings
from bench_groups import bench_groups
from bench_md import bench_md
from bench_packing import bench_packing
from bench_proteins import bench_proteins
from bench_sequences import bench_sequences
from bench_store import bench_store
from conftest import ROOT
from measuring import cost, show

# Co-analysis: the demo's trajectory, repeated with noise to thousands of frames.

DEMO = ROOT / "results"


def lengthen(folder: Path, frames: int) -> None:
    """Write the demo's frames over and over, each atom moved by a little noise."""
    import MDAnalysis as mda

    source = DEMO / "trajectories/capsid_ctd/1"
    universe = mda.Universe(str(source / "protein.pdb"), str(source / "protein.xtc"))
    dice = np.random.default_rng(3)
    with mda.Writer(str(folder / "long.xtc"), universe.atoms.n_atoms) as writer:
        for number in range(frames):
            universe.trajectory[number % len(universe.trajectory)]
            universe.atoms.positions += dice.normal(scale=0.1, size=universe.atoms.positions.shape)
            universe.trajectory.ts.time = float(number)
            writer.write(universe.atoms)


def analyse(folder: Path) -> Callable[[], None]:
    from mpi4py import MPI

    from helixflow.coanalysis.analysis import Request, analyse_structure

    request = Request(
        residues=str(DEMO / "structures/capsid_ctd/residues.tsv"),
        links=str(DEMO / "links/capsid_ctd.tsv"),
        index=str(DEMO / "embeddings/index.parquet"),
        topologies=[str(DEMO / "trajectories/capsid_ctd/1/protein.pdb")],
        trajectories=[str(folder / "long.xtc")],
        replicas=[1],
        cutoff_nm=0.8,
        min_separation=3,
    )
    return partial(analyse_structure, MPI.COMM_SELF, request, folder / "x.h5")


def analyse_with_mdanalysis(folder: Path) -> Callable[[], None]:
    """RMSD, Rg, RMSF, contacts, frame and context embedding, as MDAnalysis's guide does them."""
    import csv

    import MDAnalysis as mda
    from MDAnalysis.analysis import align, distances, rms

    from helixflow.embeddings import open_embedding, read_index

    universe = mda.Universe(str(DEMO / "trajectories/capsid_ctd/1/protein.pdb"), str(folder / "long.xtc"))
    alpha = universe.select_atoms("name CA")
    with (DEMO / "links/capsid_ctd.tsv").open() as stream:
        links = list(csv.DictReader(stream, delimiter="\t"))
    uris = read_index(DEMO / "embeddings/index.parquet")
    embedding = np.array([open_embedding(uris[row["protein"]])[int(row["row"]) - 1] for row in links], float)
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    separation = np.abs(np.subtract.outer(np.arange(len(alpha)), np.arange(len(alpha))))
    cosine = unit @ unit.T

    def run() -> None:
        rms.RMSD(universe, select="name CA").run()
        context = np.zeros_like(embedding)
        for _ in universe.trajectory:
            universe.atoms.radius_of_gyration()
            contacts = (distances.distance_array(alpha.positions, alpha.positions) < 8.0) & (separation >= 3)
            contacts.sum(axis=1) @ embedding
            (contacts * cosine).sum() / max(contacts.sum(), 1)
            context += contacts @ embedding
        align.AlignTraj(universe, universe, select="name CA", in_memory=True).run()
        rms.RMSF(alpha).run()

    return run


def bench_coanalysis(folder: Path) -> None:
    if not (DEMO / "coanalysis/capsid_ctd.h5").exists():
        print("\ncoanalysis: left out, it needs the results of the demo (make demo)")
        return
    frames = 4_000
    lengthen(folder, frames)
    show(
        f"coanalysis: {frames} frames of the demo's 70 residues, one rank",
        "frames/CPU s",
        [
            ("helixflow", frames, cost(analyse, folder)),
            ("MDAnalysis, serial, frame by frame", frames, cost(analyse_with_mdanalysis, folder)),
        ],
    )


if __name__ == "__main__":
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, one thread each"
    )
    for bench in (
        bench_sequences,
        bench_buckets,
        bench_groups,
        bench_proteins,
        bench_embeddings,
        bench_store,
        bench_coanalysis,
        bench_md,
        bench_packing,
    ):
        with tempfile.TemporaryDirectory() as scratch:
            bench(Path(scratch))
