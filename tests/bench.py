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
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from conftest import ROOT
from helixflow.buckets import BucketSettings, Hyperplanes, hash_members
from helixflow.members import Member

K, BITS = 31, 24


def cost(work: Callable[..., Callable[[], None]], *arguments: object) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of a piece of work.

    `work` makes ready, imports and loaded models included, and returns what is timed.
    """
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        ready = work(*arguments)
        before = os.times()
        ready()
        after = os.times()
        used = resource.getrusage(resource.RUSAGE_SELF)
        sender.send((after.user - before.user + after.system - before.system, used.ru_maxrss / 1024))

    process = context.Process(target=run)
    process.start()
    result = receiver.recv()
    process.join()
    return result


def program_cost(*command: str) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of another program, as Linux counts them."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = max(peak, *(int(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line), 0)
        number, code, used = os.wait4(process.pid, os.WNOHANG)
        if number:
            assert code == 0, command
            return used.ru_utime + used.ru_stime, peak
        time.sleep(0.01)


def show(title: str, unit: str, rows: list[tuple[str, float, tuple[float, float]]]) -> None:
    """Print a table: rate of every way, its ratio to the last row's, the peer, and its peak memory."""
    print(f"\n{title}")
    print(f"  {'':58} {unit:>14} {'ratio':>8} {'peak MB':>8}")
    _, peer_amount, (peer_seconds, _) = rows[-1]
    for name, amount, (seconds, memory) in rows:
        rate = amount / seconds
        print(f"  {name:58} {rate:14.3g} {rate / (peer_amount / peer_seconds):8.1f} {memory:8.0f}")


# Sequences: a compressed source to FASTA of one form, compressed in blocks and indexed.


