"""From a structure file as deposited to one that a force field can describe, or to a named refusal.

Every atom that is not kept is counted under one reason, so that what is in the file, what an assembly
copies and what is built is what goes out and what is set aside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from helixflow.accessions import is_peptide
from helixflow.errors import StructureError
from helixflow.files import write_json, write_text
from helixflow.structures.choose import (
    ASYMMETRIC,
    BY_OCCUPANCY,
    make_assembly,
    original_chain,
    take_chains,
    take_locations,
    take_model,
)
from helixflow.structures.deposit import Atom, Deposit, by_chain, name_of
from helixflow.structures.disulfides import check_disulfides
from helixflow.structures.gaps import inspect_chain
from helixflow.structures.geometry import find_d_residues, find_disulfides
from helixflow.structures.hetero import drop_hydrogens, drop_waters, take_amino_acids
from helixflow.structures.ledger import Ledger
from helixflow.structures.modified import make_natural
from helixflow.structures.peptide import LABEL
from helixflow.structures.read import read_structure
from helixflow.structures.repair import build_missing, check_chain
from helixflow.structures.residues import chain_letters, write_residues
from helixflow.structures.serialise import Cleaned, describe, make_rows, pdb_lines, record_built


@dataclass(frozen=True)
class CleanSettings:
    """What decides the clean structure; the meaning of each key is in the schema of the configuration.

    `chains` are the ids in the file, all where empty.
    """

    chains: Sequence[str] = ()
    model: int = 1
    ligands: str = "refuse"
    metals: str = "refuse"
    nucleic_acids: str = "refuse"
    glycans: str = "refuse"
    assembly: str | int = ASYMMETRIC
    altloc: str = BY_OCCUPANCY
    modified: str = "natural"
    repair: str = "none"
    max_gap: int = 10

    @property
    def hetero(self) -> dict[str, str]:
        """What is done with each kind of molecule that is no protein."""
        return {
            "ligands": self.ligands,
            "metals": self.metals,
            "nucleic_acids": self.nucleic_acids,
            "glycans": self.glycans,
        }


def clean_structure(
    source: str | os.PathLike[str],
    structure_format: str,
    settings: CleanSettings,
    pdb: str | os.PathLike[str],
    report: str | os.PathLike[str],
    table: str | os.PathLike[str],
    origin: str = "",
) -> None:
    """Take the protein out of a structure file, or say in one line why it cannot be simulated.

    Parameters
    ----------
    source : path
        Structure as plain text.
    structure_format : str
        ``pdb`` or ``mmcif``.
    settings : CleanSettings
        What is taken, what becomes of the rest, and what is built.
    pdb, report, table : path
        Written: ``clean.pdb``, ``cleaning.json`` and ``residues.tsv``.
    origin : str
        The source as the sheet names it, such as ``alphafold:P12497`` or ``peptide:GYDPETGTWG``.

    Raises
    ------
    StructureError
        Naming file, chain and residue, and what to do.
    """
    ledger = Ledger()
    deposit = read_structure(source, structure_format)
    if origin.startswith("alphafold:"):
        deposit = replace(deposit, predicted=True)
    try:
        cleaned = clean(deposit, settings, ledger, idealised=is_peptide(origin))
        lines = list(pdb_lines(cleaned))
    except StructureError as error:
        raise StructureError(f"{source}: {error}") from None
    write_text(pdb, "".join(lines))
    write_residues(table, cleaned.rows)
    chosen = {
        "format": structure_format,
        "label": LABEL if is_peptide(origin) else "",
        "models": max(atom.model for atom in deposit.atoms),
        "model": settings.model,
        "assembly": str(settings.assembly),
        "altloc": settings.altloc,
    }
    write_json(report, chosen | describe(deposit, cleaned, ledger))


def clean(deposit: Deposit, settings: CleanSettings, ledger: Ledger, idealised: bool = False) -> Cleaned:
    """Take the protein out of a structure; errors are those of `clean_structure`, without the file."""
    atoms = take_protein(deposit, settings, ledger)
    states = [
        inspect_chain(
            chain, residues, list(deposit.sequences.get(original_chain(chain, deposit.sequences), []))
        )
        for chain, residues in by_chain(atoms).items()
    ]
    for state in states:
        check_chain(state, settings.repair, settings.max_gap)
    observed = [residue for state in states for residue in state.residues]
    for atom in find_d_residues(observed):
        raise StructureError(
            f"{name_of(atom)} is a D-residue by its atoms' places, expected L-residues: the force field has "
            "no other; mirror it in the file, or choose another structure"
        )
    chains = build_missing(states, deposit.disulfides)
    residues = [residue for chain in chains for residue in chain]
    disulfides = find_disulfides(residues)
    check_disulfides(deposit.disulfides, observed, residues, ledger)
    record_built(residues, ledger)
    rows = list(make_rows(residues, deposit.predicted, idealised))
    letters = chain_letters(rows)
    ledger.actions += [
        {"action": "renamed chain", "chain": chain, "to": letter}
        for chain, letter in letters.items()
        if chain != letter
    ]
    # A table needs a name where the file has none.
    rows = [replace(row, chain=row.chain or letters[row.chain]) for row in rows]
    return Cleaned(residues, rows, states, letters, disulfides)


def take_protein(deposit: Deposit, settings: CleanSettings, ledger: Ledger) -> list[Atom]:
    """Set aside all that is no heavy atom of the protein that was asked for."""
    atoms = take_model(deposit.atoms, settings.model, ledger)
    atoms = take_chains(atoms, settings.chains, ledger)
    atoms = make_assembly(atoms, settings.assembly, deposit.assemblies, ledger)
    atoms = drop_waters(atoms, ledger)
    atoms = take_amino_acids(atoms, settings.hetero, deposit.components, ledger)
    if not atoms:
        raise StructureError("no amino acids are left, expected a protein chain")
    atoms = drop_hydrogens(atoms, ledger)
    atoms = take_locations(atoms, settings.altloc, ledger)
    return make_natural(atoms, settings.modified, ledger)
