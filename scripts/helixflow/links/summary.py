"""What is told of a chain's partners beside the table: what was considered, and what was chosen and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from helixflow.links.partners import Match, partner_rows
from helixflow.links.status import STATUSES, name_statuses
from helixflow.links.table import partner_letters
from helixflow.structures.residues import Residue

#: Most places of a partner that the summary names; their number is always told.
MOST_NAMED = 20


def describe(match: Match) -> dict[str, Any]:
    """Put a match into words."""
    return {
        "protein": match.protein,
        "length": len(match.sequence),
        "aligned": match.aligned,
        "identical": match.identical,
        "identity": round(match.identity, 6),
        "coverage": round(match.coverage, 6),
    }


def describe_partner(residues: Sequence[Residue], match: Match) -> dict[str, Any]:
    """Tell how a chain differs from a partner: substitutions such as L283M (the chain has M), what it lacks.

    ``copies`` is how often the partner contains the whole chain; of several, the first is taken.
    """
    letters = partner_letters(match)
    statuses = name_statuses(residues, match.rows, letters)
    counts = Counter(statuses)
    first, last = partner_rows(match)
    differing = [
        f"{letter}{row}{residue.code}"
        for residue, row, letter in zip(residues, match.rows, letters, strict=True)
        if row and residue.code != letter
    ]
    return describe(match) | {
        "first_row": first,
        "last_row": last,
        "copies": _count_copies("".join(residue.code for residue in residues), match.sequence),
        "statuses": {name: counts[name] for name in STATUSES},
        "substitutions": differing,
        "missing": {
            "before": first - 1,
            "within": last - first + 1 - match.aligned,
            "after": len(match.sequence) - last,
        },
    }


def find_places(path: str | os.PathLike[str], protein: str, structures: Sequence[str]) -> dict[str, Any]:
    """Tell where a protein was seen: the number of places and the first of them, those in structures last."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    columns = ["sample", "unit", "contig", "start", "end", "strand", "label"]
    in_structure = ds.field("sample").isin(structures)
    tables = [
        ds.dataset(path)
        .to_table(columns=columns, filter=(ds.field("protein") == protein) & where)
        .sort_by([(column, "ascending") for column in columns])
        for where in (~in_structure, in_structure)
    ]
    table = pa.concat_tables(tables)
    return {"places": table.num_rows, "first_places": table.slice(0, MOST_NAMED).to_pylist()}


def _count_copies(chain: str, sequence: str) -> int:
    """Count the places at which a protein contains a chain; they may overlap."""
    return sum(sequence.startswith(chain, at) for at in range(len(sequence) - len(chain) + 1))
