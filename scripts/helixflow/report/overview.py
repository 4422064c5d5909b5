"""Sections on the run as a whole: what ran, samples, what became of each record, versions, configuration."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helixflow.config import leaves
from helixflow.files import read_json
from helixflow.report.blocks import Cell, Json, Section, Table, facts, number, percent, plural, table
from helixflow.report.jobs import work_blocks

_NOUNS = {
    "genome": "genome",
    "metagenome": "metagenome",
    "reads": "read set",
    "proteins": "protein file",
    "collection": "collection",
    "structure": "structure",
    "trajectory": "brought-along run",
}

#: What stands for the date of a file where there is none.
BUILT = "built from its sequence (idealised start, not a fold)"


def summarise(run: Json, distinct: int, structures: int) -> str:
    """Say in one line what the run was about."""
    kinds = Counter(sample["kind"] for sample in run["samples"])
    counted = ", ".join(plural(kinds[kind], noun) for kind, noun in _NOUNS.items() if kinds[kind])
    simulated = "no structure simulated"
    if structures:
        settings = run["config"]["trajectories"]
        each = f"{plural(settings['replicas'], 'replica')} of {duration(settings['production_ns'])}"
        each += " each" if settings["replicas"] > 1 else ""
        if isinstance(settings["temperature_K"], list):
            each += f" at each of {', '.join(map(number, settings['temperature_K']))} K"
        simulated = f"{plural(structures, 'structure')} simulated, {each}"
    return f"{counted}; {plural(distinct, 'distinct protein')} embedded; {simulated}."


def overview_section(
    run: Json,
    accounting: Sequence[Mapping[str, str]],
    benchmarks: str | os.PathLike[str],
    embedding_jobs: Sequence[str | os.PathLike[str]],
) -> Section:
    """Show the run as a whole: what each stage counted, which rules ran, and what they took."""
    return Section(
        "overview",
        "Overview",
        [
            f"Made by helixflow {run['helixflow']} from {plural(len(run['samples']), 'row')} of the sheet; "
            "versions, seeds and the configuration are at the end of the page.",
            *work_blocks(benchmarks),
            *_shards(embedding_jobs),
            _stages_table(accounting),
        ],
    )


def _stages_table(accounting: Sequence[Mapping[str, str]]) -> Table:
    """Count the items of each stage and those that something was set aside of."""
    stages: dict[str, list[Mapping[str, str]]] = {}
    for row in accounting:
        stages.setdefault(row["stage"], []).append(row)
    rows = []
    for stage, entries in stages.items():
        items = {row["item"] for row in entries}
        aside = {row["item"] for row in entries if row["set_aside"] != "0"}
        reasons = Counter[str]()
        for row in entries:
            reasons[row["reason"]] += int(row["set_aside"])
        told = ", ".join(f"{number(count)} {reason}" for reason, count in reasons.most_common() if count)
        rows.append((stage, len(items), Cell(number(len(aside)), "unsure") if aside else 0, told or "–"))
    return table(
        "What each stage counted",
        "stage | items # | items with something set aside # | set aside, by reason",
        rows,
        "An item is what is counted by itself, such as the records of a sample or the frames of a replica; "
        "the section on accounting has each with what came in and went out.",
    )


def _shards(jobs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Say how evenly the work of embedding was shared out."""
    told = [read_json(path) for path in jobs]
    residues, seconds = ([job[name] for job in told] for name in ("residues", "seconds"))
    if not sum(residues):
        return []
    return [
        f"{plural(sum(residues), 'residue')} were embedded by {plural(len(told), 'job')}, in "
        f"{number(sum(seconds), 3)} s of computing together and {number(max(seconds), 3)} s in the longest. "
        f"The mean over the longest, 100 % where all take as long, is "
        f"{percent(sum(seconds) / len(told), max(seconds))} in time and "
        f"{percent(sum(residues) / len(told), max(residues))} in residues."
    ]


def duration(nanoseconds: float) -> str:
    """Write a length of time, in ps where it is below one nanosecond."""
    return f"{number(nanoseconds)} ns" if nanoseconds >= 1 else f"{number(round(nanoseconds * 1000, 6))} ps"


