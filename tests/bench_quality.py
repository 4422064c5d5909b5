"""Quality of the families of buckets: laws of random planes, and reads given back to their genomes.

    PYTHONPATH=scripts:tests python tests/bench_quality.py

It prints the tables of docs/buckets.md. Real genomes and reads are those beside the checkout.
"""

import gzip
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from Bio import SeqIO
from numpy.typing import NDArray

from conftest import DATA
from helixflow.buckets import BucketSettings
from helixflow.buckets.families import make_encoding
from helixflow.buckets.parsing import BREAK, PAD
from helixflow.buckets.planes import plane_weights
from helixflow.fasta import read_fasta, read_fastq
from test_buckets_kernel import angles, buckets_of, points, substitute

SEEDS = (1, 2, 3)
BITS = 20
LENGTH = 1000
ERRORS = (0.0, 0.05, 0.10, 0.15)
#: Substitutions of a mutated copy, a strain held out of training where there is no real one.
DIVERGENCE = (0.02, 0.05)
#: What the smoothing is chosen by are reads of training genomes with up to what the largest error and the
#: divergence of relatives, about as large, are together.
TUNE_ERRORS = (0.0, 0.1, 0.2, 0.3)
#: Reads of a genome at each error: to choose the smoothing by, of training genomes, of what is held out.
N_TUNE, N_SEEN, N_HELD = 20, 60, 150
#: Weights of what was counted, the background being of weight 1.
WEIGHTS = (3, 1, 0.3, 0.1, 0.03, 0.01, 0.001)
#: A smoothing that is the same for every family.
FIXED = "even, weight 1"
#: Random bases that tell how often each bucket is met by chance.
N_NOISE = 1 << 22

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
#: Genomes of bacteria, of 0.7 to 5 Mb. The others have 5 to 50 kb.
BACTERIA = (*range(6), *range(13, 16))
#: Splits that hold relatives out, by what classes they have.
HELD = {"all sizes": ("first", "second"), "bacteria": ("first, bacteria", "second, bacteria")}

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


