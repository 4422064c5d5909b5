"""Part on the links of a structure: which protein each chain was found to be."""

from __future__ import annotations

import os
from collections.abc import Sequence

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
            chain["protein"],
            _origin(chain),
            f"{chain['first_row']} to {chain['last_row']} of {chain['length']}",
            percent(chain["identity"], 1),
            percent(chain["coverage"], 1),
            chain["statuses"],
        )
        for chain in chains
    ]
    section = Section(f"structure-{name}-links", "Links to proteins")
    section.blocks.append(
        table(
            "Partners of the chains",
            "chain | residues # | partner: | where it was seen | rows of the partner | identity # | "
            "coverage # | residues of the chain",
            rows,
            "Identity is the share of identical residues among those aligned, coverage the share of the "
            "chain that is aligned. Rows of a protein count from 1.",
        )
    )
    substituted = [
        (
            row["chain"] or "(blank)",
            f"{row['code']}{row['number']}{row['insertion']}",
            f"{row['partner_code']}{row['row']}",
        )
        for row in read_tsv(links)
        if row["status"] == "substituted"
    ]
    if substituted:
        headings = "chain | residue of the structure: | row of the partner:"
        note = "Residues of the structure have the numbers of its file; rows of a protein count from 1."
        section.blocks.append(table("Substitutions, letter and number", headings, substituted, note))
    return section


def _origin(chain: Json) -> str:
    """Say where a partner was seen first, and at how many places more; or which one was not alike enough."""
    if chain["partner"] == "self":
        nearest = chain["best_found"]
        if not nearest:
            return "the chain itself"
        identity, coverage = percent(nearest["identity"], 1), percent(nearest["coverage"], 1)
        return f"the chain itself; nearest was {nearest['protein']}, {identity} identity, {coverage} coverage"
    place = chain["first_places"][0]
    strand = {1: ", strand +", -1: ", strand −"}.get(place["strand"], "")
    more = f"; and {plural(chain['places'] - 1, 'more place')}" if chain["places"] > 1 else ""
    span = f"{place['start']} to {place['end']} of {place['contig']}{strand}"
    return f"{place['unit']}: {place['label']}, {span}{more}"
