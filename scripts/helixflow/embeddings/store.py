"""The store of embeddings: an append-only folder of HDF5 parts, each written whole and never changed.

``{store}/{model key}/{part}.h5``, where the part is the digest of its protein ids:

/protein   (N,) 35 bytes     ids, ascending
/offset    (N + 1,) int64    protein i has the rows offset[i] to offset[i + 1] of the two below
/residue   (R, D) float16    one row per residue, contiguous in the file
/sequence  (R,) uint8        letter of each residue, ASCII
/mean      (N, D) float32    mean over the residues, taken before the cast to float16

The attributes say what the vectors were made with; the one named digest is that of all the rest, see
`content_digest`. Where vectors are read, see `helixflow.embeddings.reading`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from helixflow import __version__
from helixflow.errors import EmbeddingError
from helixflow.files import whole_file
from helixflow.proteins.names import sha512t24u
from helixflow.tables import private_database

# The Snakefile imports this package, so what is not Python's own is imported where it is needed.
if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

    from helixflow.embeddings.model import ModelDescription

StrPath = str | os.PathLike[str]

log = logging.getLogger(__name__)

#: Datasets of a part, in the order of its digest, with their types and numbers of axes.
DATASETS = {
    "protein": ("|S35", 1),
    "offset": ("<i8", 1),
    "residue": ("<f2", 2),
    "sequence": ("|u1", 1),
    "mean": ("<f4", 2),
}
#: Folder of contact maps, in that of a model's parts.
CONTACTS = "contacts"
#: Attribute with the digest of all others and of the datasets.
DIGEST = "digest"
#: Days after which a temporary file is what a killed job left: a part is written within seconds.
LEFT_AFTER_DAYS = 1.0

#: As what damage of a file shows: HDF5 may find another kind of object, shape or type in its place.
DAMAGE = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError)

_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\..+\.h5")
_BLOCK_BYTES = 1 << 24
#: Large datasets begin at a page, so that what is mapped into memory can be computed with as it lies there.
_ALIGNED = {"alignment_threshold": 1024, "alignment_interval": 4096}
#: Attributes with which model and how the vectors were made.
MODEL_ATTRIBUTES = (
    "model",
    "revision",
    "note",
    "weights_sha256",
    "tensors_sha256",
    "layer",
    "normalisation",
    "compute_dtype",
    "storage_dtype",
)
#: Attributes that all parts of a model's folder have in common; the same weights may be in different files.
SAME_IN_A_MODEL = tuple(
    name for name in MODEL_ATTRIBUTES if name not in ("model", "revision", "note", "weights_sha256")
)


class Place(NamedTuple):
    """Where a protein's embedding is: the part's file name without suffix, and its first row there."""

    part: str
    row: int


def part_name(proteins: Iterable[str]) -> str:
    """Name the part that holds some proteins, whatever their order."""
    return sha512t24u("\n".join(sorted(proteins)).encode("ascii"))


def write_part(
    path: StrPath,
    sequences: Mapping[str, str],
    residue: NDArray[np.float16],
    mean: NDArray[np.float32],
    model: ModelDescription,
) -> None:
    """Write a part, whole or not at all.

    Parameters
    ----------
    path : path
        See `Stored.path`.
    sequences : dict of str to str
        N normalised proteins by ascending id.
    residue : (R, D) float16
        Their residues' vectors, protein after protein.
    mean : (N, D) float32
        Mean vector of each protein.
    model : ModelDescription
        Becomes the file's attributes.
    """
    import h5py
    import numpy as np

    attributes = {name: getattr(model, name) for name in MODEL_ATTRIBUTES}
    attributes |= {
        "helixflow": __version__,
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
    content = {
        "protein": np.array([protein.encode("ascii") for protein in sequences], "S35"),
        "offset": np.array(offsets(sequences.values()), np.int64),
        "residue": residue,
        "sequence": np.frombuffer("".join(sequences.values()).encode("ascii"), np.uint8),
        "mean": mean,
    }
    # The digest takes longer than the writing, and lets other threads run.
    with whole_file(path) as temporary, ThreadPoolExecutor(1) as pool:
        digest = pool.submit(content_digest, content, attributes)
        with h5py.File(temporary, "w", locking=False, **_ALIGNED) as part:
            for name in DATASETS:
                # All is written here, so filling it with zeros first would cost half the speed.
                part.create_dataset(name, data=content[name], fill_time="never")
            part.attrs.update(attributes)
            part.attrs[DIGEST] = digest.result()


def content_digest(
    content: Mapping[str, Any], attributes: Mapping[str, Any], names: Iterable[str] = tuple(DATASETS)
) -> str:
    """Return the digest of a part: SHA-256 in hexadecimal digits.

    Of the attributes but the digest itself, as JSON with ascending keys; then for each dataset, in
    the order of their names given, a line with its name, type and shape, and its bytes, row after row.

    Parameters
    ----------
    content : dict of str to array or dataset
        The datasets; those of a file are read in blocks of 16 MB.
    attributes : dict
        Those of the file.
    names : iterable of str
        Of the datasets; by default those of a part.
    """
    import numpy as np

    texts = {name: str(value) for name, value in attributes.items() if name != DIGEST}
    digest = hashlib.sha256(json.dumps(texts, sort_keys=True).encode())
    for name in names:
        data = content[name]
        digest.update(f"\n{name} {data.dtype.str} {tuple(data.shape)}\n".encode())
        for block in blocks(data):
            digest.update(np.ascontiguousarray(block).view(np.uint8).data)
    return digest.hexdigest()


def blocks(data: Any) -> Iterator[NDArray[Any]]:
    """Give an array or a dataset of a file in pieces of at most 16 MB, or one row."""
    row_bytes = data.dtype.itemsize * (data.shape[1] if len(data.shape) > 1 else 1)
    step = max(1, _BLOCK_BYTES // row_bytes)
    return (data[start : start + step] for start in range(0, len(data), step))


def offsets(sequences: Iterable[str]) -> list[int]:
    """Return the first row of each protein, and behind them the number of rows."""
    return [0, *accumulate(map(len, sequences))]


class Stored:
    """The proteins one model has in a store: those there when it was read, and those added since."""

    def __init__(self, database: sqlite3.Connection, folder: Path) -> None:
        self._database = database
        self._folder = folder
        database.execute("CREATE TABLE stored (protein PRIMARY KEY, part, row) WITHOUT ROWID")
        for path in list_parts(folder):
            with open_part(path) as part:
                proteins, rows = part["protein"][:], part["offset"][:]
                self._insert(path.stem, [protein.decode("ascii") for protein in proteins], rows.tolist())

    def path(self, part: str) -> Path:
        """Return the file of a part."""
        return self._folder / f"{part}.h5"

    def add(self, part: str, sequences: Mapping[str, str]) -> None:
        """Take note of a part that was written."""
        self._insert(part, list(sequences), offsets(sequences.values()))

    def find(self, protein: str) -> Place | None:
        """Tell where a protein is; of several parts that hold it, the one with the smallest name."""
        row = self._database.execute("SELECT part, row FROM stored WHERE protein = ?", (protein,)).fetchone()
        return Place(*row) if row else None

    def get(self, protein: str) -> Place:
        """Tell where a protein is that must be there.

        Raises
        ------
        EmbeddingError
            When it is not.
        """
        place = self.find(protein)
        if place is None:
            raise EmbeddingError(
                f"{self._folder}: no part holds protein {protein}, expected all proteins of the plan; "
                "run again with --forcerun plan_shards"
            )
        return place

    def _insert(self, part: str, proteins: Sequence[str], rows: Sequence[int]) -> None:
        self._database.executemany(
            "INSERT OR IGNORE INTO stored VALUES (?, ?, ?)",
            zip(proteins, [part] * len(proteins), rows[:-1], strict=True),
        )


@contextmanager
def open_store(store: StrPath, key: str) -> Iterator[Stored]:
    """Read which proteins a model has in a store, a folder that need not be there.

    Raises
    ------
    EmbeddingError
        For a file that is not a whole part.
    """
    with private_database() as database:
        yield Stored(database, Path(store, key))


def list_parts(folder: Path) -> list[Path]:
    """Name the parts of a model's folder, ascending; a name that begins with a dot is one being written."""
    return sorted(path for path in folder.glob("*.h5") if not path.name.startswith("."))


