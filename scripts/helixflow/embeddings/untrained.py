"""A small model in ProtBERT's form with random weights: for trying the workflow, not for science."""

from __future__ import annotations

import os
from pathlib import Path

from helixflow.embeddings.model import NOTE_KEY
from helixflow.embeddings.settings import CONFIG, VOCABULARY, WEIGHTS
from helixflow.embeddings.tokens import PROTBERT
from helixflow.files import whole_file, write_json, write_text

NOTE = "random weights, not trained, not ProtBERT"

_CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "attention_probs_dropout_prob": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 256,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 8192,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": len(PROTBERT),
    NOTE_KEY: NOTE,
}


def make_untrained_model(folder: str | os.PathLike[str], seed: int) -> None:
    """Write a model that transformers loads as it loads ProtBERT, with the same bytes for the same seed.

    Parameters
    ----------
    folder : path
        Gets config.json, vocab.txt and model.safetensors.
    seed : int
        Of the random weights.
    """
    import torch
    from safetensors.torch import save
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(BertConfig(**_CONFIG), add_pooling_layer=False)
    write_json(Path(folder, CONFIG), _CONFIG)
    write_text(Path(folder, VOCABULARY), "".join(f"{token}\n" for token in PROTBERT))
    with whole_file(Path(folder, WEIGHTS[0])) as path:
        path.write_bytes(save(model.state_dict(), metadata={"format": "pt"}))
