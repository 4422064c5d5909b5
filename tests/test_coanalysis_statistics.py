"""Statistics of a co-analysis against scipy, brute force and data whose truth is known."""

import itertools
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from scipy.stats import binomtest, kstest, rankdata, spearmanr

from analyses import Made, autocorrelated, contact_frequency
from analysing import MPIRUN, Alone, needs_mpi
from conftest import ROOT
from helixflow.coanalysis.geometry import cosine_matrix
from helixflow.coanalysis.statistics import StatisticsSettings, write_statistics
from helixflow.coanalysis.statistics.attention import (
    choose_predicted,
    never_formed,
    not_predicted,
    precisions,
)
from helixflow.coanalysis.statistics.nulls import Shifts, Shuffles, effect_size, two_sided
from helixflow.coanalysis.statistics.over_time import summarise, tell
from helixflow.coanalysis.statistics.pairs import centred_ranks, choose_pairs
from helixflow.coanalysis.statistics.ridge import PENALTIES, Regression, Sums, learn, standardise
from helixflow.coanalysis.statistics.rmsf import GAP, leave_out, predict_rmsf, r_squared, read_residues
from helixflow.series import autocorrelation_time, block_error, inefficiency

ALL = 0
SETS = 120


def pairs_of(vectors, frequency, chains=None, linked=None, min_separation=3):
    n = len(vectors)
    chains = np.zeros(n, int) if chains is None else chains
    linked = np.ones(n, bool) if linked is None else linked
    return choose_pairs(frequency, cosine_matrix(vectors), linked, chains, min_separation)


def shuffle_p(pairs, number=79, seed=1):
    shuffles = Shuffles(pairs, seed)
    null = np.transpose([shuffles.shuffled(each) for each in range(number)])
    return two_sided(shuffles.observed(), null)


def shift_p(pairs, most=79, seed=1):
    shifts = Shifts(pairs)
    moved = [shifts.moved(move) for move in shifts.moves(most, seed)]
    null = np.reshape(moved, (-1, len(pairs.bins))).T
    return two_sided(shifts.moved(), null)


def null_data(phi, mean, seed):
    """A fold and vectors that know nothing of it."""
    dice = np.random.default_rng([seed, 11])
    frequency = contact_frequency(dice, np.zeros(60, int), 3, 10)
    return pairs_of(autocorrelated(dice, 60, phi) + mean, frequency)


# Contact and cosine


def test_ranks_are_twice_scipys_about_their_mean():
    dice = np.random.default_rng(3)
    for values in (dice.integers(0, 6, 50).astype(float), dice.normal(size=50), np.ones(5), np.empty(0)):
        assert np.array_equal(centred_ranks(values), 2 * rankdata(values) - len(values) - 1)


def test_bins_of_linked_pairs_have_scipys_correlation_and_degenerate_ones_none():
    dice = np.random.default_rng(5)
    chains = np.repeat([0, 1], [40, 3])
    linked = dice.random(43) > 0.2
    vectors, frequency = dice.normal(size=(43, 8)), contact_frequency(dice, chains, 3)
    pairs = pairs_of(vectors, frequency, chains, linked)
    observed = Shuffles(pairs, 1).observed()
    cosine, found = cosine_matrix(vectors), {}
    for i, j in itertools.combinations(np.flatnonzero(linked), 2):
        apart = j - i if chains[i] == chains[j] else 0
        if apart == 0 or apart >= 3:
            bins = ["all"] + [
                name
                for name, low, high in (
                    ("1 to 5 residues apart", 1, 5),
                    ("6 to 11 residues apart", 6, 11),
                    ("12 to 23 residues apart", 12, 23),
                    ("24 or more residues apart", 24, 99),
                    ("of two chains", 0, 0),
                )
                if low <= apart <= high
            ]
            for name in bins:
                found.setdefault(name, []).append((frequency[i, j], cosine[i, j]))
    assert set(found) == set(pairs.bins)
    for (name, chosen), value in zip(pairs.bins.items(), observed, strict=True):
        assert chosen.sum() == len(found[name])
        assert abs(value - spearmanr(*zip(*found[name], strict=True)).statistic) < 1e-12, name

    few = pairs_of(vectors[:6], np.zeros((6, 6)))
    shuffles = Shuffles(few, 1)
    null = np.transpose([shuffles.shuffled(each) for each in range(9)])
    assert np.isnan(shuffles.observed()).all() and np.isnan(two_sided(shuffles.observed(), null)).all()
    assert np.isnan(effect_size(shuffles.observed(), null)[2]).all()
    nothing = pairs_of(vectors, frequency, chains, np.zeros(43, bool))
    assert np.isnan(shuffle_p(nothing)).all() and np.isnan(shift_p(nothing)).all()


