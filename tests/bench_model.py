"""Quality of the closed-form model's vectors, beside baselines: the tables of docs/models.md.

    make bench-model
    PYTHONPATH=scripts:tests python tests/bench_model.py families

The second makes one table alone. Real proteins are those beside the checkout. Everything that is chosen
is chosen on what is not reported.
"""

import gzip
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import torch
from Bio import SeqIO
from numpy.typing import NDArray
from transformers import BertModel

from conftest import DATA
from helixflow.embeddings.closed_form import AMINO_ACIDS, OFFSETS, make_closed_form_model
from helixflow.embeddings.tokens import PROTBERT, encode, token_table
from helixflow.proteins.names import normalise
from models import make_random_model

SEEDS = (1, 2, 3)
LENGTHS = (1, 10, 100, 500, 1000, 2300)
N_FOLD = 5
#: Ridge penalties to choose from, per residue and for features of standard deviation 1.
PENALTIES = tuple(10.0**power for power in range(-6, 2))
#: Bootstrap samples of chains.
N_SAMPLE = 2000
PEER = "one-hot window of 9"

Matrix = NDArray[np.float32]
#: From a protein to a vector per residue, (L, D).
Featuriser = Callable[[str], Matrix]
#: From some proteins to a vector each, (N, D).
Summary = Callable[[Sequence[str]], Matrix]


# Models


def load(folder: Path) -> BertModel:
    torch.set_num_threads(1)
    return BertModel.from_pretrained(folder, add_pooling_layer=False).eval()


def vectors(model: BertModel) -> Featuriser:
    """The last hidden layer, without special tokens."""
    table = token_table(PROTBERT)

    def of(protein: str) -> Matrix:
        tokens = encode([protein], table)[None]
        with torch.inference_mode():
            return model(torch.from_numpy(tokens)).last_hidden_state[0, 1:-1].numpy()

    return of


def untrained(folder: Path, like: Path, seed: int) -> BertModel:
    """Random weights in the shape of another model."""
    make_random_model(folder, seed, **json.loads((like / "config.json").read_text()))
    return load(folder)


# Attention


def least_attention(model: BertModel, protein: str) -> tuple[float, float]:
    """Least share of a residue's attention that is where it should be, over residues and heads.

    Returns
    -------
    target : float
        At the token of the head's offset, where there is one.
    beyond : float
        At [CLS], where the chain has ended.
    """
    tokens = encode([protein], token_table(PROTBERT))[None]
    with torch.inference_mode():
        found = (
            model(torch.from_numpy(tokens), output_attentions=True).attentions[0][0].numpy()
        )  # (heads, T, T)
    residue = np.arange(1, len(protein) + 1)
    target, beyond = [1.0], [1.0]
    for attention, offset in zip(found, OFFSETS, strict=True):
        there = (residue + offset >= 1) & (residue + offset <= len(protein) + 1)
        target += attention[residue[there], residue[there] + offset].tolist()
        beyond += attention[residue[~there], 0].tolist()
    return min(target), min(beyond)


def show_attention(model: BertModel) -> None:
    rng = np.random.default_rng(SEEDS[0])
    model.set_attn_implementation("eager")
    rows = []
    for length in LENGTHS:
        protein = "".join(rng.choice(list(AMINO_ACIDS), length))
        rows.append((f"{length:,}", *(f"{share:.5f}" for share in least_attention(model, protein))))
    model.set_attn_implementation("sdpa")
    show("Attention", ("residues", "least at the offset's token", "least at [CLS] beyond the ends"), rows)


# Secondary structure: a linear probe


@dataclass(frozen=True)
class Chains:
    """Proteins with a state, 0 to 2, of every residue that was resolved, and -1 of the others."""

    proteins: list[str]
    states: list[NDArray[np.int64]]

    def first(self, number: int) -> "Chains":
        return Chains(self.proteins[:number], self.states[:number])


class Labelled(NamedTuple):
    """Features and states of the resolved residues of some chains, and the number of each one's chain."""

    features: NDArray[np.float64]
    states: NDArray[np.int64]
    chains: NDArray[np.int64]


def read_chains(data: Path, name: str) -> Chains:
    sequences, states, masks = (
        dict(records(data / "proteins" / f"{name}.{kind}.fasta")) for kind in ("seq", "ss3", "mask")
    )
    known = [
        np.where(np.array(list(masks[chain])) == "1", ["HEC".index(state) for state in states[chain]], -1)
        for chain in sequences
    ]
    return Chains([normalise(sequence, name) for sequence in sequences.values()], known)


