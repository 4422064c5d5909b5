"""From a structure file as deposited to one that a force field can describe, or to a named refusal.

Every atom that is not kept is counted under one reason, so that atoms in = atoms out + atoms set aside.
"""

from __future__ import annotations

import math
import os
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations, pairwise
from typing import Any

from helixflow.errors import StructureError
from helixflow.files import write_json, write_text
from helixflow.structures.check import PEPTIDE_BOND, check_chain, name_of, peptide_bond
from helixflow.structures.chemistry import HEAVY_ATOMS, LETTERS, MODIFIED, OTHER_NAMES, WATERS
from helixflow.structures.read import Atom, read_atoms, read_seqres
from helixflow.structures.residues import Residue, pdb_line, write_residues

#: Longest disulfide bond, in ångström.
DISULFIDE_BOND = 2.5


@dataclass(frozen=True)
class CleanSettings:
    """What decides the clean structure.

    `chains` are the ids in the file, all where empty; `model` counts from 1; `ligands` is ``refuse``
    or ``drop``.
    """

    chains: Sequence[str]
    model: int
    ligands: str


@dataclass
class Ledger:
    """What was set aside, by reason, and what else was done."""

    atoms: Counter[str] = field(default_factory=Counter)
    residues: Counter[str] = field(default_factory=Counter)
    actions: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, atoms: list[Atom], wanted: Callable[[Atom], bool], reason: str) -> list[Atom]:
        """Keep the atoms that are wanted and count the others, and the residues nothing is left of."""
        kept = [atom for atom in atoms if wanted(atom)]
        self.atoms[reason] += len(atoms) - len(kept)
        self.residues[reason] += len(_keys(atoms)) - len(_keys(kept))
        return kept

    def act(self, action: str, atom: Atom, **details: Any) -> None:
        """Record what was done to the residue of an atom."""
        self.actions.append(
            {
                "action": action,
                "chain": atom.chain,
                "number": atom.number,
                "insertion": atom.insertion,
                "name": atom.residue,
                **details,
            }
        )


def clean_structure(
    source: str | os.PathLike[str],
    structure_format: str,
    settings: CleanSettings,
    pdb: str | os.PathLike[str],
    report: str | os.PathLike[str],
    table: str | os.PathLike[str],
) -> None:
    """Take the protein out of a structure file, or say in one line why it cannot be simulated.

    Parameters
    ----------
    source : path
        Structure as plain text.
    structure_format : str
        ``pdb`` or ``mmcif``.
    settings : CleanSettings
        Which model and chains, and what becomes of ligands.
    pdb, report, table : path
        Written: ``clean.pdb``, ``cleaning.json`` and ``residues.tsv``.

    Raises
    ------
    StructureError
        Naming file, chain and residue, and what to do.
    """
    ledger = Ledger()
    everything = read_atoms(source, structure_format)
    seqres = read_seqres(source, structure_format)
    try:
        chains = _by_chain(_protein(everything, settings, ledger))
        ends = [check_chain(chain, residues, seqres.get(chain, [])) for chain, residues in chains.items()]
        atoms = _rename_chains(chains, ledger)
        rows = _rows(atoms)
        lines = list(_pdb_lines(atoms, rows))
    except StructureError as error:
        raise StructureError(f"{source}: {error}") from None
    write_text(pdb, "".join(lines))
    write_residues(table, rows)
    summary = {
        "format": structure_format,
        "models": max(atom.model for atom in everything),
        "model": settings.model,
        "atoms_in": len(everything),
        "atoms_out": len(atoms),
        "atoms_set_aside": +ledger.atoms,
        "residues_in": len(_keys(everything)),
        "residues_out": len(rows),
        "residues_set_aside": +ledger.residues,
        "chains": ends,
        "disulfides": find_disulfides(atoms),
        "actions": ledger.actions,
    }
    write_json(report, summary)


def find_disulfides(atoms: Iterable[Atom]) -> list[tuple[int, int]]:
    """Find the pairs of cysteines whose sulfur atoms are bonded, as indices of residues, ascending."""
    sulfurs = [
        (index, residue[names.index("SG")])
        for index, residue in enumerate(_by_residue(atoms))
        if "SG" in (names := [atom.name for atom in residue])
    ]
    return [
        (first, second)
        for (first, a), (second, b) in combinations(sulfurs, 2)
        if math.dist(a.xyz, b.xyz) < DISULFIDE_BOND
    ]


