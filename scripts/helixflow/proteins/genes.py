"""Genes of genomes and metagenomes, called with Pyrodigal."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from helixflow.fasta import read_fasta
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
    dna: StrPath,
    proteins: StrPath,
    occurrences: StrPath,
    *,
    sample: str,
    kind: str,
    genetic_code: int,
    meta_below_bp: int,
    min_gene_bp: int,
) -> dict[str, Any]:
    """Call the genes of a genome or a metagenome with Pyrodigal.

    A genome of at least `meta_below_bp` bases gets a model trained on itself, with the genetic code
    given; everything else gets, contig by contig, the best of Prodigal's metagenomic models, which
    brings its own genetic code. No gene runs across 50 or more unknown bases.

    Parameters
    ----------
    dna : path
        Normalised FASTA.
    proteins, occurrences : path
        Written: distinct proteins by ascending id, and their places (`OCCURRENCE_TYPES`).

    Returns
    -------
    dict
        What was counted.
    """
    contigs, bases = _measure(dna)
    single = kind == "genome" and bases >= meta_below_bp
    finder = _gene_finder(min_gene_bp, meta=not single)
    if single:
        finder.train(*(sequence.encode() for _, sequence in read_fasta(dna)), translation_table=genetic_code)
    codes: Counter[int] = Counter()
    counts = write_sample(_genes(dna, finder, sample, kind, genetic_code, codes), proteins, occurrences)
    strangers = sorted(set(codes) - {genetic_code})
    if strangers:
        log.warning(
            "%s: genes were called with genetic code %s, not %d, since only a genome of %d bases or more "
            "can train a gene model",
            sample, ", ".join(map(str, strangers)), genetic_code, meta_below_bp,
        )  # fmt: skip
    log.info("%s: %d genes on %d contigs of %d bases", sample, counts["occurrences"], contigs, bases)
    return {
        "sample": sample,
        "kind": kind,
        "records": contigs,
        "bases": bases,
        "mode": "single" if single else "meta",
        "genetic_codes": {str(code): count for code, count in sorted(codes.items())},
        "set_aside": [],
        **counts,
    }


def _measure(dna: StrPath) -> tuple[int, int]:
    """Count the records of a FASTA file and their letters."""
    records = letters = 0
    for _, sequence in read_fasta(dna):
        records += 1
        letters += len(sequence)
    return records, letters


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
    dna: StrPath, finder: GeneFinder, sample: str, kind: str, genetic_code: int, codes: Counter[int]
) -> Iterator[tuple[Occurrence, str]]:
    """Give the genes of each contig in turn, counting in `codes` the genetic code each was called with."""
    for contig, sequence in read_fasta(dna):
        unit = f"{sample}/{contig}" if kind == "metagenome" else sample
        for number, gene in enumerate(finder.find_genes(sequence.encode()), 1):
            label = f"{contig}_{number}"
            protein = normalise(gene.translate(include_stop=False), f"{dna}: gene '{label}'")
            codes[gene.translation_table] += 1
            partial = gene.partial_begin or gene.partial_end
            yield (
                Occurrence(
                    protein_id(protein), sample, unit, contig, gene.begin, gene.end,
                    gene.strand, partial, gene.translation_table, label,
                ),
                protein,
            )  # fmt: skip
