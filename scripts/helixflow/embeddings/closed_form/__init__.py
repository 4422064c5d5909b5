"""A small model in ProtBERT's form whose weights are written down, not trained: for trying the workflow.

One layer, with one part of the H dimensions for each thing that is known of a residue:

words      20   its own coordinates in the basis of BLOSUM62's eigenvectors
special    1    X, the special tokens, and position 0
[CLS]      1
reference  1    zero before the first LayerNorm, so that it tells the mean that LayerNorm subtracts
positions  46   sine and cosine of the position at 23 frequencies
window     216  coordinates of the residues 1 to 8 places before and behind, written by attention
pairs      483  products of a coordinate of the residue and one of a residue behind it, written by the FFN

Every token has the same norm, so a LayerNorm is a scaling by a number that is known beforehand, but for
some parts in a thousand. docs/models.md says what the model's vectors are good for.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from helixflow.embeddings.closed_form.parts import AMINO_ACIDS, FFN, HEADS, OFFSETS, POSITIONS, H
from helixflow.embeddings.closed_form.weights import closed_form_weights
from helixflow.embeddings.model import NOTE_KEY
from helixflow.embeddings.settings import CONFIG, VOCABULARY, WEIGHTS
from helixflow.embeddings.tokens import PROTBERT
from helixflow.files import whole_file, write_json, write_text

__all__ = ["AMINO_ACIDS", "NOTE", "OFFSETS", "make_closed_form_model"]

NOTE = "closed-form weights, not trained, not ProtBERT"

_CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "attention_probs_dropout_prob": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": H,
    "initializer_range": 0.02,
    "intermediate_size": FFN,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": POSITIONS,
    "num_attention_heads": HEADS,
    "num_hidden_layers": 1,
    "type_vocab_size": 2,
    "vocab_size": len(PROTBERT),
    NOTE_KEY: NOTE,
}


def make_closed_form_model(folder: str | os.PathLike[str]) -> None:
    """Write the model as transformers loads it; the bytes are the same each time.

    Parameters
    ----------
    folder : path
        Gets config.json, vocab.txt and model.safetensors.
    """
    from safetensors.numpy import save

    tensors = {
        name: np.ascontiguousarray(values, np.float32) for name, values in closed_form_weights().items()
    }
    write_json(Path(folder, CONFIG), _CONFIG)
    write_text(Path(folder, VOCABULARY), "".join(f"{token}\n" for token in PROTBERT))
    with whole_file(Path(folder, WEIGHTS[0])) as path:
        path.write_bytes(save(tensors, metadata={"format": "pt"}))
