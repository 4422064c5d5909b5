"""Contacts between residues, read from the attention of a language model (Rao et al. 2020, ICLR 2021).

The attention of each head among residues, special tokens left out, is made symmetric (a + aT) and
corrected by the average product, a_ij - a_i. a_.j / a_.. . The heads are summed with weights: with an
intercept the sum goes through a logistic function and is a probability, without one it is divided by
the sum of the weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from helixflow.embeddings.encoder import Encoder
from helixflow.embeddings.settings import ALL_HEADS
from helixflow.embeddings.store import CONTACTS
from helixflow.embeddings.tokens import encode
from helixflow.errors import EmbeddingError
from helixflow.files import read_json

if TYPE_CHECKING:
    from torch import Tensor

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class ContactHeads:
    """Weights of attention heads by layer and head, both from 0, and the intercept of a regression."""

    weights: tuple[tuple[int, int, float], ...]
    intercept: float | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of weights and intercept."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()


def read_heads(heads: str, n_layer: int, n_head: int) -> ContactHeads:
    """Read which heads of a model tell of contacts.

    Parameters
    ----------
    heads : str
        ``all``, every head alike, or a JSON file ``{"heads": [{"layer": 0, "head": 0, "weight": 1.5},
        …], "intercept": -3.2}``; layer and head count from 0, the intercept may be absent.
    n_layer, n_head : int
        Layers of the model, and heads of a layer.

    Raises
    ------
    EmbeddingError
        For a file that is something else, or names a head that the model does not have.
    """
    if heads == ALL_HEADS:
        return ContactHeads(tuple((layer, head, 1.0) for layer in range(n_layer) for head in range(n_head)))
    try:
        content = read_json(heads)
        rows = tuple(sorted(_read_row(row) for row in content["heads"]))
        intercept = content.get("intercept")
        if set(content) - {"heads", "intercept"}:
            raise ValueError(f"unknown key '{min(set(content) - {'heads', 'intercept'})}'")
        found = ContactHeads(rows, None if intercept is None else _number(intercept))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise EmbeddingError(
            f"{heads}: is not a list of attention heads ({type(error).__name__}: {error}); expected JSON as "
            '{"heads": [{"layer": 0, "head": 0, "weight": 1.5}], "intercept": -3.2}'
        ) from None
    _check_heads(heads, found, n_layer, n_head)
    return found


def _check_heads(path: str, heads: ContactHeads, n_layer: int, n_head: int) -> None:
    named = [(layer, head) for layer, head, _ in heads.weights]
    for layer, head in named:
        if layer not in range(n_layer) or head not in range(n_head):
            raise EmbeddingError(
                f"{path}: layer {layer}, head {head}: expected layers 0 to {n_layer - 1} and heads 0 to "
                f"{n_head - 1}"
            )
        if named.count((layer, head)) > 1:
            raise EmbeddingError(f"{path}: layer {layer}, head {head} is there twice, expected once")
    if not named:
        raise EmbeddingError(f"{path}: names no head, expected at least one")
    if heads.intercept is None and sum(weight for _, _, weight in heads.weights) == 0:
        raise EmbeddingError(
            f"{path}: the weights sum to 0, expected another sum where there is no intercept"
        )


def _read_row(row: dict[str, Any]) -> tuple[int, int, float]:
    """Return layer, head and weight of a row, which must have these and nothing else."""
    if set(row) != {"layer", "head", "weight"}:
        raise ValueError(f"a head has the keys {', '.join(map(str, row))}")
    for name in ("layer", "head"):
        if type(row[name]) is not int:
            raise ValueError(f"{name} {row[name]!r} is not a whole number")
    return row["layer"], row["head"], _number(row["weight"])


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def map_contacts(encoder: Encoder, sequence: str, heads: ContactHeads) -> NDArray[np.float32]:
    """Return the contact map of a protein.

    In memory are, besides a layer, three maps of one head: each is added to the sum and forgotten.

    Parameters
    ----------
    encoder : Encoder
    sequence : str
        A normalised protein of L residues.
    heads : ContactHeads

    Returns
    -------
    (L, L) float32
        Symmetric.
    """
    import torch

    total = torch.zeros(len(sequence), len(sequence), device=encoder.device)  # (L, L)
    layers = iter(range(encoder.description.shape["num_hidden_layers"]))

    def look(qkv: Tensor) -> None:  # (T, 3, H, C)
        layer = next(layers)
        for chosen, head, weight in heads.weights:
            if chosen == layer:
                query, key = qkv[:, 0, head].float(), qkv[:, 1, head].float()  # (T, C) each
                attention = torch.softmax(query @ key.T / math.sqrt(query.shape[1]), dim=1)  # (T, T)
                total.add_(correct(attention[1:-1, 1:-1]), alpha=weight)

    encoder.model(torch.from_numpy(encode([sequence], encoder.table)), [len(sequence) + 2], look=look)
    if heads.intercept is None:
        total /= sum(weight for _, _, weight in heads.weights)
    else:
        total = torch.sigmoid(total + heads.intercept)
    contacts: NDArray[np.float32] = total.cpu().numpy()
    return contacts


def correct(attention: Tensor) -> Tensor:
    """Make the attention of a head (L, L) symmetric, and take off what its rows and columns explain."""
    both = attention + attention.T  # (L, L)
    sums = both.sum(dim=0)  # (L,)
    # A head may look at the special tokens alone: nothing is divided by nothing.
    return both - sums[:, None] * sums[None, :] / sums.sum().clamp(min=1e-30)


def contacts_folder(heads: ContactHeads, below: int) -> Path:
    """Return where in a model's folder the contacts of its parts lie."""
    return Path(CONTACTS, hashlib.sha256(f"{heads.digest} {below}".encode()).hexdigest()[:32])
