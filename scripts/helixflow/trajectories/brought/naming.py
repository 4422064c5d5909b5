"""Names of residues and chains of a protein that was brought along."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from itertools import pairwise

from helixflow.coanalysis.molecule import CODES
from helixflow.structures.chemistry import LETTERS
from helixflow.structures.modified import MODIFIED
from helixflow.structures.residues import Residue
from helixflow.trajectories.brought.topology import Group

#: States that only some versions of force fields name.
_MORE_STATES = {"ASPP": "D", "GLUP": "E", "LSN": "K", "LYP": "K", "PGLU": "E", "QLN": "Q"}
_NAMES = {code: name for name, code in LETTERS.items()}
CHAIN_IDS = string.ascii_uppercase + string.ascii_lowercase + string.digits


def natural_residue(name: str) -> str:
    """Return the amino acid that a residue of any force field is, such as HIS for NHIE; empty for others."""
    ends = [name[1:]] if len(name) == 4 and name[0] in "NC" else []
    for known in (name, *ends):
        code = CODES.get(known) or _MORE_STATES.get(known)
        if code:
            return _NAMES[code]
        if known in MODIFIED:
            return MODIFIED[known].name
    return ""


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
    free = (letter for letter in _many_ids() if letter not in labels)
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


def _many_ids() -> Iterator[str]:
    """Give chain ids of one letter or digit, then those of two."""
    yield from CHAIN_IDS
    yield from (first + second for first in CHAIN_IDS for second in CHAIN_IDS)


def _insertion(group: Group, before: Residue | None) -> str:
    """Return the insertion code; formats without it have one number several times."""
    if group.insertion or before is None or before.number != group.number:
        return group.insertion
    return chr(ord(before.insertion) + 1) if before.insertion else "A"


def one_letter_each(residues: Sequence[Residue]) -> dict[str, str]:
    """Return the letter that stands for each chain in a PDB file; chains with ids of two share letters."""
    chains = dict.fromkeys(residue.chain for residue in residues)
    return {
        chain: chain if len(chain) == 1 else CHAIN_IDS[number % len(CHAIN_IDS)]
        for number, chain in enumerate(chains)
    }
