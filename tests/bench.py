"""Benchmarks: CPU time and memory beside a named peer that does the same work in the same run.

    make bench

The machine's speed drops out of a ratio; absolute rates hold for this machine alone. Every piece of
work runs in a process of its own, on one thread; its CPU seconds and peak memory are those that the
operating system counted.
"""

import math
import os
import platform
import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from bench_buckets import bench_buckets
from bench_groups import bench_groups
from bench_proteins import bench_proteins
from bench_sequences import bench_sequences
from bench_store import bench_store
from conftest import ROOT
from measuring import cost, show

# Tokens of a batch, the default of the workflow.
BUDGET = 1024

# Embeddings: ProtBERT's width and four of its thirty layers, random weights, lengths of a proteome.


def make_model(folder: Path) -> None:
    import torch
    import transformers
    from transformers import BertConfig, BertModel

    from helixflow.embeddings.tokens import PROTBERT

    torch.manual_seed(1)
    transformers.logging.disable_progress_bar()
    shape = BertConfig(
        vocab_size=30, hidden_size=1024, num_hidden_layers=4, num_attention_heads=16, intermediate_size=4096,
        max_position_embeddings=40000, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    BertModel(shape, add_pooling_layer=False).save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in PROTBERT))


def proteome(number: int) -> list[str]:
    """Random proteins of log-normal length, median 300, one of 2,100 residues."""
    dice = random.Random(2)
    lengths = [2100, *(int(math.exp(dice.gauss(math.log(300), 0.6))) for _ in range(number - 1))]
    dice.shuffle(lengths)
    return ["".join(dice.choices("ACDEFGHIKLMNPQRSTVWY", k=length)) for length in lengths]


def embed(folder: Path, proteins: list[str]) -> Callable[[], object]:
    from helixflow.embeddings.engine import Encoder, embed_part
    from helixflow.embeddings.model import describe_model

    encoder = Encoder(describe_model(str(folder), ""), threads=1)
    named = {f"p{number}": protein for number, protein in enumerate(proteins)}
    return partial(embed_part, encoder, named, BUDGET)


def embed_with_transformers(folder: Path, proteins: list[str], batch: int) -> Callable[[], None]:
    import torch
    from transformers import BertModel, BertTokenizer

    torch.set_num_threads(1)
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()

    def run() -> None:
        with torch.inference_mode():
            for start in range(0, len(proteins), batch):
                spaced = [" ".join(protein) for protein in proteins[start : start + batch]]
                model(**tokenizer(spaced, return_tensors="pt", padding=True)).last_hidden_state.numpy()

    return run


def bench_embeddings(folder: Path) -> None:
    make_model(folder)
    proteins = proteome(16)
    residues = sum(map(len, proteins))
    alone, padded = (cost(embed_with_transformers, folder, proteins, batch) for batch in (1, 8))
    show(
        f"embeddings: {len(proteins)} proteins, {residues} residues, ProtBERT's shape with 4 layers, float32",
        "residues/CPU s",
        [
            ("helixflow, sorted batches of 1,024 tokens", residues, cost(embed, folder, proteins)),
            ("transformers, one at a time", residues, alone),
            ("transformers, padded batches of 8 in input order", residues, padded),
        ],
    )


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
    ):
        with tempfile.TemporaryDirectory() as scratch:
            bench(Path(scratch))
