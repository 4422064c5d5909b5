"""Section over all structures: one table, and what is learnt of some and tried on those of other groups."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from helixflow.files import read_json, read_tsv
from helixflow.report.blocks import Cell, Drawing, Figure, Json, Section, Table, number, table
from helixflow.report.canvas import COLOURS, GREY, MARKS, drawing, label_axes
from helixflow.report.statistics import differ_more

#: Groups that the figure has room for.
MOST_GROUPS = 40
#: What R² is drawn at least.
_LEAST_DRAWN = -1.0
#: From here on a result is said to be by chance.
_LIKELY_CHANCE = 0.05


def across_sections(
    structures: str | Sequence[str],
    across: str | Sequence[str],
    simulated_at_K: Mapping[str, float] | None = None,
) -> list[Section]:
    """Show all structures beside each other; no section where there are fewer than two.

    Parameters
    ----------
    structures, across : path
        Table over all structures and what was learnt across them; an empty list where they were not made.
    simulated_at_K : dict of str to float, optional
        Temperature of the structures that were simulated at one alone, which the table does not name.
    """
    rows = read_tsv(structures) if isinstance(structures, str) else []
    for row in rows:
        row["temperature_K"] = row["temperature_K"] or str((simulated_at_K or {}).get(row["structure"], ""))
    if len({row["structure"] for row in rows}) < 2:
        return []
    section = Section(
        "across",
        "Across structures",
        [_groups_words(rows), _structures_table(rows), _means_table(rows), _tests_table(rows)],
    )
    if isinstance(across, str):
        section.blocks += _learning(read_json(across))
    return [section]


def _groups_words(rows: Sequence[Mapping[str, str]]) -> str:
    structures = len({row["structure"] for row in rows})
    groups = len({row["group"] for row in rows})
    return (
        f"{number(structures)} structures in {number(groups)} groups of relatives: structures are of one "
        "group where they share a protein or near-duplicates of one, or where their proteins come from DNA "
        "of one group of buckets. Relatives are never on both sides of what is learnt and what it is tried "
        "on."
    )


def _value(row: Mapping[str, str], name: str) -> float:
    return float(row[name]) if row[name] else math.nan


def _mean(row: Mapping[str, str], name: str) -> Cell:
    mean = number(_value(row, name))
    error, replica_error = (_value(row, f"{name}_{kind}") for kind in ("error", "replica_error"))
    if math.isfinite(error):
        mean += f" ± {number(error, 2)}"
    if not math.isfinite(replica_error):
        return Cell(mean)
    mean += f" / {number(replica_error, 2)}"
    return Cell(f"{mean} !", "unsure") if differ_more(replica_error, error) else Cell(mean)


def _structures_table(rows: Sequence[Mapping[str, str]]) -> Table:
    counts = ("replicas", "frames", "residues", "linked")
    cells = [
        (row["structure"], int(row["group"]), _temperature(row), *(int(row[name]) for name in counts))
        for row in rows
    ]
    return table(
        "Structures and their groups",
        "structure | group # | temperature (K) # | replicas # | frames # | residues # | with embedding #",
        cells,
        "The temperature of a run that was brought along is not known (–).",
    )


def _means_table(rows: Sequence[Mapping[str, str]]) -> Table:
    names = ("rmsd_nm", "rg_nm", "contacts", "coherence")
    cells = [(row["structure"], _temperature(row), *(_mean(row, name) for name in names)) for row in rows]
    return table(
        "Means of all structures",
        "structure | temperature (K) # | RMSD (nm) # | radius of gyration (nm) # | contacts (pairs) # | "
        "coherence (mean cosine) #",
        cells,
        "Behind ± is the standard error of the mean over all frames, by the number of independent ones, and "
        "behind / that by the means of the replicas. Where the second is more than twice the first (!), "
        "replicas differ more than the first tells.",
    )


def _temperature(row: Mapping[str, str]) -> str:
    return number(_value(row, "temperature_K")) if row["temperature_K"] else "–"


def _tests_table(rows: Sequence[Mapping[str, str]]) -> Table:
    cells = [
        (
            row["structure"],
            _temperature(row),
            number(_value(row, "spearman"), 3),
            number(_value(row, "effect"), 3),
            _p_cell(_value(row, "p")),
            number(_value(row, "shift_effect"), 3),
            _p_cell(_value(row, "shift_p")),
            number(_value(row, "precision_L"), 3),
            number(_value(row, "rmsf_r2"), 3),
        )
        for row in rows
    ]
    return table(
        "What embeddings tell of each structure",
        "structure | temperature (K) # | Spearman's ρ # | effect, same distance (sd) # | "
        "p, same distance # | effect, shifted (sd) # | p, shifted # | "
        "precision of L predicted contacts # | R² of RMSF #",
        cells,
        "As in the statistics of each structure, which explain them, over all pairs. Of many structures, one "
        "in twenty has a p below 0.05 by chance alone; the p are not corrected for that.",
    )


def _p_cell(p: float) -> Cell:
    return Cell(number(p, 2), "good" if p < _LIKELY_CHANCE else "")


def _learning(told: Json) -> Iterator[str | Table | Figure]:
    """Show how well RMSF is told of structures that are no relatives of those learnt from."""
    if told["r2"] is None:
        yield f"What embeddings tell of RMSF was not tried across structures: {told['note']}."
        return
    yield _learning_table(told)
    if told["note"]:
        yield f"Note: {told['note']}."
    if len(told["groups"]) <= MOST_GROUPS:
        yield Figure(
            "RMSF told of other groups of relatives",
            _learning_drawing(told),
            "R² of RMSF for each group of relatives, told by what was learnt of all others, by embedding, "
            "kind of amino acid, number of neighbours and distance from the chain's end.",
            "A mark is a group of relatives that was left out: 1 is told in full, 0 (the line) no better "
            "than the mean of what was learnt from, and what is below "
            f"{number(_LEAST_DRAWN)} is drawn there. Embeddings are of use where their mark is above 0 and "
            "above all others; there is no error of these values, so small differences say nothing.",
        )


def _learning_table(told: Json) -> Table:
    names = told["predictors"]
    rows: list[Sequence[Any]] = [("all", told["structures"], told["residues"], *_r2_cells(told["r2"], names))]
    rows += [
        (number(group["group"]), group["structures"], group["residues"], *_r2_cells(group["r2"], names))
        for group in told["groups"]
    ]
    return table(
        "Do embeddings tell RMSF of structures that were not learnt from? (R²)",
        " | ".join(["group left out", "structures", "residues #", *(f"{name} #" for name in names)]),
        rows,
        "R² of the RMSF of residues left out. Ridge regression over the residues of all groups of relatives "
        "but those left out. 1 is told in full, 0 is no better than the mean of what was learnt from, below "
        "0 is worse. It is this row of “all” that says whether embeddings tell flexibility; R² within one "
        "structure may be what is peculiar to it. There is no error of these values.",
    )


def _r2_cells(r2: Mapping[str, float | None], names: Sequence[str]) -> list[str]:
    return [number(None if (value := r2[name]) is None else round(value, 3), 3) for name in names]


def _learning_drawing(told: Json) -> Drawing:
    groups, names = told["groups"], told["predictors"]
    at = np.arange(len(groups))
    values = {
        name: np.array([np.nan if group["r2"][name] is None else group["r2"][name] for group in groups])
        for name in names
    }
    with drawing(5.0, 3.2) as (axes, finish):
        axes.axhline(0, color=GREY, linewidth=0.8)
        for rank, name in enumerate(names):
            # Beside each other, since marks of one group may fall on each other.
            x = at + 0.18 * (rank - (len(names) - 1) / 2)
            drawn = np.clip(values[name], _LEAST_DRAWN, 1)
            axes.plot(x, drawn, linestyle="", marker=MARKS[rank], color=COLOURS[rank], label=name)
        axes.set_xticks(at, [number(group["group"]) for group in groups])
        axes.set_ylim(_LEAST_DRAWN - 0.08, 1.05)
        label_axes(axes, "group of relatives", "R² of RMSF", legend=True)
    columns = {f"R² of RMSF by {name}": values[name] for name in names}
    return finish({"group of relatives": np.array([group["group"] for group in groups]), **columns})
