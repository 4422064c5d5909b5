"""A cleaned protein as it is written: lines of a PDB file, rows of a table, and the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from helixflow.errors import StructureError
from helixflow.structures.chemistry import LETTERS
from helixflow.structures.deposit import Atom, Deposit, name_of
from helixflow.structures.gaps import ChainState
from helixflow.structures.ledger import Ledger
from helixflow.structures.residues import LEAST_NUMBER, Residue, pdb_line, pdb_residues

#: Columns of a coordinate in a PDB file, and the B factors that its columns hold.
_COORDINATE = 8
_LEAST_B_FACTOR, _MOST_B_FACTOR = -99.99, 999.99


@dataclass(frozen=True)
class Cleaned:
    """A protein that can be simulated.

    Attributes
    ----------
    residues : list of list of Atom
    rows : list of Residue
        Of the table; one for each residue.
    states : list of ChainState
        How each chain was before anything was built.
    letters : dict of str to str
        The letter of each chain of the file.
    disulfides : list of (int, int)
        Indices of residues.
    """

    residues: list[list[Atom]]
    rows: list[Residue]
    states: list[ChainState]
    letters: dict[str, str]
    disulfides: list[tuple[int, int]]


def pdb_lines(cleaned: Cleaned) -> Iterator[str]:
    """Write the atoms as a PDB file, each chain closed by TER and named by one letter."""
    # Without a title pdb2gmx makes up a random one.
    yield "TITLE     CLEAN STRUCTURE\n"
    serial, rows = 0, pdb_residues(cleaned.rows)
    for row, residue in zip(rows, cleaned.residues, strict=True):
        if row.number < LEAST_NUMBER:
            raise StructureError(
                f"{row}: a PDB file has room for the numbers from {LEAST_NUMBER} on; renumber it"
            )
        for atom in residue:
            serial += 1
            _check_room(atom)
            # A number that is no measure of anything need not be kept to the digit.
            b_factor = min(max(atom.b_factor, _LEAST_B_FACTOR), _MOST_B_FACTOR)
            yield pdb_line(serial, atom.name, row, atom.xyz, b_factor)
        if row is rows[-1] or rows[row.index + 1].chain != row.chain:
            yield "TER\n"
    yield "END\n"


def _check_room(atom: Atom) -> None:
    for axis, value in zip("xyz", atom.xyz, strict=True):
        if len(f"{value:.3f}") > _COORDINATE:
            raise StructureError(
                f"{name_of(atom)}: {axis} of {atom.name} is {value:.3f} Å, but a PDB file has room for "
                "-999.999 to 9999.999: move the structure to the origin"
            )


def make_rows(residues: Iterable[list[Atom]], predicted: bool, idealised: bool) -> Iterator[Residue]:
    """Give the rows of the table; `predicted` and `idealised` say what the file is."""
    for index, residue in enumerate(residues):
        atom = residue[0]
        built = [one.built for one in residue]
        origin = "built" if all(built) else "completed" if any(built) else "observed"
        alphas = [one.b_factor for one in residue if one.name == "CA" and not one.built]
        yield Residue(
            index=index,
            chain=atom.chain,
            number=atom.number,
            insertion=atom.insertion,
            name=atom.residue,
            code=LETTERS[atom.residue],
            deposited=atom.deposited,
            origin="idealised" if idealised else origin,
            plddt=f"{alphas[0]:g}" if predicted and alphas else "",
        )


def describe(deposit: Deposit, cleaned: Cleaned, ledger: Ledger) -> dict[str, Any]:
    """Return what the cleaning report says."""
    atoms = [atom for residue in cleaned.residues for atom in residue]
    plddt = [float(row.plddt) for row in cleaned.rows if row.plddt]
    return {
        "plddt_mean": round(fmean(plddt), 2) if plddt else None,
        "atoms_in": len(deposit.atoms),
        "atoms_copied": ledger.copied["atoms"],
        "atoms_built": sum(atom.built for atom in atoms),
        "atoms_out": len(atoms),
        "atoms_set_aside": ledger.atoms_set_aside(),
        "residues_in": len({atom.residue_key for atom in deposit.atoms}),
        "residues_copied": ledger.copied["residues"],
        "residues_built": sum(row.origin == "built" for row in cleaned.rows),
        "residues_out": len(cleaned.rows),
        "residues_set_aside": ledger.residues_set_aside(),
        "residues_removed": ledger.residues_removed(),
        "chains": [state.told() | {"letter": cleaned.letters[state.chain]} for state in cleaned.states],
        "gaps": [gap.told(built=True) for state in cleaned.states for gap in state.gaps],
        "built": [
            _told_built(residue) for residue in cleaned.residues if any(atom.built for atom in residue)
        ],
        "disulfides": cleaned.disulfides,
        "actions": ledger.actions,
    }


def record_built(residues: Iterable[list[Atom]], ledger: Ledger) -> None:
    """Record as actions what was built."""
    for residue in residues:
        names = [atom.name for atom in residue if atom.built]
        if len(names) == len(residue):
            ledger.act("built residue", residue[0])
        elif names:
            ledger.act("built atoms", residue[0], atoms=names)


def _told_built(residue: list[Atom]) -> dict[str, Any]:
    atom, names = residue[0], [atom.name for atom in residue if atom.built]
    place = {"chain": atom.chain, "number": atom.number, "insertion": atom.insertion, "name": atom.residue}
    return {**place, "whole": len(names) == len(residue), "atoms": names}