def samples_section(sources: Sequence[Json], run: Json) -> Section:
    """Show every row of the sheet and the file it stands for."""
    section = Section("samples", "Samples", [_sheet_table(sources, run)])
    changes = [
        (source["sample"], change, count)
        for source in sources
        for change, count in source["normalised"].items()
    ]
    if changes:
        caption = "What was changed to bring sequences into one form"
        section.blocks.append(table(caption, "sample | change | letters or records #", changes))
    left_out = [(source["sample"], name) for source in sources for name in source["left_out"]]
    if left_out:
        caption = "Files that a database has beside those that were taken"
        section.blocks.append(table(caption, "sample | left out", left_out))
    return section


def _sheet_table(sources: Sequence[Json], run: Json) -> Table:
    taxa = {sample["sample"]: sample["taxon"] for sample in run["samples"]}
    rows = [
        (
            source["sample"],
            _contents(source),
            taxa[source["sample"]],
            _file_name(source["source"]),
            *_amount(source),
            ", ".join(file["sha256"][:8] for file in source["files"]),
            source["files"][-1]["date"][:10] if source["files"] else BUILT,
        )
        for source in sources
    ]
    return table(
        "Rows of the sheet",
        "sample | kind, format | taxon | source: | records # | residues # | sha256: | read on",
        rows,
        "Records and residues are those that were kept; of a structure, atoms and residues of its first "
        "model; of a run that is brought along, its files, whose residues are shown below. Of a path, the "
        "file's name is shown; of the sha256 of each file as it was read, the first 8 digits.",
    )


def _amount(source: Json) -> tuple[Any, Any]:
    """Give records and residues; those of a run that is brought along are not counted when it is read."""
    if source["kind"] == "trajectory":
        return plural(source["records"], "file"), "–"
    return source["records"], source["residues"]


def _contents(source: Json) -> str:
    """Say what a row holds, and in which format it came."""
    if source["kind"] == "collection":
        return f"collection of {source['members']}, {source['contents']}, {source['format']}"
    return f"{source['kind']}, {source['format']}"


def _file_name(source: str) -> Cell:
    """Show the name of a file; an address is shown whole."""
    return Cell(source) if "://" in source else Cell(Path(source).name, whole=source)


def accounting_section(rows: Sequence[Mapping[str, str]]) -> Section:
    """Show that nothing was lost in silence."""
    cells = [
        (
            row["stage"],
            row["item"],
            int(row["records_in"]),
            int(row["records_out"]),
            Cell(number(int(row["set_aside"])), "unsure") if row["set_aside"] != "0" else 0,
            row["reason"],
        )
        for row in rows
    ]
    return Section(
        "accounting",
        "Accounting",
        [
            "What came in is what went out and what was set aside, item by item; a run of which this is not "
            "true ends with an error. An item with several reasons has a row for each, which add up to it.",
            table("Records", "stage | item | in # | out # | set aside # | reason", cells),
        ],
    )


def provenance_section(run: Json) -> Section:
    """Show versions, seeds and the configuration."""
    git = run["git"]
    changes = {True: "with changes that are not committed", False: "unchanged"}.get(git["dirty"], "")
    versions = {
        "helixflow": run["helixflow"],
        "commit of the workflow": " ".join(filter(None, (git["commit"], changes))),
        "Python": run["python"],
        "Snakemake": run["snakemake"],
        "GROMACS": run["gmx"]["versions"],
        "GROMACS program": run["gmx"]["program"],
        **run["libraries"],
    }
    return Section(
        "provenance",
        "Versions, seeds and configuration",
        [
            "The libraries are those of this page's Python; quality.json and the store of embeddings name "
            "those they were made with. Keys of speed or judgement may have changed since the provenance was "
            "recorded. What each job said is in logs.",
            facts("Versions", versions),
            facts("Seeds", {key: str(seed) for key, seed in sorted(run["seeds"].items())}),
            facts(
                "Configuration when the provenance was recorded",
                {key: str(value) for key, value in sorted(leaves(run["config"]))},
            ),
        ],
    )
