"""Walking two runs stage by stage: all that differs, as the data flow, and what follows from what."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from helixflow.compare.causes import Node, inputs_of, keys_of, programs_of
from helixflow.compare.contrast import Contrast, contrast, readable
from helixflow.compare.linked import linked_vectors_differ
from helixflow.compare.settings import (
    config_reader,
    differing_values,
    file_versions,
    idle_keys,
    sheet_reader,
    versions,
)
from helixflow.compare.stages import COUNTS, LEFT_OUT, STAGES, Content, contents
from helixflow.config import Settings
from helixflow.errors import SourceError
from helixflow.files import read_json

StrPath = str | os.PathLike[str]
Json = dict[str, Any]
#: Stage, item and part.
Part = tuple[str, str, str]
_VECTORS: Node = ("embeddings", "vectors")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run: the folder it was named by, its results, and what it was made with if it is finished."""

    folder: str
    results: Path
    made_with: Json | None
    found: dict[Part, Content]

    @property
    def stages(self) -> list[str]:
        """The stages of which something is there."""
        return [stage for stage in STAGES if any(key[0] == stage for key in self.found)]


@dataclass
class Difference:
    """A part of an item that differs, and why as far as the data flow tells.

    cause: ``own`` where all that it is made from is the same, ``settings`` where that is so but for what
    the runs were made with, ``follows`` where something that it is made from differs.
    """

    stage: str
    item: str
    part: str
    contrast: Contrast
    cause: str = "own"
    upstream: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def as_dict(self) -> Json:
        """Return what is written as JSON, the contrast among the rest."""
        content = asdict(self)
        return {
            **{key: content.pop(key) for key in ("stage", "item", "part")},
            **content.pop("contrast"),
            **content,
        }


def open_run(folder: StrPath, schema: Settings) -> Run:
    """Find what a run wrote.

    Parameters
    ----------
    folder : path
        The working directory of a run, or its folder results.
    schema : dict
        Of the configuration.

    Raises
    ------
    SourceError
        When there are no results, or what the run was made with cannot be read.
    """
    given = Path(folder)
    results = given / "results" if (given / "results").is_dir() else given
    record = results / "provenance/run.json"
    with readable(results):
        found = {(one.stage, one.item, one.part): one for one in contents(results, schema)}
    if not found:
        raise SourceError(
            f"{given}: no results of a run are below it, expected a working directory of helixflow, with "
            "results/sequences and others, or its folder results"
        )
    with readable(record):
        made_with = read_json(record) if record.exists() else None
        if made_with is not None:
            versions(made_with)
    return Run(os.fspath(folder), results, made_with, found)


def compare_runs(a: StrPath, b: StrPath, schema: Settings) -> Json:
    """Compare two runs.

    Parameters
    ----------
    a, b : path
        See `open_run`.
    schema : dict
        Of the configuration, which says what decides results.

    Returns
    -------
    dict
        verdict (``same``, ``differ`` or, where one is not finished and no difference is found, ``unknown``),
        a and b (folder, finished, stages), first (the first difference), stages, differences, settings,
        versions, idle_settings, left_out; made of what JSON has. With a and b changed about, so is all that
        is theirs.
    """
    runs = open_run(a, schema), open_run(b, schema)
    finished = all(run.made_with is not None for run in runs)
    found, differences, skipped = _walk(*runs, finished)
    changes = _changes(*runs, schema)
    _explain(runs, differences, found, changes)
    listed = [difference.as_dict() for difference in differences]
    verdict = "differ" if listed else "same" if finished and not skipped else "unknown"
    return {
        "verdict": verdict,
        "a": _about(runs[0]),
        "b": _about(runs[1]),
        "first": listed[0] if listed else None,
        "stages": [_stage(stage, runs, found, differences) for stage in STAGES],
        "differences": listed,
        "not_compared": skipped,
        "settings": changes.keys,
        "versions": changes.versions,
        "idle_settings": changes.idle,
        "left_out": [left.words for left in LEFT_OUT],
    }


def _about(run: Run) -> Json:
    return {"folder": run.folder, "finished": run.made_with is not None, "stages": run.stages}


def _walk(a: Run, b: Run, finished: bool) -> tuple[list[Content], list[Difference], list[Json]]:
    """Compare all that both runs have, stage by stage.

    Returns
    -------
    list of Content
        Every part of either run, in the order the data flow.
    list of Difference
        Those that differ.
    list of dict
        What only one of them has, where the other may not have come to it yet.
    """
    found: list[Content] = []
    differences: list[Difference] = []
    skipped: list[Json] = []
    for (stage, item), parts in groupby(_in_order(list(a.found), list(b.found)), key=lambda part: part[:2]):
        lone = Contrast("file", rounding=False)
        for key in parts:
            left, right = a.found.get(key), b.found.get(key)
            found += [one for one in (left or right,) if one is not None]
            if left and right:
                log.info("comparing %s, %s, %s", *key)
                if apart := contrast(left.reader, left.path, right.path):
                    differences.append(Difference(*key, apart))
            elif finished:
                lone.note_missing(key[2], in_a=left is not None)
            else:
                there = {"a": left is not None, "b": right is not None}
                skipped.append({"stage": stage, "item": item, "part": key[2], **there})
        if lone.record:
            differences.append(Difference(stage, item, "files", lone))
    return found, differences, skipped


