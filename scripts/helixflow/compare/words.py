"""A comparison in words: the verdict in the first lines, then stage by stage what differs and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

#: Differences that are told in full; the JSON has all.
MOST_TOLD = 40
#: Names of a list that are told.
MOST_NAMES = 4
#: Amounts of a difference that are told.
MOST_NUMBERS = 8
_STATUS = {
    "same": "the same",
    "rounding": "differs by rounding",
    "differ": "differs",
    "nothing there": "nothing there",
    "not compared": "in one run alone, not compared",
}


def comparison_text(found: Json) -> str:
    """Write a comparison for people, a line for each thing that is told."""
    return "".join(f"{line}\n" for line in _lines(found))


def _lines(found: Json) -> Iterator[str]:
    yield from verdict_lines(found)
    yield ""
    for name in ("a", "b"):
        state = "" if found[name]["finished"] else f", not finished; there are {_list(found[name]['stages'])}"
        yield f"{name.upper()}: {found[name]['folder']}{state}"
    yield ""
    for stage in found["stages"]:
        yield f"{stage['stage']:<13} {stage_words(stage)}"
    differences = found["differences"]
    yield from _told("Causes", [one for one in differences if one["cause"] != "follows"])
    yield from _followed([one for one in differences if one["cause"] == "follows"])
    skipped = found["not_compared"]
    yield from _part("Not compared, since a run is not finished", map(_skipped, skipped[:MOST_TOLD]))
    if len(skipped) > MOST_TOLD:
        yield f"  and {len(skipped) - MOST_TOLD} more, which the JSON has"
    yield from _part("Keys of the configuration that differ", _values(found["settings"], "key"))
    yield from _part("Other versions", _values(found["versions"], "name"))
    yield from _part("Keys that decide no results and differ", _values(found["idle_settings"], "key"))
    yield from ("", "Left out: " + "; ".join(found["left_out"]) + ".")


def verdict_lines(found: Json) -> list[str]:
    """Say whether the runs differ, where first, and how much of it is a cause."""
    if found["verdict"] == "same":
        return ["SAME: all that was compared has the same content."]
    if found["verdict"] == "unknown":
        return ["UNKNOWN: no difference in what both runs have, but one of them is not finished."]
    differences = found["differences"]
    kind = "DIFFER BY ROUNDING" if all(one["rounding"] for one in differences) else "DIFFER"
    lines = [f"{kind}: first in {difference_words(found['first'])}"]
    results = [one for one in differences if one["stage"] != "settings"]
    if found["first"]["stage"] == "settings" and results:
        lines.append(f"The first result that differs: {difference_words(results[0])}")
    if not results:
        lines.append("No result differs that was compared.")
    else:
        follow = sum(one["cause"] == "follows" for one in results)
        parts = "part of results differs" if len(results) == 1 else "parts of results differ"
        lines.append(f"{len(results)} {parts}, of which {follow} made from others that do.")
    return lines


def stage_words(stage: Json) -> str:
    """Say how a stage compares."""
    told = _STATUS[stage["status"]]
    if not stage["differing"]:
        return told
    return (
        f"{told}: {stage['differing']} of {stage['parts']} parts, {stage['causes']} not from what came before"
    )


def difference_words(one: Json) -> str:
    """Say where a difference is and what stands there: stage, item, part, record."""
    where = f" {one['where']}:" if one["where"] else ""
    record = f"{one['noun']} {one['record']}"
    return f"{one['stage']}, {one['item']}, {one['part']}, {record}:{where} {one['a']} in A, {one['b']} in B"


def amount_words(one: Json) -> str:
    """Say how many records differ and by how much."""
    told = []
    if one["compared"]:
        verb = "differs" if one["differing"] == 1 else "differ"
        told.append(f"{one['differing']} of {one['compared']} that both have {verb}")
    for name, only in (("A", one["only_in_a"]), ("B", one["only_in_b"])):
        if only["number"]:
            more = ", …" if only["number"] > len(only["first"]) else ""
            told.append(f"{only['number']} only in {name} ({', '.join(only['first'])}{more})")
    told += [f"{n['name']} {n['value']:g} {n['unit']}".rstrip() for n in one["numbers"][:MOST_NUMBERS]]
    if len(one["numbers"]) > MOST_NUMBERS:
        told.append(f"and {len(one['numbers']) - MOST_NUMBERS} more amounts")
    return "; ".join(told) + ("; within rounding" if one["rounding"] else "")


def cause_words(one: Json) -> str:
    """Say why a difference is there, as far as the data flow tells."""
    if one["stage"] == "settings":
        return "a setting"
    if one["cause"] == "follows":
        return f"follows from {_list(one['upstream'])}"
    made = f"made with another {_list(one['settings'])}" if one["settings"] else ""
    versions = f"made with other versions of {_list(one['versions'])}" if one["versions"] else ""
    told = "; ".join(filter(None, (made, versions)))
    if not told and one["stage"] == "sequences":
        return "a cause of its own: the sheet says the same, so what it names was another"
    return told or "a cause of its own: what it is made from, settings and versions are the same"


def _told(title: str, differences: Sequence[Json]) -> Iterator[str]:
    if not differences:
        return
    yield from ("", f"{title}:")
    for one in differences[:MOST_TOLD]:
        yield f"  {difference_words(one)}"
        yield f"      {amount_words(one)}"
        yield f"      {cause_words(one)}"
    if len(differences) > MOST_TOLD:
        yield f"  and {len(differences) - MOST_TOLD} more, which the JSON has"


def _followed(differences: Sequence[Json]) -> Iterator[str]:
    """Tell what is made from others that differ, a line each."""
    lines = [
        f"{difference_words(one)}; {amount_words(one)}; {cause_words(one)}" for one in differences[:MOST_TOLD]
    ]
    if len(differences) > MOST_TOLD:
        lines.append(f"and {len(differences) - MOST_TOLD} more, which the JSON has")
    yield from _part("What follows", lines)


def _list(names: Sequence[str]) -> str:
    """Join names, the first few of many."""
    more = len(names) - MOST_NAMES
    told = "; ".join(names[:MOST_NAMES]) or "none"
    return f"{told} and {more} more" if more > 0 else told


def _part(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Give some lines below a title, nothing where there are none."""
    told = [f"  {line}" for line in lines]
    if told:
        yield from ("", f"{title}:", *told)


def _values(entries: Sequence[Json], name: str) -> Iterator[str]:
    """Say by name what each run has that the other has not."""
    for one in entries:
        a, b = ("none" if one[side] is None else one[side] for side in ("a", "b"))
        yield f"{one[name]}: {a} in A, {b} in B"


def _skipped(one: Json) -> str:
    return f"{one['stage']}, {one['item']}, {one['part']}: in {'A' if one['a'] else 'B'} alone"
