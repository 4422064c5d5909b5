"""Embeddings on one GPU: packs beside the loop of bio_embeddings, and the share of the GPU's peak.

    PYTHONPATH=scripts python tests/bench_gpu.py

runs from a checkout with torch, transformers, numpy and h5py alone, and prints a table in Markdown.
``--tiny`` tries it on any machine with a small model.
"""

import argparse
import math
import random
import time
from collections.abc import Callable

import torch
from torch.nn.functional import linear
from transformers import BertConfig, BertModel

from helixflow.embeddings.compute import device_name
from helixflow.embeddings.encoder import make_packs
from helixflow.embeddings.packed import PackedBert
from helixflow.embeddings.tokens import PROTBERT, encode, token_table

PROTBERT_SHAPE = {
    "vocab_size": 30, "hidden_size": 1024, "num_hidden_layers": 30, "num_attention_heads": 16,
    "intermediate_size": 4096, "max_position_embeddings": 40000, "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
TINY_SHAPE = PROTBERT_SHAPE | {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256,
    "max_position_embeddings": 4096,
}  # fmt: skip
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TABLE = token_table(PROTBERT)


def make_proteins(number: int) -> list[str]:
    """Random proteins of log-normal length, median 300, one of 2,100 residues."""
    dice = random.Random(2)
    lengths = [2100, *(int(math.exp(dice.gauss(math.log(300), 0.6))) for _ in range(number - 1))]
    return ["".join(dice.choices("ACDEFGHIKLMNPQRSTVWY", k=length)) for length in lengths]


def make_bert(shape: dict[str, float], dtype: torch.dtype) -> BertModel:
    torch.manual_seed(1)
    return BertModel(BertConfig(**shape), add_pooling_layer=False).eval().to(DEVICE, dtype)


def seconds(work: Callable[[], object], tries: int) -> float:
    """Least seconds of some tries, after one to warm up."""
    taken = []
    for _ in range(tries + 1):
        start = time.perf_counter()
        work()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken[1:] or taken)


def gemm_peak(rows: int, width: int, wide: int) -> float:
    """Best rate of the products of the feed-forward in bfloat16, in operations a second."""
    values = torch.randn(rows, width, device=DEVICE, dtype=torch.bfloat16)
    weight = torch.randn(wide, width, device=DEVICE, dtype=torch.bfloat16)
    with torch.inference_mode():
        return 2 * rows * width * wide / seconds(lambda: linear(values, weight), 20)


def run_packed(model: PackedBert, proteins: list[str], budget: int) -> list[torch.Tensor]:
    """Packs without padding, through helixflow's layers; vectors on the CPU, longest protein first."""
    vectors = []
    for pack in make_packs({protein: len(protein) for protein in proteins}, budget):
        lengths = [len(protein) + 2 for protein in pack]
        hidden = model(torch.from_numpy(encode(pack, TABLE)), lengths).to("cpu", non_blocking=True)
        vectors += [rows[1:-1] for rows in hidden.split(lengths)]
    return vectors


def run_padded(model: BertModel, proteins: list[str], budget: int) -> list[torch.Tensor]:
    """Sorted and padded, longest length times number within the budget, as bio_embeddings and ESM do it."""
    vectors: list[torch.Tensor] = []
    waiting = sorted(proteins, key=len, reverse=True)
    with torch.inference_mode():
        while waiting:
            count = max(1, budget // (len(waiting[0]) + 2))
            batch, waiting = waiting[:count], waiting[count:]
            tokens = torch.zeros(len(batch), len(batch[0]) + 2, dtype=torch.int64)
            for row, protein in zip(tokens, batch, strict=True):
                row[: len(protein) + 2] = torch.from_numpy(encode([protein], TABLE))
            tokens = tokens.to(DEVICE)
            hidden = model(input_ids=tokens, attention_mask=(tokens > 0).long()).last_hidden_state.cpu()
            vectors += [rows[1 : len(protein) + 1] for rows, protein in zip(hidden, batch, strict=True)]
    return vectors


def time_packed(
    shape: dict[str, float],
    dtype: torch.dtype,
    proteins: list[str],
    sample: list[str],
    budget: int,
    tries: int,
) -> tuple[float, list[torch.Tensor]]:
    """Seconds the proteins take, and the vectors of some."""
    model = PackedBert(make_bert(shape, torch.float32), DEVICE, dtype)
    taken = seconds(lambda: run_packed(model, proteins, budget), tries)
    vectors = run_packed(model, sample, budget)
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return taken, vectors


def time_padded(shape: dict[str, float], proteins: list[str], budget: int, tries: int) -> float:
    """Seconds the proteins take in float16."""
    model = make_bert(shape, torch.float16)
    return seconds(lambda: run_padded(model, proteins, budget), tries)


def least_cosine(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """Least cosine of a residue's two vectors."""
    pairs = zip(found, expected, strict=True)
    return min(torch.cosine_similarity(one, other).min().item() for one, other in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of embeddings on one GPU")
    parser.add_argument("--tiny", action="store_true", help="a small model, few proteins, one try")
    parser.add_argument("--proteins", type=int, default=1000)
    parser.add_argument("--token-budget", type=int, default=32768)
    options = parser.parse_args()
    shape = TINY_SHAPE if options.tiny else PROTBERT_SHAPE
    proteins = make_proteins(20 if options.tiny else options.proteins)
    tries, budget = (1, 4096) if options.tiny else (3, options.token_budget)
    width, n_layer = shape["hidden_size"], shape["num_hidden_layers"]
    lengths = [len(protein) + 2 for protein in proteins]
    work = n_layer * sum(24 * width**2 * tokens + 4 * width * tokens**2 for tokens in lengths)
    residues = sum(map(len, proteins))
    sample = proteins[:50]

    peak = gemm_peak(budget, width, shape["intermediate_size"])
    packed_seconds, coarse = time_packed(shape, torch.bfloat16, proteins, sample, budget, tries)
    _, exact = time_packed(shape, torch.float32, sample, sample, budget, 0)
    padded_seconds = time_padded(shape, proteins, budget, tries)
    cosine = least_cosine(coarse, exact)

    print(f"{device_name()}, torch {torch.__version__}: {len(proteins)} proteins, {residues} residues, "
          f"{n_layer} layers of width {width}, {budget} tokens at once; bfloat16 GEMM peak "
          f"{peak / 1e12:.3g} TF/s; least cosine of a residue against float32 {cosine:.5f}\n")  # fmt: skip
    print("| way | residues/s | ratio | share of bfloat16 GEMM peak |")
    print("|---|---|---|---|")
    for name, taken in (("packed, bfloat16", packed_seconds), ("sorted and padded, float16", padded_seconds)):
        ratio = padded_seconds / taken
        print(f"| {name} | {residues / taken:.0f} | {ratio:.2f} | {work / taken / peak:.0%} |")
    print("| aim: packed | | 5 | 40% |")


if __name__ == "__main__":
    main()