def _protein(atoms: list[Atom], settings: CleanSettings, ledger: Ledger) -> list[Atom]:
    """Set aside all that is no heavy atom of the protein that was asked for."""
    atoms = _take_model(atoms, settings.model, ledger)
    atoms = _take_chains(atoms, settings.chains, ledger)
    atoms = ledger.keep(atoms, lambda atom: atom.residue not in WATERS, "water")
    atoms = _take_amino_acids(atoms, settings.ligands, ledger)
    if not atoms:
        raise StructureError("no amino acids are left, expected a protein chain")
    atoms = ledger.keep(atoms, lambda atom: not _is_hydrogen(atom), "hydrogen, pdb2gmx adds them")
    atoms = _take_one_location(atoms, ledger)
    atoms = _to_natural(atoms, ledger)
    return [atom for residue in _by_residue(atoms) for atom in _to_pdb_names(residue, ledger)]


def _take_model(atoms: list[Atom], model: int, ledger: Ledger) -> list[Atom]:
    models = max(atom.model for atom in atoms)
    if model > models:
        raise StructureError(f"no model {model}, the file has {models} (structures/model in the config)")
    return ledger.keep(atoms, lambda atom: atom.model == model, "other model")


def _take_chains(atoms: list[Atom], chains: Sequence[str], ledger: Ledger) -> list[Atom]:
    known = list(dict.fromkeys(atom.chain for atom in atoms))
    for chain in chains:
        if chain not in known:
            raise StructureError(
                f"no chain '{chain}', found {_listed(name or '(blank)' for name in known)} "
                "(column chain of the sample sheet)"
            )
    return ledger.keep(atoms, lambda atom: not chains or atom.chain in chains, "other chain")


def _take_amino_acids(atoms: list[Atom], ligands: str, ledger: Ledger) -> list[Atom]:
    """Keep amino acids; one that is bonded into a chain and not known is refused in any case."""
    bonded = _bonded(atoms)
    foreign = {}
    for residue in _by_residue(atoms):
        atom = residue[0]
        known = atom.residue in HEAVY_ATOMS and (not atom.hetero or atom.residue_key in bonded)
        if not known and atom.residue not in MODIFIED:
            foreign[atom.residue_key] = atom
    for key, atom in foreign.items():
        if key in bonded:
            raise StructureError(
                f"{name_of(atom)} is a modified residue of the chain that is not known "
                f"(known: {', '.join(MODIFIED)}); replace it by the natural one or remove it first"
            )
    if foreign and ligands == "refuse":
        raise StructureError(
            f"{_listed(map(name_of, foreign.values()))}: no amino acid that the force field describes; "
            "set structures/ligands to drop to leave it out, or name other chains in the sheet's column chain"
        )
    for atom in foreign.values():
        ledger.act("dropped", atom)
    return ledger.keep(atoms, lambda atom: atom.residue_key not in foreign, "ligand or other molecule")


def _bonded(atoms: Iterable[Atom]) -> set[tuple[int, str, int, str, str]]:
    """Find the residues with a peptide bond to the one before or after."""
    bonded = set()
    for before, after in pairwise(_by_residue(atoms)):
        if before[0].chain == after[0].chain and peptide_bond(before, after) <= PEPTIDE_BOND:
            bonded |= {before[0].residue_key, after[0].residue_key}
    return bonded


def _is_hydrogen(atom: Atom) -> bool:
    element = atom.element or atom.name.lstrip(string.digits)[:1]
    return element in ("H", "D")


def _take_one_location(atoms: list[Atom], ledger: Ledger) -> list[Atom]:
    """Keep one alternate location of each residue, that of highest mean occupancy, ties by its letter."""
    positions: dict[tuple[str, int, str], list[Atom]] = {}
    for atom in atoms:
        positions.setdefault((atom.chain, atom.number, atom.insertion), []).append(atom)
    kept: set[int] = set()
    for position in positions.values():
        best = _best_location(position)
        # An atom that is not given there is taken from the likeliest location that has it.
        ranked = sorted(position, key=partial(_rank, best))
        chosen: dict[str, Atom] = {}
        for atom in ranked:
            if atom.residue == ranked[0].residue:
                chosen.setdefault(atom.name, atom)
        kept |= set(map(id, chosen.values()))
        others = sorted({atom.altloc for atom in position} - {"", best})
        if others:
            ledger.act("chose location", ranked[0], kept=best, set_aside=others)
    return ledger.keep(atoms, lambda atom: id(atom) in kept, "other alternate location")


def _rank(best: str, atom: Atom) -> tuple[bool, float, str]:
    return atom.altloc not in ("", best), -atom.occupancy, atom.altloc


