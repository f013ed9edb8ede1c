"""Metrics against their definitions, worked out the slow way."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import pytest

from evals import metrics
from evals.metrics import Mean, combined, harmonic, mean_interval, wilson


def test_wilson_solves_its_quadratic() -> None:
    for successes, n in [(1, 10), (5, 10), (580, 1319), (9, 10)]:
        for end in metrics.wilson(successes, n):
            # Both ends lie exactly z standard errors (of the end itself) away from the observed rate.
            z = abs(successes / n - end) / math.sqrt(end * (1 - end) / n)
            assert z == pytest.approx(metrics.Z95, rel=1e-9)


def test_wilson_stays_in_the_unit_interval() -> None:
    assert metrics.wilson(0, 0) == (0.0, 1.0)
    assert metrics.wilson(0, 10)[0] == 0.0
    assert metrics.wilson(10, 10)[1] == 1.0
    assert metrics.wilson(0, 10)[1] == pytest.approx(0.27753, abs=1e-5)
    with pytest.raises(ValueError, match="11 successes"):
        metrics.wilson(11, 10)


def test_pass_at_k_counts_the_subsets_with_a_right_draw() -> None:
    for n in range(1, 8):
        for c in range(n + 1):
            for k in range(1, n + 1):
                subsets = list(itertools.combinations([True] * c + [False] * (n - c), k))
                assert metrics.pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_is_not_available_for_too_few_draws() -> None:
    assert metrics.pass_at_k(3, 3, 4) is None
    assert metrics.pass_at_k(0, 0, 1) is None
    assert metrics.pass_at_k(10_000, 1, 100) == pytest.approx(0.01)


def test_equal_answers_vote_together_and_invalid_ones_not_at_all() -> None:
    assert metrics.majority(["5", "18.0", "$18", None, "[invalid]", "[invalid]", "[invalid]", None]) == "18.0"
    assert metrics.majority([None, "[invalid]", ""]) is None
    assert metrics.majority([]) is None


def test_a_tie_goes_to_the_first_seen_or_to_the_seed() -> None:
    assert metrics.majority(["7", "8", "8", "7"]) == "7"
    drawn = {metrics.majority(["7", "8", "8", "7"], seed) for seed in range(50)}
    assert drawn == {"7", "8"}
    assert metrics.majority(["7", "8"], 3) == metrics.majority(["7", "8"], 3)


def test_mcnemar_is_the_two_sided_sign_test() -> None:
    for b, c in itertools.product(range(7), repeat=2):
        outcomes = list(itertools.product([0, 1], repeat=b + c))
        uneven = sum(abs(2 * sum(o) - (b + c)) >= abs(b - c) for o in outcomes)
        assert metrics.mcnemar(b, c) == pytest.approx(uneven / len(outcomes))
    assert metrics.mcnemar(400, 900) < 1e-40


def test_mcnemar_of_many_items_is_exact_too() -> None:
    tail = sum(math.comb(650, i) for i in range(301))
    assert metrics.mcnemar(300, 350) == metrics.mcnemar(350, 300) == float(Fraction(2 * tail, 2**650))
    z = (300 - 1) / math.sqrt(40_300)  # the normal approximation, continuity corrected
    assert metrics.mcnemar(20_000, 20_300) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)
    assert metrics.mcnemar(0, 5000) == 0.0, "smaller than any float"


def test_auc_counts_ordered_pairs() -> None:
    rng = random.Random(1)
    for _ in range(50):
        labels = [rng.random() < 0.4 for _ in range(12)]
        scores = [rng.randrange(5) / 4 for _ in labels]
        ups = [s for s, label in zip(scores, labels, strict=True) if label]
        downs = [s for s, label in zip(scores, labels, strict=True) if not label]
        if not ups or not downs:
            assert metrics.auc(labels, scores) is None
            continue
        wins = sum((u > d) + 0.5 * (u == d) for u in ups for d in downs)
        assert metrics.auc(labels, scores) == pytest.approx(wins / len(ups) / len(downs))


def test_pair_accuracy_counts_pairs_within_groups_alone() -> None:
    rng = random.Random(1)
    for _ in range(40):
        items = [(rng.randrange(4), rng.random() < 0.5, rng.randrange(4)) for _ in range(rng.randrange(14))]
        duels = [(a, b) for a in items for b in items if a[0] == b[0] and a[1] and not b[1]]
        wins = sum(1.0 if a[2] > b[2] else 0.5 if a[2] == b[2] else 0.0 for a, b in duels)
        share, pairs = metrics.pair_accuracy(*([item[i] for item in items] for i in range(3)))
        assert pairs == len(duels)
        assert share == (pytest.approx(wins / pairs) if duels else None)


def test_a_score_that_only_knows_the_problem_has_a_high_auc_and_no_pair_accuracy() -> None:
    groups = ["easy"] * 10 + ["hard"] * 10
    labels = [True] * 9 + [False] + [True] + [False] * 9
    scores = [0.9] * 10 + [0.1] * 10
    assert metrics.auc(labels, scores) == pytest.approx(0.9)
    assert metrics.pair_accuracy(groups, labels, scores) == (pytest.approx(0.5), 18)


def test_always_saying_the_more_frequent_label_is_the_baseline() -> None:
    assert metrics.majority_accuracy([False] * 7 + [True] * 3) == pytest.approx(0.7)
    assert metrics.majority_accuracy([True, True, False]) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no labels"):
        metrics.majority_accuracy([])


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    assert metrics.calibration_error([True, False], [1.0, 0.0]) == 0.0
    assert metrics.calibration_error([True, True], [0.0, 0.0]) == 1.0
    # Bin 0.7-0.8 holds three with mean score 0.75 and rate 1/3, bin 0.2-0.3 one of score 0.25 and label 0.5.
    assert metrics.calibration_error([1, 0, 0, 0.5], [0.72, 0.75, 0.78, 0.25]) == pytest.approx(
        (3 * abs(0.75 - 1 / 3) + abs(0.25 - 0.5)) / 4
    )
    with pytest.raises(ValueError, match="no labels"):
        metrics.calibration_error([], [])


def test_accuracy_takes_the_threshold_itself_as_right() -> None:
    assert metrics.accuracy_at([True, False, True, False], [0.5, 0.5, 0.9, 0.1]) == 0.75
    assert metrics.accuracy_at([True, False], [0.5, 0.5], threshold=0.6) == 0.5
    with pytest.raises(ValueError, match="2 labels for 1 scores"):
        metrics.accuracy_at([True, False], [0.5])


def test_the_first_error_is_the_first_step_that_is_not_right() -> None:
    assert metrics.first_wrong_step([True, True, False, True, False]) == 2
    assert metrics.first_wrong_step([True, True]) == -1
    assert metrics.first_wrong_step([]) == -1


def test_a_mean_of_zeros_and_ones_has_wilson_s_interval_and_others_one_as_wide() -> None:
    assert mean_interval([1, 0, 0, 1, 1.0]) == wilson(3, 5)
    assert mean_interval([0.5] * 10) == wilson(5, 10), "no spread among ten is no certainty"
    assert mean_interval([]) == (0.0, 1.0)
    assert mean_interval([1.0, 1.0])[1] == 1.0
    with pytest.raises(ValueError, match="outside"):
        mean_interval([1.5])


def test_the_interval_of_a_mean_of_rates_follows_from_theirs() -> None:
    parts = [(0.5, wilson(5, 10)), (0.25, wilson(25, 100))]
    low, high = combined(0.375, parts, lambda rates: sum(rates) / len(rates))
    # Half of each rate's own distance to its end, put together as independent errors are.
    down = math.hypot((0.5 - parts[0][1][0]) / 2, (0.25 - parts[1][1][0]) / 2)
    up = math.hypot((parts[0][1][1] - 0.5) / 2, (parts[1][1][1] - 0.25) / 2)
    assert (low, high) == pytest.approx((0.375 - down, 0.375 + up))
    one = combined(0.5, parts[:1], lambda rates: rates[0])
    assert one == pytest.approx(wilson(5, 10)), "of one rate it is that rate's"
    assert harmonic([0.5, 0.25]) == pytest.approx(1 / 3)
    assert harmonic([0.5, 0.0]) == 0.0


def test_the_brier_score_is_the_mean_squared_error_of_soft_labels_too() -> None:
    assert metrics.brier([True, False], [0.5, 0.5]) == 0.25
    assert metrics.brier([1, 0.5], [0.9, 0.5]) == pytest.approx(0.005)
    with pytest.raises(ValueError, match="2 labels for 1 scores"):
        metrics.brier([1, 0], [0.5])


def test_a_mean_that_is_added_up_has_the_interval_of_its_values() -> None:
    mean = Mean()
    assert mean.rate() is None
    for value in (0.25, 0.5, 1.0):
        mean.add(value)
    low, high = mean_interval((0.25, 0.5, 1.0))
    assert mean.rate() == {
        "n": 3,
        "rate": pytest.approx(1.75 / 3),
        "low": pytest.approx(low),
        "high": pytest.approx(high),
    }
    with pytest.raises(ValueError, match="outside"):
        mean.add(1.5)
