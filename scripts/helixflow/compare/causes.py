"""Data flow between the items of a run: what an item is made from, which tells causes from consequences."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from helixflow.compare.stages import COUNTS, DISTINCT, GROUPS, PARTITIONS, TABLE

#: An item of a stage.
Node = tuple[str, str]

#: Keys of the configuration that a stage's files depend on where these are not its section's alone.
_KEYS = {"coanalysis": r"coanalysis/|embeddings/contact"}
#: Programs whose version may change what a stage writes, beside those of every stage.
_PROGRAMS = {
    "sequences": {"biopython", "pysam"},
    "buckets": {"numpy"},
    "proteins": {"pyrodigal", "biopython"},
    "embeddings": {"torch", "transformers", "safetensors", "numpy"},
    "structures": {"GROMACS", "biopython", "gromacswrapper"},
    "trajectories": {"GROMACS", "gromacswrapper"},
    "links": {"biopython"},
    "coanalysis": {"numpy", "MDAnalysis", "mpi4py", "h5py"},
}
_EVERYWHERE = {"helixflow", "git commit", "python"}
_TEMPERATURE = re.compile(r"[0-9.]+K")


def inputs_of(node: Node, nodes: Collection[Node], structures: Collection[str]) -> set[Node]:
    """Return the items that an item is made from, of those that one of the runs has.

    Parameters
    ----------
    node : (str, str)
        Stage and item.
    nodes : collection of (str, str)
        All items of both runs.
    structures : collection of str
        The rows whose proteins are read from a structure.
    """
    stage, item = node
    if item == COUNTS:
        return {other for other in nodes if other[0] == stage and other != node}
    wanted = _INPUTS[stage](item, structures)
    return {other for other in nodes if other != node and any(_matches(want, other) for want in wanted)}


def _matches(want: Node, other: Node) -> bool:
    """Tell whether an item is one that is wanted; ``*`` at the end stands for any but the counts."""
    if want[0] != other[0] or other[1] == COUNTS:
        return False
    beginning, star, _ = want[1].partition("*")
    return other[1].startswith(beginning) if star else other[1] == beginning


def _of_sequences(_item: str, _structures: Collection[str]) -> set[Node]:
    return set()


def _of_buckets(item: str, _structures: Collection[str]) -> set[Node]:
    if item == GROUPS:
        return {("buckets", "*")} - {("buckets", PARTITIONS)}
    return {("buckets", "*"), ("sequences", "*")} if item == PARTITIONS else {("sequences", item)}


def _of_proteins(item: str, structures: Collection[str]) -> set[Node]:
    if item == DISTINCT:
        return {("proteins", "*"), ("buckets", GROUPS)}
    return {("structures" if item in structures else "sequences", item)}


def _of_embeddings(item: str, _structures: Collection[str]) -> set[Node]:
    if item == "model":
        return set()
    made = {("proteins", DISTINCT), ("embeddings", "model")}
    return made | {("embeddings", "vectors")} if item == "neighbours" else made


def _of_structures(item: str, _structures: Collection[str]) -> set[Node]:
    return {("sequences", item)}


def _of_trajectories(item: str, _structures: Collection[str]) -> set[Node]:
    """Name what a run, or a minimised system, begins with; one brought along is of its files."""
    structure, *folders = item.split("/")
    made = {("structures", structure), ("sequences", structure)}
    return made | {("trajectories", structure)} if folders else made


def _of_links(item: str, _structures: Collection[str]) -> set[Node]:
    return {("structures", item), ("proteins", DISTINCT)}


def _of_coanalysis(item: str, _structures: Collection[str]) -> set[Node]:
    if item == TABLE:
        return {("coanalysis", "*"), ("proteins", DISTINCT), ("buckets", GROUPS)}
    structure, *folders = item.split("/")
    made = {("structures", structure)}
    if folders and not _TEMPERATURE.fullmatch(folders[-1]):
        return made | {("trajectories", item)}
    made |= {("links", structure), ("embeddings", "vectors"), ("embeddings", "contact maps")}
    return made | {("trajectories", f"{item}/*"), ("coanalysis", f"{item}/*")}


_INPUTS = {
    "sequences": _of_sequences,
    "buckets": _of_buckets,
    "proteins": _of_proteins,
    "embeddings": _of_embeddings,
    "structures": _of_structures,
    "trajectories": _of_trajectories,
    "links": _of_links,
    "coanalysis": _of_coanalysis,
}


def keys_of(stage: str, keys: Collection[str]) -> list[str]:
    """Return the keys of the configuration that a stage depends on."""
    return sorted(key for key in keys if re.match(_KEYS.get(stage, f"{stage}/"), key))


def programs_of(stage: str, programs: Iterable[str]) -> list[str]:
    """Return those of some programs that a stage may depend on."""
    wanted = _PROGRAMS[stage] | _EVERYWHERE
    return [name for name in programs if name.partition(" of ")[0] in wanted]
