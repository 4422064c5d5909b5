"""The language model: where it is, what it is exactly, and loading it.

Two embeddings may be compared only if they come from the same weights, used in the same way. All of
that goes into the model key, the name of the store's folder; where the model lies does not.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helixflow.embeddings.compute import FLOAT32, resolve_compute
from helixflow.embeddings.hub import KNOWN_SHA256, check_record, fetch
from helixflow.embeddings.settings import CONFIG, VOCABULARY, find_files, is_folder
from helixflow.embeddings.tokens import read_vocabulary
from helixflow.embeddings.weights import digest_weights, load_weights
from helixflow.errors import EmbeddingError
from helixflow.files import file_digest, read_json, write_json
from helixflow.proteins.names import RARE_LETTERS, sha512t24u

if TYPE_CHECKING:
    from transformers import BertModel

log = logging.getLogger(__name__)

#: Key of config.json whose text follows the model's embeddings everywhere.
NOTE_KEY = "helixflow_note"

# What decides a BERT's output besides its weights and vocabulary.
_SHAPE = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "vocab_size",
)
_DETAILS = ("hidden_act", "layer_norm_eps", "type_vocab_size")


@dataclass(frozen=True)
class ModelDescription:
    """Everything about the model that its embeddings depend on, and where it lies.

    revision: commit of the hub, empty for a local folder; note: what must be said of the model
    wherever its embeddings are shown, empty for most; weights_sha256: of the file as it was published;
    tensors_sha256: of the values in it; max_residues: most residues it has positions for.
    """

    model: str
    revision: str
    note: str
    folder: str
    weights: str
    weights_sha256: str
    tensors_sha256: str
    hidden_size: int
    max_residues: int
    vocabulary: list[str]
    shape: dict[str, Any]
    layer: str = "last"
    normalisation: str = f"upper case, {' '.join(RARE_LETTERS)} to X, [CLS] residues [SEP]"
    compute_dtype: str = "float32"
    storage_dtype: str = "float16"

    @property
    def key(self) -> str:
        """Digest of all that decides the embeddings' values."""
        apart = ("model", "revision", "note", "folder", "weights", "weights_sha256")
        content = {name: value for name, value in asdict(self).items() if name not in apart}
        return sha512t24u(json.dumps(content, sort_keys=True).encode())


def describe_model(
    model: str, revision: str, compute: str = FLOAT32, *, weights_sha256: str = ""
) -> ModelDescription:
    """Find a model, fetch it from the hub where it is not local, and tell everything about it.

    Parameters
    ----------
    model : str
        Local folder, or ``owner/name`` of the hub.
    revision : str
        Commit of the hub's model; unused for a folder.
    compute : str
        ``float32``, ``bfloat16``, or ``auto``: what this machine is fast in. It is part of the model key,
        so it should be named where the jobs run on other machines than this function.
    weights_sha256 : str
        What the file of weights must be; empty for what is known of the model, or the hub's record of it.

    Raises
    ------
    EmbeddingError
        When it cannot be fetched, is not a BERT or not the wanted one, or its files do not fit together.
    """
    local = is_folder(model)
    folder = Path(os.path.normpath(model)) if local else fetch(model, revision)
    _, _, weights = find_files(folder)
    config = _read_config(folder / CONFIG)
    vocabulary = read_vocabulary(folder / VOCABULARY)
    if len(vocabulary) > config["vocab_size"]:
        raise EmbeddingError(
            f"{folder / VOCABULARY}: {len(vocabulary)} tokens, expected at most the "
            f"{config['vocab_size']} of vocab_size in {CONFIG}"
        )
    digest = file_digest(folder / weights)
    expected = weights_sha256 or KNOWN_SHA256.get((model, revision, weights), "")
    _check_weights(folder / weights, digest, expected)
    if not local and not check_record(folder / weights, digest) and not expected:
        log.warning("%s: the hub's cache has no record to check it by", folder / weights)
    description = ModelDescription(
        model=model,
        revision="" if local else revision,
        note=str(config.get(NOTE_KEY, "")),
        folder=str(folder),
        weights=weights,
        weights_sha256=digest,
        tensors_sha256=digest_weights(folder / weights, digest, config),
        hidden_size=config["hidden_size"],
        max_residues=config["max_position_embeddings"] - 2,
        vocabulary=vocabulary,
        shape={name: config.get(name) for name in (*_SHAPE, *_DETAILS)},
        compute_dtype=resolve_compute(compute),
    )
    warn_of_note(description)
    return description


def warn_of_note(description: ModelDescription) -> None:
    """Log what must be said of a model."""
    if description.note:
        log.warning("model %s: %s", description.model, description.note)


def write_model(path: str | os.PathLike[str], description: ModelDescription) -> None:
    """Write a description as JSON, with the model key."""
    write_json(path, {"key": description.key, **asdict(description)})


def read_model(path: str | os.PathLike[str]) -> ModelDescription:
    """Read a description that `write_model` wrote."""
    content = read_json(path)
    del content["key"]
    return ModelDescription(**content)


def load_model(description: ModelDescription) -> BertModel:
    """Load a described model for inference, in the format it computes in.

    Raises
    ------
    EmbeddingError
        When the weights are not those that were described.
    """
    weights = Path(description.folder, description.weights)
    config = {name: value for name, value in description.shape.items() if value is not None}
    return load_weights(weights, description.weights_sha256, config, description.compute_dtype)


def _check_weights(path: Path, found: str, expected: str) -> None:
    """Check the digest of a file of weights against the one it must have, where there is one."""
    if expected and found != expected:
        raise EmbeddingError(
            f"{path}: expected the weights with sha256 {expected}, found {found}; "
            "delete it and run again, or mend embeddings/weights_sha256"
        )


def _read_config(path: Path) -> dict[str, Any]:
    """Read config.json and check that it is a BERT's."""
    try:
        config: dict[str, Any] = read_json(path)
    except ValueError as error:
        raise EmbeddingError(f"{path}: is not JSON ({error})") from None
    if not isinstance(config, dict):
        raise EmbeddingError(f"{path}: expected the configuration of a BERT, found {type(config).__name__}")
    kind = config.get("model_type", "bert")
    positions = config.get("position_embedding_type", "absolute")
    if (kind, positions) != ("bert", "absolute"):
        raise EmbeddingError(
            f"{path}: expected a model of type bert with absolute positions, "
            f"found type {kind} with {positions} positions"
        )
    # A decoder's residues see only those before them, with the same weights.
    other = [name for name in ("is_decoder", "add_cross_attention") if config.get(name)]
    if other:
        raise EmbeddingError(f"{path}: '{other[0]}' is set, expected an encoder")
    for name in _SHAPE:
        value = config.get(name)
        if not isinstance(value, int) or value < 1:
            raise EmbeddingError(f"{path}: '{name}' is {value!r}, expected the number of a BERT")
    return config
