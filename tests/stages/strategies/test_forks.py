"""Rollouts of the bare question, and the texts that are kept where wrong paths leave the right one."""

from __future__ import annotations

from typing import Any

import pytest

from evals.records import Problem
from evals.worlds import chain
from stages.engines.base import Draw, Request
from stages.engines.scripted.engine import ScriptedEngine
from stages.sample import Sampler
from stages.seeds import seed_of
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from stages.strategies import STRATEGIES
from stages.strategies.run_budget import most_draws
from tests.stages.fakes import Written, chain_problem, path, work
from tests.stages.strategies.truth import GOLD, PREFIXES

ASTRAY = PREFIXES[0] + "25*2=50\n"
LOST = "40+15=55\n"
PATTERNS = {
    "": [True, False, True, True],
    PREFIXES[0]: [False, True, True, True],
    ASTRAY: [False] * 4,
    ASTRAY + "50+1=51\n": [False] * 4,
    LOST: [False] * 4,
}
WRONG = [
    path(0, GOLD[0], "25*2=50", "50+1=51", answer="51"),
    path(1, "40+15=55", answer="55"),
    path(2, GOLD[0], "25*2=50", answer="50"),
]


def simulated(problem: Problem, **settings: Any) -> tuple[Problem, Any, Written]:
    """Draw i of a prefix is right where its pattern says so, and says which draw it is."""
    known = {
        (prefix, seed_of("simulate", "c", 0, [prefix, i])): (i, hit)
        for prefix, pattern in PATTERNS.items() for i, hit in enumerate(pattern)
    }  # fmt: skip

    def write(request: Request, draw: Draw) -> str:
        number, hit = known[request.prefix, draw.seed]
        return f"draw {number}\nThe answer is {76 if hit else 7}"

    engine = Written(write)
    how = SimulateSettings(**{"k": 4, "gold": False, **settings})
    problem, counts = work(Simulation(engine, how), problem.model_copy(deep=True))
    return problem, counts, engine


def texts(label: Any) -> list[str | None]:
    return [rollout.text and rollout.text.splitlines()[0] for rollout in label.rollouts]


def test_the_question_is_rolled_out_once_and_the_labels_stay_what_they_were() -> None:
    problem = chain_problem(paths=WRONG)
    plain, before, _ = simulated(problem, strategy="exact")
    rolled, counts, engine = simulated(problem, strategy="exact", root=True)
    assert plain.root is None
    assert '"root"' not in plain.to_json()
    assert rolled.root is not None
    assert (rolled.root.draws, rolled.root.hits, rolled.root.hard, texts(rolled.root)) == (1, 1, True, [None])
    assert [one.to_json() for one in rolled.paths] == [one.to_json() for one in plain.paths]
    assert [request.prefix for request in engine.asked].count("") == 1
    assert counts["rollouts"] == before["rollouts"] + 1
    assert counts["questions rolled out"] == 1
    for kind in ("unique prefixes", "every prefix"):
        assert counts[f"brute rollouts, {kind}"] == before[f"brute rollouts, {kind}"] + 4
    again, counts, engine = simulated(Problem.model_validate_json(rolled.to_json()), strategy="exact", root=True)
    assert (again.to_json(), engine.asked) == (rolled.to_json(), []), "a question that has a label keeps it"
    assert simulated(problem, strategy="brute", root=True)[0].root.soft == 0.75  # type: ignore[union-attr]  # it was asked for


@pytest.mark.parametrize(
    ("settings", "step", "root"),
    [
        ({"strategy": "first-error", "keep_forks": 2}, [None, "draw 1"], ["draw 0"]),
        ({"strategy": "brute", "keep_forks": 1}, [None, "draw 1", None, None], ["draw 0", None, None, None]),
        ({"strategy": "brute", "keep_forks": 2}, [None, "draw 1", "draw 2", None], ["draw 0", None, "draw 2", None]),
        ({"strategy": "brute", "keep_forks": 0}, [None] * 4, [None] * 4),
    ],
)
def test_the_first_right_rollouts_are_kept_where_a_wrong_path_leaves(
    settings: dict[str, Any], step: list[str | None], root: list[str | None]
) -> None:
    problem, counts, _ = simulated(chain_problem(paths=WRONG), root=True, **settings)
    for number in (0, 2):
        before, wrong = (problem.paths[number].labels or [])[:2]
        assert texts(before) == step
        assert texts(wrong) == [None] * 4
    assert problem.root is not None
    assert texts(problem.root) == root
    kept = settings["keep_forks"] > 0
    assert counts["wrong paths that fork"] == (3 if kept else 0)
    assert counts["wrong paths that fork, with a right rollout kept"] == (3 if kept else 0)


def test_nothing_is_kept_of_steps_where_no_wrong_path_leaves() -> None:
    right = path(0, *GOLD, correct=True)
    lived = {**path(1, GOLD[0], answer="25")}
    engine = ScriptedEngine("gold:1.0")
    settings = SimulateSettings(k=2, keep_forks=3, root=True, gold=False, strategy="brute")
    problem, counts = work(Simulation(engine, settings), chain_problem(paths=[right, lived]))
    assert [rollout.text for one in problem.paths for label in one.labels or [] for rollout in label.rollouts] == (
        [None] * 8
    )
    assert problem.root is not None
    assert None not in texts(problem.root), "a path of a later round may leave from the question"
    assert counts["wrong paths that fork"] == 0
    without, counts, _ = simulated(chain_problem(paths=WRONG[1:2]), keep_forks=1)
    assert without.root is None
    assert (counts["wrong paths that fork"], counts["wrong paths that fork, with a right rollout kept"]) == (1, 0)


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - {"prm-guided"}))
def test_labels_do_not_depend_on_what_is_kept_under_any_strategy(name: str) -> None:
    (problem,) = chain.problems("train", 1, 5)
    sampled, _ = work(Sampler(ScriptedEngine("gold:0.5"), SampleSettings(n=6)), problem)
    made = []
    for more in ({}, {"root": True, "keep_forks": 2}):
        settings = SimulateSettings(strategy=name, k=3, budget=30, **more)  # type: ignore[arg-type]  # any settings
        line = sampled.model_copy(deep=True)
        done, counts = work(Simulation(ScriptedEngine("gold:0.5"), settings), line)
        assert counts["rollouts"] <= most_draws(sampled, settings) <= 30
        made.append([[(one.draws, one.hits, one.inferred) for one in p.labels or []] for p in done.paths])
    assert made[0] == made[1]


def test_a_budget_covers_the_question_too() -> None:
    problem = chain_problem(paths=[path(0, *GOLD)])
    assert most_draws(problem, SimulateSettings(k=4, root=True)) == 16
    assert Simulation(ScriptedEngine("gold:1.0"), SimulateSettings(k=4, root=True)).estimate(problem) == {
        "steps": 3, "prefixes": 4, "rollouts, at most": 16,
    }  # fmt: skip
    spent = SimulateSettings(k=4, budget=4, root=True, gold=False)
    done, counts = work(Simulation(ScriptedEngine("gold:0.0"), spent), problem)
    assert done.root is not None
    assert (done.root.draws, done.root.hard, counts["rollouts"]) == (0, None, 4)
