"""A small BERT with random weights, for tests of what does not depend on what the weights are."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from helixflow.embeddings.model import NOTE_KEY
from helixflow.embeddings.tokens import PROTBERT

NOTE = "random weights, not trained, not ProtBERT"

#: In ProtBERT's form but smaller.
CONFIG = {
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


def make_random_model(folder: Path, seed: int, **changes: Any) -> None:
    """Write a model that transformers loads as it loads ProtBERT, with `changes` to its configuration."""
    config = CONFIG | changes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(BertConfig(**config), add_pooling_layer=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in PROTBERT))
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