def test_shuffles_are_all_permutations_within_separations():
    """Seven residues have 15 pairs at separations 2 to 6; what can come out is listed by brute force."""
    dice = np.random.default_rng(8)
    frequency = np.triu(dice.integers(0, 5, (6, 6)) / 5, 1)
    pairs = pairs_of(dice.normal(size=(6, 4)), frequency + frequency.T, min_separation=3)
    assert len(pairs.first) == 6  # 3 at separation 3, 2 at 4, 1 at 5
    outcomes = set()
    for three in itertools.permutations(range(3)):
        for two in itertools.permutations((3, 4)):
            order = [*three, *two, 5]
            outcomes.add(round(spearmanr(pairs.frequency, pairs.values[order]).statistic, 9))
    shuffles = Shuffles(pairs, 4)
    drawn = {round(shuffles.shuffled(number)[ALL], 9) for number in range(300)}
    assert drawn == outcomes and len(outcomes) > 5


def test_moves_are_those_of_a_ring_and_leave_the_mean_of_each_separation():
    dice = np.random.default_rng(9)
    chains = np.repeat([0, 1], [7, 5])
    frequency = contact_frequency(dice, chains, 2)
    linked = np.ones(12, bool)
    linked[3] = False
    pairs = pairs_of(dice.normal(size=(12, 4)), frequency, chains, linked, 2)
    shifts = Shifts(pairs)
    moves = shifts.moves(999, 1)
    assert len(moves) == len(set(moves)) == (2 * 6) * (2 * 5) - 1 and (0, 0) not in moves
    assert len(set(shifts.moves(50, 1))) == 50 and shifts.moves(50, 1) == shifts.moves(50, 1)

    # By the definition, pair by pair.
    index = pairs.index
    stratum = {
        (i, j): abs(index[i] - index[j]) if chains[index[i]] == chains[index[j]] else "two"
        for i, j in itertools.combinations(range(11), 2)
    }
    values = {pair: pairs.cosine[pair] for pair in stratum}
    ordered = sorted(values.values())
    rank = {pair: 2 * ordered.index(value) - len(ordered) + 1 for pair, value in values.items()}
    mean = {
        kind: np.mean([rank[pair] for pair in stratum if stratum[pair] == kind]) for kind in stratum.values()
    }
    excess = {pair: round(rank[pair] - mean[stratum[pair]]) for pair in stratum}
    for move in ((0, 0), (2, 1), (6 + 1, 5 + 3)):
        target = []
        for size, start, by in ((6, 0, move[0]), (5, 6, move[1])):
            ring = list(range(start, start + size))
            ring = ring[::-1] if by >= size else ring
            target += ring[-(by % size) :] + ring[: -(by % size)] if by % size else ring
        total = 0.0
        contact = {pair: frequency[index[pair[0]], index[pair[1]]] for pair in stratum}
        eligible = [pair for pair in stratum if stratum[pair] == "two" or stratum[pair] >= 2]
        touching = [contact[pair] for pair in eligible]
        for pair in eligible:
            below, same = sum(t < contact[pair] for t in touching), touching.count(contact[pair])
            rank_contact = 2 * below + same - len(touching)
            moved = tuple(sorted((target[pair[0]], target[pair[1]])))
            total += rank_contact * excess[moved]
        assert abs(shifts.moved(move)[ALL] - total) < 1e-9


