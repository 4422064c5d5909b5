"""The store of embeddings: an append-only folder of HDF5 parts, each written whole and never changed.

``{store}/{model key}/{part}.h5``, where the part is the digest of its protein ids:

/protein   (N,) 35 bytes     ids, ascending
/offset    (N + 1,) int64    protein i has the rows offset[i] to offset[i + 1] of the two below
/residue   (R, D) float16    one row per residue, contiguous in the file
/sequence  (R,) uint8        letter of each residue, ASCII
/mean      (N, D) float32    mean over the residues, taken before the cast to float16
"""

from __future__ import annotations

import os
import re
import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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

_PROTEIN = re.compile(r"SQ\.[A-Za-z0-9_-]{32}")
_ATTRIBUTES = (
    "model",
    "revision",
    "note",
    "weights_sha256",
    "layer",
    "normalisation",
    "compute_dtype",
    "storage_dtype",
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

    letters = np.frombuffer("".join(sequences.values()).encode("ascii"), np.uint8)
    with whole_file(path) as temporary, h5py.File(temporary, "w", locking=False) as part:
        part["protein"] = np.array([protein.encode("ascii") for protein in sequences], "S35")
        part["offset"] = np.array(offsets(sequences.values()), np.int64)
        # Rows are all written here, so filling them with zeros first would cost half the speed.
        part.create_dataset("residue", data=residue, fill_time="never")
        part["sequence"] = letters
        part["mean"] = mean
        part.attrs.update({name: getattr(model, name) for name in _ATTRIBUTES})
        part.attrs.update(helixflow=__version__, torch=version("torch"), transformers=version("transformers"))


def offsets(sequences: Iterable[str]) -> list[int]:
    """Return the first row of each protein, and behind them the number of rows."""
    return [0, *accumulate(map(len, sequences))]


class Stored:
    """The proteins one model has in a store: those there when it was read, and those added since."""

    def __init__(self, database: sqlite3.Connection, folder: Path) -> None:
        self._database = database
        self._folder = folder
        database.execute("CREATE TABLE stored (protein PRIMARY KEY, part, row) WITHOUT ROWID")
        # A name that begins with a dot is a part some job is writing.
        for path in sorted(path for path in folder.glob("*.h5") if not path.name.startswith(".")):
            with _open_part(path) as part:
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


def open_embedding(uri: str, base: StrPath | None = None) -> NDArray[np.float16]:
    """Read the embedding a URI names, and nothing else of its part but the ids.

    Parameters
    ----------
    uri : str
        ``PART.h5#SQ.…``, as in ``results/embeddings/index.parquet``.
    base : path, optional
        Folder a relative URI starts from, which for those of an index is the index's own;
        the working directory by default.

    Returns
    -------
    (L, D) float16
        A vector per residue.

    Raises
    ------
    EmbeddingError
        When the URI is malformed, or the part or the protein in it is missing.
    """
    name, _, protein = uri.rpartition("#")
    if not name.endswith(".h5") or not _PROTEIN.fullmatch(protein):
        raise EmbeddingError(
            f"'{uri}' is not the URI of an embedding (expected PART.h5#SQ. and 32 characters)"
        )
    if "://" in name:
        raise EmbeddingError(f"'{uri}': expected a file (S3 is not supported yet)")
    path = Path(base or "", name)
    with _open_part(path) as part:
        proteins = part["protein"][:]
        index = bisect_left(proteins, protein.encode("ascii"))
        if index == len(proteins) or proteins[index] != protein.encode("ascii"):
            raise EmbeddingError(f"{path}: no protein {protein} among the {len(proteins)} of this part")
        first, last = part["offset"][index : index + 2]
        vectors: NDArray[np.float16] = part["residue"][first:last]
    return vectors


@contextmanager
def _open_part(path: Path) -> Iterator[h5py.File]:
    """Open a part for reading."""
    import h5py

    try:
        # A part never changes, and some network file systems cannot lock.
        with h5py.File(path, "r", locking=False) as part:
            yield part
    except FileNotFoundError:
        raise EmbeddingError(
            f"{path}: no such part of the store of embeddings; run again with --forcerun plan_shards"
        ) from None
    except (OSError, KeyError) as error:
        raise EmbeddingError(
            f"{path}: is not a whole part of the store ({error}); delete it and run again "
            "with --forcerun plan_shards"
        ) from None