def records(path: Path) -> Iterable[tuple[str, str]]:
    """First word of a header, and what follows, whose letters need not be residues."""
    for entry in path.read_text().split(">")[1:]:
        header, *lines = entry.splitlines()
        yield header.split()[0], "".join(lines)


def one_hot(width: int) -> Featuriser:
    """The residues around each residue, a column for each place and letter."""
    identity = np.eye(21, 20, dtype=np.float32)
    reach = width // 2

    def of(protein: str) -> Matrix:
        # The last row, of zeros, is for X and for what lies beyond the ends.
        codes = np.pad([AMINO_ACIDS.find(letter) for letter in protein], reach, constant_values=-1)
        places = np.lib.stride_tricks.sliding_window_view(codes, width)
        return identity[places].reshape(len(protein), -1)

    return of


def composition_of(protein: str) -> Matrix:
    """The same for every residue of a protein: the shares of the amino acids in it."""
    return np.repeat(composition([protein]), len(protein), axis=0)


def label(chains: Chains, of: Featuriser) -> Labelled:
    known = [states >= 0 for states in chains.states]
    return Labelled(
        np.concatenate([of(p)[k] for p, k in zip(chains.proteins, known, strict=True)]).astype(np.float64),
        np.concatenate([s[k] for s, k in zip(chains.states, known, strict=True)]),
        np.repeat(np.arange(len(known)), [k.sum() for k in known]),
    )


class Moments(NamedTuple):
    """Sums over residues from which a ridge regression follows."""

    n: int
    features: NDArray[np.float64]
    squares: NDArray[np.float64]
    states: NDArray[np.float64]
    products: NDArray[np.float64]

    def less(self, other: "Moments") -> "Moments":
        return Moments(*(one - another for one, another in zip(self, other, strict=True)))


def moments(features: NDArray[np.float64], states: NDArray[np.int64]) -> Moments:
    is_state = np.eye(3)[states]
    return Moments(
        len(states), features.sum(0), features.T @ features, is_state.sum(0), features.T @ is_state
    )


class Ridge:
    """Least squares from standardised features to the three states, for any penalty."""

    def __init__(self, sums: Moments) -> None:
        self.mean, self.level = sums.features / sums.n, sums.states / sums.n
        covariance = sums.squares / sums.n - np.outer(self.mean, self.mean)
        sd = np.sqrt(np.diag(covariance).clip(0))
        self.scale = np.divide(1, sd, out=np.zeros_like(sd), where=sd > 1e-6)
        self.values, self.axes = np.linalg.eigh(covariance * np.outer(self.scale, self.scale))
        together = sums.products / sums.n - np.outer(self.mean, self.level)
        self.target = self.axes.T @ (self.scale[:, None] * together)

    def classify(self, features: NDArray[np.float64], penalty: float) -> NDArray[np.int64]:
        weights = self.axes @ (self.target / (self.values[:, None].clip(0) + penalty))
        return ((features - self.mean) @ (self.scale[:, None] * weights) + self.level).argmax(axis=1)


def probe(train: Labelled, test: Labelled) -> NDArray[np.bool_]:
    """Tell which residues of `test` are classified right, with a penalty chosen by folds of `train`."""
    folds = [train.chains % N_FOLD == fold for fold in range(N_FOLD)]
    sums = [moments(train.features[fold], train.states[fold]) for fold in folds]
    whole = Moments(*map(sum, zip(*sums, strict=True)))
    right = np.zeros(len(PENALTIES))
    for fold, part in zip(folds, sums, strict=True):
        ridge = Ridge(whole.less(part))
        right += [
            (ridge.classify(train.features[fold], penalty) == train.states[fold]).sum()
            for penalty in PENALTIES
        ]
    best = PENALTIES[int(right.argmax())]
    return Ridge(whole).classify(test.features, best) == test.states


