"""Embeddings: ProtBERT's full shape with random weights, packed and in the loops that others use.

    PYTHONPATH=scripts:tests python tests/bench_embeddings.py

Every way computes the same proteins; what it gives is compared with one protein at a time in float32.
"""

import itertools
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from measuring import cost, show

#: Tokens of a pack, the default of the workflow, and of the batches that ESM and bio_embeddings make.
BUDGET, SORTED_BUDGET = 2048, 4096
#: Of ../shared/data/model/prot_bert_config.json.
SHAPE = {
    "vocab_size": 30, "hidden_size": 1024, "num_hidden_layers": 30, "num_attention_heads": 16,
    "intermediate_size": 4096, "max_position_embeddings": 40000, "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
#: Few, so that the way that pads takes minutes and not an hour.
N_PROTEIN = 8


def make_model(folder: Path, shape: dict[str, float]) -> Callable[[], None]:
    import torch
    import transformers
    from transformers import BertConfig, BertModel

    from helixflow.embeddings.tokens import PROTBERT

    def run() -> None:
        torch.manual_seed(1)
        transformers.logging.disable_progress_bar()
        BertModel(BertConfig(**shape), add_pooling_layer=False).save_pretrained(folder)
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in PROTBERT))

    return run


def make_proteins(number: int, longest: int = 2100, median: int = 300) -> list[str]:
    """Random proteins of log-normal length, one of them long, in random order."""
    dice = random.Random(2)
    lengths = [longest, *(int(math.exp(dice.gauss(math.log(median), 0.6))) for _ in range(number - 1))]
    dice.shuffle(lengths)
    return ["".join(dice.choices("ACDEFGHIKLMNPQRSTVWY", k=max(length, 1))) for length in lengths]


def embed_packed(folder: Path, proteins: list[str], compute: str) -> Callable[[], None]:
    from helixflow.embeddings.encoder import Encoder, embed_packs
    from helixflow.embeddings.model import describe_model

    encoder = Encoder(describe_model(str(folder), "", compute), threads=1)
    encoder(["MKV"])
    named = {f"{number:05d}": protein for number, protein in enumerate(proteins)}

    def run() -> None:
        vectors = dict(embed_packs(encoder, named, BUDGET))
        np.save(folder / f"packed_{compute}.npy", np.concatenate([vectors[name] for name in sorted(vectors)]))

    return run


def embed_with_transformers(
    folder: Path, proteins: list[str], way: str, batches: list[list[int]]
) -> Callable[[], None]:
    """The loop of a notebook: a tokenizer, a padded batch, the rows of each protein."""
    import torch
    from transformers import BertModel, BertTokenizer

    torch.set_num_threads(1)
    tokenizer = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    vectors: list[np.ndarray] = [np.empty(0)] * len(proteins)

    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                spaced = [" ".join(proteins[number]) for number in batch]
                hidden = model(**tokenizer(spaced, return_tensors="pt", padding=True)).last_hidden_state
                for number, rows in zip(batch, hidden.numpy(), strict=True):
                    vectors[number] = rows[1 : len(proteins[number]) + 1].copy()
        np.save(folder / f"{way}.npy", np.concatenate(vectors))

    return run


def sorted_batches(proteins: list[str], budget: int) -> Iterator[list[int]]:
    """Batches of similar length, longest length times number within a budget, as ESM makes them."""
    batch: list[int] = []
    for number in sorted(range(len(proteins)), key=lambda number: len(proteins[number])):
        if batch and (len(batch) + 1) * (len(proteins[number]) + 2) > budget:
            yield batch
            batch = []
        batch.append(number)
    yield batch


def gemm_peak(folder: Path, compute: str) -> Callable[[], None]:
    """Write the best rate of the products of ProtBERT's feed-forward, in operations a CPU second.

    In float32, the better one of MKL and oneDNN.
    """
    import torch

    from helixflow.embeddings.packed import compute_by_onednn

    torch.set_num_threads(1)
    dtype = getattr(torch, compute)
    products = [torch.nn.Linear(1024, 4096).to(dtype).requires_grad_(False) for _ in range(2)]
    if compute == "float32":
        compute_by_onednn(products[1])
    rates = []

    def run() -> None:
        for rows, product in itertools.product((1024, 2048, 4096), products):
            values = torch.randn(rows, 1024).to(dtype)
            with torch.inference_mode():
                for _ in range(6):
                    start = time.process_time()
                    product(values)
                    rates.append(2 * rows * 1024 * 4096 / (time.process_time() - start))
        (folder / f"peak_{compute}").write_text(str(max(rates)))

    return run


