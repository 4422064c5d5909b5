"""The section of the page that tells where the run differs from another one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from helixflow.compare.words import amount_words, cause_words, stage_words, verdict_lines
from helixflow.files import read_json
from helixflow.report.blocks import Cell, Json, Section, Table, facts, table

_MARKS = {"same": "good", "rounding": "unsure", "differ": "bad"}


def comparison_section(path: str | os.PathLike[str]) -> Section:
    """Show a comparison of two runs.

    Parameters
    ----------
    path : path
        JSON, see `helixflow.compare.comparing.compare_runs`; A is this run.
    """
    found: Json = read_json(path)
    section = Section("comparison", "Comparison with another run")
    section.blocks += [*verdict_lines(found), _runs_table(found), _stages_table(found["stages"])]
    differences = found["differences"]
    causes = [one for one in differences if one["cause"] != "follows"]
    follow = [one for one in differences if one["cause"] == "follows"]
    if causes:
        section.blocks.append(_differences_table("Causes", causes, "What it is made from is the same."))
    if follow:
        note = "What it is made from differs too, so nothing is told about its own stage."
        section.blocks.append(_differences_table("What follows", follow, note))
    if skipped := found["not_compared"]:
        note = "The other run may not have come to it yet."
        lone = [(one["stage"], one["item"], one["part"], "A" if one["a"] else "B") for one in skipped]
        caption = "Not compared, since a run is not finished"
        section.blocks.append(table(caption, "stage | item | part | there in", lone, note))
    for caption, name, of in (
        ("Keys of the configuration that differ", "key", "settings"),
        ("Keys that decide no results and differ", "key", "idle_settings"),
        ("Other versions", "name", "versions"),
    ):
        rows = [(one[name], _value(one["a"]), _value(one["b"])) for one in found[of]]
        if rows:
            section.blocks.append(table(caption, f"{name} | A : | B :", rows))
    section.blocks.append(f"Left out: {'; '.join(found['left_out'])}.")
    return section


def _value(value: Any) -> str:
    return "none" if value is None else str(value)


def _runs_table(found: Json) -> Table:
    states = {
        f"{name.upper()}{', this run' if name == 'a' else ''}": found[name]["folder"]
        + ("" if found[name]["finished"] else " (not finished)")
        for name in ("a", "b")
    }
    return facts("Runs", states)


def _stages_table(stages: Sequence[Json]) -> Table:
    rows = [(one["stage"], Cell(stage_words(one), _MARKS.get(one["status"], ""))) for one in stages]
    return table("Stage by stage", "stage | content", rows, "In the order the data flow.")


def _differences_table(caption: str, differences: Sequence[Json], note: str) -> Table:
    rows = [
        (
            f"{one['stage']}, {one['item']}, {one['part']}",
            f"{one['noun']} {one['record']}" + (f": {one['where']}" if one["where"] else ""),
            one["a"],
            one["b"],
            amount_words(one),
            cause_words(one),
        )
        for one in differences
    ]
    return table(caption, "what | first | in A : | in B : | how much | why", rows, note)
