"""The protein alone, whole and in the middle of the box, as later stages read it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helixflow.files import write_text
from helixflow.structures.residues import Residue, pdb_line, pdb_residues
from helixflow.structures.topology import Protein
from helixflow.trajectories.frames import FrameReader, Frames
from helixflow.trajectories.images import Assembly, BondTree, bond_tree, centre, make_whole

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """The protein at the start: whole molecules (A, 3) in nm, brought together, and how to keep them so."""

    positions: Floats
    tree: BondTree
    assembly: Assembly


@dataclass
class Extracted:
    """Times, in ps, of the frames that were written; how many had a box, and atoms to move over it."""

    times: list[float] = field(default_factory=list)
    with_box: int = 0
    mended: int = 0


def start_protein(protein: Protein, positions: Floats, box: Floats) -> Start:
    """Make a protein whole, and bring its molecules together by their C-alphas.

    Parameters
    ----------
    protein : Protein
        Its bonds tell what is whole.
    positions : (A, 3)
        In nm, in any images.
    box : (3, 3)
        0 where there is none.
    """
    tree = bond_tree(len(protein.atoms), protein.bonds)
    whole = make_whole(positions[None], box[None], tree)
    alphas = np.array([at for at, name in enumerate(protein.atoms) if name == "CA"], np.int64)
    assembly = Assembly(tree, alphas, whole[0], box)
    return Start(assembly.gather(whole, box[None])[0], tree, assembly)


def extract_protein(
    reader: FrameReader, final: str | os.PathLike[str], start: Start, measure: Callable[[Frames], None]
) -> Extracted:
    """Write the frames of a protein, its molecules whole and together, its centre in the box's.

    Parameters
    ----------
    reader : FrameReader
        Gives the atoms of the protein.
    final : path
        XTC file, rounded as the first frame that is read, since the writer has one precision for a file. It
        cannot hold frames with a position that is not finite: they are measured and left out.
    start : Start
    measure : callable
        Gets every block of frames, as they are written.
    """
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    found, precision = Extracted(), 0.0
    with XTCFile(os.fspath(final), "w") as xtc:
        for frames in reader:
            whole = make_whole(frames.positions, frames.boxes, start.tree)
            together = start.assembly.gather(whole, frames.boxes)
            found.with_box += int(frames.boxes.any(axis=(1, 2)).sum())
            found.mended += int((np.ptp(together - frames.positions, axis=1) > 1e-6).any(axis=1).sum())
            centred = replace(frames, positions=centre(together, frames.boxes))
            measure(centred)
            precision = precision or frames.precisions[0]
            found.times += _append(xtc, centred, precision)
    return found


def _append(xtc: Any, frames: Frames, precision: float) -> list[float]:
    """Write the frames that are finite; give their times."""
    finite = np.isfinite(frames.positions).all(axis=(1, 2))
    for at in np.flatnonzero(finite):
        xtc.write(
            frames.positions[at].astype(np.float32), frames.boxes[at].astype(np.float32), frames.steps[at],
            frames.times[at], precision,
        )  # fmt: skip
    times: list[float] = frames.times[finite].tolist()
    return times


def write_first_frame(
    trajectory: str | os.PathLike[str],
    protein: Protein,
    residues: Sequence[Residue],
    final: str | os.PathLike[str],
    elements: Sequence[str] = (),
) -> None:
    """Write the first frame of a protein's trajectory as PDB, with its structure's chains and numbers.

    Parameters
    ----------
    trajectory, final : path
    protein : Protein
    residues : sequence of Residue
        Those of the protein, chains named as in residues.tsv; a PDB file has a letter for each.
    elements : sequence of str, optional
        Of the atoms; the first letters of their names where left out.
    """
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    with XTCFile(os.fspath(trajectory)) as frames:
        positions = frames.read().x * 10
    rows, lines = pdb_residues(residues, share=True), []
    for at, (name, residue, xyz) in enumerate(zip(protein.atoms, protein.residue_of, positions, strict=True)):
        lines.append(pdb_line(at + 1, name, rows[residue], xyz, element=elements[at] if elements else ""))
        after = protein.residue_of[at + 1] if at + 1 < len(protein.atoms) else None
        if after is None or residues[after].chain != residues[residue].chain:
            lines.append("TER\n")
    write_text(final, "".join(lines) + "END\n")
