"""The weights of a BERT: loaded without running code of their files, and told apart by their values.

A pickle is read once, with weights_only, into a copy in the cache folder that is no pickle; from then
on the copy is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helixflow.embeddings.compute import FLOAT32
from helixflow.embeddings.hub import first_line
from helixflow.embeddings.settings import WEIGHTS
from helixflow.errors import EmbeddingError
from helixflow.files import cache_folder, file_digest, whole_file

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import BertModel

_DIGEST_KEY = "tensors_sha256"


def load_weights(weights: Path, sha256: str, config: dict[str, Any], dtype: str) -> BertModel:
    """Load a BERT for inference, without its pooler, after a look whether the file is the one it should be.

    Parameters
    ----------
    weights : path
        model.safetensors or pytorch_model.bin. The latter need not be there when it was read before.
    sha256 : str
        Digest of the file, by which the copy of a pickle is found.
    config : dict
        Of the model's config.json.
    dtype : str
        What the model computes in; its weights take no other memory than in that.

    Raises
    ------
    EmbeddingError
        When the weights are others, cannot be loaded, or do not fit the configuration.
    """
    if weights.name == WEIGHTS[0]:
        _check_file(weights, sha256)
        return _load(weights, config, dtype)
    return _load(_find_copy(weights, sha256, config), config, dtype)


def digest_weights(weights: Path, sha256: str, config: dict[str, Any]) -> str:
    """Return the digest of the values of a BERT's weights, see `tensors_digest`; as `load_weights`."""
    return tensors_digest(load_weights(weights, sha256, config, FLOAT32).state_dict())


def _find_copy(weights: Path, sha256: str, config: dict[str, Any]) -> Path:
    """Return the copy of a pickle that is no pickle, made where it is not there yet."""
    copy = safe_copy(sha256)
    if copy.is_file():
        _check_copy(copy)
    else:
        _copy_pickle(weights, sha256, copy, config)
    return copy


def safe_copy(sha256: str) -> Path:
    """Return where the copy of a pickle is that has this digest."""
    return cache_folder() / "models" / sha256 / WEIGHTS[0]


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over names, shapes and float32 values of all weights, by ascending name.

    It is the same for a pickle and for a copy of it in another format.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {'x'.join(map(str, tensor.shape))}\n".encode())
        digest.update(tensor.detach().contiguous().float().cpu().numpy().astype("<f4", copy=False).data)
    return digest.hexdigest()


def _copy_pickle(weights: Path, sha256: str, copy: Path, config: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    _check_file(weights, sha256)
    tensors = _load(weights, config, FLOAT32).state_dict()
    try:
        with whole_file(copy) as path:
            save_file(tensors, path, {"format": "pt", _DIGEST_KEY: tensors_digest(tensors)})
    except OSError as error:
        raise EmbeddingError(
            f"{copy}: the copy of the weights cannot be written ({first_line(error)}); "
            "set XDG_CACHE_HOME to a folder with room"
        ) from None


def _check_file(weights: Path, sha256: str) -> None:
    """Check a file of weights against the digest that was found when the model was described."""
    found = file_digest(weights) if weights.is_file() else "no file"
    if found != sha256:
        raise EmbeddingError(
            f"{weights}: expected the weights with sha256 {sha256}, found {found}; "
            "run again with --forcerun describe_model"
        )


class _Lazily(Mapping[str, "Tensor"]):
    """The tensors of an open safetensors file, each read when it is asked for."""

    def __init__(self, file: Any) -> None:
        self._file, self._names = file, list(file.keys())

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _check_copy(copy: Path) -> None:
    """Check the weights of a copy against the digest that was written with them."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(copy, "pt") as file:
            expected = (file.metadata() or {}).get(_DIGEST_KEY)
            found = tensors_digest(_Lazily(file))
    except SafetensorError as error:
        raise EmbeddingError(
            f"{copy}: cannot be read ({first_line(error)}); delete it and run again"
        ) from None
    if found != expected:
        raise EmbeddingError(
            f"{copy}: expected weights with digest {expected}, found {found}; delete it and run again"
        )


def _load(weights: Path, config: dict[str, Any], dtype: str) -> BertModel:
    """Load a file of weights, and make sure that none is missing."""
    import torch
    from transformers import BertConfig, BertModel

    try:
        model, info = BertModel.from_pretrained(
            weights.parent,
            config=BertConfig.from_dict(config),
            add_pooling_layer=False,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            use_safetensors=weights.name == WEIGHTS[0],
            weights_only=True,
            output_loading_info=True,
        )
    except Exception as error:
        # Of many libraries, for files that may hold anything.
        raise EmbeddingError(
            f"{weights}: cannot be loaded as a BERT's weights ({first_line(error)})"
        ) from None
    # transformers fills what is missing with random numbers and goes on.
    if info["missing_keys"]:
        raise EmbeddingError(
            f"{weights}: {len(info['missing_keys'])} weights of the model in its configuration are missing, "
            f"such as {min(info['missing_keys'])}"
        )
    surplus = [name for name in info["unexpected_keys"] if ".layer." in name]
    if surplus:
        raise EmbeddingError(
            f"{weights}: {len(surplus)} weights are of layers that the model's configuration does not have, "
            f"such as {min(surplus)} (expected {config['num_hidden_layers']} layers)"
        )
    return model.eval()
