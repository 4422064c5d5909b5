"""One table over all structures: what was simulated, what it shows, and what embeddings tell of it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import h5py
import numpy as np

from helixflow.coanalysis.across.structures import Analysis
from helixflow.files import write_text

#: Quantities whose mean is in the table, with its standard errors over frames and over replicas.
SERIES = ("rmsd_nm", "rg_nm", "contacts", "coherence")
#: Columns of the table; a number that is not known is empty.
COLUMNS = (
    "structure",
    "temperature_K",
    "replicas",
    "frames",
    "residues",
    "linked",
    "group",
    *(f"{name}{kind}" for name in SERIES for kind in ("", "_error", "_replica_error")),
    "spearman",
    "effect",
    "p",
    "shift_effect",
    "shift_p",
    "precision_L",
    "rmsf_r2",
)


def write_table(output: str | os.PathLike[str], analyses: Sequence[Analysis], groups: dict[str, int]) -> None:
    """Write a row for each analysis; `groups` are those of relatives, by structure."""
    rows = [_row(analysis, groups[analysis.structure]) for analysis in analyses]
    lines = [COLUMNS, *([_text(row[name]) for name in COLUMNS] for row in rows)]
    write_text(output, "".join("\t".join(line) + "\n" for line in lines))


def _row(analysis: Analysis, group: int) -> dict[str, str | float]:
    with h5py.File(analysis.path) as file:
        statistics = file["statistics"]
        names = [name.decode() for name in statistics["series/name"][:]]
        row: dict[str, str | float] = {
            "structure": analysis.structure,
            "temperature_K": analysis.temperature_K,
            "replicas": len(statistics["replica/replica"]),
            "frames": len(file["frame/time_ps"]),
            "residues": len(file["residue/row"]),
            "linked": int((file["residue/row"][:] > 0).sum()),
            "group": group,
            "precision_L": _precision(statistics),
            "rmsf_r2": statistics["rmsf/r2"][0],
        }
        for name in SERIES:
            row[name] = statistics["series/mean"][names.index(name)]
            for kind in ("error", "replica_error"):
                row[f"{name}_{kind}"] = statistics[f"series/{kind}"][names.index(name)]
        for name in ("spearman", "effect", "p", "shift_effect", "shift_p"):
            # The first bin is that of all pairs.
            row[name] = statistics[f"contact_cosine/{name}"][0]
    return row


def _precision(statistics: h5py.Group) -> float:
    """Return the precision of the L strongest predicted pairs against the starting structure, if any."""
    if "attention" not in statistics:
        return math.nan
    of = statistics["attention"]
    at = np.flatnonzero((of["against"][:] == b"start") & (of["top"][:] == b"L"))
    return float(of["precision"][:][at][0])


def _text(value: str | float) -> str:
    if isinstance(value, str | int):
        return str(value)
    return f"{value:.6g}" if math.isfinite(value) else ""
