"""Scores added up one at a time: against values worked out by hand, and against the measures that keep all scores."""

from __future__ import annotations

import random

import pytest

from evals.metrics import accuracy_at, auc, calibration_error, majority_accuracy, pair_accuracy, wilson
from evals.score_counts import GRID, ScoreCounts, WithinGroups


def counted(*items: tuple[float, bool]) -> ScoreCounts:
    counts = ScoreCounts()
    for score, right in items:
        counts.add(score, right)
    return counts


FIVE = ((0.9, True), (0.6, False), (0.55, True), (0.5, False), (0.1, False))
"""Right above wrong in 5 of 6 pairs; called right: four, of which two are."""


def test_five_items_by_hand() -> None:
    counts = counted(*FIVE)
    assert (counts.n, counts.rights) == (5, 2)
    assert counts.accuracy() == 3 / 5
    assert counts.majority_accuracy() == 3 / 5
    assert counts.confusion() == (2, 0, 2, 1)
    third, two_thirds = 1 / 3, 2 / 3
    assert counts.roc() == [(0, 0), (0, 0.5), (third, 0.5), (third, 1), (two_thirds, 1), (1, 1)]
    assert counts.auc() == pytest.approx(5 / 6)


def test_reliability_by_hand_leaves_empty_bins_out() -> None:
    low, middle, upper, high = counted(*FIVE).reliability(5)
    assert (low.low, low.high, low.n, low.score, low.right, low.share) == (0, 0.2, 1, 0.1, 0, 0)
    assert (middle.n, middle.right, middle.share) == (2, 1, 0.5)
    assert middle.score == pytest.approx((0.55 + 0.5) / 2)
    assert (middle.share_low, middle.share_high) == wilson(1, 2)
    assert (upper.low, upper.n, upper.right) == (0.6, 1, 0)
    assert (high.low, high.high, high.n, high.right) == (0.8, 1, 1, 1)


def test_the_calibration_error_by_hand() -> None:
    counts = counted((0.25, True), (0.25, False), (0.85, True))
    assert counts.calibration_error(10) == pytest.approx((2 * abs(0.25 - 0.5) + abs(0.85 - 1)) / 3)


def test_the_ends_of_the_range_and_a_half_are_in_the_bins_they_belong_to() -> None:
    counts = counted((0.0, False), (0.5, True), (1.0, True), (0.5 - 2**-53, False))
    assert (counts.accuracy(), counts.auc()) == (1.0, 1.0)
    assert counts.histogram(2) == ([0, 2], [2, 0])
    with pytest.raises(ValueError, match="outside"):
        counts.add(1.1, True)


def test_one_verdict_alone_has_no_roc_and_nothing_has_no_rate() -> None:
    assert counted((0.3, True)).roc() == []
    assert counted((0.3, True)).auc() is None
    empty = ScoreCounts()
    assert (empty.accuracy(), empty.majority_accuracy(), empty.calibration_error(), empty.auc()) == (None,) * 4
    with pytest.raises(ValueError, match="do not divide"):
        empty.reliability(3)


def test_many_items_give_what_the_measures_give_that_keep_all_scores() -> None:
    rng = random.Random(5)
    items = [(rng.random() ** (0.5 if right else 1.5), right) for right in (rng.random() < 0.4 for _ in range(4000))]
    counts = counted(*items)
    scores, labels = [score for score, _ in items], [right for _, right in items]
    assert counts.accuracy() == accuracy_at(labels, scores)
    assert counts.majority_accuracy() == majority_accuracy(labels)
    assert counts.calibration_error() == pytest.approx(calibration_error(labels, scores))
    assert counts.auc() == pytest.approx(auc(labels, scores), abs=1 / GRID)
    rounded = [int(score * GRID) for score in scores]
    assert counts.auc() == pytest.approx(auc(labels, rounded)), "exact, of the scores on the grid"


def test_pairs_within_groups_are_those_of_all_groups_at_once() -> None:
    rng = random.Random(6)
    groups = [[(rng.random() < 0.5, rng.choice((0.1, 0.5, 0.9))) for _ in range(rng.randint(1, 6))] for _ in range(200)]
    within = WithinGroups()
    for group in groups:
        within.add([right for right, _ in group], [score for _, score in group])
    flat = [(number, right, score) for number, group in enumerate(groups) for right, score in group]
    expected, pairs = pair_accuracy(*zip(*flat, strict=True))  # type: ignore[arg-type]  # three columns
    assert within.accuracy() == pytest.approx(expected)
    assert within.pairs == pairs
    assert within.groups == sum(len({right for right, _ in group}) == 2 for group in groups)
    assert WithinGroups().accuracy() is None
