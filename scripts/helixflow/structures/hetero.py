"""What is no part of a protein chain: waters, ligands, metals, nucleic acids, glycans; dropped or refused."""

from __future__ import annotations

import string
from collections.abc import Mapping
from itertools import pairwise

from helixflow.errors import StructureError
from helixflow.structures.chemistry import D_RESIDUES, HEAVY_ATOMS, STATES
from helixflow.structures.deposit import Atom, ResidueKey, by_residue, listed, name_of
from helixflow.structures.gaps import PEPTIDE_BOND, peptide_bond
from helixflow.structures.ledger import Ledger
from helixflow.structures.modified import MODIFIED

WATERS = frozenset({"HOH", "WAT", "H2O", "DOD", "SOL", "TIP3", "TIP", "TP3", "SPC"})
_NUCLEOTIDES = (
    "A C G U I N T DA DC DG DT DU DI DN ADE CYT GUA THY URA RA RC RG RU 5MC 5MU PSU 1MA 2MG 7MG M2G H2U OMC "
    "OMG YYG 5CM 8OG"
)
NUCLEOTIDES = frozenset(_NUCLEOTIDES.split())
#: Sugars of the Chemical Component Dictionary that occur in glycans.
_SUGARS = (
    "NAG NDG BGC GLC MAN BMA GAL GLA FUC FUL FCA FCB SIA SLB NGA A2G GAC XYS XYP RAM GUP GCU BDP IDS SGN "
    "ASG NGS G6S MAL SUC TRE LAT LBT CBI BDF FRU RIB ARA AHR KDN NGC GCS PA1 M6P MGL NGK BM3 GN1"
)
SUGARS = frozenset(_SUGARS.split())
#: Elements whose single atoms are metals and other ions.
_NON_IONS = frozenset({"H", "D", "C", "N", "O", "S", "P", ""})

#: The config key of each kind, and what one is called when it is set aside.
KINDS = {
    "ligands": "ligand or other molecule",
    "metals": "metal or other ion",
    "nucleic_acids": "nucleic acid",
    "glycans": "glycan",
}


def drop_waters(atoms: list[Atom], ledger: Ledger) -> list[Atom]:
    """Leave out all waters; the simulation brings its own."""
    return ledger.keep(atoms, lambda atom: atom.residue not in WATERS, "water")


def drop_hydrogens(atoms: list[Atom], ledger: Ledger) -> list[Atom]:
    """Leave out hydrogens, which the force field adds where it has them."""
    return ledger.keep(atoms, lambda atom: not _is_hydrogen(atom), "hydrogen, pdb2gmx adds them")


def take_amino_acids(
    atoms: list[Atom], policy: Mapping[str, str], components: Mapping[str, str], ledger: Ledger
) -> list[Atom]:
    """Keep amino acids; one that is bonded into a chain and not known is refused in any case.

    Parameters
    ----------
    atoms : list of Atom
        Without waters.
    policy : mapping of str to str
        ``refuse`` or ``drop`` for each key of `KINDS`.
    components : mapping of str to str
        Chemical names.
    ledger : Ledger

    Raises
    ------
    StructureError
        Naming the residues, and what to set.
    """
    bonded = _bonded(atoms)
    foreign: dict[ResidueKey, list[Atom]] = {}
    for residue in by_residue(atoms):
        name, key = residue[0].residue, residue[0].residue_key
        if name in MODIFIED or name in STATES or (name in HEAVY_ATOMS and not residue[0].hetero):
            continue
        if key in bonded:
            if name not in HEAVY_ATOMS:
                _refuse_residue(residue[0], components)
            continue
        foreign[key] = residue
    kinds = {key: kind_of(residue) for key, residue in foreign.items()}
    for kind in KINDS:
        _refuse([foreign[key] for key, found in kinds.items() if found == kind], kind, policy, components)
    for residue in foreign.values():
        ledger.act("dropped", residue[0])
    for kind, reason in KINDS.items():
        atoms = ledger.keep(atoms, lambda atom, kind=kind: kinds.get(atom.residue_key) != kind, reason)  # type: ignore[misc]
    return atoms


def kind_of(residue: list[Atom]) -> str:
    """Tell which key of `KINDS` a residue that is no amino acid of a chain falls under."""
    name = residue[0].residue
    if name in NUCLEOTIDES:
        return "nucleic_acids"
    if name in SUGARS:
        return "glycans"
    atom, lone = residue[0], len({atom.name for atom in residue}) == 1
    if lone and (atom.name == atom.residue or element_of(atom) not in _NON_IONS):
        return "metals"
    return "ligands"


def element_of(atom: Atom) -> str:
    """Return the element of an atom, from its name where the file has none."""
    # A lone atom that is called as its residue is an ion: CA of residue CA is calcium.
    letters = atom.name.lstrip(string.digits)
    return atom.element or (atom.name if atom.name == atom.residue else letters[:1])


def _is_hydrogen(atom: Atom) -> bool:
    return element_of(atom) in ("H", "D")


def _refuse(
    residues: list[list[Atom]], kind: str, policy: Mapping[str, str], components: Mapping[str, str]
) -> None:
    if residues and policy[kind] == "refuse":
        names = listed(name_of(residue[0]) for residue in residues)
        known = {residue[0].residue: components.get(residue[0].residue, "") for residue in residues}
        told = "".join(f"; {code} is {name}" for code, name in list(known.items())[:5] if name)
        raise StructureError(
            f"{names}: no amino acid that the force field describes ({KINDS[kind]}{told}); "
            f"set structures/{kind} to drop to leave it out, or name other chains in the sheet's column chain"
        )


def _refuse_residue(atom: Atom, components: Mapping[str, str]) -> None:
    told = f", {components[atom.residue]}," if components.get(atom.residue) else ""
    if atom.residue in D_RESIDUES:
        raise StructureError(
            f"{name_of(atom)}{told} is a D-residue, expected L-residues: the force field has no other; "
            "replace it in the file, or choose another structure"
        )
    raise StructureError(
        f"{name_of(atom)}{told} is a modified residue of the chain that is not known "
        f"(known: {', '.join(MODIFIED)}); replace it by the natural one or remove it first"
    )


def _bonded(atoms: list[Atom]) -> set[ResidueKey]:
    """Find the residues with a peptide bond to the one before or after."""
    bonded = set()
    for before, after in pairwise(by_residue(atoms)):
        if before[0].chain == after[0].chain and peptide_bond(before, after) <= PEPTIDE_BOND:
            bonded |= {before[0].residue_key, after[0].residue_key}
    return bonded
