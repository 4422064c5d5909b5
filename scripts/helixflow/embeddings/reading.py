"""Reading embeddings by their URIs, straight from the pages of the parts that hold them, or from S3."""

from __future__ import annotations

import os
import posixpath
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from helixflow.embeddings.remote import SCHEME, open_remote_part
from helixflow.embeddings.store import open_part
from helixflow.errors import EmbeddingError

# The Snakefile imports this package, so what is not Python's own is imported where it is needed.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

StrPath = str | os.PathLike[str]

#: Most parts that stay open, each with a file descriptor.
MOST_OPEN = 256

_PROTEIN = re.compile(r"SQ\.[A-Za-z0-9_-]{32}")


class OpenPart(NamedTuple):
    """A part that is mapped into memory, or lies in S3; nothing of it is read before it is looked at.

    protein (N,) ids, offset (N + 1,), residue (R, D) float16, sequence (R,) letters, mean (N, D) float32,
    and the attributes of the file
    """

    protein: NDArray[np.bytes_]
    offset: NDArray[np.int64]
    residue: NDArray[np.float16]
    sequence: NDArray[np.uint8]
    mean: NDArray[np.float32]
    attributes: dict[str, Any]


class StoredProtein(NamedTuple):
    """A protein in the store.

    `vectors` (L, D) and `sequence`, the letters they were computed for, are rows `row` to `row` + L of the
    part; `model` is the attributes of the part.
    """

    vectors: NDArray[np.float16]
    sequence: str
    row: int
    model: dict[str, Any]


def open_embedding(uri: str, base: StrPath | None = None) -> NDArray[np.float16]:
    """Open the embedding a URI names.

    Parameters
    ----------
    uri : str
        ``PART.h5#SQ.…``, as in ``results/embeddings/index.parquet``, or ``s3://BUCKET/…/PART.h5#SQ.…``.
    base : path, optional
        Folder a relative URI starts from, which for those of an index is the index's own;
        the working directory by default.

    Returns
    -------
    (L, D) float16
        A vector per residue: a view of the file that cannot be written to. Its bytes, and no
        others, are read when they are looked at; ``.copy()`` makes an array of one's own. What lies in
        S3 is fetched at once.

    Raises
    ------
    EmbeddingError
        When the URI is malformed, or the part or the protein in it is missing or may not be read.
    """
    part, number = _find(uri, base)
    return part.residue[part.offset[number] : part.offset[number + 1]]


def open_stored(uri: str, base: StrPath | None = None) -> StoredProtein:
    """Open the embedding a URI names with all that is known of it; as `open_embedding`."""
    part, number = _find(uri, base)
    first, last = (int(row) for row in part.offset[number : number + 2])
    letters = part.sequence[first:last].tobytes().decode("ascii")
    return StoredProtein(part.residue[first:last], letters, first, part.attributes)


def open_embeddings(uris: Iterable[str], base: StrPath | None = None) -> Iterator[NDArray[np.float16]]:
    """Open many embeddings, in the order asked.

    A part is opened once, however its proteins are spread over the URIs, as long as no more than
    `MOST_OPEN` parts take turns.

    Parameters
    ----------
    uris : iterable of str
    base : path, optional
        As of `open_embedding`.

    Yields
    ------
    (L, D) float16
        As of `open_embedding`.
    """
    for uri in uris:
        yield open_embedding(uri, base)


def open_pooled(uris: Iterable[str], base: StrPath | None = None) -> NDArray[np.float32]:
    """Read the mean vectors of many embeddings.

    Returns
    -------
    (N, D) float32
        Means over the residues, taken before the cast to float16; (0, 0) for no URIs.
    """
    import numpy as np

    rows = [part.mean[number] for part, number in (_find(uri, base) for uri in uris)]
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def open_letters(uri: str, base: StrPath | None = None) -> NDArray[np.uint8]:
    """Open the letters, in ASCII, that an embedding was computed for; as `open_embedding`, (L,) uint8."""
    part, number = _find(uri, base)
    return part.sequence[part.offset[number] : part.offset[number + 1]]


def split_uri(uri: str) -> tuple[str, str]:
    """Split a URI into the name of its part and the id of its protein.

    Raises
    ------
    EmbeddingError
        When it is no URI of an embedding.
    """
    name, _, protein = uri.rpartition("#")
    if not name.endswith(".h5") or not _PROTEIN.fullmatch(protein):
        raise EmbeddingError(
            f"'{uri}' is not the URI of an embedding (expected PART.h5#SQ. and 32 characters)"
        )
    if "://" in name and not re.fullmatch(f"{SCHEME}[^/]+/.+", name):
        raise EmbeddingError(f"'{uri}': expected a file or an object of S3 ({SCHEME}BUCKET/PART.h5#SQ.…)")
    return name, protein


def locate(name: str, base: StrPath) -> str:
    """Return where a name leads that starts at a folder, or at a prefix of S3, unless it is absolute."""
    if name.startswith(SCHEME):
        return name
    if (place := os.fspath(base)).startswith(SCHEME):
        return SCHEME + posixpath.normpath(posixpath.join(place.removeprefix(SCHEME), name))
    return os.path.join(place, name)  # noqa: PTH118 - a tenth of the time of Path


def _find(uri: str, base: StrPath | None) -> tuple[OpenPart, int]:
    """Return the part a URI names, and the number of its protein there."""
    name, protein = split_uri(uri)
    path = locate(name, base) if base else name
    part, wanted = map_part(path), protein.encode("ascii")
    number = bisect_left(part.protein, wanted)
    if number == len(part.protein) or part.protein[number] != wanted:
        raise EmbeddingError(f"{path}: no protein {protein} among the {len(part.protein)} of this part")
    return part, number


def map_part(path: str) -> OpenPart:
    """Map a part into memory, once for as long as the file stays the same; one in S3 is opened once."""
    if path.startswith(SCHEME):
        return open_remote_part(path)
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        with open_part(Path(path)):
            raise
    return _map_file(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(MOST_OPEN)
def _map_file(path: str, *_identity: int) -> OpenPart:
    with open_part(Path(path)) as part, Path(path).open("rb") as file:
        content = mmap(file.fileno(), 0, access=ACCESS_READ)
        residue, sequence, mean = (_view(content, part[name]) for name in ("residue", "sequence", "mean"))
        return OpenPart(part["protein"][:], part["offset"][:], residue, sequence, mean, dict(part.attrs))


def _view(content: mmap, dataset: Any) -> NDArray[Any]:
    """View a dataset that lies in one piece in a mapped file, as ours all do; another one is read."""
    import numpy as np

    start = dataset.id.get_offset()
    if start is None:
        return dataset[:]  # type: ignore[no-any-return]
    values = np.frombuffer(content, dataset.dtype, dataset.size, start)
    return values.reshape(dataset.shape)
