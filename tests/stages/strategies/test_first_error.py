"""`first-error`: walked from the left to the first dead prefix, which is brute's by construction."""

from __future__ import annotations

from collections import Counter

import pytest

from evals.metrics import first_wrong_step
from evals.records import Problem
from evals.worlds import chain
from stages.engines.scripted.engine import ScriptedEngine
from stages.sample import Sampler
from stages.settings.sample import SampleSettings
from stages.strategies import STRATEGIES
from tests.stages.fakes import chain_problem, path, work
from tests.stages.strategies.truth import (
    GOLD,
    LONG,
    PREFIXES,
    drawn,
    kinds,
    label,
    long_problem,
    pattern_engine,
    prefix_of,
)  # fmt: skip


def test_the_walk_ends_at_the_first_dead_prefix_and_the_rest_is_wrong_without_a_draw() -> None:
    problem, engine = long_problem(3)
    labelled, tally = label("first-error", problem, engine, k=4)
    assert kinds(labelled) == [("drawn", True)] * 3 + [("drawn", False)] + [("after-dead", False)] * 4
    assert [one.draws for one in labelled.paths[0].labels or []] == [2, 2, 2, 4, 0, 0, 0, 0]
    assert [one.soft for one in labelled.paths[0].labels or []] == [None, None, None, 0.0] + [None] * 4
    assert drawn(engine) == list(LONG[:4])
    assert tally.counts["rollouts"] == 10


def test_all_live_and_all_dead_paths_and_paths_without_steps() -> None:
    problem, engine = long_problem(8)
    labelled, _ = label("first-error", problem, engine, k=4)
    assert kinds(labelled) == [("drawn", True)] * 8
    problem, engine = long_problem(0)
    labelled, tally = label("first-error", problem, engine, k=4)
    assert kinds(labelled) == [("drawn", False)] + [("after-dead", False)] * 7
    assert tally.counts["rollouts"] == 4
    for name in STRATEGIES:
        empty = chain_problem(paths=[path(0), path(1, correct=True)])
        labelled, tally = label(name, empty, pattern_engine({}), k=4)
        assert [one.labels for one in labelled.paths] == [[], []]
        assert tally.counts["rollouts"] == 0
        assert label(name, chain_problem(paths=[]), pattern_engine({}), k=4)[0].paths == []


def test_trusted_paths_need_no_draws_and_what_they_share_needs_none_either() -> None:
    astray = PREFIXES[0] + "25-3=22\n"
    paths = [path(0, *GOLD, correct=True), path(1, GOLD[0], "25-3=22", answer="22")]
    for trust in (False, True):
        engine = pattern_engine({**{prefix: [True] * 4 for prefix in PREFIXES}, astray: [False] * 4})
        labelled, tally = label("first-error", chain_problem(paths=paths), engine, k=4, trust_correct=trust)
        how = "trusted" if trust else "drawn"
        assert kinds(labelled) == [(how, True)] * 3
        assert kinds(labelled, 1) == [(how, True), ("drawn", False)]
        assert tally.counts["rollouts"] == (4 if trust else 7)


@pytest.mark.parametrize("name", ["first-error", "exact", "brute"])
def test_first_errors_are_those_of_brute_over_a_noisy_policy(name: str) -> None:
    spent = Counter[str]()
    for problem in chain.problems("train", 8, 4):
        paths, _ = work(Sampler(ScriptedEngine("gold:0.5"), SampleSettings(n=6)), problem)
        for delta in (0, 2):
            brute, full = label("brute", paths, ScriptedEngine("gold:0.3"), k=6, delta=delta)
            short, made = label(name, paths, ScriptedEngine("gold:0.3"), k=6, delta=delta)
            assert errors(short) == errors(brute)
            spent["brute"] += full.counts["rollouts"]
            spent[name] += made.counts["rollouts"]
    assert spent[name] < 0.9 * spent["brute"] or name == "brute"


def errors(problem: Problem) -> list[int]:
    return [first_wrong_step([one.hard is True for one in found.labels or []]) for found in problem.paths]


@pytest.mark.parametrize("budget", range(1, 16))
def test_a_budget_that_ends_half_way_leaves_the_rest_undecided(budget: int) -> None:
    problem, engine = long_problem(3)
    labelled, tally = label("first-error", problem, engine, k=4, budget=budget)
    assert tally.counts["rollouts"] == min(budget, 10)
    full, _ = label("first-error", problem, long_problem(3)[1], k=4)
    for mine, all_of_it in zip(labelled.paths[0].labels or [], full.paths[0].labels or [], strict=True):
        assert mine.rollouts == all_of_it.rollouts[: mine.draws]
        assert mine.hard in (all_of_it.hard, None)
        assert mine.kind in (all_of_it.kind, "undecided")
    assert (kinds(labelled) == kinds(full)) is (budget >= 10)


@pytest.mark.parametrize("name", ["brute", "exact", "first-error", "binary", "mcts"])
def test_no_strategy_exceeds_its_budget_or_labels_otherwise_within_it(name: str) -> None:
    for problem in chain.problems("train", 3, 5):
        paths, _ = work(Sampler(ScriptedEngine("gold:0.5"), SampleSettings(n=5)), problem)
        for budget in (1, 9, 30):
            labelled, tally = label(name, paths, ScriptedEngine("gold:0.4"), k=4, budget=budget)
            again, _ = label(name, paths, ScriptedEngine("gold:0.4"), k=4, budget=budget)
            assert tally.counts["rollouts"] <= budget
            assert labelled == again
            assert all(len(one.labels or []) == len(one.steps) for one in labelled.paths)


def test_equal_prefixes_of_two_paths_have_equal_labels() -> None:
    rows = [LONG, (*LONG[:5], "5+9=14", "14+1=15")]
    patterns = {prefix_of(row, j): [j < 2] * 4 for row in rows for j in range(len(row))}
    paths = [path(i, *row, answer="75") for i, row in enumerate(rows)]
    labelled, tally = label("first-error", chain_problem(paths=paths), pattern_engine(patterns), k=4)
    first, second = ([one.model_dump() for one in found.labels or []] for found in labelled.paths)
    assert first[:5] == second[:5]
    assert tally.counts["prefixes rolled out"] == 3