def _best_location(position: list[Atom]) -> str:
    """Choose the alternate location of a residue, and see that nothing is given twice."""
    names = sorted({atom.residue for atom in position if not atom.altloc} - {position[0].residue})
    if names and not position[0].altloc:
        raise StructureError(
            f"{name_of(position[0])} shares its number with {', '.join(names)}, expected one residue; "
            "renumber them, or give their chains different ids"
        )
    records = Counter((atom.residue, atom.name, atom.altloc) for atom in position)
    (_, name, _), times = records.most_common(1)[0]
    if times > 1:
        raise StructureError(f"{name_of(position[0])} has atom {name} {times} times, expected once")
    occupancies: dict[str, list[float]] = {}
    for atom in position:
        occupancies.setdefault(atom.altloc, []).append(atom.occupancy)
    located = {altloc: sum(values) / len(values) for altloc, values in occupancies.items() if altloc}
    return min(located, key=lambda altloc: (-located[altloc], altloc), default="")


def _to_natural(atoms: list[Atom], ledger: Ledger) -> list[Atom]:
    """Put the natural residue in place of a modified one."""
    for residue in _by_residue(atoms):
        if residue[0].residue in MODIFIED:
            ledger.act("made natural", residue[0], to=MODIFIED[residue[0].residue][0])

    def changes(atom: Atom) -> dict[str, str | None]:
        return MODIFIED.get(atom.residue, ("", {}))[1]

    atoms = ledger.keep(
        atoms, lambda atom: changes(atom).get(atom.name, "") is not None, "atom of a modified residue"
    )
    return [
        replace(
            atom,
            residue=MODIFIED.get(atom.residue, (atom.residue, {}))[0],
            name=changes(atom).get(atom.name) or atom.name,
        )
        for atom in atoms
    ]


def _to_pdb_names(residue: list[Atom], ledger: Ledger) -> list[Atom]:
    """Give atoms that have the names of another program those of the PDB, where no other atom has them."""
    for kind, renamed in OTHER_NAMES:
        names = {atom.name for atom in residue}
        if kind in ("", residue[0].residue) and names >= {*renamed} and names.isdisjoint(renamed.values()):
            changes = [f"{old} to {new}" for old, new in renamed.items()]
            ledger.act("renamed atoms", residue[0], atoms=changes)
            residue = [replace(atom, name=renamed.get(atom.name, atom.name)) for atom in residue]
    return residue


def _rename_chains(chains: dict[str, list[list[Atom]]], ledger: Ledger) -> list[Atom]:
    """Give the chains' atoms, each chain with one character, its own where that is possible."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits
    free = [letter for letter in letters if letter not in chains]
    unnamed = [chain for chain in chains if len(chain) != 1]
    if len(unnamed) > len(free):
        raise StructureError(
            f"{len(chains)} chains, expected at most 62; name some in the sheet's column chain"
        )
    names = dict(zip(unnamed, free, strict=False))
    ledger.actions += [{"action": "renamed chain", "chain": old, "to": new} for old, new in names.items()]
    atoms = (atom for residues in chains.values() for residue in residues for atom in residue)
    return [replace(atom, chain=names.get(atom.chain, atom.chain)) for atom in atoms]


def _rows(atoms: Iterable[Atom]) -> list[Residue]:
    return [
        Residue(index, atom.chain, atom.number, atom.insertion, atom.residue, LETTERS[atom.residue])
        for index, (atom, *_) in enumerate(_by_residue(atoms))
    ]


def _pdb_lines(atoms: list[Atom], rows: list[Residue]) -> Iterable[str]:
    """Write the atoms as a PDB file, each chain closed by TER."""
    # Without a title pdb2gmx makes up a random one.
    yield "TITLE     CLEAN STRUCTURE\n"
    serial = 0
    for row, residue in zip(rows, _by_residue(atoms), strict=True):
        if not -999 <= row.number <= 9999:
            raise StructureError(f"{row}: a PDB file has room for the numbers -999 to 9999 only; renumber it")
        for atom in residue:
            serial += 1
            yield pdb_line(serial, atom.name, row, atom.xyz, atom.b_factor)
        if row is rows[-1] or rows[row.index + 1].chain != row.chain:
            yield "TER\n"
    yield "END\n"


def _by_chain(atoms: Iterable[Atom]) -> dict[str, list[list[Atom]]]:
    """Sort residues into chains, in the order of the file."""
    chains: dict[str, list[list[Atom]]] = {}
    for residue in _by_residue(atoms):
        chains.setdefault(residue[0].chain, []).append(residue)
    return chains


def _by_residue(atoms: Iterable[Atom]) -> list[list[Atom]]:
    residues: dict[tuple[int, str, int, str, str], list[Atom]] = {}
    for atom in atoms:
        residues.setdefault(atom.residue_key, []).append(atom)
    return list(residues.values())


def _keys(atoms: Iterable[Atom]) -> set[tuple[int, str, int, str, str]]:
    return {atom.residue_key for atom in atoms}


def _listed(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
