"""Kinds of labels: each against its published formula, and partial draws never contradict the whole ones."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from evals.records import Rollout, StepLabel
from stages.settings.labels import LabelKind
from stages.training.step_targets import GOLD, delta_of, path_targets, value_targets

KINDS = ("hard", "soft", "threshold:0.25", "threshold:0.7", "progress:0.8", "progress:0.5", "progress:1", "advantage")


def drawn(flags: list[bool], made: int | None = None, delta: int = 0) -> StepLabel:
    """The label of a step whose rollouts have these verdicts, of which only the first ones were made."""
    made = len(flags) if made is None else made
    hits = sum(flags[:made])
    settled = hits > delta or hits + len(flags) - made <= delta
    rollouts = [Rollout(correct=flag, seed=i) for i, flag in enumerate(flags[:made])]
    return StepLabel(k=len(flags), delta=delta, draws=made, hits=hits, settled=settled, rollouts=rollouts)


def published(text: str, rows: list[list[bool]], root: list[bool], delta: int) -> list[Fraction]:
    """The labels as the papers define them, from all draws, in exact arithmetic."""
    name, _, value = text.partition(":")
    mc = [Fraction(sum(row), len(row)) for row in [root, *rows]]
    right = [sum(row) > delta for row in rows]
    made = []
    for t in range(1, len(mc)):
        if name == "hard":
            made.append(Fraction(right[t - 1]))
        elif name == "soft":
            made.append(mc[t])
        elif name == "threshold":
            made.append(Fraction(mc[t] >= Fraction(value)))
        elif name == "advantage":
            made.append((1 + mc[t] - mc[t - 1]) / 2)
        else:
            made.append(Fraction(all(right[:t]) and mc[t] >= Fraction(value) * mc[t - 1]))
    return made


def paths(delta: int) -> list[tuple[list[list[bool]], list[bool]]]:
    chance = random.Random(delta)
    found = []
    for _ in range(150):
        rates = [chance.choice([0.0, 0.1, 0.4, 0.7, 1.0]) for _ in range(5)]
        root, *rows = [[chance.random() < rate for _ in range(chance.choice([4, 8, 10]))] for rate in rates]
        found.append((rows, root))
    return found


@pytest.mark.parametrize("delta", [0, 2])
@pytest.mark.parametrize("text", KINDS)
def test_all_draws_give_the_published_label(text: str, delta: int) -> None:
    kind = LabelKind.parse(text)
    for rows, root in paths(delta):
        labels = [drawn(row, delta=delta) for row in rows]
        expected = [float(value) for value in published(text, rows, root, delta)]
        assert path_targets(kind, labels, drawn(root, delta=delta)) == pytest.approx(expected)


@pytest.mark.parametrize("text", KINDS)
def test_what_some_of_the_draws_decide_all_of_them_confirm(text: str) -> None:
    kind, chance, decided = LabelKind.parse(text), random.Random(3), 0
    for rows, root in paths(1):
        some = [drawn(row, chance.randint(0, len(row)), delta=1) for row in rows]
        targets = path_targets(kind, some, drawn(root, chance.randint(0, len(root)), delta=1))
        for target, whole in zip(targets, published(text, rows, root, 1), strict=True):
            assert target is None or target == pytest.approx(float(whole))
            decided += target is not None
    assert decided > 10, "and some of them are decided"


def test_a_first_step_is_compared_with_the_bare_question_or_with_nothing() -> None:
    labels = [drawn([True, False, False, False]), drawn([True] * 4)]
    assert path_targets(LabelKind("advantage"), labels) == [None, 0.875]
    assert path_targets(LabelKind("progress", 0.8), labels) == [None, 1.0]
    assert path_targets(LabelKind("progress", 0.8), labels, drawn([True, True, False, False])) == [0.0, 1.0]
    dead = [drawn([False] * 4), drawn([True] * 4)]
    assert path_targets(LabelKind("progress", 0.8), dead) == [0.0, 0.0], "and no step after a dead one is right"


def test_a_gold_step_is_right_and_gains_what_was_missing() -> None:
    root = drawn([True, False, False, False])
    assert path_targets(LabelKind("progress", 0.8), [GOLD, GOLD]) == [1.0, 1.0]
    assert path_targets(LabelKind("advantage"), [GOLD, GOLD], root) == [0.875, 0.5]


def test_verdicts_from_elsewhere_have_no_share() -> None:
    given = [StepLabel(k=1, draws=0, hits=0, settled=False, given=flag) for flag in (True, True, False, True)]
    assert path_targets(LabelKind("progress", 0.8), given, GOLD) == [None, None, 0.0, 0.0]
    assert path_targets(LabelKind("advantage"), given, GOLD) == [None] * 4
    assert path_targets(LabelKind("hard"), given) == [1.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hard", [1.0, 1.0, None, 0.0]),
        ("soft", [0.5, 0.25, None, 0.0]),
        ("threshold:0.5", [1.0, 0.0, None, 0.0]),
        ("progress:0.5", [None, 1.0, None, 0.0]),
        ("progress:0.8", [None, 0.0, None, 0.0]),
        ("advantage", [None, 0.375, None, None]),
    ],
)
def test_values_of_stepwise_lines_become_the_same_kinds(text: str, expected: list[float | None]) -> None:
    assert value_targets(LabelKind.parse(text), [0.5, 0.25, None, 0.0]) == expected


def test_a_threshold_is_a_delta() -> None:
    for k in range(1, 20):
        for hundredths in range(1, 101):
            delta = delta_of(hundredths / 100, k)
            assert [hits > delta for hits in range(k + 1)] == [hits * 100 >= hundredths * k for hits in range(k + 1)]
