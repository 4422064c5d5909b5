"""Quality of the families of buckets: laws of random planes, and reads given back to their genomes.

    PYTHONPATH=scripts:tests python tests/bench_quality.py

It prints the tables of docs/buckets.md. Real genomes and reads are those beside the checkout.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from Bio import SeqIO
from numpy.typing import NDArray

from conftest import DATA
from helixflow.buckets import BucketSettings, make_encoding
from helixflow.buckets.kernels import BREAK, PAD
from helixflow.buckets.planes import plane_weights
from helixflow.fasta import read_fasta, read_fastq
from test_buckets_kernel import angles, buckets_of, points, substitute

SEEDS = (1, 2, 3)
BITS = 20
LENGTH = 1000
ERRORS = (0.0, 0.05, 0.10, 0.15)
#: Substitutions of a mutated copy, a strain held out of training where there is no real one.
DIVERGENCE = (0.02, 0.05)
#: Reads of a genome at each error: to choose the smoothing by, of training genomes, of what is held out.
N_TUNE, N_SEEN, N_HELD = 25, 60, 150
#: Shares of the even distribution in the smoothed one.
SHARES = (1e-5, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)

FAMILIES = {
    "spaced 1111111111": BucketSettings(1, BITS, "spaced", 1, 1),
    "spaced R111111111R": BucketSettings(1, BITS, "spaced", 1, 1, patterns=("R111111111R",)),
    "hyperplane, k=15": BucketSettings(15, BITS, "hyperplane", 1, 1),
    "hyperplane, k=15, symmetric": BucketSettings(15, BITS, "hyperplane", 1, 1, symmetric=True),
    "hyperplane, k=31": BucketSettings(31, BITS, "hyperplane", 1, 1),
    "hyperplane, k=31, symmetric": BucketSettings(31, BITS, "hyperplane", 1, 1, symmetric=True),
    "lshvec, k=15": BucketSettings(15, BITS, "lshvec", 1, 1),
    "hash, k=15": BucketSettings(15, BITS, "hash", 1, 1),
    "hash, k=31": BucketSettings(31, BITS, "hash", 1, 1),
}

GENOMES = {
    "E. coli": "NC_000913_Ecoli_K12_MG1655.gbk.gz",
    "S. enterica": "GCF_000006945.1_Salmonella_LT2.fna.gz",
    "M. gallisepticum R(low)": "NC_004829_Mgallisepticum_Rlow.gbk",
    "M. gallisepticum NC95": "NC_018407_Mgallisepticum_NC95.gbk",
    "B. floridanus": "GCF_000043285.1_Blochmannia_floridanus.fna.gz",
    "B. pennsylvanicus": "GCF_000011745.1_Blochmannia_pennsylvanicus.fna.gz",
    "phage HK578": "NC_019724_phage_HK578.gbk",
    "phage slur05": "NC_028901_phage_slur05.gbk",
    "H. sapiens (mt)": "MT_human.fa",
    "Pongo (mt)": "MT_orangutan.fa",
    "phiX174": "NC_001422_phiX174.gbk",
    "lambda": "NC_001416_lambda.fna",
    "SARS-CoV-2": "MN908947_SARS-CoV-2.gb",
    "M. mycoides": "GCF_000023685.1_Mmycoides_capri_GM12.gbff",
    "S. pyogenes": "AE004092_Spyogenes_M1GAS.fna.gz",
    "C. pseudotuberculosis": "GCF_000227605.2_Cpseudotuberculosis.fna.gz",
}
#: Genomes that are pairs of relatives, from the first on; the others are in training in every split.
N_PAIRED = 10

READS = {
    "lambda, MinION R7.3": ("lambda_minion_R73.fastq.gz", "lambda"),
    "SARS-CoV-2, ONT amplicons": ("sarscov2_artic_ont.fastq", "SARS-CoV-2"),
    "E. coli, Illumina 100": ("ecoli_1K_1.fq.gz", "E. coli"),
    "E. coli isolate, Illumina 300": ("SRR7885321_1.fastq.gz", "E. coli"),
}
#: Real reads taken of a file, and bases that one has at least.
N_REAL, SHORTEST = 500, 60

Codes = NDArray[np.uint8]


# DNA as codes: bases are 0 to 3, all else is a break.


def encode(sequence: str) -> Codes:
    codes = np.full(256, BREAK, np.uint8)
    codes[list(b"ACGT")] = range(4)
    return codes[np.frombuffer(sequence.upper().encode(), np.uint8)]


def read_genome(name: str) -> Codes:
    path = DATA / "genomes" / GENOMES[name]
    if ".gb" not in path.name:
        return encode("N".join(sequence for _, sequence in read_fasta(path)))
    return encode("N".join(str(record.seq) for record in read_genbank(path)))


def read_genbank(path) -> list:
    import gzip

    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rt") as stream:
        return list(SeqIO.parse(stream, "genbank"))


def mutate(codes: Codes, share: float, rng: np.random.Generator) -> Codes:
    """Substitute a share of the bases, each by one of the three others."""
    places = (rng.random(codes.shape) < share) & (codes < BREAK)
    changed = codes.copy()
    changed[places] = (codes[places] + rng.integers(1, 4, places.sum(), np.uint8)) % 4
    return changed


def draw(genome: Codes, number: int, error: float, rng: np.random.Generator) -> list[Codes]:
    """Reads of one length from random places."""
    starts = rng.integers(0, len(genome) - LENGTH + 1, number)
    return list(mutate(genome[starts[:, None] + np.arange(LENGTH)], error, rng))


# Naive Bayes over spectra.


@dataclass(frozen=True)
class Labelled:
    """Reads, and of each the class that it is from."""

    reads: list[Codes]
    classes: NDArray[np.int64]


class Buckets:
    """The buckets of each of several sequences, by one family."""

    def __init__(self, settings: BucketSettings, sequences: Iterable[Codes]) -> None:
        pieces = [np.full(PAD, BREAK, np.uint8)]
        for sequence in sequences:
            pieces += [sequence, np.full(1, BREAK, np.uint8)]
        encoding, codes = make_encoding(settings), np.concatenate(pieces)
        starts = PAD + np.cumsum([0, *(len(piece) + 1 for piece in pieces[1:-2:2])])
        self.n_bucket = encoding.n_bucket
        self.ids, marks = np.empty(encoding.per_window * len(codes), np.uint32), np.zeros(len(starts), np.int64)
        n = encoding.hash(codes, PAD, starts, marks, self.ids)
        self.bounds = np.append(marks, n)

    def of(self, sequence: int) -> NDArray[np.uint32]:
        return self.ids[self.bounds[sequence] : self.bounds[sequence + 1]]


def frequencies(buckets: Buckets, genomes: Sequence[int]) -> NDArray[np.float32]:
    """How often each bucket occurs in each genome, (n_bucket, n_genome), every column adding up to 1."""
    table = np.empty((buckets.n_bucket, len(genomes)), np.float32)
    for column, genome in enumerate(genomes):
        counts = np.bincount(buckets.of(genome), minlength=buckets.n_bucket)
        table[:, column] = counts / counts.sum()
    return table


def log_smoothed(table: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Mixed with the even distribution; one share for all, so that a genome's size is of no account."""
    return np.log((1 - share) * table + np.float32(share / len(table)))


