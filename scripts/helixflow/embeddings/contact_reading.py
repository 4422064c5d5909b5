"""Reading contact maps by their URIs; `contact_store` tells how they are kept."""

from __future__ import annotations

import os
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING

from helixflow.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def open_contacts(uri: str, base: str | os.PathLike[str] | None = None) -> NDArray[np.float16]:
    """Read the contact map a URI names, and nothing else of its file but ids, lengths and offsets.

    Parameters
    ----------
    uri : str
        ``…/contacts/…/PART.h5#SQ.…``, as in ``results/embeddings/contacts/{shard}.parquet``.
    base : path, optional
        Folder a relative URI starts from; the working directory by default.

    Returns
    -------
    (L, L) float16
        Symmetric: probabilities where the heads have an intercept, else a score.

    Raises
    ------
    EmbeddingError
        When the file or the protein in it is missing.
    """
    import h5py

    name, _, protein = uri.rpartition("#")
    path = Path(base or "", name)
    try:
        with h5py.File(path, "r", locking=False) as h5:
            proteins = h5["protein"][:]
            index = bisect_left(proteins, protein.encode("ascii"))
            if index == len(proteins) or proteins[index] != protein.encode("ascii"):
                raise EmbeddingError(
                    f"{path}: no contact map of protein '{protein}' among {len(proteins)}; expected one of "
                    f"fewer than {h5.attrs['below']} residues"
                )
            length, (first, last) = int(h5["length"][index]), h5["offset"][index : index + 2]
            contacts: NDArray[np.float16] = h5["contact"][first:last].reshape(length, length)
    except (OSError, KeyError) as error:
        raise EmbeddingError(
            f"{path}: is not a file of contact maps ({error}); a relative path starts at the folder of its "
            "table (read_index makes it absolute)"
        ) from None
    return contacts
