"""Disulfides: those that are there, and whether building kept them."""

from __future__ import annotations

from collections.abc import Sequence

from helixflow.errors import StructureError
from helixflow.structures.deposit import Atom, Place, place_of
from helixflow.structures.geometry import find_disulfides
from helixflow.structures.ledger import Ledger


def check_disulfides(
    named: Sequence[tuple[Place, Place]],
    observed: list[list[Atom]],
    residues: list[list[Atom]],
    ledger: Ledger,
) -> None:
    """See that building kept the disulfides that were there, and made those that the file names.

    One that the file names between atoms it has too far apart is recorded. So is one that the file does not
    name and that came to be by what was built, and a cysteine that was built and is in none: the file cannot
    name a disulfide of what was not seen.

    Parameters
    ----------
    named : sequence of (Place, Place)
        Disulfides of the file.
    observed, residues : list of list of Atom
        Before and after building.
    ledger : Ledger

    Raises
    ------
    StructureError
        If a disulfide has gone by what was built.
    """
    before = {_ends(observed, pair) for pair in find_disulfides(observed)}
    after = {_ends(residues, pair) for pair in find_disulfides(residues)}
    built = {place_of(residue[0]) for residue in residues if any(atom.built for atom in residue)}
    wanted = {frozenset(pair) for pair in named}
    there = {place_of(residue[0]) for residue in residues if residue[0].residue == "CYS"}
    for pair in sorted(map(sorted, before - after - wanted)):
        raise StructureError(
            f"a disulfide between CYS {pair[0]} and CYS {pair[-1]} was lost by what was built; set "
            "structures/repair to none and build it with another program, or choose another structure"
        )
    ledger.actions += [
        {
            "action": "disulfide made by what was built",
            "chain": pair[0].chain,
            "between": list(map(str, pair)),
        }
        for pair in sorted(map(sorted, after - before - wanted))
    ]
    for pair in sorted(sorted(pair) for pair in wanted - after if pair <= there):
        if set(pair) & built:
            raise StructureError(
                f"the file's disulfide between CYS {pair[0]} and CYS {pair[-1]} was not made by what was "
                "built; set structures/repair to none and build it with another program"
            )
        ledger.actions.append(
            {
                "action": "disulfide of the file not made",
                "chain": pair[0].chain,
                "between": list(map(str, pair)),
            }
        )

    bonded = {place for pair in after for place in pair}
    for residue in residues:
        sulfur = [atom for atom in residue if (atom.residue, atom.name) == ("CYS", "SG")]
        if sulfur and sulfur[0].built and place_of(sulfur[0]) not in bonded:
            ledger.act("built cysteine is in no disulfide", sulfur[0])


def _ends(residues: Sequence[list[Atom]], pair: tuple[int, int]) -> frozenset[Place]:
    return frozenset(place_of(residues[index][0]) for index in pair)
