"""Structure files of either format, every atom record as it is in the file.

Nothing is dropped or merged here, so that what cleaning sets aside can be counted against the file.
"""

from __future__ import annotations

import os
from pathlib import Path

from helixflow.errors import StructureError
from helixflow.structures.deposit import Atom, Deposit
from helixflow.structures.read_mmcif import read_mmcif
from helixflow.structures.read_pdb import read_pdb


def read_structure(path: str | os.PathLike[str], structure_format: str) -> Deposit:
    """Read a structure file.

    Parameters
    ----------
    path : path
        Plain text.
    structure_format : str
        ``pdb`` or ``mmcif``.

    Raises
    ------
    StructureError
        If the file is truncated, damaged, or holds no atoms.
    """
    deposit = {"pdb": read_pdb, "mmcif": read_mmcif}[structure_format](Path(path))
    if not deposit.atoms:
        raise StructureError(
            f"{path}: no atoms found, expected the ATOM records of a {structure_format} file"
        )
    return deposit


def read_atoms(path: str | os.PathLike[str], structure_format: str) -> list[Atom]:
    """Read every atom record of a structure file; parameters and errors are those of `read_structure`."""
    return read_structure(path, structure_format).atoms
