"""Residues that were changed by the cell or the chemist, back to the natural ones they were made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from helixflow.errors import StructureError
from helixflow.structures.chemistry import OTHER_NAMES, STATES, natural_name, spellings
from helixflow.structures.deposit import Atom, by_residue, name_of
from helixflow.structures.ledger import Ledger


class Natural(NamedTuple):
    """A natural residue, and what becomes of the atoms that differ: a new name, or None where one goes."""

    name: str
    changes: dict[str, str | None]


# Atoms by the names of the Chemical Component Dictionary: SE>SD is renamed, the others go.
_TABLE = """
2MR ARG CQ1 CQ2                 N3,N4-dimethylarginine
ALY LYS OH CH CH3               acetyllysine
AYA ALA CT OT CM                N-acetylalanine
BFD ASP BE F1 F2 F3             aspartate with beryllium trifluoride
CAS CYS AS CE1 CE2              dimethylarsenic cysteine
CGU GLU CD1>CD OE11>OE1 OE12>OE2 CD2 OE21 OE22   gamma-carboxyglutamate
CME CYS SD CE CZ OH             mercaptoethanol on cysteine
CSD CYS OD1 OD2                 cysteine sulfinic acid
CSO CYS OD                      hydroxycysteine
CSP CYS P O1P O2P O3P           phosphocysteine
CSS CYS SD                      mercaptocysteine
CSX CYS OD                      cysteine S-oxide
DA2 ARG C1 C2                   asymmetric dimethylarginine
FME MET CN O1                   N-formylmethionine
HIC HIS CZ                      4-methylhistidine
HYP PRO OD1                     hydroxyproline
KCX LYS CX OQ1 OQ2              carboxylated lysine
LLP LYS N1 C2 C2' C3 O3 C4 C4' C5 C6 C5' OP4 P OP1 OP2 OP3   lysine with pyridoxal phosphate
M3L LYS CM1 CM2 CM3             trimethyllysine
MEN ASN CE2                     N-methylasparagine
MHO MET OD1                     methionine S-oxide
MHS HIS CM                      N1-methylhistidine
MLY LYS CH1 CH2                 dimethyllysine
MLZ LYS CM                      methyllysine
MSE MET SE>SD                   selenomethionine
NEP HIS P O1P O2P O3P           phosphohistidine
OCS CYS OD1 OD2 OD3             cysteine sulfonic acid
OMT MET OD1 OD2                 methionine sulfone
PCA GLN CG CD OE                pyroglutamic acid, whose ring is bonded to N: its side chain is to be rebuilt
PHD ASP P OP1 OP2 OP3           aspartyl phosphate
PTR TYR P O1P O2P O3P           phosphotyrosine
SCH CYS SD CE                   methylthiocysteine
SEC CYS SE>SG                   selenocysteine
SEP SER P O1P O2P O3P           phosphoserine
SMC CYS CS                      methylcysteine
SME MET S>SD OE                 methionine sulfoxide
SNC CYS ND OE                   nitrosocysteine
TPO THR P O1P O2P O3P           phosphothreonine
TYS TYR S O1 O2 O3              sulfotyrosine
"""


def _read_table(table: str) -> dict[str, Natural]:
    entries = {}
    for line in table.strip().splitlines():
        name, natural, *words = line.split("  ")[0].split()
        changes = {old: new or None for old, _, new in (word.partition(">") for word in words)}
        entries[name] = Natural(natural, changes)
    return entries


#: What stands for a natural residue, by its name in the Chemical Component Dictionary.
MODIFIED = _read_table(_TABLE)


def natural_of(name: str) -> str:
    """Return the natural residue behind a name, or the name itself."""
    return MODIFIED[name].name if name in MODIFIED else STATES.get(name, name)


def natural_residue(name: str) -> str:
    """Return the amino acid that a residue is or was made of, in any force field; empty for others."""
    made_of = (MODIFIED[known].name for known in spellings(name) if known in MODIFIED)
    return natural_name(name) or next(made_of, "")


def make_natural(atoms: list[Atom], policy: str, ledger: Ledger) -> list[Atom]:
    """Put the natural residue in place of a modified one, or refuse it.

    Parameters
    ----------
    atoms : list of Atom
    policy : str
        ``natural`` or ``refuse``; another force field's name of a natural residue is renamed in any case.
    ledger : Ledger

    Raises
    ------
    StructureError
        Naming the residue, and what to set.
    """
    for residue in by_residue(atoms):
        atom = residue[0]
        if atom.residue in MODIFIED:
            natural, changes = MODIFIED[atom.residue]
            if policy == "refuse":
                raise StructureError(
                    f"{name_of(atom)} is a modified {natural}; set structures/modified to natural to put "
                    "that in its place, or choose another structure"
                )
            there = [one.name for one in residue if one.name in changes]
            renamed = [f"{name} to {changes[name]}" for name in there if changes[name]]
            removed = [name for name in there if not changes[name]]
            ledger.act("made natural", atom, to=natural, renamed=renamed, removed=removed)
        elif atom.residue in STATES:
            ledger.act("made natural", atom, to=STATES[atom.residue], renamed=[], removed=[])
    atoms = ledger.keep(atoms, lambda atom: _new_name(atom) is not None, "atom of a modified residue")
    return [atom for residue in by_residue(map(_rename, atoms)) for atom in _to_pdb_names(residue, ledger)]


def _new_name(atom: Atom) -> str | None:
    entry = MODIFIED.get(atom.residue)
    return entry.changes.get(atom.name, atom.name) if entry else atom.name


def _rename(atom: Atom) -> Atom:
    natural = natural_of(atom.residue)
    if natural == atom.residue:
        return atom
    return replace(atom, residue=natural, name=_new_name(atom) or atom.name, deposited=atom.residue)


def _to_pdb_names(residue: list[Atom], ledger: Ledger) -> Iterator[Atom]:
    """Give atoms that have the names of another program those of the PDB, where no other atom has them."""
    for kind, renamed in OTHER_NAMES:
        names = {atom.name for atom in residue}
        if kind in ("", residue[0].residue) and names >= {*renamed} and names.isdisjoint(renamed.values()):
            changes = [f"{old} to {new}" for old, new in renamed.items()]
            ledger.act("renamed atoms", residue[0], atoms=changes)
            residue = [replace(atom, name=renamed.get(atom.name, atom.name)) for atom in residue]
    yield from residue
