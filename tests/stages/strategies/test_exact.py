"""`exact` against `brute`: the same hard labels from the beginnings of the same draws."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import UsageError
from evals.worlds import chain
from evals.worlds.truth import true_steps
from stages.engines.scripted.engine import ScriptedEngine
from stages.sample import Sampler
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.strategies import strategy
from tests.stages.fakes import Written, chain_problem, path, work
from tests.stages.strategies.truth import GOLD, PREFIXES, label, pattern_engine


@settings(max_examples=150, deadline=None)
@given(data=st.data(), delta=st.integers(0, 3), beyond=st.integers(1, 6))
def test_exact_gives_the_hard_labels_of_brute_for_every_pattern_of_hits(
    data: st.DataObject, delta: int, beyond: int
) -> None:
    k = delta + beyond
    flips = st.lists(st.booleans(), min_size=k, max_size=k)
    patterns = {prefix: data.draw(flips) for prefix in PREFIXES}
    problem = chain_problem(paths=[path(0, *GOLD)])
    engines = {name: pattern_engine(patterns) for name in ("brute", "exact")}
    brute, _ = label("brute", problem, engines["brute"], k=k, delta=delta)
    exact, tally = label("exact", problem, engines["exact"], k=k, delta=delta)
    for step, prefix in enumerate(PREFIXES):
        full, short = brute.paths[0].labels[step], exact.paths[0].labels[step]  # type: ignore[index]  # both are labelled
        assert full.hard == short.hard == (sum(patterns[prefix]) > delta)
        assert full.soft == sum(patterns[prefix]) / k
        assert full.settled
        assert short.settled
        assert short.draws <= full.draws == k
        assert short.rollouts == full.rollouts[: short.draws], "the draws are the first of brute's"
        assert [rollout.correct for rollout in full.rollouts] == patterns[prefix]
        assert short.hits == sum(rollout.correct for rollout in short.rollouts)
        made = patterns[prefix][: short.draws - 1]
        before = sum(made) > delta or sum(made) + k - len(made) <= delta
        assert not before, "not a draw more than the label takes"
        assert short.soft is None or short.draws == k
    assert engines["exact"].handed.keys() <= engines["brute"].handed.keys()
    drawn = sum(label.draws for label in exact.paths[0].labels or [])
    assert tally.counts["rollouts"] == drawn == sum(engines["exact"].handed.values())


def test_a_delta_that_no_step_can_pass_is_refused() -> None:
    assert SimulateSettings(k=3, delta=2).delta == 2
    with pytest.raises(UsageError, match="no step could be right"):
        SimulateSettings(k=3, delta=3)


@pytest.mark.parametrize("name", ["brute", "exact"])
def test_equal_prefixes_of_one_problem_are_drawn_once(name: str) -> None:
    patterns = {prefix: [j != 1] * 4 for j, prefix in enumerate(PREFIXES)}
    astray = PREFIXES[0] + "25-3=22\n"
    patterns[astray] = [False] * 4
    paths = [path(0, *GOLD), path(1, *GOLD[:2], answer="75"), path(2, GOLD[0], "25-3=22"), path(3, *GOLD)]
    engine = pattern_engine(patterns)
    labelled, tally = label(name, chain_problem(paths=paths), engine, k=4)
    assert set(engine.handed.values()) == {1}
    assert [request.prefix for request in engine.asked] == [*PREFIXES, astray]
    assert all(request.eager is (name == "brute") for request in engine.asked)
    hard = [[step.hard for step in one.labels or []] for one in labelled.paths]
    assert hard == [[True, False, True], [True, False], [True, False], [True, False, True]]
    assert tally.counts["prefixes rolled out"] == 4
    assert labelled.paths[0].labels == labelled.paths[3].labels


@pytest.mark.parametrize("name", ["brute", "exact", "first-error", "binary"])
def test_labels_fit_the_truth_of_the_chain_world(name: str) -> None:
    for problem in chain.problems("train", 4, 2):
        paths, _ = work(Sampler(ScriptedEngine("gold:0.5"), SampleSettings(n=12)), problem)
        labelled, _ = label(name, paths, ScriptedEngine("gold:1.0"), k=4)
        world = (problem.model_extra or {})["world"]
        seen: Counter[bool] = Counter()
        for one in labelled.paths:
            truth = [step == gold for step, gold in zip(one.steps, problem.solution or [], strict=True)]
            first = truth.index(False) if False in truth else len(truth)
            assert [step.hard for step in one.labels or []] == [True] * first + [False] * (len(truth) - first)
            assert true_steps(world, one.steps)[:first] == [True] * first
            seen.update(truth)
        assert seen[True]
        assert seen[False]
        again, _ = label(name, paths, ScriptedEngine("gold:0.4"), k=4)
        for sure, noisy in zip(labelled.paths, again.paths, strict=True):
            assert all(a.hard or not b.hard for a, b in zip(sure.labels or [], noisy.labels or [], strict=True))


def test_exact_and_brute_agree_over_a_noisy_policy_and_exact_costs_less() -> None:
    spent = Counter[str]()
    for problem in chain.problems("train", 10, 4):
        paths, _ = work(Sampler(ScriptedEngine("gold:0.5"), SampleSettings(n=6)), problem)
        for delta in (0, 2):
            found = {}
            for name in ("brute", "exact"):
                labelled, tally = label(name, paths, ScriptedEngine("gold:0.4"), k=8, delta=delta)
                found[name] = [[step.hard for step in one.labels or []] for one in labelled.paths]
                spent[name] += tally.counts["rollouts"]
                spent[f"{name} tokens"] += tally.counts["rollout tokens"]
            assert found["brute"] == found["exact"]
    assert spent["exact"] < 0.95 * spent["brute"]
    assert spent["exact tokens"] < spent["brute tokens"]


def test_each_draw_has_a_temperature_of_its_own_by_its_seed() -> None:
    engines = {}
    for name, options in (("brute", {}), ("exact", {}), ("other", {"seed": 1})):
        engine = engines[name] = Written(lambda request, draw: "The answer is 1")
        label("exact" if name == "exact" else "brute", chain_problem(paths=[path(0, *GOLD)]), engine, k=8,
              temperature=(0.5, 1.3), **options)  # fmt: skip
    seen = engines["brute"].temperatures
    assert len(set(seen.values())) == 24
    assert all(0.5 <= value <= 1.3 for value in seen.values())
    assert max(seen.values()) > 1.1
    assert min(seen.values()) < 0.7
    assert engines["exact"].temperatures.items() <= seen.items()
    assert not engines["other"].temperatures.keys() & seen.keys()


def test_an_unknown_strategy_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match="no strategy 'tree'") as caught:
        strategy("tree")
    assert "brute" in caught.value.advice
