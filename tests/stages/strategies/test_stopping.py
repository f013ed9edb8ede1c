"""The sequential test: its probabilities against summation, and what it may and may not stop."""

from __future__ import annotations

import pytest

from evals.errors import UsageError
from stages.settings.simulate import SimulateSettings
from stages.strategies.stopping import at_least, improbable
from tests.stages.fakes import chain_problem, path
from tests.stages.strategies.truth import GOLD, PREFIXES, kinds, label, long_problem, pattern_engine


@pytest.mark.parametrize(("a", "b"), [(0.5, 1.0), (1.0, 1.0), (2.5, 0.3)])
def test_the_chance_is_the_integral_over_the_success_rate(a: float, b: float) -> None:
    grid = [(i + 0.5) / 20000 for i in range(20000)]
    weights = [p ** (a - 1) * (1 - p) ** (b - 1) for p in grid]
    for draws in (1, 5):
        no_hit = sum(w * (1 - p) ** draws for p, w in zip(grid, weights, strict=True)) / sum(weights)
        assert at_least(1, draws, a, b) == pytest.approx(1 - no_hit, abs=0.01)
    assert at_least(1, 3, 1.0, 1.0) == pytest.approx(3 / 4)
    assert at_least(3, 3, 1.0, 1.0) == pytest.approx(1 / 4), "a flat prior makes every number of hits alike"
    assert at_least(4, 3, a, b) == 0
    assert at_least(0, 3, a, b) == 1


def test_more_misses_and_wrong_paths_make_a_hit_less_probable_and_right_ones_more() -> None:
    settings = SimulateSettings(confidence=0.9)
    stops = {
        (right, wrong): next(n for n in range(9) if improbable(settings, (right, wrong), 0, n))
        for right, wrong in ((0, 0), (0, 1), (0, 4), (3, 0))
    }
    assert stops[0, 4] < stops[0, 1] <= stops[0, 0] <= stops[3, 0] <= 8
    assert not improbable(SimulateSettings(), (0, 100), 0, 7), "never unless asked for"
    assert not improbable(settings, (0, 100), 1, 7), "a live step is never given up"
    assert improbable(SimulateSettings(confidence=0.9, delta=2), (0, 4), 1, 6)


def test_a_step_that_is_given_up_says_so_and_what_follows_is_wrong() -> None:
    problem, engine = long_problem(2, k=8)
    labelled, _ = label("first-error", problem, engine, k=8, confidence=0.8)
    found = labelled.paths[0].labels or []
    assert kinds(labelled) == [("drawn", True)] * 2 + [("early-stop", False)] + [("after-dead", False)] * 5
    assert 0 < found[2].draws < 8
    assert not found[2].settled
    assert found[2].soft is None
    assert len(found[2].rollouts) == found[2].draws


def test_the_answers_of_the_paths_through_a_prefix_are_its_prior() -> None:
    patterns = {prefix: [False] * 8 for prefix in PREFIXES}
    made = {}
    for others in (0, 5):
        paths = [path(0, *GOLD, answer="75"), *(path(1 + i, GOLD[0], f"25+{i}={25 + i}") for i in range(others))]
        more = {PREFIXES[0] + f"25+{i}={25 + i}\n": [False] * 8 for i in range(others)}
        labelled, _ = label(
            "first-error", chain_problem(paths=paths), pattern_engine(patterns | more), k=8, confidence=0.85
        )
        made[others] = (labelled.paths[0].labels or [])[0].draws
    assert made[5] < made[0] < 8


@pytest.mark.parametrize(
    "options",
    [
        {"confidence": 1.0}, {"confidence": 0.0}, {"prior": (0.0, 1.0), "confidence": 0.9},
        {"strategy": "brute", "confidence": 0.9}, {"strategy": "mcts", "run_budget": 5},
    ],
)  # fmt: skip
def test_settings_that_contradict_themselves_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        SimulateSettings(**options)  # type: ignore[arg-type]  # any options
    assert caught.value.advice
