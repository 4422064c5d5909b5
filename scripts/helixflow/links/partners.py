"""Proteins a chain may be: proposed by shared 4-mers or as neighbours, verified by local alignment."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from helixflow.links.gaps import extend_ends, settle_gaps

#: Letters in the words that propose a protein; a shorter chain is found in any proteome by chance.
WORD = 4
#: Most proteins aligned to a chain, those that share most words with it.
MOST_ALIGNED = 100


@dataclass(frozen=True)
class Match:
    """A chain laid on a protein.

    `rows` has one entry per residue of the chain, the 1-based residue of the protein it is aligned
    with, or 0 where there is none.
    """

    protein: str
    sequence: str
    rows: tuple[int, ...]
    identical: int

    @property
    def aligned(self) -> int:
        """Number of residues of the chain that are aligned."""
        return sum(row > 0 for row in self.rows)

    @property
    def identity(self) -> float:
        """Share of identical residues among those aligned."""
        return self.identical / self.aligned

    @property
    def coverage(self) -> float:
        """Share of the chain's residues that are aligned."""
        return self.aligned / len(self.rows)


def propose(
    chains: Iterable[str],
    proteins: Iterable[tuple[str, str]],
    near: Mapping[str, Set[str]] = MappingProxyType({}),
    most: int = MOST_ALIGNED,
) -> dict[str, list[tuple[str, str]]]:
    """Pick the proteins worth an alignment, in one pass that keeps no others.

    Parameters
    ----------
    chains : iterable of str
        Distinct sequences of chains.
    proteins : iterable of (str, str)
        Id and sequence, ascending by id.
    near : dict of str to set of str
        Ids of proteins that are kept for a chain whatever words they share with it.
    most : int
        Other proteins kept for each chain: those that share most distinct 4-mers with it; among equals the
        shorter, so that a protein equal to the chain is always kept, then the smaller id.

    Returns
    -------
    dict of str to list of (str, str)
        Id and sequence of the proteins proposed for each chain. Those not named in `near` share a 4-mer
        with it, so a chain of fewer than 4 residues has none of them.
    """
    wanted = {chain: _words(chain) for chain in chains}
    kept: dict[str, list[tuple[int, int, int, str, str]]] = {chain: [] for chain in wanted}
    named: dict[str, list[tuple[str, str]]] = {chain: [] for chain in wanted}
    for number, (name, sequence) in enumerate(proteins):
        found = _words(sequence)
        for chain, words in wanted.items():
            shared = len(words & found)
            if name in near.get(chain, ()):
                named[chain].append((name, sequence))
            elif shared:
                heapq.heappush(kept[chain], (shared, -len(sequence), -number, name, sequence))
            if len(kept[chain]) > most:
                heapq.heappop(kept[chain])
    return {
        chain: named[chain] + [(name, sequence) for *_, name, sequence in heap]
        for chain, heap in kept.items()
    }


def align(chain: str, protein: str, sequence: str, numbers: Sequence[int] | None = None) -> Match:
    """Lay a chain on a protein: where it is contained, else by local alignment (BLOSUM62, gaps -11 -1).

    Where it is contained more than once, the first place is taken. A single residue that local alignment
    leaves over at an end is laid on the one that faces it, see `extend_ends`; gaps are put where the
    numbers of the residues jump, see `settle_gaps`.

    Parameters
    ----------
    chain, sequence : str
        One-letter sequences of the chain and of the protein.
    protein : str
        Id of the protein.
    numbers : sequence of int, optional
        Residue numbers of the chain.
    """
    start = sequence.find(chain)
    if start >= 0:
        return Match(protein, sequence, tuple(range(start + 1, start + len(chain) + 1)), len(chain))
    rows = [0] * len(chain)
    alignments = _aligner().align(_known_letters(chain), _known_letters(sequence))
    if alignments.score > 0:
        for (first, last), (row, _) in zip(*alignments[0].aligned, strict=True):
            rows[first:last] = range(row + 1, row + 1 + last - first)
    rows = extend_ends(rows, len(sequence))
    if numbers is not None:
        rows = settle_gaps(rows, chain, sequence, numbers)
    identical = sum(row > 0 and sequence[row - 1] == letter for letter, row in zip(chain, rows, strict=True))
    return Match(protein, sequence, tuple(rows), identical)


def shared_words(chain: str, sequence: str) -> int:
    """Count the distinct 4-mers that a chain and a protein share."""
    return len(_words(chain) & _words(sequence))


def passes(match: Match, min_identity: float, min_coverage: float) -> bool:
    """Tell whether a match reaches both thresholds."""
    return match.identity >= min_identity and match.coverage >= min_coverage


def rank(matches: Iterable[Match]) -> list[Match]:
    """Sort matches: most identical residues first, then highest identity, shortest protein, smallest id."""
    return sorted(
        (match for match in matches if match.aligned),
        key=lambda match: (-match.identical, -match.identity, len(match.sequence), match.protein),
    )


def partner_rows(match: Match) -> tuple[int, int]:
    """Return the first and the last residue of the protein that is aligned, from 1."""
    return min(filter(None, match.rows)), max(match.rows)


def _words(sequence: str) -> set[str]:
    return {sequence[start : start + WORD] for start in range(len(sequence) - WORD + 1)}


def _known_letters(sequence: str) -> str:
    """Replace what BLOSUM62 has no row for, such as selenocysteine, by X."""
    return re.sub("[^ARNDCQEGHILKMFPSTWYVBZX]", "X", sequence)


@cache
def _aligner() -> Any:
    from Bio.Align import PairwiseAligner, substitution_matrices

    return PairwiseAligner(
        mode="local",
        substitution_matrix=substitution_matrices.load("BLOSUM62"),
        open_gap_score=-11,
        extend_gap_score=-1,
    )