def write_source(path: Path, columns: int, soft: bool, records: int) -> float:
    """Write 100 million random bases as FASTA.gz; return their number in millions."""
    from isal import igzip

    bases = 100_000_000 // records // columns * columns
    with igzip.open(path, "wb") as out:
        dice = np.random.default_rng(1)
        letters = np.frombuffer(b"ACGT", np.uint8)[dice.integers(0, 4, 10_000_000)]
        if soft:
            # As RepeatMasker leaves a chromosome: half of it lower case, and runs of N.
            for start in range(0, len(letters), 2000):
                letters[start : start + 1000] |= 32
            letters[:400_000] = ord("N")
        lines = np.full((len(letters) // columns, columns + 1), ord("\n"), np.uint8)
        lines[:, :columns] = letters[: len(lines) * columns].reshape(-1, columns)
        rows, each = lines.tobytes(), bases // columns * (columns + 1)
        for number in range(records):
            start = number * each % (len(rows) - min(each, len(rows)) + 1) // (columns + 1) * (columns + 1)
            out.write(f">record{number} random\n".encode())
            for left in range(each, 0, -len(rows)):
                out.write(rows[start : start + min(left, len(rows))])
    return bases * records / 1e6


def normalise(source: Path, folder: Path) -> Callable[[], None]:
    import isal.igzip_lib  # noqa: F401

    from helixflow.sequences.formats.normalise import Reading, write_sequences

    out = folder / "helixflow.fasta.gz"
    reading = Reading("bench", 10**12, 1e6, lambda _: None)
    return partial(
        write_sequences,
        source,
        "genome",
        reading,
        out,
        Path(f"{out}.fai"),
        Path(f"{out}.gzi"),
        lambda _: None,
    )


def normalise_with_pysam(source: Path, folder: Path) -> Callable[[], None]:
    import pysam
    from isal import igzip

    def run() -> None:
        out = str(folder / "pysam.fasta.gz")
        with igzip.open(source, "rb") as stream, pysam.BGZFile(out, "wb") as blocks:
            while text := stream.read(1 << 20):
                blocks.write(text.upper())
        pysam.faidx(out)

    return run


def write_fastq(path: Path, reads: int) -> float:
    """Write reads of 150 random bases as FASTQ.gz; return their bases in millions."""
    from isal import igzip

    dice = np.random.default_rng(2)
    with igzip.open(path, "wb") as out:
        for start in range(0, reads, 10_000):
            letters = np.frombuffer(b"ACGT", np.uint8)[dice.integers(0, 4, (10_000, 150))]
            qualities = np.minimum(33 + dice.exponential(30, (10_000, 150)), 73).astype(np.uint8)
            for number, (read, quality) in enumerate(zip(letters, qualities, strict=True), start):
                out.write(b"@read.%d length=150\n%b\n+\n%b\n" % (number, read.tobytes(), quality.tobytes()))
    return reads * 150 / 1e6


def normalise_reads(source: Path, folder: Path) -> Callable[[], None]:
    import isal.igzip_lib  # noqa: F401

    from helixflow.sequences.formats.normalise import Reading
    from helixflow.sequences.formats.reads import write_reads

    reading = Reading("bench", 10**12, 1e6, lambda _: None)
    return partial(write_reads, [source], [reading], [folder / "x.fastq.gz"], "", lambda _: None)


def with_seqkit(source: Path, out: Path, millions: float) -> list[tuple[str, float, tuple[float, float]]]:
    """Return the row of seqkit, none where it is not installed; it writes gzip without indexes."""
    if not shutil.which("seqkit"):
        print("\nseqkit: left out, it is not installed")
        return []
    used = program_cost("seqkit", "seq", "-u", "-w", "60", "-j", "1", str(source), "-o", str(out))
    return [("seqkit seq -u -w 60 -j 1, gzip", millions, used)]


def bench_sequences(folder: Path) -> None:
    source = folder / "source.fa.gz"
    for what, shape in (
        ("one record, 60 columns", (60, False, 1)),
        ("one record, 80 columns", (80, False, 1)),
        ("one record, 70 columns, half lower case, runs of N", (70, True, 1)),
        ("100,000 records of 1,000 bases", (100, False, 100_000)),
        ("1,000,000 records of 100 bases", (100, False, 1_000_000)),
    ):
        millions = write_source(source, *shape)
        rows = [
            ("helixflow, bgzip, .fai and .gzi", millions, cost(normalise, source, folder)),
            (
                "igzip, upper case (names too), pysam BGZFile, faidx",
                millions,
                cost(normalise_with_pysam, source, folder),
            ),
            *with_seqkit(source, folder / "seqkit.fa.gz", millions),
        ]
        show(f"sequences: {millions:.0f} million bases of FASTA.gz, {what}", "Mbases/CPU s", rows)
    millions = write_fastq(folder / "source.fq.gz", 600_000)
    rows = [
        ("helixflow, bgzip", millions, cost(normalise_reads, folder / "source.fq.gz", folder)),
        *with_seqkit(folder / "source.fq.gz", folder / "seqkit.fq.gz", millions),
    ]
    show(f"sequences: {millions:.0f} million bases of FASTQ.gz, reads of 150 bases", "Mbases/CPU s", rows)


# Buckets: LSHVec's Python takes one k-mer at a time through a complex matrix product.


def write_genome(path: Path, bases: int) -> None:
    letters = "".join(random.Random(1).choices("ACGT", k=bases))
    path.write_text(f">random\n{letters}\n")


def hash_kmers(path: Path, output: Path) -> Callable[[], None]:
    settings = BucketSettings(K, BITS, "hyperplane", 1, 1024)
    members = [Member("random", "genome", (path,), path)]
    return partial(hash_members, members, output, settings)


def hash_like_lshvec(path: Path) -> Callable[[], None]:
    value = {"A": -1, "T": 1, "C": -1j, "G": 1j}
    weights = Hyperplanes(K, BITS, 1).weights
    normals = (weights[:, 3] + 1j * weights[:, 2]).T.conj().astype(complex)
    powers = 2 ** np.arange(BITS)

    def run() -> None:
        letters = path.read_text().split("\n")[1]
        counts: dict[int, int] = {}
        for start in range(len(letters) - K + 1):
            kmer = np.array([value[base] for base in letters[start : start + K]])
            bucket = min(int(((normals @ strand).real > 0) @ powers) for strand in (kmer, -kmer[::-1]))
            counts[bucket] = counts.get(bucket, 0) + 1

    return run


def bench_buckets(folder: Path) -> None:
    large, small = 4_000_000, 40_000
    write_genome(folder / "large.fasta", large)
    write_genome(folder / "small.fasta", small)
    show(
        f"buckets: FASTA to spectrum and sketch, both strands, k={K}, {BITS} bits",
        "Mbases/CPU s",
        [
            ("helixflow", large / 1e6, cost(hash_kmers, folder / "large.fasta", folder / "x.h5")),
            (
                "one k-mer at a time, as LSHVec's Python",
                small / 1e6,
                cost(hash_like_lshvec, folder / "small.fasta"),
            ),
        ],
    )


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
    for bench in (bench_sequences, bench_buckets, bench_embeddings, bench_coanalysis):
        with tempfile.TemporaryDirectory() as scratch:
            bench(Path(scratch))
