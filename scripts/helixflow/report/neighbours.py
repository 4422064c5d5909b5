"""The proteins whose embeddings are nearest to those of the proteins that structures are linked to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from helixflow.embeddings.index import read_embedded
from helixflow.embeddings.nearest import nearest
from helixflow.embeddings.neighbours import pooled_blocks
from helixflow.embeddings.reading import open_pooled
from helixflow.files import read_json
from helixflow.report.blocks import Table, plural, table
from helixflow.tables import read_rows

StrPath = str | os.PathLike[str]

#: Neighbours of each protein, and proteins whose neighbours are shown.
NEAREST, MOST_LINKED = 5, 40


def linked_proteins(link_summaries: Sequence[StrPath]) -> dict[str, list[str]]:
    """Name the structures and chains that each partner of rank 1 stands for, in the order of the files."""
    linked: dict[str, list[str]] = {}
    for path in link_summaries:
        for chain in read_json(path)["chains"]:
            for partner in chain["partners"][:1]:
                where = f"{Path(path).stem} {chain['chain']}".strip()
                linked.setdefault(partner["protein"], []).append(where)
    return linked


def neighbours_table(
    linked: Mapping[str, Sequence[str]], index: StrPath, occurrences: StrPath
) -> list[str | Table]:
    """Show the proteins nearest to those that structures are linked to.

    Parameters
    ----------
    linked : dict of str to sequence of str
        Ids of proteins, and which chains each stands for.
    index : path
        Where each protein's embedding is. Vectors are read part by part, in blocks.
    occurrences : path
        Where each protein was seen.
    """
    wanted = list(linked)[:MOST_LINKED]
    # Of near-duplicates, only the representative was embedded.
    rows = {row[0]: row[1:] for row in read_rows(index, ["protein", "embedded", "uri"]) if row[0] in wanted}
    queries = [name for name in wanted if name in rows]
    if not queries:
        return []
    folder = Path(index).parent
    vectors = open_pooled((rows[name][1] for name in queries), folder)
    own = np.array([rows[name][0] for name in queries], "S35")
    blocks = pooled_blocks(read_embedded(index), folder)
    found = list(zip(*nearest(vectors, blocks, NEAREST, own), strict=True))
    seen = _first_places({protein.decode("ascii") for _, _, protein, _ in found}, occurrences)
    cells = [
        (
            ", ".join(linked[queries[query]]),
            queries[query],
            int(rank),
            f"{cosine:.4f}",
            protein.decode("ascii"),
            *seen[protein.decode("ascii")],
        )
        for query, rank, protein, cosine in found
    ]
    left_out = len(linked) - len(wanted)
    more = f" {plural(left_out, 'linked protein')} more are not shown." if left_out else ""
    return [_show(cells, more)]


def _show(cells: Sequence[Sequence[Any]], more: str) -> Table:
    return table(
        "Nearest proteins of those that structures are linked to",
        "chain | its protein: | rank # | cosine # | neighbour: | sample | label | places #",
        cells,
        "The neighbours are the other proteins of the run with the greatest cosine of mean embeddings (1: "
        "the same direction). A high cosine is no proof of kinship: mean embeddings of one model are alike "
        "to begin with, so ranks say more than the cosines themselves. Where a neighbour was seen at several "
        f"places, the first one is named.{more}",
    )


def _first_places(proteins: set[str], occurrences: StrPath) -> dict[str, tuple[str, str, int]]:
    """Return sample and label of the first place of each protein, and at how many places it was seen."""
    places: dict[str, tuple[str, str, int]] = {}
    for protein, sample, label in read_rows(occurrences, ["protein", "sample", "label"]):
        if protein in proteins:
            first = places.get(protein, (sample, label, 0))
            places[protein] = (first[0], first[1], first[2] + 1)
    return places
