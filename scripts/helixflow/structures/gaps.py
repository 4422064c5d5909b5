"""What a chain lacks: residues within it, and atoms of its residues.

Three signs of a gap are looked at: the distance of C to the next N, the sequence of the experiment (SEQRES),
and the residues' numbers. Numbers that jump where the chain goes on are no gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from helixflow.structures.chemistry import HEAVY_ATOMS, LETTERS
from helixflow.structures.deposit import Atom, name_of, place_of
from helixflow.structures.modified import natural_of

#: Longest peptide bond, in ångström.
PEPTIDE_BOND = 2.0


@dataclass(frozen=True)
class Gap:
    """A place within a chain where residues are missing.

    Attributes
    ----------
    at : int
        Index of the residue behind the gap.
    before, after : Atom
        Of the residues beside it.
    missing : tuple of str or None
        Natural names of the missing residues by SEQRES; None where it does not tell.
    numbers : int
        How many residues the numbers leave room for.
    distance : float
        Of C to N, in ångström; infinite where one of them is missing.
    """

    at: int
    before: Atom
    after: Atom
    missing: tuple[str, ...] | None
    numbers: int
    distance: float

    @property
    def length(self) -> int | None:
        """How many residues are missing; None where nothing tells."""
        if self.missing is not None:
            return len(self.missing)
        return self.numbers if self.numbers > 0 else None

    def told(self, built: bool) -> dict[str, Any]:
        """Return what the cleaning report says of the gap."""
        return {
            "chain": self.before.chain,
            "after": name_of(self.before),
            "before": name_of(self.after),
            "length": self.length,
            "residues": None if self.missing is None else letters(self.missing),
            "by_numbers": self.numbers,
            "c_n_distance_A": round(self.distance, 2) if math.isfinite(self.distance) else None,
            "built": built,
        }


@dataclass(frozen=True)
class ChainState:
    """A chain, and what it lacks.

    `places` are the residues' places in `sequence` (SEQRES), from 0, or None where they do not fit it.
    `atoms` maps the index of a residue to the heavy atoms it lacks.
    """

    chain: str
    residues: list[list[Atom]]
    sequence: list[str]
    places: list[int] | None
    gaps: list[Gap]
    jumps: list[tuple[Atom, Atom]] = field(default_factory=list)
    atoms: dict[int, list[str]] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return what the cleaning report says of the chain and its ends."""
        before, after = "", ""
        if self.places:
            before = letters(self.sequence[: self.places[0]])
            after = letters(self.sequence[self.places[-1] + 1 :])
        return {
            "chain": self.chain,
            "residues": len(self.residues),
            "seqres": len(self.sequence),
            "in_seqres": self.places is not None if self.sequence else None,
            "missing_before": before,
            "missing_after": after,
            "number_jumps": [f"{name_of(before)} to {name_of(after)}" for before, after in self.jumps],
        }


def inspect_chain(chain: str, residues: list[list[Atom]], sequence: list[str]) -> ChainState:
    """Find what a chain lacks.

    Parameters
    ----------
    chain : str
    residues : list of list of Atom
        Natural residues, heavy atoms alone.
    sequence : list of str
        Residue names of SEQRES, empty where the file does not tell.
    """
    places = place_residues(residues, sequence) if sequence else None
    gaps, jumps = [], []
    for at, (before, after) in enumerate(pairwise(residues), 1):
        distance = peptide_bond(before, after)
        numbers = after[0].number - before[0].number - 1
        missing = _between(sequence, places, at)
        unknown = math.isinf(distance) and missing is None and numbers != 0
        if missing or unknown or PEPTIDE_BOND < distance < math.inf:
            gaps.append(Gap(at, before[0], after[0], missing, numbers, distance))
        elif _jumps(before[0], after[0]):
            jumps.append((before[0], after[0]))
    lacking = {at: missing_atoms(residue) for at, residue in enumerate(residues)}
    atoms = {at: names for at, names in lacking.items() if names}
    return ChainState(chain, residues, sequence, places, gaps, jumps, atoms)


def peptide_bond(before: Iterable[Atom], after: Sequence[Atom]) -> float:
    """Measure the shortest distance of a C to an N of the next residue, in ångström."""
    carbons = [atom.xyz for atom in before if atom.name == "C"]
    nitrogens = [atom.xyz for atom in after if atom.name == "N"]
    return min((math.dist(c, n) for c in carbons for n in nitrogens), default=math.inf)


