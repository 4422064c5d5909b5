"""One file over all parts that a run uses: an HDF5 file that copies none of their vectors."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from helixflow.embeddings.reading import split_uri
from helixflow.embeddings.store import DATASETS, open_part
from helixflow.files import whole_file
from helixflow.tables import read_rows

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

StrPath = str | os.PathLike[str]


class _Source(NamedTuple):
    """A part as the file over all parts needs it: its name relative to that file's folder, and its sizes."""

    name: str
    protein: NDArray[np.bytes_]
    length: NDArray[np.int64]


def write_virtual(index: StrPath, path: StrPath, width: int) -> None:
    """Write a file with the layout of a part over all parts of an index.

    ``/residue``, ``/sequence`` and ``/mean`` are virtual datasets: their rows are those of the parts,
    by ascending name of the part, and are read from there. ``/protein`` and ``/offset`` are
    concatenated, so the ids ascend within a part alone, and a protein that two runs embedded at the
    same time is there twice. A part that other runs use too is there whole.

    The file names the parts relative to its own folder: both can be moved together. Of a part that is
    not found every number is NaN.

    Parameters
    ----------
    index : path
        Parquet, as `helixflow.embeddings.index.write_index` writes it.
    path : path
        HDF5 file to write, in the folder of the index.
    width : int
        Numbers of a vector, D.
    """
    import h5py
    import numpy as np

    folder = Path(index).parent
    names = sorted({split_uri(uri)[0] for (uri,) in read_rows(index, ["uri"])})
    sources = [_read_source(folder, name) for name in names]
    proteins = np.concatenate([np.empty(0, "S35"), *(source.protein for source in sources)])
    lengths = np.concatenate([np.empty(0, np.int64), *(source.length for source in sources)])
    with whole_file(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        file["protein"] = proteins
        file["offset"] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        residues = [int(source.length.sum()) for source in sources]
        _map_rows(file, "residue", names, residues, (width,))
        _map_rows(file, "sequence", names, residues, ())
        _map_rows(file, "mean", names, [len(source.protein) for source in sources], (width,))


def _read_source(folder: Path, name: str) -> _Source:
    import numpy as np

    with open_part(folder / name) as part:
        return _Source(name, part["protein"][:], np.diff(part["offset"][:]))


def _map_rows(
    file: h5py.File,
    dataset: str,
    names: Sequence[str],
    rows: Sequence[int],
    width: tuple[int, ...],
) -> None:
    """Lay the rows of one dataset of all parts one behind the other."""
    import h5py

    dtype, _ = DATASETS[dataset]
    layout = h5py.VirtualLayout((sum(rows), *width), dtype)
    # With the time in it, the file would have other bytes each time.
    layout.dcpl.set_obj_track_times(False)
    for name, count, end in zip(names, rows, accumulate(rows), strict=True):
        layout[end - count : end] = h5py.VirtualSource(name, dataset, (count, *width), dtype)
    if names:
        # HDF5 fills in for a part it does not find, and zeros would pass for vectors.
        file.create_virtual_dataset(dataset, layout, fillvalue=math.nan if "f" in dtype else 0)
    else:
        file.create_dataset(dataset, (0, *width), dtype)
