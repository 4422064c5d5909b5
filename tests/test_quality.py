"""What the benchmark of quality is made of, against plain Python."""

from math import log

import numpy as np
import pytest

from bench_quality import Buckets, Classifier, Labelled, classify, encode, frequencies, mutate
from helixflow.buckets import BucketSettings
from kmers import FAMILIES, plain_buckets, random_sequence


@pytest.mark.parametrize("family", FAMILIES)
def test_buckets_are_those_of_each_sequence(family):
    sequences = [random_sequence(length, length) for length in (90, 3, 120)]
    sequences.append(sequences[0][:40] + "N" + sequences[2])
    found = Buckets(FAMILIES[family], map(encode, sequences))
    expected = [plain_buckets(FAMILIES[family], sequence) for sequence in sequences]
    assert [found.of(sequence).tolist() for sequence in range(4)] == expected


def test_the_likeliest_genome_is_that_of_naive_bayes():
    settings, share = BucketSettings(3, 4, "hash", 1, 1), 0.25
    genomes, reads = ([random_sequence(30, seed + n) for n in range(4)] for seed in (1, 7))
    table = frequencies(Buckets(settings, map(encode, genomes)), range(4))
    hits = [plain_buckets(settings, genome) for genome in genomes]

    def likelihood(read: str, genome: list[int]) -> float:
        return sum(
            log((1 - share) * genome.count(bucket) / len(genome) + share / 16)
            for bucket in plain_buckets(settings, read)
        )

    expected = [max(range(4), key=lambda n: likelihood(read, hits[n])) for read in reads]
    read_codes = [encode(read) for read in [*reads, "AC"]]
    buckets = Buckets(settings, read_codes)
    even = {"even": np.full((16, 1), 1 / 16, np.float32)}
    tune = Labelled(read_codes, np.array([*expected, 0]))
    weighed = Classifier(table, even, buckets, tune, weights=[(1 - share) / share])
    assert classify(weighed.logs(), buckets).tolist() == [*expected, -1]
    assert len(set(expected)) > 1


def test_mutations_are_substitutions_of_the_share():
    codes = encode(random_sequence(50_000, 3) + "N" * 1000)
    changed = mutate(codes, 0.1, np.random.default_rng(1))
    assert abs((changed != codes)[:50_000].mean() - 0.1) < 0.01
    assert changed.max() == 4
    assert (changed[50_000:] == codes[50_000:]).all()
    # Each of the three others is as frequent.
    shifts = np.bincount((changed - codes)[:50_000] % 4)[1:]
    assert abs(shifts / shifts.sum() - 1 / 3).max() < 0.03