@pytest.fixture(scope="module")
def on_null_data():
    """p of both nulls on data sets without a signal, (SETS, B), by how the residues' vectors are made."""
    cases = {"random": (0.0, 0.0), "alike": (0.85, 0.5)}
    return {
        (name, null): np.array([p(null_data(phi, mean, seed)) for seed in range(SETS)])
        for name, (phi, mean) in cases.items()
        for null, p in (("shuffle", shuffle_p), ("shift", shift_p))
    }


def found_too_often(p):
    """The chance that so many of these p are 0.05 or less where one in twenty is."""
    return binomtest(int((p <= 0.05).sum()), len(p), 0.05, alternative="greater").pvalue


@pytest.mark.parametrize("case", [("random", "shuffle"), ("random", "shift"), ("alike", "shift")])
def test_p_is_uniform_without_a_signal(on_null_data, case):
    p = on_null_data[case]
    for values in p[:, :5].T:
        assert not np.isnan(values).any()
        assert kstest(values, "uniform").pvalue > 1e-4
        assert found_too_often(values) > 1e-4


def test_shuffled_cosines_find_too_much_where_residues_are_alike_and_shifts_do_not(on_null_data):
    assert found_too_often(on_null_data["alike", "shuffle"][:, ALL]) < 1e-20
    assert found_too_often(on_null_data["alike", "shift"][:, ALL]) > 1e-4


def test_a_planted_signal_is_found_by_both():
    dice = np.random.default_rng(21)
    frequency = contact_frequency(dice, np.zeros(90, int), 3)
    # Vectors of what each residue touches: those in contact share neighbours.
    vectors = np.linalg.matrix_power(frequency + np.eye(90), 2) @ dice.normal(size=(90, 40))
    pairs = pairs_of(vectors, frequency)
    assert shuffle_p(pairs, 199)[ALL] == 2 / 200
    assert shift_p(pairs, 999)[ALL] == 2 / 180
    # The sign does not matter: two-sided.
    assert shuffle_p(pairs_of(vectors, -frequency), 199)[ALL] == 2 / 200


# In time


def test_autocorrelation_and_errors_of_a_process_whose_are_known():
    phi, n = 0.8, 40_000
    values = autocorrelated(np.random.default_rng(2), n, phi, 1)[:, 0]
    # tau = sum of phi**k, and the error of the mean is that of n / (1 + 2 tau) values.
    tau = phi / (1 - phi)
    error = np.sqrt((1 + 2 * tau) / n)
    assert autocorrelation_time(values, 2.0) == pytest.approx(2 * tau, rel=0.15)
    told = tell(values, 2.0 * np.arange(n))
    assert told.error == pytest.approx(error, rel=0.1)
    assert told.block_error == pytest.approx(error, rel=0.15)
    assert told.effective == pytest.approx(n / (1 + 2 * tau), rel=0.15)
    assert told.error > 2 * values.std() / np.sqrt(n)


def test_white_noise_is_all_independent():
    values = np.random.default_rng(4).normal(size=8000)
    assert inefficiency(values) < 1.2
    assert block_error(values) == pytest.approx(1 / np.sqrt(8000), rel=0.2)
    assert autocorrelation_time(values, 1.0) < 0.1
    assert block_error(np.full(100, 0.1)) == 0
    assert np.isnan(block_error(np.cumsum(values[:64])))
    assert np.isnan(block_error(values[:3]))


def test_replicas_are_brought_together_each_about_its_own_mean():
    dice, n = np.random.default_rng(6), 4000
    times = 10.0 * np.arange(n)
    told = [tell(level + dice.normal(size=n), times) for level in (0.0, 5.0, 10.0)]
    summary = summarise(told)
    # As one series, the steps between replicas would be taken for a long autocorrelation.
    assert summary.effective > 0.8 * 3 * n
    assert summary.error == pytest.approx(1 / np.sqrt(3 * n), rel=0.1)
    assert summary.block_error == pytest.approx(1 / np.sqrt(3 * n), rel=0.3)
    assert summary.replica_sd == pytest.approx(5, rel=0.05)
    assert summary.replica_error == pytest.approx(5 / np.sqrt(3), rel=0.05)
    assert summary.mean == pytest.approx(5, abs=0.1)
    alone = summarise(told[:1])
    assert np.isnan(alone.replica_sd) and np.isnan(alone.replica_error)


