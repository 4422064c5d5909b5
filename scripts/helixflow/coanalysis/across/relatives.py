"""Which structures are relatives, so that what is learnt of one says nothing new of the other.

Structures are connected, directly or over others, when

* a residue of each is linked to the same protein,
* proteins they are linked to were seen in units of DNA of one group (`helixflow.buckets`), of which
  near-duplicates of genomes are,
* their proteins are in one cluster of near-duplicates, where these were looked for, or
* their chains share words of `WORD` residues: at least `LEAST_SHARE` of those of the one with fewer. Chains
  of structures are in no genome of the sheet as a rule, and stand for themselves among clusters. Of the
  words of two unrelated chains of 300 residues one in 10,000 is shared; of two with a share p of identical
  residues about p**5 are, so that one twentieth is reached from about 55 % identity on.

This errs on the side of putting structures together: two unrelated proteins of one genome are relatives too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from helixflow.coanalysis.across.structures import Analysis
from helixflow.tables import read_rows

StrPath = str | os.PathLike[str]

#: Length of the words that chains are compared by, and the share of them that makes relatives.
WORD, LEAST_SHARE = 5, 0.05


@dataclass(frozen=True)
class Relations:
    """The tables that tell of relatives: places of proteins, groups of units, and clusters if any."""

    occurrences: StrPath
    groups: StrPath
    clusters: StrPath | None = None


def find_relatives(analyses: Sequence[Analysis], relations: Relations) -> dict[str, int]:
    """Return the group of relatives of each structure: numbers from 1, by the name of the first in it."""
    structures = sorted({analysis.structure for analysis in analyses})
    leaders = {structure: structure for structure in structures}

    def lead(structure: str) -> str:
        while leaders[structure] != structure:
            structure = leaders[structure]
        return structure

    for members in _sharing(analyses, relations):
        first, *others = sorted({lead(member) for member in members})
        leaders.update(dict.fromkeys(others, first))
    numbers: dict[str, int] = {}
    return {structure: numbers.setdefault(lead(structure), len(numbers) + 1) for structure in structures}


def _sharing(analyses: Sequence[Analysis], relations: Relations) -> Iterable[set[str]]:
    """Give sets of structures that share something."""
    holders: dict[str, set[str]] = {}
    for analysis in analyses:
        for protein in analysis.proteins:
            holders.setdefault(protein, set()).add(analysis.structure)
    yield from holders.values()
    by_group: dict[int, set[str]] = {}
    for protein, group in _groups_of(set(holders), relations):
        by_group.setdefault(group, set()).update(holders[protein])
    yield from by_group.values()
    by_cluster: dict[str, set[str]] = {}
    if relations.clusters is not None:
        for protein, representative in read_rows(relations.clusters, ["protein", "representative"]):
            if protein in holders:
                by_cluster.setdefault(representative, set()).update(holders[protein])
    yield from by_cluster.values()
    yield from _alike(analyses)


def _groups_of(proteins: set[str], relations: Relations) -> Iterable[tuple[str, int]]:
    """Give proteins and the groups of units that they were seen in; a protein of no DNA has none."""
    places = [
        (protein, unit)
        for protein, unit in read_rows(relations.occurrences, ["protein", "unit"])
        if protein in proteins
    ]
    units = {unit for _, unit in places}
    groups = {unit: group for unit, group in read_rows(relations.groups, ["unit", "group"]) if unit in units}
    return ((protein, groups[unit]) for protein, unit in places if unit in groups)


def _alike(analyses: Sequence[Analysis]) -> Iterable[set[str]]:
    """Give pairs of structures of which two chains share words."""
    words = {
        (analysis.structure, chain): {chain[at : at + WORD] for at in range(len(chain) - WORD + 1)}
        for analysis in analyses
        for chain in analysis.chains
    }
    for one, other in combinations(words, 2):
        these, those = words[one], words[other]
        shared = len(these & those) >= LEAST_SHARE * max(1, min(len(these), len(those)))
        # A chain too short for a word is compared as it is.
        if one[0] != other[0] and (shared or one[1] == other[1]):
            yield {one[0], other[0]}
