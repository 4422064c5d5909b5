"""Whether the genetic code that a genome was given can be its own: what UGA means in it.

Of NCBI's tables, those with which bacteria are called differ in UGA: a stop (11, 1) or an amino acid
(4 and 25, Trp and Gly). A wrong code is no error that shows by itself: Prodigal calls genes with any,
but they break off at every UGA, or run on over their stop codons.

The criterion is the mean length of genes that are called with UGA read as Trp (code 4), divided by that
of genes called with UGA as a stop (code 11), each with a model trained for it. Where UGA is a stop, reading
through it gains nothing: a gene ends at the next UAA or UAG, or the model, trained on such reading frames,
finds another one. Where UGA is an amino acid, a stop breaks each gene in two or three. Measured on the test
genomes (the six of code 11 and three of code 4, in pieces of 20, 50, 200 and 500 kb): 0.64 to 1.23 where UGA
is a stop, 2.19 to 3.43 where it is an amino acid, and still 1.3 to 1.8 in *Mycoplasma* genomes all but
20 % of whose UGA codons were replaced by UGG. Rich in G and C is no matter: 0.58 to 1.09 and 2.50 to 2.83 in
an *E. coli* and a *Mycoplasma* whose codons were replaced by synonymous ones, up to 68 and 63 % of G and C.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

#: NCBI's tables in which UGA codes for an amino acid.
UGA_IS_SENSE = frozenset({2, 3, 4, 5, 9, 10, 13, 14, 21, 24, 25, 33})
#: Genes this many times as long when UGA is read as an amino acid: it is one.
LONGER = 1.5
#: Bases of a genome that are called twice to find out.
PROBE_BP = 500_000


def doubt_code(contigs: Iterable[str], genetic_code: int) -> dict[str, Any] | None:
    """Tell whether UGA does not mean what the genetic code given says.

    Parameters
    ----------
    contigs : iterable of str
        The DNA of a genome, at least 20 kb together; the first `PROBE_BP` bases are looked at.
    genetic_code : int
        NCBI's number of the table.

    Returns
    -------
    dict or None
        What was measured, see `describe_doubt`; None where there is no doubt, or no gene to tell by.
    """
    probe = _first_bases(contigs, PROBE_BP)
    stop, sense = _mean_length(probe, 11), _mean_length(probe, 4)
    is_sense = sense > LONGER * stop
    if not (stop and sense) or is_sense == (genetic_code in UGA_IS_SENSE):
        return None
    return {
        "genetic_code": genetic_code,
        "uga": "amino acid" if is_sense else "stop",
        "mean_gene_bp": {"uga_stop": round(stop), "uga_amino_acid": round(sense)},
    }


def describe_doubt(doubt: dict[str, Any]) -> str:
    """Say in one line what speaks against a genetic code, and which to give."""
    lengths, code = doubt["mean_gene_bp"], doubt["genetic_code"]
    found = (
        f"genes are {lengths['uga_amino_acid']} bases long on average when UGA is read as an amino acid, "
        f"{lengths['uga_stop']} when it is a stop"
    )
    given, seems = "an amino acid", "a stop (expected 11)"
    if doubt["uga"] == "amino acid":
        given, seems = "a stop", "an amino acid (expected 4, or 25)"
    return f"genetic code {code} reads UGA as {given}, but {found}: UGA seems to be {seems}"


def _first_bases(contigs: Iterable[str], most: int) -> list[bytes]:
    """Return the first bases of a genome, contig by contig."""
    taken: list[bytes] = []
    for contig in contigs:
        taken.append(contig[:most].encode())
        most -= len(taken[-1])
        if most <= 0:
            break
    return taken


def _mean_length(contigs: Sequence[bytes], genetic_code: int) -> float:
    """Return the mean length of the genes called with a genetic code, in bases; 0 where there are none."""
    from pyrodigal import GeneFinder

    finder = GeneFinder(meta=False, mask=True)
    finder.train(*contigs, translation_table=genetic_code)
    lengths = [gene.end - gene.begin + 1 for contig in contigs for gene in finder.find_genes(contig)]
    return sum(lengths) / len(lengths) if lengths else 0.0