def test_frames_without_a_value_are_left_out_and_counted():
    values = np.random.default_rng(7).normal(3, 1, 100)
    values[10:30] = np.nan
    told = tell(values, np.arange(100.0))
    assert (told.frames, told.left_out) == (80, 20)
    assert told.mean == pytest.approx(np.nanmean(values))
    nothing = summarise([tell(np.full(5, np.nan), np.arange(5.0))])
    assert np.isnan(nothing.mean) and (nothing.frames, nothing.frames_left_out) == (0, 5)
    short = summarise([tell(np.array([1.0]), np.array([0.0]))])
    assert short.mean == 1 and np.isnan(short.error) and np.isnan(short.autocorrelation_ps)


# Attention


def test_precision_is_that_of_a_count_by_hand():
    dice = np.random.default_rng(12)
    n = 40
    frequency = contact_frequency(dice, np.zeros(n, int), 3)
    start = frequency > 0.7
    predicted = dice.random((n, n))
    predicted = (predicted + predicted.T) / 2 + 0.1 * frequency
    predicted[:, 30:] = predicted[30:] = np.nan  # too long a protein, or none
    pairs = choose_predicted(predicted, frequency, start, 6)
    assert pairs.length == 30
    listed = sorted(
        ((i, j) for i, j in itertools.combinations(range(30), 2) if j - i >= 6), key=lambda p: -predicted[p]
    )
    for row in precisions(pairs):
        contact = start if row.against == "start" else frequency >= 0.5
        top = listed[: {"L": 30, "L/2": 15, "L/5": 6}[row.top]]
        assert row.number == len(top)
        assert row.precision == pytest.approx(np.mean([contact[pair] for pair in top]))
        rates = [
            np.mean([contact[i, j] for i, j in listed if j - i == second - first]) for first, second in top
        ]
        assert row.expected == pytest.approx(np.mean(rates))
    never = [(pairs.first[at], pairs.second[at]) for at in never_formed(pairs)]
    assert never == [pair for pair in listed[:30] if frequency[pair] == 0]
    missed = [(pairs.first[at], pairs.second[at]) for at in not_predicted(pairs)]
    assert missed == sorted(
        (pair for pair in listed[30:] if frequency[pair] >= 0.5), key=lambda pair: -frequency[pair]
    )
    assert never and missed


def test_random_pairs_have_the_expected_precision():
    dice, n = np.random.default_rng(13), 60
    frequency = contact_frequency(dice, np.zeros(n, int), 3)
    differences = []
    for _ in range(60):
        noise = dice.random((n, n))
        row = precisions(choose_predicted(noise + noise.T, frequency, frequency > 0.5, 6))[0]
        differences.append(row.precision - row.expected)
    assert abs(np.mean(differences)) < 3 * np.std(differences) / np.sqrt(60)


# RMSF


