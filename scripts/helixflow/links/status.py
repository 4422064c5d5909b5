"""How a residue relates to the one of its partner."""

from __future__ import annotations

from collections.abc import Sequence

from helixflow.structures.residues import Residue

#: What a residue of the structure can be.
STATUSES = ("identical", "substituted", "built", "tag", "unmatched")
#: What a residue of the partner is that the structure lacks; it has no index in the topology.
MISSING = "missing"


def name_statuses(residues: Sequence[Residue], rows: Sequence[int], letters: Sequence[str]) -> list[str]:
    """Name the relation of each residue of a chain to its partner.

    Parameters
    ----------
    residues : sequence of Residue
        Those of one chain.
    rows : sequence of int
        The residue of the partner that each is aligned with, from 1, or 0 where there is none.
    letters : sequence of str
        The one-letter codes there, empty where there is none.

    Returns
    -------
    list of str
        Of `STATUSES`: ``built`` for a residue that the file of the structure lacks whatever faces it, else
        ``identical`` or ``substituted``; ``tag`` for what is beyond the first or the last aligned residue,
        ``unmatched`` for what is between them.
    """
    aligned = [at for at, row in enumerate(rows) if row]
    first, last = (aligned[0], aligned[-1]) if aligned else (len(rows), -1)
    statuses = []
    for at, (residue, row, letter) in enumerate(zip(residues, rows, letters, strict=True)):
        if residue.origin == "built":
            statuses.append("built")
        elif row:
            statuses.append("identical" if residue.code == letter else "substituted")
        else:
            statuses.append("unmatched" if first < at < last else "tag")
    return statuses
