"""Genes of genomes and metagenomes, called with Pyrodigal."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from helixflow.members import Member
from helixflow.proteins.names import normalise, protein_id
from helixflow.proteins.occurrences import Occurrence, write_sample

if TYPE_CHECKING:
    from pyrodigal import GeneFinder

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

# Prodigal's own limits; its overlap must not be above its shortest gene.
_EDGE_GENE_BP = 60
_OVERLAP_BP = 60


def call_genes(
    members: Iterable[Member],
    proteins: StrPath,
    occurrences: StrPath,
    *,
    sample: str,
    kind: str,
    genetic_code: int,
    meta_below_bp: int,
    min_gene_bp: int,
) -> dict[str, Any]:
    """Call the genes of the genomes or metagenomes of a row with Pyrodigal.

    A genome of at least `meta_below_bp` bases gets a model trained on itself, with the genetic code
    given; everything else gets, contig by contig, the best of Prodigal's metagenomic models, which
    brings its own genetic code. No gene runs across 50 or more unknown bases.

    Parameters
    ----------
    members : iterable of Member
        The members of the row; a genome each, or a metagenome.
    proteins, occurrences : path
        Written: distinct proteins by ascending id, and their places (`OCCURRENCE_TYPES`).

    Returns
    -------
    dict
        What was counted.
    """
    settings = GeneSettings(sample, genetic_code, meta_below_bp, min_gene_bp)
    calling = Calling()
    genes = (gene for member in members for gene in _genes_of(member, settings, calling))
    counts = write_sample(genes, proteins, occurrences)
    strangers = sorted(set(calling.codes) - {genetic_code})
    if strangers:
        log.warning(
            "%s: genes were called with genetic code %s, not %d, since only a genome of %d bases or more "
            "can train a gene model",
            sample, ", ".join(map(str, strangers)), genetic_code, meta_below_bp,
        )  # fmt: skip
    return {
        "sample": sample,
        "kind": kind,
        "records": calling.contigs,
        "bases": calling.bases,
        "mode": "+".join(sorted(calling.modes)),
        "genetic_codes": {str(code): count for code, count in sorted(calling.codes.items())},
        "set_aside": [],
        **counts,
    }


@dataclass(frozen=True)
class GeneSettings:
    """How the genes of a row are called, see `call_genes`."""

    sample: str
    genetic_code: int
    meta_below_bp: int
    min_gene_bp: int


@dataclass
class Calling:
    """What was counted while genes were called."""

    contigs: int = 0
    bases: int = 0
    modes: set[str] = field(default_factory=set)
    codes: Counter[int] = field(default_factory=Counter)


def _genes_of(member: Member, settings: GeneSettings, calling: Calling) -> Iterator[tuple[Occurrence, str]]:
    """Give the genes of a member, with a model trained on it where it is long enough, and count them."""
    contigs = bases = 0
    for _, sequence in member.records():
        contigs += 1
        bases += len(sequence)
    single = member.kind == "genome" and bases >= settings.meta_below_bp
    finder = _gene_finder(settings.min_gene_bp, meta=not single)
    if single:
        sequences = (sequence.encode() for _, sequence in member.records())
        finder.train(*sequences, translation_table=settings.genetic_code)
    log.info("%s: %d contigs of %d bases", member.name, contigs, bases)
    calling.contigs += contigs
    calling.bases += bases
    calling.modes.add("single" if single else "meta")
    yield from _genes(member, finder, settings.sample, calling.codes)


def _gene_finder(min_gene_bp: int, meta: bool) -> GeneFinder:
    from pyrodigal import GeneFinder

    return GeneFinder(
        meta=meta,
        mask=True,
        min_gene=min_gene_bp,
        min_edge_gene=min(_EDGE_GENE_BP, min_gene_bp),
        max_overlap=min(_OVERLAP_BP, min_gene_bp),
    )


def _genes(
    member: Member, finder: GeneFinder, sample: str, codes: Counter[int]
) -> Iterator[tuple[Occurrence, str]]:
    """Give the genes of each contig in turn, counting in `codes` the genetic code each was called with."""
    for contig, sequence in member.records():
        unit = f"{member.name}/{contig}" if member.kind == "metagenome" else member.name
        for number, gene in enumerate(finder.find_genes(sequence.encode()), 1):
            label = f"{contig}_{number}"
            protein = normalise(gene.translate(include_stop=False), f"{member.paths[0]}: gene '{label}'")
            codes[gene.translation_table] += 1
            partial = gene.partial_begin or gene.partial_end
            yield (
                Occurrence(
                    protein_id(protein), sample, unit, contig, gene.begin, gene.end,
                    gene.strand, partial, gene.translation_table, label,
                ),
                protein,
            )  # fmt: skip