def list_temporary(folder: Path) -> list[Path]:
    """Name the files that are being written in a model's folder, or were when their job was killed."""
    hidden = (*folder.glob(".*.h5"), *folder.glob(f"{CONTACTS}/*/.*.h5"))
    return sorted(path for path in hidden if _TEMPORARY.fullmatch(path.name))


def remove_temporary(store: StrPath, key: str) -> list[Path]:
    """Remove what killed jobs left in a model's folder, days ago; return what it was."""
    oldest = time.time() - LEFT_AFTER_DAYS * 86_400
    removed = []
    for path in list_temporary(Path(store, key)):
        # Another run that shares the store may remove it first.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()
                removed.append(path)
                log.info("removed %s, which a killed job left", path)
    return removed


@contextmanager
def open_part(path: Path) -> Iterator[h5py.File]:
    """Open a part for reading; a fault of the file that shows while it is read is an EmbeddingError."""
    import h5py

    try:
        # A part never changes, and some network file systems cannot lock.
        with h5py.File(path, "r", locking=False) as part:
            yield part
    except FileNotFoundError:
        raise EmbeddingError(
            f"{path}: no such part of the store of embeddings; run again with --forcerun plan_shards (a "
            "relative path starts at the folder of its table; read_index makes it absolute)"
        ) from None
    except DAMAGE as error:
        raise EmbeddingError(
            f"{path}: is not a whole part of the store ({error}); delete it and run again "
            "with --forcerun plan_shards"
        ) from None
