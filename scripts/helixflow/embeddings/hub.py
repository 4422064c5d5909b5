"""Models of the hub: fetching their files once, and what the hub's own record says that they are."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from helixflow.embeddings.settings import CONFIG, VOCABULARY, WEIGHTS
from helixflow.errors import EmbeddingError
from helixflow.files import file_digest

#: sha256 of weights by model, revision and file, found in two places each that agree (docs/models.md).
KNOWN_SHA256 = {
    (
        "Rostlab/prot_bert",
        "7a894481acdc12202f0a415dd567f6cfdb698908",
        "pytorch_model.bin",
    ): "6ea3edd26cfefc3111176100ee2a027ed510f9c86b63e5b53a2a050b59f2af9d",
}


def fetch(model: str, revision: str) -> Path:
    """Return the folder of the hub's cache that holds a model, downloading what is missing.

    What is there needs no connection. An interrupted download goes on where it stopped.

    Raises
    ------
    EmbeddingError
        When it cannot be fetched, or a file is not what the hub's record says.
    """
    from httpx2 import HTTPError

    try:
        folder = _cached(model, revision) or _download(model, revision)
    except (OSError, HTTPError) as error:
        raise EmbeddingError(
            f"embeddings/model: '{model}' at {revision} is not in the hub's cache and cannot be fetched "
            f"({first_line(error)}); connect once, or run `hf download {model} --revision {revision} "
            "--local-dir FOLDER` elsewhere and set embeddings/model to that folder"
        ) from None
    for name in (CONFIG, VOCABULARY):
        check_record(folder / name)
    return folder


def check_record(path: Path, sha256: str = "") -> bool:
    """Check a file of the hub's cache against the hub's record of it, under which the cache keeps it.

    Parameters
    ----------
    path : path
        In a snapshot of the cache; a link to the file that is named by its digest.
    sha256 : str
        Digest of the file where it is known, so that a large one is read once.

    Returns
    -------
    bool
        Whether there is a record; a cache without links has none.

    Raises
    ------
    EmbeddingError
        When the file is another.
    """
    recorded = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", recorded):
        found = sha256 or file_digest(path)
    elif re.fullmatch("[0-9a-f]{40}", recorded):
        found = _git_digest(path)
    else:
        return False
    if found != recorded:
        raise EmbeddingError(
            f"{path}: expected the file that the hub records as {recorded}, found {found}; "
            f"delete {path.resolve()} and run again"
        )
    return True


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _cached(model: str, revision: str) -> Path | None:
    """Return the folder of a model that was fetched before, without asking the hub."""
    from huggingface_hub import try_to_load_from_cache

    names = (CONFIG, VOCABULARY, *WEIGHTS)
    found = [try_to_load_from_cache(model, name, revision=revision) for name in names]
    config, vocabulary, *weights = [isinstance(path, str) for path in found]
    return Path(str(found[0])).parent if config and vocabulary and any(weights) else None


def _download(model: str, revision: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    config = hf_hub_download(model, CONFIG, revision=revision)
    hf_hub_download(model, VOCABULARY, revision=revision)
    try:
        hf_hub_download(model, WEIGHTS[0], revision=revision)
    except RemoteEntryNotFoundError:
        hf_hub_download(model, WEIGHTS[1], revision=revision)
    return Path(config).parent


def _git_digest(path: Path) -> str:
    """Return the digest by which git names a small file."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
