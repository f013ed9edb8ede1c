"""Right rollouts become paths, each reasoning once; and only the right paths may be labelled."""

from __future__ import annotations

from typing import Any

import pytest

from evals.errors import UsageError
from evals.records import Problem
from evals.tasks import check_paths
from stages.engines.base import Draw, Request
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from stages.strategies.run_budget import most_draws
from tests.stages.fakes import Written, chain_problem, path, work
from tests.stages.strategies.truth import GOLD

WRITTEN = {
    "40-15=25\n": ["25*3=75\n75+1=76\nThe answer is 76", "25+51=76\nThe answer is 76", "25+1=26\nThe answer is 26"],
    "40-15=25\n25*3=75\n": ["The answer is 76", "75+1=76\nThe answer is 76", "75+0=75\nThe answer is 75"],
    "40*2=80\n": ["80-4=76\nThe answer is 76", "80-4=76\nThe answer is 76", "75+1=76\nThe answer is 7"],
}


def writer() -> Written:
    """An engine that writes those texts from each prefix, whatever the seed."""
    order: dict[str, int] = {}

    def write(request: Request, draw: Draw) -> str:
        order[request.prefix] = order.get(request.prefix, -1) + 1
        return WRITTEN.get(request.prefix, ["The answer is 1"] * 3)[order[request.prefix]]

    return Written(write)


def simulated(problem: Problem, **options: Any) -> tuple[Problem, dict[str, int], Written]:
    engine = writer()
    settings = SimulateSettings(**{"k": 3, "strategy": "brute", "gold": False, **options})
    made, counts = work(Simulation(engine, settings), problem)
    return made, counts, engine


def two() -> Problem:
    """A right path, and a wrong one that shares no step with it."""
    return chain_problem(
        paths=[path(0, *GOLD[:2], answer="76", correct=True, round=2), path(1, "40*2=80", answer="80")]
    )


def test_right_rollouts_become_paths_each_reasoning_once() -> None:
    problem, counts, _ = simulated(two(), harvest=True)
    new = problem.paths[2:]
    assert [(one.id, one.steps) for one in new] == [
        ("c#h0", list(GOLD)),
        ("c#h1", ["40-15=25", "25+51=76"]),
        ("c#h2", ["40*2=80", "80-4=76"]),
    ]
    assert {(one.source, one.round, one.correct, one.answer, one.labels is None) for one in new} == {
        ("rollout", 2, True, "76", True)
    }
    assert counts["right rollouts that became paths"] == 3
    assert counts["right rollouts left out: same reasoning"] == 3, "a path of the line, and two rollouts of others"
    check_paths(problem)
    again, counts, _ = simulated(problem, harvest=True)
    assert len({one.id for one in again.paths}) == len(again.paths)


def test_without_being_asked_no_path_is_added_and_labels_are_the_same() -> None:
    plain, counts, _ = simulated(two())
    rich, _, _ = simulated(two(), harvest=True)
    assert rich.paths[:2] == plain.paths
    assert not [name for name in counts if name.startswith("right rollouts")]


def test_only_right_paths_are_labelled_and_the_others_counted() -> None:
    problem, counts, engine = simulated(two(), only_right=True)
    assert [one.labels is None for one in problem.paths] == [False, True]
    assert counts["paths left unlabelled: answer not right"] == 1
    assert counts["paths labelled"] == 1
    assert {request.prefix for request in engine.asked} == {"40-15=25\n", "40-15=25\n25*3=75\n"}
    assert most_draws(two(), SimulateSettings(k=3, only_right=True)) == 6
    stage = Simulation(writer(), SimulateSettings(k=3, only_right=True))
    assert stage.estimate(two())["rollouts, at most"] == 6
    later, _, _ = simulated(problem)
    assert [one.labels is None for one in later.paths] == [False, False], "the others can be labelled later"


@pytest.mark.parametrize("other", [{"trust_correct": True}, {"strategy": "mcts"}])
def test_only_right_refuses_what_contradicts_it(other: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="only-right"):
        SimulateSettings(only_right=True, **other)
