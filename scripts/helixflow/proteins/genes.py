"""Genes of genomes and metagenomes, called with Pyrodigal.

Out of scope, and so not found as they are: selenoproteins (a UGA that codes for Sec is a stop to
Prodigal, so the gene is called up to it, or from a start behind it), genes with a programmed or an
accidental shift of the frame (called as the pieces that each frame holds), and introns.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from helixflow.errors import SourceError
from helixflow.joblog import tell
from helixflow.members import Member
from helixflow.ordered import in_order
from helixflow.proteins.codes import describe_doubt, doubt_code
from helixflow.proteins.contigs import Contig, Finder, Found, train
from helixflow.proteins.names import normalise, protein_id
from helixflow.proteins.occurrences import Occurrence, write_sample
from helixflow.samples import ALL_CIRCULAR

log = logging.getLogger(__name__)

StrPath = str | os.PathLike[str]

_MOST_NAMED = 5


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
    circular: Sequence[str] = (),
    threads: int = 1,
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
    circular : sequence of str
        Names of the records that are circles, ``("yes",)`` for all. A gene over the origin of one
        ends beyond its length, and none of it is partial.
    threads : int
        Contigs at a time; nothing that is written depends on it.

    Returns
    -------
    dict
        What was counted.

    Raises
    ------
    SourceError
        For a circular record that is not there.
    """
    members = list(members)
    check_circles(members, circular, sample)
    settings = GeneSettings(sample, genetic_code, meta_below_bp, min_gene_bp, tuple(circular))
    calling = Calling()
    with ThreadPoolExecutor(threads) as pool:
        counts = write_sample(_genes_of(members, settings, calling, pool, threads), proteins, occurrences)
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
        "circular_records": calling.circles,
        "over_origin": calling.over_origin,
        "mode": "+".join(sorted(calling.modes)),
        "genetic_codes": {str(code): count for code, count in sorted(calling.codes.items())},
        "doubtful_codes": calling.doubts,
        "unknown_residues": calling.unknown,
        "set_aside": [
            {"record": name, "reason": "longer than its circular record", "records": count}
            for name, count in sorted(calling.endless.items())
        ],
        **counts,
    }


def check_circles(members: Iterable[Member], circular: Sequence[str], sample: str) -> None:
    """See that every record that is said to be circular is there.

    Raises
    ------
    SourceError
        For the first that is not.
    """
    if not circular or tuple(circular) == ALL_CIRCULAR:
        return
    missing = dict.fromkeys(circular)
    found: list[str] = []
    for member in members:
        for name, _ in member.records():
            missing.pop(name, None)
            if len(found) < _MOST_NAMED:
                found.append(name)
    for name in missing:
        raise SourceError(
            f"sample '{sample}': column circular names the record '{name}', which its source does not have "
            f"(expected yes, or names of records; the first there are {', '.join(found)})"
        )


@dataclass(frozen=True)
class GeneSettings:
    """How the genes of a row are called, see `call_genes`."""

    sample: str
    genetic_code: int
    meta_below_bp: int
    min_gene_bp: int
    circular: tuple[str, ...]

    def is_circle(self, record: str) -> bool:
        """Tell whether a record is circular."""
        return self.circular == ALL_CIRCULAR or record in self.circular


@dataclass
class Calling:
    """What was counted while genes were called."""

    contigs: int = 0
    bases: int = 0
    circles: int = 0
    over_origin: int = 0
    unknown: int = 0
    modes: set[str] = field(default_factory=set)
    codes: Counter[int] = field(default_factory=Counter)
    endless: Counter[str] = field(default_factory=Counter)
    doubts: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Prepared:
    """A member, the finder for its contigs, and whether the genetic code given can be its own."""

    member: Member
    finder: Finder
    single: bool
    doubt: dict[str, Any] | None


def _genes_of(
    members: Iterable[Member], settings: GeneSettings, calling: Calling, pool: Executor, threads: int
) -> Iterator[tuple[Occurrence, str]]:
    """Give the genes of all members in order: models are trained ahead, contigs called side by side."""
    prepared = in_order(pool, partial(_prepare, settings), members, threads)
    contigs = (contig for each in prepared for contig in _contigs(each, settings, calling))
    for found in in_order(pool, _find, contigs, 2 * threads):
        yield from _occurrences(found, settings.sample, calling)


def _prepare(settings: GeneSettings, member: Member) -> Prepared:
    """Train the model of a member that is a genome long enough, and look whether its genetic code can be."""
    enough = _has_bases(member, settings.meta_below_bp)
    if not (member.kind == "genome" and enough):
        return Prepared(member, Finder(settings.min_gene_bp, None), False, None)
    training = train(settings.min_gene_bp, _sequences(member), settings.genetic_code)
    doubt = doubt_code(_sequences(member), settings.genetic_code)
    return Prepared(member, Finder(settings.min_gene_bp, training), True, doubt)


def _has_bases(member: Member, wanted: int) -> bool:
    """Tell whether a member has so many bases."""
    total = 0
    for sequence in _sequences(member):
        total += len(sequence)
        if total >= wanted:
            return True
    return False


def _sequences(member: Member) -> Iterator[str]:
    return (sequence for _, sequence in member.records())


def _contigs(prepared: Prepared, settings: GeneSettings, calling: Calling) -> Iterator[Contig]:
    """Give the contigs of a member, and count them."""
    member, before = prepared.member, (calling.contigs, calling.bases)
    calling.modes.add("single" if prepared.single else "meta")
    if prepared.doubt:
        calling.doubts.append({"member": member.name, **prepared.doubt})
        tell(f"{member.name}: {describe_doubt(prepared.doubt)}")
    for name, sequence in member.records():
        unit = f"{member.name}/{name}" if member.kind == "metagenome" else member.name
        circle = settings.is_circle(name)
        calling.contigs += 1
        calling.bases += len(sequence)
        calling.circles += circle
        yield Contig(prepared.finder, unit, name, str(member.paths[0]), sequence, circle)
    log.info(
        "%s: %d contigs of %d bases", member.name, calling.contigs - before[0], calling.bases - before[1]
    )


def _find(contig: Contig) -> Found:
    return contig.finder.find(contig)


def _occurrences(found: Found, sample: str, calling: Calling) -> Iterator[tuple[Occurrence, str]]:
    """Give the genes of a contig with their names, and count them."""
    contig = found.contig
    if found.endless:
        calling.endless[contig.name] += found.endless
    for number, gene in enumerate(found.genes, 1):
        label = f"{contig.name}_{number}"
        protein = normalise(gene.protein, f"{contig.path}: gene '{label}'")
        calling.codes[gene.genetic_code] += 1
        calling.unknown += protein.count("X")
        calling.over_origin += gene.end > len(contig.sequence)
        yield (
            Occurrence(
                protein_id(protein), sample, contig.unit, contig.name, gene.begin, gene.end,
                gene.strand, gene.partial, gene.genetic_code, label,
            ),
            protein,
        )  # fmt: skip