def interval(
    right: NDArray[np.float64], other: NDArray[np.float64], chains: NDArray[np.int64]
) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies, over samples of whole chains."""
    gain = np.bincount(chains, right - other)
    residues = np.bincount(chains)
    drawn = np.random.default_rng(SEEDS[0]).integers(0, len(residues), (N_SAMPLE, len(residues)))
    low, high = np.percentile(gain[drawn].sum(1) / residues[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def show_structure(data: Path, features: Mapping[str, list[Featuriser]]) -> None:
    """Accuracies of the probe, the mean over featurisers of one name."""
    train, test = read_chains(data, "ss3_train400"), read_chains(data, "ss3_val100")
    right, width = {}, {}
    for name, each in features.items():
        found = []
        for of in each:
            labelled = label(test, of)
            found.append(probe(label(train, of), labelled))
        right[name], width[name] = np.stack(found), labelled.features.shape[1]
    rows = []
    for name, found in right.items():
        low, high = interval(found.mean(axis=0), right[PEER].mean(axis=0), labelled.chains)
        against = "" if name == PEER else f"{low:+.3f} to {high:+.3f}"
        rows.append((name, str(width[name]), f"{found.mean():.3f}", against))
    title = f"Secondary structure, {len(labelled.states):,} residues of {len(test.proteins)} chains"
    show(title, ("features", "columns", "accuracy", "95 % of the difference to the window of 9"), rows)


# Families: the nearest neighbours of proteins


@dataclass(frozen=True)
class Task:
    """Queries, what they are looked for in, and of each query the entries that are right.

    An entry that is the query itself, given by `itself`, is left out of its search.
    """

    name: str
    queries: list[str]
    database: list[str]
    right: list[set[int]]
    itself: list[int] | None = None


def composition(proteins: Sequence[str]) -> Matrix:
    shares = [[protein.count(letter) / len(protein) for letter in AMINO_ACIDS] for protein in proteins]
    return np.array(shares, np.float32)


def trigrams(proteins: Sequence[str]) -> Matrix:
    """How often each of 8,000 3-mers occurs in each protein; those with an X are not counted."""
    number = {"".join(letters): index for index, letters in enumerate(product(AMINO_ACIDS, repeat=3))}
    counts = np.zeros((len(proteins), len(number)), np.float32)
    for row, protein in enumerate(proteins):
        for start in range(len(protein) - 2):
            column = number.get(protein[start : start + 3])
            if column is not None:
                counts[row, column] += 1
    return counts


def mean_of(of: Featuriser) -> Summary:
    """Mean vector of each protein; every protein goes through the model once, whatever the tasks."""
    known: dict[str, Matrix] = {}

    def summary(proteins: Sequence[str]) -> Matrix:
        known.update((p, of(p).mean(axis=0)) for p in dict.fromkeys(proteins) if p not in known)
        return np.stack([known[protein] for protein in proteins])

    return summary


def weigh(queries: Matrix, database: Matrix) -> tuple[Matrix, Matrix]:
    """Multiply term counts by the inverse document frequencies of the database."""
    inverse = np.log((1 + len(database)) / (1 + (database > 0).sum(axis=0))) + 1
    return queries * inverse, database * inverse


def ranks(task: Task, summary: Summary) -> NDArray[np.int64]:
    """Rank, from 0, of the first entry that is right for each query, by the cosine of centred vectors.

    The centre is the mean of the database, for every kind of vector.
    """
    queries, database = summary(task.queries), summary(task.database)
    if summary is trigrams:
        queries, database = weigh(queries, database)
    centre = database.mean(axis=0)
    one, other = (unit(each - centre) for each in (queries, database))
    likeness = one @ other.T
    if task.itself is not None:
        likeness[np.arange(len(one)), task.itself] = -np.inf
    best = np.array([row[list(right)].max() for row, right in zip(likeness, task.right, strict=True)])
    return (likeness > best[:, None]).sum(axis=1)


def unit(rows: Matrix) -> Matrix:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)


def genbank_proteins(path: Path, name: str) -> list[tuple[str, str]]:
    """A qualifier, "" where there is none, and the normalised sequence of each translated CDS."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as stream:
        return [
            (cds.qualifiers.get(name, [""])[0], normalise(cds.qualifiers["translation"][0], path.name))
            for record in SeqIO.parse(stream, "genbank")
            for cds in record.features
            if cds.type == "CDS" and "translation" in cds.qualifiers
        ]


def refseq_proteins(path: Path) -> list[tuple[str, str]]:
    """Product and sequence of each entry of RefSeq's protein FASTA."""
    return [
        (entry.description.split(" ", 1)[1].rsplit(" [", 1)[0], normalise(str(entry.seq), path.name))
        for entry in SeqIO.parse(path, "fasta")
    ]