def _in_order(a: Sequence[Part], b: Sequence[Part]) -> list[Part]:
    """Join the parts of two runs: by stage and item, and the parts of an item as they are listed."""
    place: dict[Part, int] = {}
    for parts in (a, b):
        counts: Counter[Node] = Counter()
        for part in parts:
            # Either run may have parts that the other lacks, so the later place is taken.
            place[part] = max(place.get(part, 0), counts[part[:2]])
            counts[part[:2]] += 1
    return sorted(place, key=lambda part: (*_flow(part[:2]), place[part], part[2]))


@dataclass(frozen=True)
class Changes:
    """What the runs were made with that differs: rows, keys, versions, and keys that decide nothing."""

    rows: set[str]
    keys: list[Json]
    versions: list[Json]
    idle: list[Json]


def _changes(a: Run, b: Run, schema: Settings) -> Changes:
    if a.made_with is None or b.made_with is None:
        return Changes(set(), [], [], [])
    records = [run.results / "provenance/run.json" for run in (a, b)]
    rows = {one["key"] for one in differing_values(sheet_reader(), *records)}
    keys = differing_values(config_reader(schema), *records)
    left, right = (_versions(run) for run in (a, b))
    others = [
        {"name": name, "a": left.get(name, "none"), "b": right.get(name, "none")}
        for name in sorted(left.keys() | right.keys())
        # What is of a file that one of them lacks is told of that file.
        if left.get(name) != right.get(name) and (" of " not in name or {name} <= left.keys() & right.keys())
    ]
    return Changes(rows, keys, others, idle_keys(a.made_with, b.made_with, schema))


def _versions(run: Run) -> dict[str, str]:
    """Return the versions that a finished run tells of, and those that its files do."""
    with readable(run.results):
        return versions(run.made_with or {}) | file_versions(run.results)


def _explain(
    runs: tuple[Run, Run], differences: Sequence[Difference], found: Sequence[Content], changes: Changes
) -> None:
    """Tell of each difference whether something that it is made from differs, or what it is made with."""
    nodes = {(one.stage, one.item) for one in found if one.stage != "settings"}
    structures = {item for stage, item in nodes if stage == "structures"}
    differing = {(one.stage, one.item) for one in differences}
    known: dict[Node, list[str]] = {}
    for one in differences:
        if one.stage == "settings":
            continue
        node = one.stage, one.item
        if node not in known:
            upstream = _really_differing(runs, node, inputs_of(node, nodes, structures) & differing)
            known[node] = [", ".join(other) for other in sorted(upstream, key=_flow)]
        one.upstream = known[node]
        one.settings = [f"key {key}" for key in keys_of(one.stage, [entry["key"] for entry in changes.keys])]
        if one.stage == "sequences" and one.item in changes.rows:
            one.settings.insert(0, f"row {one.item} of the sheet")
        one.versions = programs_of(one.stage, [entry["name"] for entry in changes.versions])
        one.cause = "follows" if one.upstream else "settings" if one.settings else "own"


def _really_differing(runs: tuple[Run, Run], node: Node, upstream: set[Node]) -> set[Node]:
    """Leave out the vectors where those of the proteins that a structure is linked to are the same."""
    if node[0] != "coanalysis" or _VECTORS not in upstream:
        return upstream
    folders = [run.results for run in runs]
    differ = linked_vectors_differ(folders[0], folders[1], node[1].split("/")[0])
    return upstream if differ else upstream - {_VECTORS}


def _flow(node: Node) -> tuple[Any, ...]:
    """Put items in the order the data flow: those of rows by name, what is made of all behind them."""
    stage, item = node
    row, *folders = item.split("/")
    # What is measured of the replicas comes before their analysis, which has a file above theirs.
    depth = -len(folders) if stage == "coanalysis" else len(folders)
    numbers = [f"{int(folder):06d}" if folder.isdecimal() else folder for folder in folders]
    return STAGES.index(stage), item == COUNTS, " " in item, row, depth, numbers


def _stage(
    stage: str, runs: tuple[Run, Run], found: Sequence[Content], differences: Sequence[Difference]
) -> Json:
    """Sum up a stage: the parts that were compared and those that differ."""
    there = [stage in run.stages for run in runs]
    parts = sum(one.stage == stage for one in found)
    own = [one for one in differences if one.stage == stage]
    status = "same" if any(there) else "nothing there"
    if own:
        status = "rounding" if all(one.contrast.rounding for one in own) else "differ"
    elif there[0] != there[1]:
        status = "not compared"
    causes = sum(one.cause != "follows" for one in own)
    return {"stage": stage, "status": status, "parts": parts, "differing": len(own), "causes": causes}