def operations(proteins: list[str]) -> float:
    """Multiplications and additions of all products, attention's included."""
    width, n_layer = SHAPE["hidden_size"], SHAPE["num_hidden_layers"]
    lengths = [len(protein) + 2 for protein in proteins]
    return n_layer * sum(24 * width**2 * tokens + 4 * width * tokens**2 for tokens in lengths)


def bench_ways(folder: Path) -> None:
    cost(make_model, folder, SHAPE)
    proteins = make_proteins(N_PROTEIN)
    residues, numbers = sum(map(len, proteins)), list(range(len(proteins)))
    ways = {
        "alone": [[number] for number in numbers],
        "sorted": list(sorted_batches(proteins, SORTED_BUDGET)),
        "padded": [numbers[start : start + 8] for start in range(0, len(numbers), 8)],
    }
    used = {compute: cost(embed_packed, folder, proteins, compute) for compute in ("bfloat16", "float32")}
    for way, batches in ways.items():
        used[way] = cost(embed_with_transformers, folder, proteins, way, batches)
    show(
        f"embeddings: {len(proteins)} proteins, {residues} residues, ProtBERT's shape, random weights",
        "residues/CPU s",
        [
            (f"helixflow, packs of {BUDGET}, bfloat16", residues, used["bfloat16"]),
            (f"helixflow, packs of {BUDGET}, float32", residues, used["float32"]),
            (f"transformers, sorted, longest x number <= {SORTED_BUDGET} (ESM)", residues, used["sorted"]),
            ("transformers, padded batches of 8 in input order (notebook)", residues, used["padded"]),
            ("transformers, one at a time", residues, used["alone"]),
        ],
    )
    for peer, name in (("alone", "one at a time"), ("sorted", "sorted budget"), ("padded", "padded")):
        ratios = [used[peer][0] / used[compute][0] for compute in ("bfloat16", "float32")]
        print(f"  over {name}: bfloat16 {ratios[0]:.2f}, float32 {ratios[1]:.2f} times")
    say_errors(folder)
    for compute in ("float32", "bfloat16"):
        cost(gemm_peak, folder, compute)
        peak = float((folder / f"peak_{compute}").read_text())
        share = operations(proteins) / used[compute][0] / peak
        print(f"  {compute}: {peak / 1e9:.0f} GF/s GEMM peak, {share:.0%} of it reached")


def say_errors(folder: Path) -> None:
    """Print how far the packed vectors are from those of one protein at a time."""
    expected, exact, coarse = (
        np.load(folder / f"{way}.npy") for way in ("alone", "packed_float32", "packed_bfloat16")
    )
    norms = np.linalg.norm(coarse, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = (coarse * expected).sum(axis=1) / norms
    print(f"  float32: at most {np.abs(exact - expected).max():.1e} from one at a time")
    print(f"  bfloat16: least cosine of a residue {cosine.min():.5f}")


def embed_many(folder: Path, number: int) -> Callable[[], None]:
    from helixflow.embeddings.calibration import Rates
    from helixflow.embeddings.engine import embed_fasta
    from helixflow.embeddings.model import describe_model
    from helixflow.fasta import write_fasta
    from helixflow.proteins.names import protein_id

    model = describe_model(str(folder), "")
    dice = random.Random(3)
    lengths = (max(1, int(math.exp(dice.gauss(math.log(100), 0.5)))) for _ in range(number))
    proteins = ("".join(dice.choices("ACDEFGHIKLMNPQRSTVWY", k=length)) for length in lengths)
    write_fasta(folder / f"{number}.fasta", ((protein_id(protein), protein) for protein in proteins))
    # Parts of 50,000 residues, so that the few proteins too are more than one part.
    options = {"part_seconds": 50_000, "rates": Rates(1.0, 0.0), "token_budget": BUDGET, "threads": 1}
    return lambda: embed_fasta(folder / f"{number}.fasta", model, folder / f"{number}", **options)


def bench_memory(folder: Path) -> None:
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    cost(make_model, folder, SHAPE | small)
    rows = [
        (f"{number} proteins, a small model", number, cost(embed_many, folder, number))
        for number in (100_000, 1_000)
    ]
    show("embeddings: memory follows the token budget, not the proteins", "proteins/CPU s", rows)


def bench_embeddings(folder: Path) -> None:
    for number, bench in enumerate((bench_memory, bench_ways)):
        (folder / str(number)).mkdir()
        bench(folder / str(number))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        bench_embeddings(Path(scratch))
