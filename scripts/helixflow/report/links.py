"""Part on the links of a structure: which protein each chain was found to be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from helixflow.files import read_tsv
from helixflow.report.blocks import Json, Section, percent, plural, table


def links_part(name: str, chains: Sequence[Json], links: str | os.PathLike[str]) -> Section:
    """Show the partners of a structure's chains.

    Parameters
    ----------
    name : str
        Of the structure.
    chains : sequence of dict
        What was chosen for each chain.
    links : path
        Table of links, a row per residue.
    """
    rows = [
        (
            chain["chain"] or "(blank)",
            chain["residues"],
            partner["rank"],
            partner["protein"],
            _origin(chain, partner),
            f"{partner['first_row']} to {partner['last_row']} of {partner['length']}",
            percent(partner["identity"], 1),
            percent(partner["coverage"], 1),
            _counts(partner["statuses"]),
            partner["missing"]["within"],
        )
        for chain in chains
        for partner in chain["partners"]
    ]
    section = Section(f"structure-{name}-links", "Links to proteins")
    section.blocks.append(
        table(
            "Partners of the chains",
            "chain | residues # | rank # | partner: | where it was seen | rows of the partner | identity # | "
            "coverage # | residues of the chain | missing in it #",
            rows,
            "Identity is the share of identical residues among those aligned, coverage the share of the "
            "chain that is aligned. Rows of a protein count from 1. A tag is beyond the aligned ends; built "
            "residues are not in the structure's file; missing are those of the partner between the aligned "
            "ends that the chain lacks. The co-analysis uses the partner of rank 1.",
        )
    )
    section.blocks += _passing(chains)
    substituted = [
        (
            row["chain"] or "(blank)",
            int(row["rank"]),
            row["protein"],
            f"{row['code']}{row['number']}{row['insertion']}",
            f"{row['partner_code']}{row['row']}",
        )
        for row in read_tsv(links)
        if row["status"] == "substituted"
    ]
    if substituted:
        headings = "chain | rank # | partner: | residue of the structure: | row of the partner:"
        note = "Residues of the structure have the numbers of its file; rows of a protein count from 1."
        section.blocks.append(table("Substitutions, letter and number", headings, substituted, note))
    return section


def _counts(statuses: Mapping[str, int]) -> dict[str, int]:
    """Leave out what no residue is."""
    return {status: count for status, count in statuses.items() if count}


def _passing(chains: Sequence[Json]) -> list[str]:
    """Say for which chains several proteins passed, and how many of them are shown."""
    return [
        f"Chain {chain['chain'] or '(blank)'}: {plural(chain['passing'], 'protein')} passed the thresholds, "
        f"of which {len(chain['partners'])} {_was(len(chain['partners']))} kept, as links/partner and "
        "links/max_partners say."
        for chain in chains
        if chain["passing"] > 1
    ]


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _origin(chain: Json, partner: Json) -> str:
    """Say where a partner was seen first, and at how many places more; or which one was not alike enough."""
    if chain["partner"] == "self":
        nearest = next(iter(chain["considered"]), None)
        if not nearest:
            return "the chain itself"
        identity, coverage = percent(nearest["identity"], 1), percent(nearest["coverage"], 1)
        return f"the chain itself; nearest was {nearest['protein']}, {identity} identity, {coverage} coverage"
    place = partner["first_places"][0]
    strand = {1: ", strand +", -1: ", strand −"}.get(place["strand"], "")
    more = f"; and {plural(partner['places'] - 1, 'more place')}" if partner["places"] > 1 else ""
    span = f"{place['start']} to {place['end']} of {place['contig']}{strand}"
    return f"{place['unit']}: {place['label']}, {span}{more}"