def classify(logs: NDArray[np.float32], buckets: Buckets) -> NDArray[np.int64]:
    """The likeliest genome of each read, all alike likely before; -1 of one without a k-mer."""
    chosen = np.full(len(buckets.bounds) - 1, -1)
    for read in range(len(chosen)):
        if len(ids := buckets.of(read)):
            chosen[read] = logs[ids].sum(axis=0).argmax()
    return chosen


def choose_share(table: NDArray[np.float32], buckets: Buckets, classes: NDArray[np.int64]) -> float:
    """The smoothing that gives most reads of training genomes back."""
    right = [(classify(log_smoothed(table, share), buckets) == classes).mean() for share in SHARES]
    return SHARES[int(np.argmax(right))]


# Splits of the genomes, and what is read from them.


@dataclass(frozen=True)
class Split:
    """Genomes to train on, one a class, and relatives of some of them."""

    name: str
    train: list[int]
    held: list[int]

    def class_of(self, genome: int) -> int:
        """The class of a training genome or of a relative of one."""
        return self.train.index(genome if genome in self.train else genome ^ 1)


def make_splits() -> list[Split]:
    """All genomes; the first of each pair; the second of each pair."""
    every = list(range(len(GENOMES)))
    pairs, alone = every[:N_PAIRED], every[N_PAIRED:]
    return [
        Split("all", every, []),
        Split("first", [*pairs[::2], *alone], pairs[1::2]),
        Split("second", [*pairs[1::2], *alone], pairs[::2]),
    ]


def draw_from(
    split: Split, genomes: Sequence[int], sequences: Sequence[Codes], number: int, rng: np.random.Generator
) -> Labelled:
    """Reads of genomes at every error: those of the first error come first."""
    reads = [
        read for error in ERRORS for genome in genomes for read in draw(sequences[genome], number, error, rng)
    ]
    classes = np.repeat([split.class_of(genome) for genome in genomes], number)
    return Labelled(reads, np.tile(classes, len(ERRORS)))


def draw_all(split: Split, genomes: list[Codes], seed: int) -> dict[str, Labelled]:
    """What the smoothing is chosen by, and what is tested."""
    rng = np.random.default_rng(seed)
    drawn = {
        "tune": draw_from(split, split.train, genomes, N_TUNE, rng),
        "seen": draw_from(split, split.train, genomes, N_SEEN, rng),
    }
    if split.held:
        copies = [mutate(genome, rng.uniform(*DIVERGENCE), rng) for genome in genomes]
        drawn["relatives"] = draw_from(split, split.held, genomes, N_HELD, rng)
        drawn["copies"] = draw_from(split, split.train, copies, N_SEEN, rng)
    return drawn


# Results: accuracies in percent, by family, split and test.

Results = dict[tuple[str, str, str], list[NDArray[np.float64]]]


def test_family(name: str, split: Split, trained: Buckets, drawn: dict[str, Labelled], seed: int, results: Results) -> NDArray[np.float32]:
    """Add what one family gets right, and return its logarithms."""
    settings = replace(FAMILIES[name], seed=seed)
    table = frequencies(trained, split.train)
    hashed = {test: Buckets(settings, labelled.reads) for test, labelled in drawn.items()}
    share = choose_share(table, hashed["tune"], drawn["tune"].classes)
    logs = log_smoothed(table, share)
    results.setdefault((name, split.name, "share"), []).append(np.array(share))
    for test in list(drawn)[1:]:
        right = classify(logs, hashed[test]) == drawn[test].classes
        results.setdefault((name, split.name, test), []).append(
            100 * right.reshape(len(ERRORS), -1).mean(axis=1)
        )
    return logs
