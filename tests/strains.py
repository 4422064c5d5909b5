"""Mutated copies of genomes, simulated reads whose place is known, and which of them truly overlap."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

LETTERS = np.frombuffer(b"ACGT", np.uint8)
_COMPLEMENT = bytes.maketrans(b"ACGTacgt", b"TGCAtgca")


def substitute(sequence: bytes, share: float, rng: np.random.Generator) -> bytes:
    """Change a share of the letters, each to one of the three others."""
    changed = np.frombuffer(sequence.upper(), np.uint8).copy()
    places = np.flatnonzero(rng.random(len(changed)) < share)
    others = np.searchsorted(LETTERS, changed[places]) + rng.integers(1, 4, len(places))
    changed[places] = LETTERS[others % 4]
    return changed.tobytes()


def make_strain(sequence: bytes, share: float, rng: np.random.Generator) -> bytes:
    """Substitute, insert and delete up to 30 bases at 10 places, delete 1 % in three pieces."""
    copy = substitute(sequence, share, rng)
    cuts = sorted(rng.integers(0, len(copy), 10).tolist())
    inserts = [LETTERS[rng.integers(0, 4, rng.integers(0, 30))].tobytes() for _ in cuts]
    pieces = [copy[a + int(rng.integers(0, 30)) : b] for a, b in pairwise([0, *cuts, len(copy)])]
    copy = b"".join(piece + insert for piece, insert in zip(pieces, [*inserts, b""], strict=True))
    for begin in rng.integers(0, len(copy) * 9 // 10, 3).tolist():
        copy = copy[:begin] + copy[begin + len(copy) // 300 :]
    return copy


def simulate_reads(
    genomes: list[bytes], n: int, error: float, rng: np.random.Generator
) -> tuple[list[bytes], list[tuple[int, int, int]]]:
    """Reads of either strand with substitutions, of lognormal lengths; genome, begin and end of each."""
    sizes = np.array([len(genome) for genome in genomes])
    lengths = np.clip(rng.lognormal(7.8, 0.5, n), 300, sizes.min() // 2).astype(int)
    reads, places = [], []
    for length, genome in zip(lengths, rng.choice(len(genomes), n, p=sizes / sizes.sum()), strict=True):
        begin = int(rng.integers(0, sizes[genome] - length))
        read = substitute(genomes[genome][begin : begin + length], error, rng)
        reads.append(read if rng.random() < 0.5 else read.translate(_COMPLEMENT)[::-1])
        places.append((int(genome), begin, begin + int(length)))
    return reads, places


def overlapping_pairs(places: list[tuple[int, int, int]], bases: int) -> NDArray[np.int64]:
    """Pairs (p, 2) of reads that have so many bases of the genome in common."""
    order = sorted(range(len(places)), key=places.__getitem__)
    pairs = []
    for at, one in enumerate(order):
        genome, _, end = places[one]
        for other in order[at + 1 :]:
            other_genome, begin, other_end = places[other]
            if other_genome != genome or begin > end - bases:
                break
            if min(end, other_end) - begin >= bases:
                pairs.append((one, other))
    return np.array(pairs, np.int64).reshape(-1, 2)
