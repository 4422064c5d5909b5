"""How long proteins take on this machine: measured once, kept in a cache folder.

The cost of a protein of L residues is ``linear * L + quadratic * L**2`` seconds. It decides how proteins
are shared out and where parts of the store end, and no value of an embedding.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from dataclasses import asdict, dataclass

from helixflow.embeddings.compute import device_name
from helixflow.embeddings.model import ModelDescription
from helixflow.embeddings.packed import PackedBert
from helixflow.files import cache_folder, read_json, write_json

log = logging.getLogger(__name__)

#: Tokens of a measurement on a CPU, a GPU, and residues of its short proteins.
_TOKENS = {"cpu": 2048, "cuda": 16384}
_SHORT = 128
_TRIES = 3


@dataclass(frozen=True)
class Rates:
    """Seconds a protein takes for each residue, and for each pair of residues."""

    linear: float
    quadratic: float

    def cost(self, length: int) -> float:
        """Predict the seconds a protein of this many residues takes."""
        return length * (self.linear + self.quadratic * length)


def find_rates(model: ModelDescription, threads: int) -> Rates:
    """Return the rates of a model on this machine, measured where they are not known yet."""
    conditions = {
        "device": device_name(),
        "threads": threads,
        "compute_dtype": model.compute_dtype,
        "shape": model.shape,
    }
    path = cache_folder() / "rates" / f"{_digest(conditions)}.json"
    try:
        known = read_json(path)
        rates = Rates(float(known["linear"]), float(known["quadratic"]))
        if 0 < rates.linear < math.inf and 0 <= rates.quadratic < math.inf:
            return rates
    except (OSError, ValueError, KeyError, TypeError):
        pass
    rates = measure_rates(model, threads)
    log.info(
        "measured on %s: %.3g s a residue, %.3g s a pair of residues",
        conditions["device"], rates.linear, rates.quadratic,
    )  # fmt: skip
    try:
        write_json(path, asdict(rates) | conditions)
    except OSError as error:
        log.warning("%s cannot be written (%s): each job will measure again", path, error)
    return rates


def measure_rates(model: ModelDescription, threads: int) -> Rates:
    """Measure one layer with random weights, on short proteins and on a long one.

    Returns
    -------
    Rates
        To two digits: more would be noise.
    """
    import torch
    from transformers import BertConfig, BertModel

    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    total = min(_TOKENS[device], model.max_residues)
    given = {name: value for name, value in model.shape.items() if value is not None}
    shape = given | {"num_hidden_layers": 1, "max_position_embeddings": total}
    layer = BertModel(BertConfig(**shape), add_pooling_layer=False).eval()
    packed = PackedBert(layer, device, getattr(torch, model.compute_dtype))
    short = min(_SHORT, total)
    many = _seconds(packed, [short] * (total // short))
    one = _seconds(packed, [total])
    n_layer = model.shape["num_hidden_layers"]
    return _solve(n_layer * many / (total // short), short, n_layer * one, total)


def _solve(short_seconds: float, short: int, long_seconds: float, long: int) -> Rates:
    """Return the rates at which proteins of two lengths take these seconds."""
    short_rate, long_rate = short_seconds / short, long_seconds / long
    # Noise may say that a long protein is the faster one.
    quadratic = max(0.0, (long_rate - short_rate) / (long - short)) if long > short else 0.0
    linear = max(short_rate - quadratic * short, short_rate / 10)
    return Rates(float(f"{linear:.1e}"), float(f"{quadratic:.1e}"))


def _seconds(packed: PackedBert, lengths: list[int]) -> float:
    """Return the least seconds a pack takes in a few tries, after one to warm up."""
    import torch

    tokens = torch.zeros(sum(lengths), dtype=torch.int64)
    seconds = []
    for _ in range(_TRIES + 1):
        start = time.perf_counter()
        packed(tokens, lengths)[:1].cpu()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