def name_task(name: str, queries: list[tuple[str, str]], database: list[tuple[str, str]]) -> Task:
    """Pairs of proteins of one name, those that occur once on either side; case does not matter."""
    places = [Counter(label.lower() for label, _ in side if label) for side in (queries, database)]
    shared = {label for label, times in places[0].items() if times == 1 and places[1][label] == 1}
    where = {label.lower(): index for index, (label, _) in enumerate(database)}
    chosen = [(label.lower(), protein) for label, protein in queries if label.lower() in shared]
    return Task(
        name,
        [protein for _, protein in chosen],
        [protein for _, protein in database],
        [{where[label]} for label, _ in chosen],
    )


def cath_task(name: str, path: Path, depth: int) -> Task:
    """Domains that agree in so many levels of CATH's classification, each looked for among the others."""
    domains = [(header.split("|")[1], normalise(domain, path.name)) for header, domain in records(path)]
    group = [".".join(label.split(".")[:depth]) for label, _ in domains]
    chosen = [index for index, each in enumerate(group) if group.count(each) > 1]
    right = [
        {other for other, each in enumerate(group) if each == group[index]} - {index} for index in chosen
    ]
    everything = [domain for _, domain in domains]
    return Task(name, [everything[index] for index in chosen], everything, right, chosen)


def family_tasks(data: Path) -> list[Task]:
    genomes, proteins = data / "genomes", data / "proteins"
    coli = genbank_proteins(genomes / "NC_000913_Ecoli_K12_MG1655.gbk.gz", "gene")
    gallisepticum = genbank_proteins(genomes / "NC_004829_Mgallisepticum_Rlow.gbk", "gene")
    mycoides = genbank_proteins(genomes / "GCF_000023685.1_Mmycoides_capri_GM12.gbff", "gene")
    products = genbank_proteins(genomes / "NC_004829_Mgallisepticum_Rlow.gbk", "product")
    pneumoniae = refseq_proteins(proteins / "mycoplasma_refseq.faa")
    return [
        cath_task("CATH superfamilies (cath_db50)", proteins / "cath_db50.fasta", 4),
        cath_task("CATH topologies (cath_200)", proteins / "cath_200.fasta", 3),
        name_task("M. pneumoniae in M. gallisepticum, by product", pneumoniae, products),
        name_task("M. gallisepticum in M. mycoides, by gene", gallisepticum, mycoides),
        name_task("M. gallisepticum in E. coli, by gene", gallisepticum, coli),
        name_task("M. mycoides in E. coli, by gene", mycoides, coli),
    ]


def show_families(tasks: list[Task], summaries: Mapping[str, Summary]) -> None:
    rows = []
    for task in tasks:
        for name, summary in summaries.items():
            found = ranks(task, summary)
            top = [f"{(found < k).mean():.3f}" for k in (1, 10)]
            rows.append((task.name, f"{len(task.queries)} in {len(task.database):,}", name, *top))
        for row in rows[-len(summaries) :]:
            print(*row, file=sys.stderr, sep="\t", flush=True)
    show("Families", ("task", "queries", "vectors", "top-1", "top-10"), rows)


# The tables


def show(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as Markdown."""
    print(f"\n### {title}\n\n| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


FEATURES = {
    "composition of the protein": [composition_of],
    "one-hot window of 1": [one_hot(1)],
    PEER: [one_hot(9)],
    "one-hot window of 17": [one_hot(17)],
}


def main(tables: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "closed_form")
        make_closed_form_model(folder)
        closed_form = load(folder)
        random = [vectors(untrained(Path(name, f"{seed}"), folder, seed)) for seed in SEEDS]
        if "attention" in tables:
            show_attention(closed_form)
        if "structure" in tables:
            models = {f"untrained, same shape, mean of {len(SEEDS)}": random}
            show_structure(DATA, FEATURES | models | {"closed form": [vectors(closed_form)]})
        if "families" in tables:
            models = {"untrained, same shape": random[0], "closed form": vectors(closed_form)}
            summaries = {name: mean_of(of) for name, of in models.items()}
            show_families(
                family_tasks(DATA), {"composition": composition, "3-mer tf-idf": trigrams} | summaries
            )


if __name__ == "__main__":
    main(sys.argv[1:] or ("attention", "structure", "families"))
