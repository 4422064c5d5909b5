"""Names of residues and chains of a protein that was brought along."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise, product

from helixflow.structures.chemistry import LETTERS
from helixflow.structures.modified import natural_residue
from helixflow.structures.residues import SIGNS, Residue
from helixflow.trajectories.brought.topology import Group


def name_residues(groups: Sequence[Group], joined: Sequence[bool]) -> list[Residue]:
    """Name the residues of a protein and their chains.

    Parameters
    ----------
    groups : sequence of Group
        Its residues.
    joined : sequence of bool
        Whether each is bonded to the next one. What is so joined is a chain; it has the id of the file
        where that is one letter or digit and no other chain has it, else the next letter that is free.
    """
    starts = [0, *(at for at, same in enumerate(joined, 1) if not same)]
    labels = [groups[start].label for start in starts]
    free = (name for name in chain(SIGNS, map("".join, product(SIGNS, repeat=2))) if name not in labels)
    ids = [
        label if label and label not in labels[:number] else next(free) for number, label in enumerate(labels)
    ]
    residues: list[Residue] = []
    for number, (start, stop) in enumerate(pairwise([*starts, len(groups)])):
        for group in groups[start:stop]:
            name, before = natural_residue(group.name), residues[-1] if group is not groups[start] else None
            residues.append(
                Residue(
                    index=len(residues),
                    chain=ids[number],
                    number=group.number,
                    insertion=_insertion(group, before),
                    name=name,
                    code=LETTERS[name],
                    deposited=group.name if group.name != name else "",
                )
            )
    return residues


def _insertion(group: Group, before: Residue | None) -> str:
    """Return the insertion code; formats without it have one number several times."""
    if group.insertion or before is None or before.number != group.number:
        return group.insertion
    return chr(ord(before.insertion) + 1) if before.insertion else "A"
