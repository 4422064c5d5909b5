"""The protein alone, whole and in the middle of the box, as later stages read it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from helixflow.files import write_text
from helixflow.structures.residues import Residue, pdb_line
from helixflow.structures.topology import Protein
from helixflow.trajectories.frames import FrameReader, Frames
from helixflow.trajectories.images import Assembly, bond_tree, centre, make_whole


def extract_protein(
    trajectory: str | os.PathLike[str],
    final: str | os.PathLike[str],
    protein: Protein,
    assembly: Assembly,
    precision_per_nm: float,
    measure: Callable[[Frames], None],
) -> str:
    """Take the protein out of a trajectory, its molecules whole and together, its centre in the box's.

    Parameters
    ----------
    trajectory, final : path
        XTC files: of all atoms, the protein's first, and of the protein.
    protein : Protein
        Its bonds tell what is whole.
    assembly : Assembly
        What keeps its molecules together.
    precision_per_nm : float
        Steps of a nanometre to which positions are rounded.
    measure : callable
        Gets every block of frames that is written.

    Returns
    -------
    str
        Why the frame after the last one could not be read; empty at the end of the file.
    """
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    tree = bond_tree(len(protein.atoms), protein.bonds)
    reader = FrameReader(trajectory, len(protein.atoms))
    with XTCFile(os.fspath(final), "w") as xtc:
        for frames in reader:
            whole = make_whole(frames.positions, frames.boxes, tree)
            centred = centre(assembly.gather(whole, frames.boxes), frames.boxes)
            written = replace(frames, positions=centred)
            _append(xtc, written, precision_per_nm)
            measure(written)
    return reader.damage


def _append(xtc: object, frames: Frames, precision: float) -> None:
    for time, step, box, positions in zip(
        frames.times, frames.steps, frames.boxes, frames.positions, strict=True
    ):
        xtc.write(positions.astype(np.float32), box.astype(np.float32), step, time, precision)  # type: ignore[attr-defined]


def write_first_frame(
    trajectory: str | os.PathLike[str],
    protein: Protein,
    residues: Sequence[Residue],
    final: str | os.PathLike[str],
) -> None:
    """Write the first frame of a protein's trajectory as PDB, with its structure's chains and numbers."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    with XTCFile(os.fspath(trajectory)) as frames:
        positions = frames.read().x * 10
    lines = []
    for serial, (name, at, xyz) in enumerate(
        zip(protein.atoms, protein.residue_of, positions, strict=True), 1
    ):
        last = (
            serial == len(protein.atoms) or residues[protein.residue_of[serial]].chain != residues[at].chain
        )
        lines.append(pdb_line(serial, name, residues[at], xyz) + ("TER\n" if last else ""))
    write_text(final, "".join(lines) + "END\n")
