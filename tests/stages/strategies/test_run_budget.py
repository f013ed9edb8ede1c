"""A run's budget: reserved in input order, never exceeded, the same whatever the shard or the attempt."""

from __future__ import annotations

from stages.engines.scripted.engine import ScriptedEngine
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from stages.strategies.run_budget import RunBudget, most_draws
from tests.stages.fakes import chain_problem, path, work
from tests.stages.strategies.truth import GOLD


def test_a_problem_reserves_the_most_it_may_draw() -> None:
    three = chain_problem(paths=[path(0, *GOLD), path(1, *GOLD[:2]), path(2, GOLD[0], "25-3=22")])
    assert most_draws(three, SimulateSettings(k=4)) == 16
    assert most_draws(three, SimulateSettings(k=4, budget=5)) == 5
    assert most_draws(three, SimulateSettings(k=4, share=0.0)) == 0
    assert most_draws(three, SimulateSettings(strategy="mcts", budget=7)) == 7


def test_problems_are_covered_in_input_order_until_one_does_not_fit() -> None:
    settings = SimulateSettings(k=4, run_budget=30)
    run_budget = RunBudget(settings)
    lines = [chain_problem(id=f"c{i}", paths=[path(0, *GOLD[:steps])]) for i, steps in enumerate((3, 2, 0, 3, 1))]
    for line in lines:
        run_budget.check(line)
        run_budget.check(line)  # a line read twice, or an id that stands twice, reserves once
    assert [run_budget.covers(line) for line in lines] == [True, True, True, False, False]
    assert run_budget.covers(lines[0]), "as often as asked"
    everything = RunBudget(SimulateSettings(k=4))
    assert all(everything.covers(line) for line in lines)


def test_what_is_not_covered_is_left_unlabelled_and_counted() -> None:
    settings = SimulateSettings(k=4, run_budget=12, gold=False)
    run_budget = RunBudget(settings)
    lines = [chain_problem(id=f"c{i}", paths=[path(0, *GOLD)]) for i in range(3)]
    for line in lines:
        run_budget.check(line)
    done = [work(Simulation(ScriptedEngine("gold:0.0"), settings, run_budget), line) for line in lines]
    assert [line.paths[0].labels is None for line, _ in done] == [False, True, True]
    assert [counts["problems left unlabelled: run budget"] for _, counts in done] == [0, 1, 1]
    assert sum(counts["rollouts"] for _, counts in done) <= 12