def test_both_forms_of_the_regression_solve_the_normal_equations():
    dice = np.random.default_rng(14)
    features, target = dice.normal(size=(50, 12)) * dice.uniform(0.1, 9, 12) + 4, dice.normal(size=50)
    features[:, 3] = 2.5  # a constant one
    train, test = np.arange(40), np.arange(40, 50)
    kept = np.delete(features, 3, axis=1)
    scaled = (kept - kept[train].mean(axis=0)) / kept[train].std(axis=0)
    mean = target[train].mean()
    penalty = 0.3
    strength = penalty * (scaled[train] ** 2).sum() / 40
    weights = np.linalg.solve(
        scaled[train].T @ scaled[train] + strength * np.eye(11), scaled[train].T @ (target[train] - mean)
    )
    expected = scaled[test] @ weights + mean
    x = standardise(features, train)
    np.testing.assert_allclose(
        Regression(x[train], target[train]).predict(x[test], penalty), expected, atol=1e-10
    )
    few = np.arange(8)  # fewer samples than features
    x = standardise(features, few)
    strength_few = penalty * (x[few] ** 2).sum() / 8
    weights_few = np.linalg.solve(x[few].T @ x[few] + strength_few * np.eye(12), x[few].T @ target[few])
    dual = Regression(x[few], target[few]).predict(x[test], penalty)
    np.testing.assert_allclose(dual, x[test] @ weights_few + target[few].mean(), atol=1e-10)
    whole = Sums.of(features, target) - Sums.of(features[test], target[test])
    [(slopes, constant)] = learn(whole, [penalty])
    np.testing.assert_allclose(features[test] @ slopes + constant, expected, atol=1e-9)
    squares = Sums.of(features[test], target[test]).squares(slopes, constant)
    assert squares == pytest.approx(((target[test] - expected) ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize("n_feature", [5, 60])
def test_errors_of_what_is_left_out_are_those_of_learning_anew(n_feature):
    dice = np.random.default_rng(18)
    features, target = dice.normal(size=(40, n_feature)), dice.normal(size=40)
    features -= features.mean(axis=0)
    out, rest = np.arange(10, 17), np.delete(np.arange(40), np.arange(10, 17))
    strength = 0.2 * (features**2).sum() / 40
    # With a constant that no penalty is laid upon.
    design = np.column_stack([np.ones(40), features])
    penalty = np.diag([0.0] + [strength] * n_feature)
    weights = np.linalg.solve(design[rest].T @ design[rest] + penalty, design[rest].T @ target[rest])
    expected = target[out] - design[out] @ weights
    np.testing.assert_allclose(Regression(features, target).errors_left_out(out, 0.2), expected, atol=1e-10)


def r2_of(made, path, name="embedding"):
    with h5py.File(made.write(path)) as file:
        residues = read_residues(file, made.vectors)
    results = predict_rmsf(Alone(), residues)
    return r_squared(residues.target, *results[name]), residues, results


@pytest.fixture(scope="module")
def codes():
    return "".join(np.random.default_rng(1).choice(list("ACDEFGHIKLMNPQRSTVWY"), 160))


def test_rmsf_is_told_from_vectors_that_know_it_and_not_from_noise(codes, tmp_path):
    dice = np.random.default_rng(15)
    vectors, noise = dice.normal(size=(160, 30)), dice.normal(size=160)
    rmsf = 0.2 + 0.01 * (vectors @ dice.normal(size=30) / np.sqrt(30) + 0.3 * noise)
    r2, residues, results = r2_of(Made(codes, vectors=vectors, rmsf=rmsf), tmp_path / "signal")
    # A share of 0.09 / 1.09 of the variance is noise that nothing can tell.
    assert 0.75 < r2 < 0.97
    assert len(np.unique(residues.segment)) == 10
    assert max(r_squared(residues.target, *results[name]) for name in ("amino acid", "neighbours")) < 0.1
    noise = [r2_of(Made(codes, seed=seed, width=100), tmp_path / f"{seed}")[0] for seed in range(6)]
    assert max(noise) < 0.1 and np.mean(noise) < 0.03


def test_neighbours_and_copies_of_what_is_left_out_are_not_learnt_from(codes, tmp_path):
    two = Made(
        codes, chains="A" * 80 + "B" * 80, protein=["SQ.same"] * 160, rows=np.tile(np.arange(1, 81), 2)
    )
    with h5py.File(two.write(tmp_path / "two")) as file:
        residues = read_residues(file, two.vectors)
    row, chain = np.tile(np.arange(80), 2), np.repeat([0, 1], 80)
    for number in np.unique(residues.segment):
        test = np.flatnonzero(residues.segment == number)
        assert len(set(chain[test])) == 1 and (np.diff(test) == 1).all()
        close = {at for at in range(160) if any(abs(row[at] - row[each]) <= GAP for each in test)}
        assert set(np.flatnonzero(residues.close[test].any(axis=0))) == close

    # Two copies with the same random vectors and RMSF: what one knows of the other would be all.
    dice = np.random.default_rng(16)
    vectors, rmsf = np.tile(dice.normal(size=(80, 200)), (2, 1)), np.tile(dice.uniform(0.1, 0.3, 80), 2)
    options = {"chains": two.chains, "vectors": vectors, "rmsf": rmsf}
    straddling = r2_of(Made(codes, **options), tmp_path / "c")[0]
    apart = r2_of(Made(codes, protein=two.protein, rows=two.rows, **options), tmp_path / "d")[0]
    assert straddling > 0.9 and apart < 0.1


def test_a_segment_is_predicted_as_by_learning_anew_for_each_segment_and_penalty(tmp_path):
    """Nested leave-segment-out by the normal equations, gaps and all."""
    dice = np.random.default_rng(19)
    vectors = dice.normal(size=(60, 6))
    rmsf = 0.2 + 0.02 * vectors[:, 0] + 0.03 * dice.normal(size=60)
    made = Made("ACDEFG" * 10, chains="A" * 40 + "B" * 20, vectors=vectors, rmsf=rmsf)
    with h5py.File(made.write(tmp_path / "a")) as file:
        residues = read_residues(file, made.vectors)
    segments, chain = residues.segment, np.repeat([0, 1], [40, 20])

    def apart(test, of):
        return [k for k in of if all(chain[k] != chain[t] or abs(k - t) > GAP for t in test)]

    def errors(train, test, z, strength):
        mean_z, mean_y = z[train].mean(axis=0), rmsf[train].mean()
        x = z[train] - mean_z
        weights = np.linalg.solve(x.T @ x + strength * np.eye(6), x.T @ (rmsf[train] - mean_y))
        return rmsf[test] - mean_y - (z[test] - mean_z) @ weights

    for number in np.unique(segments):
        test = np.flatnonzero(segments == number)
        train = apart(test, range(60))
        z = (vectors - vectors[train].mean(axis=0)) / vectors[train].std(axis=0)
        unit = (z[train] ** 2).sum() / len(train)
        tried = {}
        for penalty in PENALTIES:
            tried[penalty] = 0
            for inner in set(segments[train]):
                inside = [k for k in train if segments[k] == inner]
                tried[penalty] += (errors(apart(inside, train), inside, z, penalty * unit) ** 2).sum()
        best = min(tried, key=tried.get)
        expected = rmsf[test] - errors(train, test, z, best * unit)
        predicted, mean = leave_out(residues.features["embedding"], residues, number)
        np.testing.assert_allclose(predicted, expected, atol=1e-10)
        assert mean == pytest.approx(rmsf[train].mean())


def test_few_residues_are_warned_of(tmp_path):
    settings = StatisticsSettings(19, 1)
    warnings = {}
    for n in (3, 60, 120):
        made = Made("ACDE" * 30, seed=n)
        made = Made(made.codes[:n], seed=n)
        with h5py.File(made.write(tmp_path / f"{n}"), "r+") as file:
            write_statistics(Alone(), file, settings, made.vectors)
            warnings[n] = file["statistics/rmsf"].attrs["warning"]
            assert np.isfinite(file["statistics/rmsf/r2"][0]) == (n > 3)
    assert "not known" in warnings[3] and "60 residues" in warnings[60] and warnings[120] == ""


# The file


SMALL = [("A", "1", 1), ("A", "0", 2), ("AB", "11", 2), ("AAB", "111", 1), ("AAAABB", "011011", 3)]


@pytest.mark.parametrize(("chains", "linked", "frames"), [*SMALL, ("A" * 9, "0" * 9, 5)])
@pytest.mark.filterwarnings("error")
def test_small_and_unlinked_molecules_have_valid_files_without_a_warning(tmp_path, chains, linked, frames):
    n, linked = len(chains), np.array(list(linked)) == "1"
    predicted = np.where(np.logical_and.outer(linked, linked), 0.5, np.nan)
    frequency = np.zeros((n, n))
    made = Made(
        "A" * n, chains=chains, linked=linked, frames=frames, predicted=predicted, frequency=frequency
    )
    made.write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["components"]
        write_statistics(Alone(), file, StatisticsSettings(99, 1), made.vectors)
        assert np.isnan(file["statistics/contact_cosine/p"][:]).all()
        assert np.isnan(file["statistics/contact_cosine/shift_p"][:]).all()
        assert np.isnan(file["statistics/rmsf/r2"][0]) and file["statistics/rmsf"].attrs["warning"]
        assert np.isnan(file["statistics/attention/precision"][:]).all()
        assert len(file["statistics/series/name"]) == 6


def made_with_all(codes):
    n, dice = len(codes), np.random.default_rng(17)
    linked = np.ones(n, bool)
    linked[:7] = False
    chains = "A" * 100 + "B" * (n - 100)
    scores = dice.random((n, n))
    same = np.equal.outer(list(chains), list(chains)) & np.logical_and.outer(linked, linked)
    predicted = np.where(same, scores + scores.T, np.nan)
    coherence = np.where(dice.random(80) < 0.1, np.nan, dice.normal(size=80))
    return Made(codes, chains=chains, linked=linked, predicted=predicted, series={"coherence": coherence})


def test_the_file_has_all_of_it_with_units(codes, tmp_path):
    made = made_with_all(codes)
    with h5py.File(made.write(tmp_path / "a.h5"), "r+") as file:
        write_statistics(Alone(), file, StatisticsSettings(99, 3), made.vectors)
    with h5py.File(tmp_path / "a.h5") as file:
        group = file["statistics"]
        missing = []
        group.visititems(
            lambda name, item: (
                missing.append(name)
                if isinstance(item, h5py.Dataset) and not {"unit", "description"} <= set(item.attrs)
                else None
            )
        )
        assert missing == []
        assert group["contact_cosine/null"].shape == (6, 99)
        null, observed = group["contact_cosine/null"][:], group["contact_cosine/spearman"][:]
        np.testing.assert_allclose(
            group["contact_cosine/effect"][:], (observed - null.mean(axis=1)) / null.std(axis=1, ddof=1)
        )
        names = [name.decode() for name in group["series/name"][:]]
        assert names[5:] == ["coherence", "motion_1", "embedding_1", "contact_1"]
        left_out = np.isnan(made.series["coherence"]).sum()
        assert group["series/frames_left_out"][5] == left_out == group.attrs["frames_without_embedding"] > 0
        assert group["series/mean"][0] == pytest.approx(file["frame/rmsd_nm"][:].mean())
        assert group["replica/rg_nm"][1] == pytest.approx(file["frame/rg_nm"][40:].mean())
        assert group["attention"].attrs["length"] == 153 and len(group["attention/top"]) == 6
        assert len(group["attention/never_formed/first"]) <= 100
        assert np.isnan(group["rmsf/predicted"][:7]).all() and np.isfinite(group["rmsf/predicted"][7:]).all()
        assert group.attrs["identical"] == 153 and group.attrs["tag"] == 7
        assert group.attrs["contacts_per_frame"] == pytest.approx(made.frequency.sum() / 2)
        off = made.frequency[~np.logical_and.outer(made.linked, made.linked)].sum() / 2
        assert group.attrs["contacts_per_frame_left_out"] == pytest.approx(off) and off > 0


PROGRAM = """
import sys
import h5py, numpy as np
from mpi4py import MPI
from helixflow.coanalysis.statistics import StatisticsSettings, write_statistics
comm = MPI.COMM_WORLD
file = h5py.File(sys.argv[1], "r+") if comm.rank == 0 else None
vectors = np.load(sys.argv[2]) if comm.rank == 0 else None
write_statistics(comm, file, StatisticsSettings(60, 3), vectors)
"""


@needs_mpi
def test_any_number_of_ranks_writes_the_same(codes, tmp_path):
    made = made_with_all(codes)
    np.save(tmp_path / "vectors.npy", made.vectors)
    (tmp_path / "program.py").write_text(PROGRAM)
    with h5py.File(made.write(tmp_path / "1.h5"), "r+") as file:
        write_statistics(Alone(), file, StatisticsSettings(60, 3), made.vectors)
    contents = [(tmp_path / "1.h5").read_bytes()]
    for ranks in (2, 3):
        path = made.write(tmp_path / f"{ranks}.h5")
        program = [sys.executable, "-m", "mpi4py", tmp_path / "program.py", path, tmp_path / "vectors.npy"]
        command = [*MPIRUN, "-n", str(ranks), *program]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env=environment, timeout=60)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] == contents[2]
