"""What is simulated: its files, and the atoms of its protein as they were before the first step."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helixflow.errors import SimulationError
from helixflow.structures.topology import Protein
from helixflow.trajectories.protein import Start, start_protein

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """What is simulated: its name and files.

    Attributes
    ----------
    structure : str
    topology, minimised, residues, setup : Path
        ``topol.top``, ``minimised.gro``, ``residues.tsv`` and ``setup.json``.
    source : Path
        Record of the file that the structure was read from.
    """

    structure: str
    topology: Path
    minimised: Path
    residues: Path
    setup: Path
    source: Path


def read_start(path: Path, protein: Protein) -> Start:
    """Read the protein, which comes first in a .gro file, and make it whole."""
    positions, box = read_gro(path)
    atoms = len(protein.atoms)
    if len(positions) < atoms:
        raise SimulationError(f"{path}: {len(positions)} atoms, expected the {atoms} of the protein and more")
    return start_protein(protein, positions[:atoms], box)


def read_gro(path: str | os.PathLike[str]) -> tuple[Floats, Floats]:
    """Read positions (A, 3) and box (3, 3) of a .gro file, both in nm."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    atoms = int(lines[1])
    points = [at for at, letter in enumerate(lines[2]) if letter == "."]
    # The columns are as wide as the points are apart, whatever the precision is.
    width = points[1] - points[0]
    columns = [slice(20 + at * width, 20 + (at + 1) * width) for at in range(3)]
    positions = np.array([[float(line[column]) for column in columns] for line in lines[2 : 2 + atoms]])
    values = [float(value) for value in lines[2 + atoms].split()] + [0.0] * 6
    (xx, yy, zz), (xy, xz, yx, yz, zx, zy) = values[:3], values[3:9]
    return positions, np.array([[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]])