def read_genbank(path: Path) -> list:
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
    """Reads in groups of one size, one after the other, and of each read the class that it is from."""

    reads: list[Codes]
    classes: NDArray[np.int64]
    n_group: int = 1

    def accuracies(self, classes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Percentage of each group that a classification gives its class."""
        return 100 * (classes == self.classes).reshape(self.n_group, -1).mean(axis=1)


class Buckets:
    """The buckets of each of several sequences, by one family."""

    def __init__(self, settings: BucketSettings, sequences: Iterable[Codes]) -> None:
        encoding, sequences = make_encoding(settings), list(sequences)
        pad, gap = (np.full(number, BREAK, np.uint8) for number in (PAD, 1))
        codes = np.concatenate([pad, *chain.from_iterable((sequence, gap) for sequence in sequences)])
        lengths = [len(sequence) + 1 for sequence in sequences]
        starts, marks = PAD + np.cumsum([0, *lengths[:-1]]), np.zeros(len(lengths), np.int64)
        self.n_bucket = encoding.n_bucket
        self.ids = np.empty(encoding.per_window * len(codes), np.uint32)
        n = encoding.hash(codes, PAD, starts, marks, self.ids)
        self.bounds = np.append(marks, n)

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def of(self, sequence: int) -> NDArray[np.uint32]:
        return self.ids[self.bounds[sequence] : self.bounds[sequence + 1]]


def frequencies(buckets: Buckets, sequences: Sequence[int]) -> NDArray[np.float32]:
    """How often each bucket occurs in each sequence, (n_bucket, n_sequence), columns adding up to 1."""
    table = np.empty((buckets.n_bucket, len(sequences)), np.float32)
    for column, sequence in enumerate(sequences):
        counts = np.bincount(buckets.of(sequence), minlength=buckets.n_bucket)
        table[:, column] = counts / counts.sum()
    return table


def make_backgrounds(
    settings: BucketSettings, table: NDArray[np.float32], seed: int
) -> dict[str, NDArray[np.float32]]:
    """What to mix with, (n_bucket, 1): the same for every genome, so that the size of none is of account."""
    even = np.full((len(table), 1), 1 / len(table), np.float32)
    bases = np.random.default_rng(seed).integers(0, 4, N_NOISE, np.uint8)
    # As if every other bucket had been met once more, since none is impossible.
    chance = frequencies(Buckets(settings, [bases]), [0])
    chance = (N_NOISE * chance + 0.5) / (N_NOISE + 0.5 * len(table))
    pooled = (chance + table.mean(axis=1, keepdims=True)) / 2
    return {"even": even, "chance": chance, "chance and pooled": pooled}


def classify(logs: NDArray[np.float32], buckets: Buckets) -> NDArray[np.int64]:
    """The likeliest genome of each read, all alike likely before; -1 of one without a k-mer."""
    chosen = np.full(len(buckets), -1)
    for read in range(len(buckets)):
        if len(ids := buckets.of(read)):
            chosen[read] = logs[ids].sum(axis=0).argmax()
    return chosen


class Classifier:
    """Logarithms of smoothed frequencies, for each background with the weight that training reads choose.

    Parameters
    ----------
    table : (n_bucket, n_class) float32
        Frequencies of buckets in training genomes.
    backgrounds : dict
    buckets : Buckets
        Of the reads of `tune`.
    tune : Labelled
        Reads of the training genomes.
    weights : sequence of float
        Which there are to choose from.
    """

    def __init__(
        self,
        table: NDArray[np.float32],
        backgrounds: dict[str, NDArray[np.float32]],
        buckets: Buckets,
        tune: Labelled,
        weights: Sequence[float] = WEIGHTS,
    ) -> None:
        self._table, self._backgrounds, self._chosen = table, backgrounds, {}
        for name in backgrounds:
            found = [classify(self._logs(name, weight), buckets) for weight in weights]
            scores = [tune.accuracies(classes).mean() for classes in found]
            best = int(np.argmax(scores))
            self._chosen[name] = scores[best], weights[best]
        self.best = max(self._chosen, key=lambda name: self._chosen[name][0])

    def logs(self, background: str = "", weight: float = 0) -> NDArray[np.float32]:
        """By the background and the weight that are given, or else the best."""
        name = background or self.best
        return self._logs(name, weight or self._chosen[name][1])

    def smoothing(self) -> str:
        return f"{self.best} {self._chosen[self.best][1]:g}"

    def _logs(self, background: str, weight: float) -> NDArray[np.float32]:
        """Relative to the background, whose own logarithm is the same in every class."""
        return np.log1p(np.float32(weight) * self._table / self._backgrounds[background])


# Splits of the genomes, and what is read from them.


@dataclass(frozen=True)
class Split:
    """Genomes to train on, one a class, and relatives of some of them."""

    name: str
    train: list[int]
    held: list[int]
    classes: str = "all sizes"

    def class_of(self, genome: int) -> int:
        """The class of a training genome or of a relative of one."""
        return self.train.index(genome if genome in self.train else genome ^ 1)


def make_splits() -> list[Split]:
    """All genomes; the first of each pair; the second of each pair; these two of bacteria alone."""
    every = list(range(len(GENOMES)))
    splits = [Split("all", every, [])]
    for (classes, names), among in zip(HELD.items(), (every, BACTERIA), strict=True):
        pairs = [genome for genome in among if genome < N_PAIRED]
        alone = [genome for genome in among if genome >= N_PAIRED]
        for which, name in enumerate(names):
            splits.append(Split(name, [*pairs[which::2], *alone], pairs[1 - which :: 2], classes))
    return splits


def draw_from(
    split: Split,
    genomes: Sequence[int],
    sequences: Sequence[Codes],
    number: int,
    rng: np.random.Generator,
    errors: Sequence[float] = ERRORS,
) -> Labelled:
    """Reads of genomes, those of one error a group."""
    reads = [
        read for error in errors for genome in genomes for read in draw(sequences[genome], number, error, rng)
    ]
    classes = np.repeat([split.class_of(genome) for genome in genomes], number)
    return Labelled(reads, np.tile(classes, len(errors)), len(errors))


def draw_all(split: Split, genomes: list[Codes], seed: int) -> dict[str, Labelled]:
    """What the smoothing is chosen by, and what is tested."""
    rng = np.random.default_rng(seed)
    drawn = {
        "tune": draw_from(split, split.train, genomes, N_TUNE, rng, TUNE_ERRORS),
        "training genomes": draw_from(split, split.train, genomes, N_SEEN, rng),
    }
    if not split.held:
        return drawn | real_reads()
    copies = [mutate(genome, rng.uniform(*DIVERGENCE), rng) for genome in genomes]
    return drawn | {
        "relatives": draw_from(split, split.held, genomes, N_HELD, rng),
        "copies": draw_from(split, split.train, copies, N_SEEN, rng),
    }


def real_reads() -> dict[str, Labelled]:
    """The first reads of every file, whole and in pieces."""
    found = {}
    for name, (file, genome) in READS.items():
        label = list(GENOMES).index(genome)
        records = islice(read_fastq(DATA / "reads" / file), N_REAL)
        reads = [encode(sequence) for _, sequence in records if len(sequence) >= SHORTEST]
        pieces = [read[at : at + LENGTH] for read in reads for at in range(0, len(read) - LENGTH + 1, LENGTH)]
        found[name] = Labelled(reads, np.full(len(reads), label))
        if len(pieces) > len(reads):
            found[f"{name}, 1 kb pieces"] = Labelled(pieces[:N_REAL], np.full(len(pieces[:N_REAL]), label))
    return found


# What is measured: percentages of reads by family, split and test, one array for every seed.

Results = dict[tuple[str, str, str], list[NDArray[np.float64]]]

#: By family and the classes of a split.
Smoothings = dict[tuple[str, str], set[str]]


def measure_family(
    name: str, split: Split, genomes: list[Codes], drawn: dict[str, Labelled], seed: int, results: Results
) -> str:
    """Add what one family gets right, and return the smoothing that it was given."""
    settings = replace(FAMILIES[name], seed=seed)
    table = frequencies(
        Buckets(settings, [genomes[genome] for genome in split.train]), range(len(split.train))
    )
    hashed = {test: Buckets(settings, labelled.reads) for test, labelled in drawn.items()}
    backgrounds = make_backgrounds(settings, table, seed)
    classifier = Classifier(table, backgrounds, hashed["tune"], drawn["tune"])
    runs: dict[str, tuple[str, str, float]] = {test: (test, "", 0) for test in drawn if test != "tune"}
    if split.held:
        runs |= {f"relatives, {background}": ("relatives", background, 0) for background in backgrounds}
        runs |= {f"{test}, {FIXED}": (test, "even", 1) for test in ("relatives", "training genomes")}
    for run, (test, background, weight) in runs.items():
        found = drawn[test].accuracies(classify(classifier.logs(background, weight), hashed[test]))
        results.setdefault((name, split.name, run), []).append(found)
    if split.held:
        right = classify(classifier.logs(), hashed["relatives"]) == drawn["relatives"].classes
        by_genome = 100 * right.reshape(len(ERRORS), len(split.held), -1).mean(axis=2)
        results.setdefault((name, split.name, "by genome"), []).append(by_genome[ERRORS.index(0.10)])
    return classifier.smoothing()


def measure_families() -> tuple[Results, Smoothings]:
    """All families on all splits; the smoothings that were chosen of each."""
    genomes, results, smoothings = [read_genome(name) for name in GENOMES], Results(), Smoothings()
    for seed in SEEDS:
        for split in make_splits():
            drawn = draw_all(split, genomes, seed)
            for name in FAMILIES:
                smoothing = measure_family(name, split, genomes, drawn, seed, results)
                smoothings.setdefault((name, split.classes), set()).add(smoothing)
    return results, smoothings


# Tables.


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in markdown."""
    print(f"\n{title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def show_agreement() -> None:
    """How often one plane has two k-mers on one side, beside 1 - theta / pi."""
    k, rows = 31, []
    for distance in range(9):
        row = [str(distance)]
        for symmetric in (False, True):
            rng, measured, theory = np.random.default_rng(distance), [], []
            for seed in SEEDS:
                weights = plane_weights(BucketSettings(k, 3000, "hyperplane", seed, 1, symmetric=symmetric))
                kmers = rng.integers(0, 4, (60, k))
                others = substitute(kmers, distance, rng)
                one, other = (weights[np.arange(k), each].sum(axis=1) > 0 for each in (kmers, others))
                measured.append((one == other).mean())
                theta = angles(points(kmers, symmetric), points(others, symmetric))
                theory.append((1 - theta / np.pi).mean())
            row += [f"{np.mean(measured):.4f}", f"{np.mean(theory):.4f}"]
        rows.append(row)
    columns = ["distance", "planes", "1 - theta/pi", "symmetric planes", "1 - theta/pi"]
    show(f"Agreement of a bit, k={k}", columns, rows)


def show_collisions() -> None:
    """How often two k-mers share a bucket, one substitution apart and at random."""
    k, number, rows = 31, 100_000, []
    for symmetric in (False, True):
        rng, near, theory, random = np.random.default_rng(0), [], [], []
        for seed in range(12):
            settings = BucketSettings(k, BITS, "hyperplane", seed, 1, symmetric=symmetric)
            kmers = rng.integers(0, 4, (number, k))
            others, places = kmers.copy(), rng.integers(0, k, number)
            others[np.arange(number), places] += rng.integers(1, 4, number)
            others %= 4
            one, other = buckets_of(settings, kmers), buckets_of(settings, others)
            near.append((one == other).mean())
            theta = angles(points(kmers, symmetric), points(others, symmetric))
            theory.append(((1 - theta / np.pi) ** BITS).mean())
            times = np.bincount(one).astype(float)
            random.append((times * (times - 1)).sum() / number / (number - 1))
        means = [np.mean(values) for values in (near, theory, random)]
        cells = [
            *(f"{mean:.3g}" for mean in means),
            f"{means[0] / means[1]:.3f}",
            f"{means[0] / means[2]:.2g}",
        ]
        rows.append(["symmetric" if symmetric else "both strands", *cells])
    columns = ["planes", "one substitution", "theory", "random pairs", "to theory", "enrichment"]
    show(f"Pairs in one bucket, k={k}, {BITS} bits, 12 seeds", columns, rows)


def show_accuracies(results: Results) -> None:
    """The tests of simulated reads, the mean over the splits that are named."""
    columns = ["family", *(f"{error:.0%}" for error in ERRORS), "mean"]
    tests: dict[str, tuple[str, tuple[str, ...]]] = {
        "Training genomes, all 16": ("training genomes", ("all",)),
    }
    for classes, held in HELD.items():
        tests |= {
            f"Training genomes of a split, {classes}, mean of both": ("training genomes", held),
            f"Mutated copies (2 to 5 %), {classes}, mean of both splits": ("copies", held),
            f"Relatives held out, {classes}, trained on the first of each pair": ("relatives", held[:1]),
            f"Relatives held out, {classes}, trained on the second of each pair": ("relatives", held[1:]),
            f"Relatives held out, {classes}, mean of both splits": ("relatives", held),
        }
    for title, (test, splits) in tests.items():
        rows = []
        for name in FAMILIES:
            means = np.mean([results[name, split, test] for split in splits], axis=(0, 1))
            rows.append([name, *(f"{mean:.1f}" for mean in (*means, means.mean()))])
        show(title, columns, rows)


def show_memory_and_smoothing(results: Results, smoothings: Smoothings, classes: str) -> None:
    """What a family costs, and what the choice of a smoothing does to relatives at 10 % error."""
    place, rows = ERRORS.index(0.10), []
    kinds = ["even", "chance", "chance and pooled", FIXED]
    runs = ["relatives", *(f"relatives, {kind}" for kind in kinds), f"training genomes, {FIXED}"]
    for name, settings in FAMILIES.items():
        n_bucket = make_encoding(settings).n_bucket
        found = [
            np.array([results[name, split, run] for split in HELD[classes]])[:, :, place] for run in runs
        ]
        cells = [*(f"{each.mean():.1f}" for each in found), f"{found[0].mean(axis=0).std(ddof=1):.1f}"]
        smoothing = "; ".join(sorted(smoothings[name, classes]))
        rows.append([name, f"{n_bucket:,}", f"{4 * n_bucket / 2**20:.1f}", *cells, smoothing])
    columns = [
        "family",
        "buckets",
        "MiB",
        "chosen",
        *kinds,
        "training genomes",
        "s.d. of seeds",
        "smoothings",
    ]
    show(
        f"Relatives at 10 % error by smoothing, {classes}, training genomes by the last; counters of 4 bytes",
        columns,
        rows,
    )


def show_gains(results: Results) -> None:
    """What planes gain over hashing the same k-mer, in points at 10 % error."""
    place, rows = ERRORS.index(0.10), []
    pairs = [
        (f"{family}, k={k}", f"hash, k={k}")
        for family, k in (("hyperplane", 15), ("lshvec", 15), ("hyperplane", 31))
    ]
    runs = [
        "relatives",
        "relatives, even",
        "relatives, chance",
        "relatives, chance and pooled",
        f"relatives, {FIXED}",
        "copies",
        "training genomes",
    ]
    for classes, held in HELD.items():
        for run in runs:
            row = [classes, run]
            for pair in pairs:
                one, other = (
                    np.array([results[name, split, run] for split in held])[:, :, place] for name in pair
                )
                gains = (one - other).mean(axis=1)
                row.append(f"{gains.mean():+.1f} ({', '.join(f'{gain:+.1f}' for gain in gains)})")
            rows.append(row)
    columns = ["classes", "reads, smoothing", *(f"{one} - {other}" for one, other in pairs)]
    show("What planes gain over hashing the same k-mer, 10 % error, mean (splits)", columns, rows)


def show_genomes(results: Results) -> None:
    """Which relatives are given to the right genome."""
    for classes in HELD:
        splits = [split for split in make_splits() if split.name in HELD[classes]]
        rows = [
            [
                name,
                *(
                    f"{mean:.1f}"
                    for split in splits
                    for mean in np.mean(results[name, split.name, "by genome"], 0)
                ),
            ]
            for name in FAMILIES
        ]
        columns = ["family", *(list(GENOMES)[genome] for split in splits for genome in split.held)]
        show(f"Relatives at 10 % error, {classes}, each", columns, rows)


def show_real(results: Results) -> None:
    tests = real_reads()
    rows = [[name, *(f"{np.mean(results[name, 'all', test]):.1f}" for test in tests)] for name in FAMILIES]
    columns = ["family", *(f"{test} ({len(labelled.reads)})" for test, labelled in tests.items())]
    show("Real reads, percentage given to their genome, of 16", columns, rows)


if __name__ == "__main__":
    show_agreement()
    show_collisions()
    measured, chosen = measure_families()
    show_accuracies(measured)
    for classes in HELD:
        show_memory_and_smoothing(measured, chosen, classes)
    show_gains(measured)
    show_genomes(measured)
    show_real(measured)
