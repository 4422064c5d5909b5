"""The settings of the stage, checked before any job starts; needs Python alone, as the Snakefile does."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from helixflow.errors import ConfigError

#: The folder that the workflow fills itself when it is the configured model.
CLOSED_FORM_MODEL = "results/embeddings/closed_form_model"

CONFIG, VOCABULARY = "config.json", "vocab.txt"
#: In the order of preference. The second is a pickle and is opened with weights_only, which runs no code.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

#: What the configuration says for the mean of all attention heads.
ALL_HEADS = "all"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def check_settings(settings: dict[str, Any]) -> None:
    """Check what the schema cannot: that the model may exist and the store is a folder.

    Parameters
    ----------
    settings : dict
        The section ``embeddings`` of the configuration.

    Raises
    ------
    ConfigError
        With one line for the first thing that is wrong.
    """
    model, store = settings["model"], settings["store"]
    for path in heads_files(settings.get("contact_heads", ALL_HEADS)):
        if not Path(path).is_file():
            raise ConfigError(
                f"config: 'embeddings/contact_heads' is '{path}', expected {ALL_HEADS} or an existing "
                "JSON file"
            )
    if "://" in store:
        raise ConfigError(
            f"config: 'embeddings/store' is '{store}', expected a folder (S3 is not supported yet)"
        )
    if Path(store).exists() and not Path(store).is_dir():
        raise ConfigError(f"config: 'embeddings/store' is '{store}', which is a file; expected a folder")
    query = settings["neighbours_query"]
    if query and not Path(query).is_file():
        raise ConfigError(f"config: 'embeddings/neighbours_query' is '{query}', expected a FASTA file")
    if is_folder(model):
        find_files(model)
    elif not _HUB_ID.fullmatch(model):
        raise ConfigError(
            f"config: 'embeddings/model' is '{model}', expected a model of the hub as owner/name "
            "or an existing folder"
        )
    elif not _COMMIT.fullmatch(settings["revision"]):
        raise ConfigError(
            f"config: 'embeddings/revision' is '{settings['revision']}', expected the commit of {model} "
            "as 40 hexadecimal digits, so that the same model is used each time"
        )


def model_files(model: str) -> list[str]:
    """Name the files of a local model; none for a model of the hub."""
    names = find_files(model) if is_folder(model) else ()
    return [f"{os.path.normpath(model)}/{name}" for name in names]


def heads_files(contact_heads: str) -> list[str]:
    """Name the file of attention heads, none where all are taken."""
    return [] if contact_heads == ALL_HEADS else [contact_heads]


def is_folder(model: str) -> bool:
    """Tell whether a model is meant as a local folder rather than a model of the hub."""
    return Path(model).is_dir() or model.startswith(("/", "./", "../")) or model.count("/") > 1


def find_files(folder: str | os.PathLike[str]) -> tuple[str, str, str]:
    """Return the names of config, vocabulary and weights in a folder that must hold them."""
    if os.path.normpath(folder) == CLOSED_FORM_MODEL:
        return CONFIG, VOCABULARY, WEIGHTS[0]
    files = [name for name in (CONFIG, VOCABULARY, *WEIGHTS) if Path(folder, name).is_file()]
    weights = [name for name in files if name in WEIGHTS]
    if CONFIG in files and VOCABULARY in files and weights:
        return CONFIG, VOCABULARY, weights[0]
    found = (", ".join(files) or "none of them") if Path(folder).is_dir() else "no such folder"
    raise ConfigError(
        f"embeddings/model: folder '{folder}' must hold {CONFIG}, {VOCABULARY} and "
        f"{' or '.join(WEIGHTS)}, found {found}"
    )