def missing_atoms(residue: list[Atom]) -> list[str]:
    """Name the heavy atoms that a natural residue lacks; it may lack OXT."""
    names = {atom.name for atom in residue}
    return [name for name in HEAVY_ATOMS[residue[0].residue] if name not in names]


def unknown_atoms(residue: list[Atom], last: bool) -> list[str]:
    """Name the atoms that a natural residue does not have; the last of a chain may have OXT."""
    known = {*HEAVY_ATOMS[residue[0].residue], *(["OXT"] if last else [])}
    return sorted({atom.name for atom in residue} - known)


def place_residues(residues: list[list[Atom]], sequence: list[str]) -> list[int] | None:
    """Find the place of each residue in the sequence of its chain, from 0; None where they do not fit.

    mmCIF tells the places. Elsewhere stretches that hang together are placed one behind the other, such that
    the distances between them are as close to those of the residues' numbers as can be.
    """
    told = [residue[0].sequence_number for residue in residues]
    if None not in told:
        places = [number - 1 for number in told if number is not None]
        return places if _agree(residues, sequence, places) else None
    wanted, text = letters(residue[0].residue for residue in residues), letters(sequence)
    # For each way to place the stretches so far: its cost, and the places of their first residues.
    ways: dict[int, tuple[int, list[int]]] = {0: (0, [])}
    for first, end in _stretches(residues):
        ways = _place(ways, residues, first, wanted[first:end], text)
    if not ways:
        return None
    _, starts = min(ways.values())
    return [
        start + offset
        for start, (first, end) in zip(starts, _stretches(residues), strict=True)
        for offset in range(end - first)
    ]


def letters(names: Iterable[str]) -> str:
    """Return the one-letter codes of residues, of modified ones the natural, X where one is not known."""
    return "".join(LETTERS.get(natural_of(name), "X") for name in names)


def _agree(residues: list[list[Atom]], sequence: list[str], places: list[int]) -> bool:
    ascending = all(a < b for a, b in pairwise(places)) and places[0] >= 0 and places[-1] < len(sequence)
    return ascending and all(
        natural_of(sequence[place]) == residue[0].residue
        for place, residue in zip(places, residues, strict=True)
    )


def _stretches(residues: list[list[Atom]]) -> list[tuple[int, int]]:
    """Cut a chain where its bonds break or its numbers jump; (first, end) of each stretch."""
    cuts = [
        at
        for at, (before, after) in enumerate(pairwise(residues), 1)
        if peptide_bond(before, after) > PEPTIDE_BOND or _jumps(before[0], after[0])
    ]
    return list(pairwise([0, *cuts, len(residues)]))


def _place(
    ways: dict[int, tuple[int, list[int]]], residues: list[list[Atom]], first: int, stretch: str, text: str
) -> dict[int, tuple[int, list[int]]]:
    """Place one more stretch behind the others; ways by the place at which they end."""
    found: dict[int, tuple[int, list[int]]] = {}
    start = text.find(stretch)
    while start >= 0:
        options = []
        for end, (cost, starts) in ways.items():
            between = start - end
            apart = residues[first][0].number - residues[first - 1][0].number - 1 if starts else between
            bonded = starts and peptide_bond(residues[first - 1], residues[first]) <= PEPTIDE_BOND
            if between == 0 or (between > 0 and not bonded):
                options.append((cost + (0 if bonded else abs(between - apart)), [*starts, start]))
        if options:
            found[start + len(stretch)] = min(options)
        start = text.find(stretch, start + 1)
    return found


def _between(sequence: list[str], places: list[int] | None, at: int) -> tuple[str, ...] | None:
    """Name the residues of a sequence between two that follow each other in the structure."""
    if places is None:
        return None
    return tuple(natural_of(name) for name in sequence[places[at - 1] + 1 : places[at]])


def _jumps(before: Atom, after: Atom) -> bool:
    """Tell whether numbers do not go on; insertion codes go on as they like."""
    inserted = after.number == before.number and place_of(after) != place_of(before)
    return not (inserted or after.number == before.number + 1)
