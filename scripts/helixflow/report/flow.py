"""How the data flow from rule to rule: which rules a run needs, in layers, with arrows that cross little.

The rules of every run there can be are in ``rules.tsv``, as Snakemake draws them (``make rules``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

from helixflow.files import read_tsv

Edge = tuple[str, str]

_RULES = Path(__file__).parent / "rules.tsv"
#: Times that the order within layers is made better.
_SWEEPS = 8


def read_flow() -> list[Edge]:
    """Read which rule's files which other rule reads."""
    return [(row["from"], row["to"]) for row in read_tsv(_RULES)]


def in_flow_order(edges: Iterable[Edge]) -> list[str]:
    """List the rules so that each comes behind those it reads from, by name where that leaves a choice."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for before, after in edges:
        sorter.add(after, before)
    sorter.prepare()
    names: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        names += ready
        sorter.done(*ready)
    return names


def reduce_edges(edges: Collection[Edge]) -> set[Edge]:
    """Leave out the edges that others imply: a to c where a leads to b and b to c.

    Transitive reduction of a graph without circles (Aho, Garey and Ullman, 1972).
    """
    after: dict[str, set[str]] = {}
    for name in reversed(in_flow_order(edges)):
        following = {b for a, b in edges if a == name}
        after[name] = following.union(*(after[b] for b in following))
    return {(a, c) for a, c in edges if not any(c in after[b] for x, b in edges if x == a)}


def layers_of(names: Sequence[str], edges: Collection[Edge]) -> dict[str, int]:
    """Give each rule a layer, counted from the top.

    What nobody reads from is right below the last rule that it reads from, any other rule right above the
    first that reads from it.
    """
    order = in_flow_order(edges)
    layers = dict.fromkeys(names, 0)
    for name in order:
        layers[name] = 1 + max((layers[a] for a, b in edges if b == name), default=-1)
    for name in reversed(order):
        layers[name] = min((layers[b] for a, b in edges if a == name), default=layers[name] + 1) - 1
    return layers


def arrange(
    names: Sequence[str], edges: Collection[Edge]
) -> tuple[dict[str, tuple[float, int]], list[list[str]]]:
    """Put rules and what leads past them into layers.

    An edge over several layers gets a place of its own in each of them, so that it runs into no rule. Within
    layers, everything moves to the mean of its neighbours above and below, in turns (the barycentre method of
    Sugiyama, Tagawa and Toda, 1981).

    Returns
    -------
    places : dict of str to (float, int)
        Column, with 0 in the middle, and layer of rules and of the places of edges.
    lines : list of list of str
        What each edge leads over, both its rules included.
    """
    layers = layers_of(names, edges)
    lines = [_line(a, b, layers) for a, b in sorted(edges)]
    rows: list[list[str]] = [[] for _ in range(1 + max(layers.values(), default=0))]
    for name in dict.fromkeys([*names, *(name for line in lines for name in line)]):
        rows[layers[name]].append(name)
    pairs = [pair for line in lines for pair in pairwise(line)]
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row, beside in (
            zip(rows[1:], rows, strict=False) if down else zip(rows[-2::-1], rows[::-1], strict=False)
        ):
            _order(row, _columns(beside), [pair if down else pair[::-1] for pair in pairs])
    places = {name: (column, at) for at, row in enumerate(rows) for name, column in _columns(row).items()}
    return places, lines


def _line(first: str, last: str, layers: dict[str, int]) -> list[str]:
    """Name the places of an edge in the layers it leads through, and put them there."""
    between = {f"{first} > {last} {at}": at for at in range(layers[first] + 1, layers[last])}
    layers |= between
    return [first, *between, last]


def _order(row: list[str], beside: Mapping[str, float], pairs: Sequence[Edge]) -> None:
    """Sort a layer by the mean column of what each is joined to in the layer beside it."""
    now = _columns(row)
    joined: dict[str, list[float]] = {name: [] for name in row}
    for a, b in pairs:
        if b in joined and a in beside:
            joined[b].append(beside[a])
    row.sort(key=lambda name: sum(joined[name]) / len(joined[name]) if joined[name] else now[name])


def _columns(row: Sequence[str]) -> dict[str, float]:
    """Put a layer's members side by side about the middle; what leads past takes half the room of a rule."""
    widths = [0.5 if " > " in name else 1.0 for name in row]
    starts = [sum(widths[:at]) - sum(widths) / 2 for at in range(len(row))]
    return {name: start + width / 2 for name, start, width in zip(row, starts, widths, strict=True)}
