"""Buckets as their definition says it, one k-mer at a time in Python's own integers, for comparison."""

import gzip
from collections import Counter
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from Bio.Seq import Seq

from helixflow.buckets import BucketSettings
from helixflow.buckets.planes import fixed_planes, plane_weights, read_planes, sample_planes
from helixflow.members import Member

BASES = "ACGT"

#: Settings of every family, small enough for plain Python.
FAMILIES = {
    "hyperplane": BucketSettings(7, 9, "hyperplane", 3, 64),
    "hyperplane 63": BucketSettings(63, 26, "hyperplane", 3, 64, sketch_k=40),
    "symmetric": BucketSettings(8, 11, "hyperplane", 3, 64, symmetric=True, sketch_k=9),
    "symmetric odd": BucketSettings(31, 20, "hyperplane", 3, 64, symmetric=True),
    "lshvec": BucketSettings(9, 10, "lshvec", 3, 64, modulus=1000),
    "lshvec 31": BucketSettings(31, 22, "lshvec", 3, 64),
    "spaced": BucketSettings(1, 1, "spaced", 3, 64, patterns=("11111",), sketch_family="spaced"),
    "spaced tables": BucketSettings(1, 1, "spaced", 3, 64, patterns=("R11K", "110101", "1", "KR0RR1")),
    "hash": BucketSettings(5, 12, "hash", 3, 64),
    "hash 32": BucketSettings(32, 26, "hash", 3, 64, sketch_family="hash", sketch_k=33),
    "hash 63": BucketSettings(63, 26, "hash", 7, 64, sketch_family="hash", sketch_k=63, sketch_bits=26),
}


def reverse(kmer: str) -> str:
    return str(Seq(kmer).reverse_complement())


def plain_buckets(settings: BucketSettings, sequence: str) -> list[int]:
    """Bucket ids of a sequence, by the window that they end with, then by table."""
    tables = TABLES[settings.family](settings)
    sequence = sequence.upper().replace("U", "T")
    windows = [
        (sequence[end - span : end], f)
        for end in range(len(sequence) + 1)
        for span, f in tables
        if end >= span
    ]
    return [hashed(kmer) for kmer, hashed in windows if set(kmer) <= set(BASES)]


def planes(settings: BucketSettings):
    """Bit j says whether the weights of the bases, summed over positions, are above the threshold."""
    weights, thresholds, modulus = plane_weights(settings), [0] * settings.bits, 1 << settings.bits
    if settings.family == "lshvec":
        k, bits = settings.k, settings.bits
        given = read_planes(settings.planes, k) if settings.planes else sample_planes(k, bits, settings.seed)
        weights, thresholds = fixed_planes(*given)
        modulus = settings.modulus
    weights = weights.tolist()

    def bucket(kmer: str) -> int:
        """LSHVec takes the modulus of each strand, and then the smaller one."""
        rows = [weights[i][BASES.index(base)] for i, base in enumerate(kmer)]
        scores = [sum(column) for column in zip(*rows, strict=True)]
        return sum(2**j for j, score in enumerate(scores) if score > thresholds[j]) % modulus

    return [(settings.k, lambda kmer: min(bucket(kmer), bucket(reverse(kmer))))]


def hashes(settings: BucketSettings):
    """The upper bits of MurmurHash3's finaliser of the smaller strand, a number in base 4."""

    def mix(value: int) -> int:
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            value = (value ^ value >> 33) * factor % 2**64
        return value ^ value >> 33

    def bucket(kmer: str) -> int:
        number = min(int("".join(str(BASES.index(b)) for b in strand), 4) for strand in (kmer, reverse(kmer)))
        return mix(number % 2**64 ^ mix(number >> 64 ^ settings.seed)) >> (64 - settings.bits)

    return [(settings.k, bucket)]


def spaced(settings: BucketSettings):
    """The rank of the smaller strand's chosen bits among all that there are, behind the tables before."""
    tables, before = [], 0
    for pattern in settings.patterns:

        def value(kmer: str, pattern=pattern) -> int:
            chosen = {"1": "{0:02b}", "0": "", "K": "{1}", "R": "{2}"}
            codes = [BASES.index(base) for base in kmer]
            bits = [
                chosen[p].format(code, code // 2, code % 2) for p, code in zip(pattern, codes, strict=True)
            ]
            return int("".join(bits), 2)

        def smaller(kmer: str, value=value) -> int:
            return min(value(kmer), value(reverse(kmer)))

        every = sorted({smaller("".join(kmer)) for kmer in product(BASES, repeat=len(pattern))})
        ranks = {one: before + rank for rank, one in enumerate(every)}
        tables.append((len(pattern), lambda kmer, ranks=ranks, smaller=smaller: ranks[smaller(kmer)]))
        before += len(every)
    return tables


TABLES = {"hyperplane": planes, "lshvec": planes, "hash": hashes, "spaced": spaced}


def plain_sketch(buckets: list[int], size: int) -> list[int]:
    """The smallest MurmurHash3 finalisers of 32 bits of a set of buckets."""

    def mix(value: int) -> int:
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            value = (value ^ value >> shift) * factor % 2**32
        return value ^ value >> 16

    return sorted({mix(bucket) for bucket in buckets} - {2**32 - 1})[:size]


def random_sequence(length: int, seed: int, letters: str = "ACGT") -> str:
    return "".join(np.random.default_rng(seed).choice(list(letters), length))


def write_text(path: Path, text: str) -> Path:
    """Write a text as what its name says; gzip in several members, as bgzip does."""
    data = text.encode()
    if path.suffix == ".gz":
        cuts = [*range(0, len(data), 700), len(data)]
        data = b"".join(gzip.compress(data[a:b], mtime=0) for a, b in pairwise(cuts)) or gzip.compress(b"")
    path.write_bytes(data)
    return path


def member(path: Path, kind: str = "genome", name: str = "m") -> Member:
    return Member(name, kind, (path,), path)


def spectrum_of(buckets: list[int]) -> tuple[list[int], list[int]]:
    counted = sorted(Counter(buckets).items())
    return [bucket for bucket, _ in counted], [count for _, count in counted]
