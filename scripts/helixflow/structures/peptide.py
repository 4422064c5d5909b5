"""Short peptides by their sequence, with ideal bonds and angles, stretched out: a start, not a fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from helixflow.structures.chemistry import LETTERS
from helixflow.structures.deposit import rounded
from helixflow.structures.residues import Residue, pdb_line

#: How a peptide is labelled wherever it is shown.
LABEL = "idealised start, not a fold"
#: Torsions of a stretched chain, in degrees: phi, that of proline, and psi; those of a beta strand.
_PHI, _PHI_OF_PROLINE, _PSI = -120.0, -70.0, 140.0
_NAMES = {letter: name for name, letter in LETTERS.items()}


def write_peptide(sequence: str) -> str:
    """Return a peptide as the text of a PDB file with SEQRES; the last residue has its OXT.

    Parameters
    ----------
    sequence : str
        Of the 20 natural letters.
    """
    names = [_NAMES[letter] for letter in sequence]
    lines = [f"TITLE     PEPTIDE {sequence}\n", f"REMARK   1 {LABEL.upper()}\n"]
    for first in range(0, len(names), 13):
        row = " ".join(names[first : first + 13])
        lines.append(f"SEQRES{first // 13 + 1:4d} A{len(names):5d}  {row}\n")
    serial = 0
    for index, (name, atoms) in enumerate(ideal_chain(names)):
        residue = Residue(index, "A", index + 1, "", name, LETTERS[name])
        for atom, xyz in atoms.items():
            serial += 1
            lines.append(pdb_line(serial, atom, residue, xyz))
    return "".join([*lines, "TER\n", "END\n"])


def ideal_chain(names: Sequence[str]) -> Iterator[tuple[str, dict[str, tuple[float, float, float]]]]:
    """Give residues of a stretched chain: name, and heavy atoms in ångström by their names."""
    import PeptideBuilder
    from PeptideBuilder import Geometry

    structure: Any = None
    for name in names:
        geometry = Geometry.geometry(LETTERS[name])
        geometry.phi = _PHI_OF_PROLINE if name == "PRO" else _PHI
        geometry.psi_im1, geometry.omega = _PSI, 180.0
        if structure is None:
            structure = PeptideBuilder.initialize_res(geometry)
        else:
            PeptideBuilder.add_residue(structure, geometry)
    PeptideBuilder.add_terminal_OXT(structure, 1.25)
    for name, residue in zip(names, structure.get_residues(), strict=True):
        yield name, {atom.name: rounded(atom.coord, 9) for atom in residue}
