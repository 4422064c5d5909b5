"""Link every chain of a structure to its partner, and tell what was considered.

A chain's partner is the best of the proteins of genomes, metagenomes and protein files that have an
embedding of their own. Where none passes the thresholds, the chain is its own partner, since its own
sequence is always embedded.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from helixflow.files import write_json, write_text
from helixflow.links.near import find_near, read_with_embedding
from helixflow.links.partners import Match, align, first_passing, propose, rank
from helixflow.links.status import STATUSES, status
from helixflow.proteins.names import protein_id
from helixflow.structures.residues import Residue, read_residues, sequence_of, split_chains

log = logging.getLogger(__name__)

HEADER = "index\tchain\tnumber\tinsertion\tcode\tprotein\trow\tpartner_code\tstatus\tidentity\tcoverage"
#: Most places of a partner that the summary names; their number is always told.
MOST_NAMED = 20


@dataclass(frozen=True)
class LinkSettings:
    """What decides the partners.

    `structures` names the samples whose proteins are chains of structures and thus no partners;
    `partner` is ``best`` or ``self``; the thresholds are shares between 0 and 1.
    """

    structures: list[str]
    partner: str
    min_identity: float
    min_coverage: float


def link_chains(
    residues_file: str | os.PathLike[str],
    proteins_file: str | os.PathLike[str],
    occurrences_file: str | os.PathLike[str],
    index_file: str | os.PathLike[str],
    table_file: str | os.PathLike[str],
    summary_file: str | os.PathLike[str],
    settings: LinkSettings,
) -> None:
    """Find the partner of every chain of a structure.

    Parameters
    ----------
    residues_file : path
        ``residues.tsv`` of the structure.
    proteins_file : path
        FASTA of distinct proteins, ascending by id; it is streamed.
    occurrences_file : path
        Parquet of every place each protein was seen at.
    index_file : path
        Parquet of the embeddings of all proteins, in the order of `proteins_file`.
    table_file, summary_file : path
        The links as TSV, one row per residue, and what was considered for each chain as JSON.
    settings : LinkSettings
    """
    chains = split_chains(read_residues(residues_file))
    proposals: dict[str, list[tuple[str, str]]] = {}
    if settings.partner == "best":
        excluded = seen_in_structures_only(occurrences_file, settings.structures)
        sequences = {sequence_of(residues) for residues in chains.values()}
        near = find_near(sequences, index_file, excluded)
        embedded = read_with_embedding(proteins_file, index_file)
        proteins = (protein for protein in embedded if protein[0] not in excluded)
        proposals = propose(sequences, proteins, near)

    lines, summary = [HEADER], []
    for chain, residues in chains.items():
        sequence = sequence_of(residues)
        match, considered = find_partner(sequence, proposals.get(sequence, []), settings)
        log.info(
            "chain %s: %s partner %s, %d of %d residues aligned, %d identical",
            chain, considered["partner"], match.protein, match.aligned, len(residues), match.identical,
        )  # fmt: skip
        lines += link_rows(residues, match)
        summary.append(
            {"chain": chain, "residues": len(residues)}
            | considered
            | describe(match)
            | count_statuses(residues, match)
            | find_places(occurrences_file, match.protein)
        )
    write_text(table_file, "\n".join(lines) + "\n")
    write_json(summary_file, {"chains": summary})


def find_partner(
    sequence: str, proposed: Iterable[tuple[str, str]], settings: LinkSettings
) -> tuple[Match, dict[str, Any]]:
    """Return the best of some proteins that passes the thresholds, else the chain, and what was found."""
    matches = rank(align(sequence, *protein) for protein in proposed)
    passing = first_passing(matches, settings.min_identity, settings.min_coverage)
    considered = {
        "proteins_aligned": len(matches),
        "best_found": describe(matches[0]) if matches else None,
        "partner": "best" if passing else "self",
    }
    return passing or align(sequence, protein_id(sequence), sequence), considered


def seen_in_structures_only(path: str | os.PathLike[str], structures: list[str]) -> set[str]:
    """Return the proteins that are chains of structures and were seen nowhere else."""
    import pyarrow.dataset as ds

    occurrences, in_structure = ds.dataset(path), ds.field("sample").isin(structures)

    def proteins(condition: Any) -> set[str]:
        return set(occurrences.to_table(columns=["protein"], filter=condition)["protein"].to_pylist())

    chains = proteins(in_structure)
    return chains - proteins(ds.field("protein").isin(sorted(chains)) & ~in_structure)


def link_rows(residues: list[Residue], match: Match) -> list[str]:
    """Write the lines of one chain, as `HEADER` names the columns."""
    lines = []
    for residue, row in zip(residues, match.rows, strict=True):
        partner_code = match.sequence[row - 1] if row else ""
        partner = (match.protein, str(row), partner_code) if row else ("", "", "")
        place = (str(residue.index), residue.chain, str(residue.number), residue.insertion, residue.code)
        shares = (f"{match.identity:.6f}", f"{match.coverage:.6f}")
        lines.append("\t".join((*place, *partner, status(residue.code, partner_code), *shares)))
    return lines


def describe(match: Match) -> dict[str, Any]:
    """Put a match into words for the summary."""
    return {
        "protein": match.protein,
        "length": len(match.sequence),
        "aligned": match.aligned,
        "identical": match.identical,
        "identity": round(match.identity, 6),
        "coverage": round(match.coverage, 6),
        "first_row": min(filter(None, match.rows)),
        "last_row": max(match.rows),
    }


def count_statuses(residues: list[Residue], match: Match) -> dict[str, Any]:
    """Count the residues of a chain by status and name the substitutions, such as L283M (the chain has M)."""
    pairs = [
        (match.sequence[row - 1] if row else "", row, residue.code)
        for residue, row in zip(residues, match.rows, strict=True)
    ]
    counts = Counter(status(code, partner_code) for partner_code, _, code in pairs)
    return {
        "statuses": {name: counts[name] for name in STATUSES},
        "substitutions": [f"{old}{row}{new}" for old, row, new in pairs if status(new, old) == "substituted"],
    }


def find_places(path: str | os.PathLike[str], protein: str) -> dict[str, Any]:
    """Tell where a protein was seen: the number of places and the first of them."""
    import pyarrow.dataset as ds

    columns = ["sample", "unit", "contig", "start", "end", "strand", "label"]
    table = ds.dataset(path).to_table(columns=columns, filter=ds.field("protein") == protein)
    places = table.sort_by([(column, "ascending") for column in columns]).slice(0, MOST_NAMED)
    return {"places": table.num_rows, "first_places": places.to_pylist()}
