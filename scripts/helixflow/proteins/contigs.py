"""The genes of one contig, linear or circular, as Prodigal's model of a genome or its own finds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrodigal import Gene, GeneFinder, TrainingInfo

# Prodigal's own limits; its overlap must not be above its shortest gene.
_EDGE_GENE_BP = 60
_OVERLAP_BP = 60
#: Bases that a circular record is lengthened by at both ends, or its own length where that is less. A gene
#: over the origin can be as long, and what is called in the record itself lies far from the new ends.
CIRCLE_BP = 100_000


@dataclass(frozen=True)
class Place:
    """A gene as it lies on its contig; begin and end as of `Occurrence`."""

    begin: int
    end: int
    strand: int
    partial: bool
    genetic_code: int
    protein: str


@dataclass(frozen=True)
class Contig:
    """A record to call genes on, and the finder to do it with."""

    finder: Finder
    unit: str
    name: str
    #: The file it is from.
    path: str
    sequence: str
    circular: bool


@dataclass
class Found:
    """The genes of a contig in the order they lie on it."""

    contig: Contig
    genes: list[Place] = field(default_factory=list)
    #: Genes longer than the circle they lie on, which would go round more than once.
    endless: int = 0


class Finder:
    """Pyrodigal with one model, for contigs whose genes may run over the ends and for those without ends.

    Threads may share it: calling changes nothing in it.

    Parameters
    ----------
    min_gene_bp : int
        Shortest gene, in bases.
    training : TrainingInfo or None
        The model of a genome; None for the best metagenomic one of each contig.
    """

    def __init__(self, min_gene_bp: int, training: TrainingInfo | None) -> None:
        self._open = gene_finder(min_gene_bp, training_info=training, meta=training is None)
        self._closed = gene_finder(min_gene_bp, training_info=training, meta=training is None, closed=True)

    def find(self, contig: Contig) -> Found:
        """Find the genes of a contig."""
        if contig.circular:
            return self._around(contig)
        return Found(contig, [_place(gene, 0) for gene in self._open.find_genes(contig.sequence.encode())])

    def _around(self, contig: Contig) -> Found:
        """Find the genes of a circle: those that begin in it when it is lengthened by itself at both ends.

        The lengthened record has no open ends, so that nothing is called as partial. A gene over the origin
        begins in the record and ends beyond it; the copy of it before the record begins outside of it, as
        do the copies of all others.
        """
        sequence, length = contig.sequence, len(contig.sequence)
        more = min(CIRCLE_BP, length)
        found = Found(contig)
        for gene in self._closed.find_genes((sequence[-more:] + sequence + sequence[:more]).encode()):
            if more < gene.begin <= more + length:
                if gene.end - gene.begin < length:
                    found.genes.append(_place(gene, more))
                else:
                    found.endless += 1
        return found


def gene_finder(min_gene_bp: int, **settings: Any) -> GeneFinder:
    """Return Pyrodigal's finder with the limits of this workflow."""
    from pyrodigal import GeneFinder

    return GeneFinder(
        mask=True,
        min_gene=min_gene_bp,
        min_edge_gene=min(_EDGE_GENE_BP, min_gene_bp),
        max_overlap=min(_OVERLAP_BP, min_gene_bp),
        **settings,
    )


def train(min_gene_bp: int, contigs: Iterator[str], genetic_code: int) -> TrainingInfo:
    """Train the gene model of a genome on its contigs."""
    sequences = (contig.encode() for contig in contigs)
    return gene_finder(min_gene_bp, meta=False).train(*sequences, translation_table=genetic_code)


def _place(gene: Gene, shift: int) -> Place:
    """Return a gene `shift` bases further to the left, with codons of unknown bases as X."""
    return Place(
        gene.begin - shift,
        gene.end - shift,
        gene.strand,
        bool(gene.partial_begin or gene.partial_end),
        gene.translation_table,
        gene.translate(include_stop=False),
    )
