"""What cleaning did: every atom that is not kept is counted under one reason, every change is an action."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helixflow.structures.deposit import Atom, ResidueKey


@dataclass
class Ledger:
    """What was copied, built and set aside, by reason, and what else was done.

    `removed` has the residues that nothing is left of, by reason.
    """

    atoms: Counter[str] = field(default_factory=Counter)
    removed: dict[str, list[ResidueKey]] = field(default_factory=dict)
    copied: Counter[str] = field(default_factory=Counter)
    actions: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, atoms: list[Atom], wanted: Callable[[Atom], bool], reason: str) -> list[Atom]:
        """Keep the atoms that are wanted and count the others, and the residues nothing is left of."""
        kept = [atom for atom in atoms if wanted(atom)]
        self.atoms[reason] += len(atoms) - len(kept)
        left = {atom.residue_key for atom in kept}
        gone = dict.fromkeys(atom.residue_key for atom in atoms if atom.residue_key not in left)
        self.removed.setdefault(reason, []).extend(gone)
        return kept

    def copy(self, original: list[Atom], copied: list[Atom]) -> None:
        """Count atoms and residues that an assembly has beyond the file."""
        self.copied["atoms"] += len(copied) - len(original)
        self.copied["residues"] += len({atom.residue_key for atom in copied}) - len(
            {atom.residue_key for atom in original}
        )

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

    def atoms_set_aside(self) -> dict[str, int]:
        """Return the atoms set aside, by reason."""
        return dict(+self.atoms)

    def residues_set_aside(self) -> dict[str, int]:
        """Return how many residues were set aside, by reason."""
        return {reason: len(keys) for reason, keys in self.removed.items() if keys}

    def residues_removed(self) -> dict[str, list[str]]:
        """Name the residues set aside, by reason; those of one kind in a row as a range."""
        return {reason: _ranges(keys) for reason, keys in self.removed.items() if keys}


def _ranges(keys: list[ResidueKey]) -> list[str]:
    """Name residues, those with numbers in a row as a range: ``HOH A 221-308``, ``model 2 A 1-20``."""
    ranges: list[list[ResidueKey]] = []
    for key in keys:
        model, chain, number, insertion, _ = key
        last = ranges[-1][-1] if ranges else None
        if last is not None and not insertion and last[:4] == (model, chain, number - 1, ""):
            ranges[-1].append(key)
        else:
            ranges.append([key])
    return [_name_range(members) for members in ranges]


def _name_range(keys: list[ResidueKey]) -> str:
    model, chain, number, insertion, name = keys[0]
    words = [
        f"model {model}" if model > 1 else "",
        name if len({key[4] for key in keys}) == 1 else "",
        chain or "(blank)",
        f"{number}{insertion}" + (f"-{keys[-1][2]}" if len(keys) > 1 else ""),
    ]
    return " ".join(word for word in words if word)
