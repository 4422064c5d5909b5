"""The protein alone, whole and in the middle of the box, as later stages read it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from helixflow.files import write_text
from helixflow.gmx import GmxTools
from helixflow.structures.residues import Residue, pdb_line
from helixflow.structures.topology import Protein


def extract_protein(gmx: GmxTools, tpr: str, trajectory: str, final: str) -> None:
    """Take the protein out of a trajectory, its molecules whole and together, its centre in the box's.

    All names are of files in the folder of `gmx`; ``whole.xtc`` and ``protein.tpr`` are written on the way.
    """
    gmx("convert-tpr", s=tpr, o="protein.tpr", answers=["Protein"])
    gmx("trjconv", s=tpr, f=trajectory, o="whole.xtc", pbc="whole", answers=["Protein"])
    # Chains that are whole can still lie in different images of the box.
    answers = ["Protein", "Protein", "Protein"]
    gmx("trjconv", s="protein.tpr", f="whole.xtc", o=final, pbc="cluster", center=True, answers=answers)


def measure_frames(path: str | os.PathLike[str], protein: Protein) -> tuple[int, float]:
    """Count the frames of a protein's trajectory, and measure its longest bond.

    Returns
    -------
    (int, float)
        Frames, and nm; a molecule that is broken over the box has bonds of several nm.
    """
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    first, second = np.array(protein.bonds).T
    with XTCFile(os.fspath(path)) as frames:
        longest = [np.linalg.norm(frame.x[first] - frame.x[second], axis=1).max() for frame in frames]
    return len(longest), float(max(longest))


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
