"""Link every chain of a structure to its partners, and tell what was considered.

A chain's partners are proteins of genomes, metagenomes and protein files that have an embedding of their
own: the one whose digest is the chain's, else what its words or its embedding propose and a local
alignment verifies. Where none passes the thresholds, the chain is its own partner, since its own sequence
is always embedded.

Coverage is the share of all residues of the chain that are aligned, those that were built into gaps of the
structure too: they have the letters of the experiment's sequence.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from helixflow.files import write_json, write_text
from helixflow.links.near import find_near, read_with_embedding
from helixflow.links.partners import WORD, Match, align, passes, propose, rank, shared_words
from helixflow.links.summary import describe, describe_partner, find_places
from helixflow.links.table import HEADER, link_rows
from helixflow.proteins.names import protein_id
from helixflow.structures.residues import Residue, read_residues, sequence_of, split_chains

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class LinkSettings:
    """What decides the partners.

    `structures` names the samples whose proteins are chains of structures and thus no partners;
    `partner` is ``best``, ``all`` or ``self``; of all partners, `max_partners` are kept; the thresholds
    are shares between 0 and 1.
    """

    structures: list[str]
    partner: str
    min_identity: float
    min_coverage: float
    max_partners: int = 10

    @property
    def wanted(self) -> int:
        """How many partners a chain has at most."""
        return self.max_partners if self.partner == "all" else 1


@dataclass(frozen=True)
class Proposals:
    """The proteins worth an alignment for each distinct sequence of a chain; `near` are the neighbours."""

    proteins: dict[str, list[tuple[str, str]]]
    near: dict[str, set[str]]

    def found_by(self, sequence: str, match: Match) -> list[str]:
        """Tell what proposed a protein."""
        ways = {
            "digest": match.sequence == sequence,
            "k-mers": shared_words(sequence, match.sequence) > 0,
            "embedding": match.protein in self.near.get(sequence, ()),
        }
        return [way for way, found in ways.items() if found]


def link_chains(
    residues_file: StrPath,
    proteins_file: StrPath,
    occurrences_file: StrPath,
    index_file: StrPath,
    table_file: StrPath,
    summary_file: StrPath,
    settings: LinkSettings,
) -> None:
    """Find the partners of every chain of a structure.

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
        The links as TSV, see `link_rows`, and what was considered for each chain as JSON.
    settings : LinkSettings
    """
    chains = split_chains(read_residues(residues_file))
    proposals = Proposals({}, {})
    if settings.partner != "self":
        excluded = seen_in_structures_only(occurrences_file, settings.structures)
        sequences = {sequence_of(residues) for residues in chains.values()}
        proposals = find_proposals(sequences, proteins_file, index_file, excluded, settings.partner == "all")
    # Reading through all places takes a while, and chains share partners.
    places_of = cache(partial(find_places, occurrences_file, structures=settings.structures))
    lines: list[tuple[str, ...]] = [HEADER]
    summary = []
    for chain, residues in chains.items():
        partners, considered = find_partners(residues, proposals, settings)
        told = []
        for number, match in enumerate(partners, 1):
            lines += link_rows(residues, match, number)
            told.append({"rank": number, **describe_partner(residues, match), **places_of(match.protein)})
        log.info(
            "chain %s: %s partner %s, %d of %d residues aligned, %d identical; %d proteins aligned, %d pass",
            chain, considered["partner"], partners[0].protein, partners[0].aligned, len(residues),
            partners[0].identical, considered["proteins_aligned"], considered["passing"],
        )  # fmt: skip
        summary.append({"chain": chain, "residues": len(residues), "partners": told} | considered)
    write_text(table_file, "".join("\t".join(row) + "\n" for row in lines))
    write_json(summary_file, {"chains": summary})


def find_proposals(
    sequences: Set[str], proteins_file: StrPath, index_file: StrPath, excluded: Set[str], every: bool
) -> Proposals:
    """Find the proteins worth an alignment to chains.

    Parameters
    ----------
    sequences : set of str
        Distinct sequences of chains.
    proteins_file, index_file : path
        As of `link_chains`.
    excluded : set of str
        Ids of proteins that are no candidates.
    every : bool
        Whether others are looked for although a protein with the chain's digest is there.
    """
    exact = {sequence for sequence in sequences if protein_id(sequence) not in excluded}
    searched = {sequence for sequence in sequences - (set() if every else exact) if len(sequence) >= WORD}
    near, found = {}, {}
    if searched:
        near = find_near(searched, index_file, excluded)
        embedded = read_with_embedding(proteins_file, index_file)
        found = propose(searched, (protein for protein in embedded if protein[0] not in excluded), near)
    for sequence in exact:
        known = found.setdefault(sequence, [])
        if (protein_id(sequence), sequence) not in known:
            known.append((protein_id(sequence), sequence))
    return Proposals(found, near)


def find_partners(
    residues: Sequence[Residue], proposals: Proposals, settings: LinkSettings
) -> tuple[list[Match], dict[str, Any]]:
    """Return the best of the proteins that pass the thresholds, else the chain itself, and what was found."""
    sequence, numbers = sequence_of(residues), [residue.number for residue in residues]
    proteins: Iterable[tuple[str, str]] = proposals.proteins.get(sequence, [])
    matches = rank(align(sequence, *protein, numbers) for protein in proteins)
    passing = [match for match in matches if passes(match, settings.min_identity, settings.min_coverage)]
    considered = {
        "partner": settings.partner if passing else "self",
        "proteins_aligned": len(matches),
        "passing": len(passing),
        "considered": list(_tell_considered(sequence, matches, proposals, settings)),
    }
    own = align(sequence, protein_id(sequence), sequence)
    return passing[: settings.wanted] or [own], considered


def _tell_considered(
    sequence: str, matches: Iterable[Match], proposals: Proposals, settings: LinkSettings
) -> Iterator[dict[str, Any]]:
    for match in matches:
        yield describe(match) | {
            "found_by": proposals.found_by(sequence, match),
            "shared_words": shared_words(sequence, match.sequence),
            "passes": passes(match, settings.min_identity, settings.min_coverage),
        }


def seen_in_structures_only(path: StrPath, structures: list[str]) -> set[str]:
    """Return the proteins that are chains of structures and were seen nowhere else."""
    import pyarrow.dataset as ds

    occurrences, in_structure = ds.dataset(path), ds.field("sample").isin(structures)

    def proteins(condition: Any) -> set[str]:
        return set(occurrences.to_table(columns=["protein"], filter=condition)["protein"].to_pylist())

    chains = proteins(in_structure)
    return chains - proteins(ds.field("protein").isin(sorted(chains)) & ~in_structure)
