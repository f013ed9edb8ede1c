"""`mcts`: OmegaPRM's tree over scripted rollouts, its choices, and the paths it leaves."""

from __future__ import annotations

import math

import pytest

from evals.records import Problem
from evals.tasks import check_paths
from stages.engines.base import Draw, Request
from stages.seeds import seed_of
from stages.settings.simulate import TreeSettings
from stages.strategies.tree import Candidate, State, Tree
from tests.stages.fakes import Written, chain_problem, path
from tests.stages.strategies.truth import GOLD, LONG, kinds, label, long_problem, prefix_of


def test_the_next_rollout_has_the_highest_published_value() -> None:
    tree = Tree(TreeSettings(), [State("", None, 4, 1), State("a\n", 0, 8, 6, visits=3), State("b\n", 0, 8, 6)])
    tree.pool = [Candidate(0, 0, 100), Candidate(1, 1, 100), Candidate(2, 2, 400), Candidate(2, 3, 100)]
    by_hand = [
        0.5 ** (1 - 1 / 4) * 0.9 ** (100 / 500) + 0.125 * math.sqrt(3) / 1,
        0.5 ** (1 - 6 / 8) * 0.9 ** (100 / 500) + 0.125 * math.sqrt(3) / 4,
        0.5 ** (1 - 6 / 8) * 0.9 ** (400 / 500) + 0.125 * math.sqrt(3) / 1,
        0.5 ** (1 - 6 / 8) * 0.9 ** (100 / 500) + 0.125 * math.sqrt(3) / 1,
    ]
    assert [tree.worth(candidate) for candidate in tree.pool] == pytest.approx(by_hand)
    chosen = tree.choose()
    assert chosen is not None
    assert chosen[0].path == 3
    assert chosen[1] == pytest.approx(max(by_hand))
    assert tree.states[2].visits == 1
    other = Tree(TreeSettings(tree_alpha=1.0, tree_beta=1.0, c_puct=0.0), tree.states, tree.pool)
    assert {other.worth(candidate) for candidate in other.pool} == {1.0}, "every constant is a setting"
    assert Tree(TreeSettings(searches=0), tree.states, tree.pool).choose() is None


def branching(lives: int, k: int = 4) -> tuple[Problem, Written]:
    """A long wrong path, live up to a step; its live prefixes have one right rollout, the others end each in a way of
    its own after one more step."""
    problem, _ = long_problem(lives)

    def write(request: Request, draw: Draw) -> str:
        depth = request.prefix.count("\n")
        number = next(i for i in range(k) if draw.seed == seed_of("simulate", "c", 0, [request.prefix, i]))
        live = all(a == b for a, b in zip(request.prefix.splitlines(), LONG, strict=False)) and depth <= lives
        return f"9+{number}={9 + number}\nThe answer is {76 if live and number == 1 else 70 + number}"

    return problem, Written(write)


def test_states_are_drawn_in_full_and_their_rollouts_become_searched_paths() -> None:
    problem, engine = branching(3)
    labelled, tally = label("mcts", problem, engine, k=4)
    first, *rest = labelled.paths
    assert [hard for _, hard in kinds(labelled)] == [True] * 3 + [False] * 5
    drawn = [one for one in first.labels or [] if one.kind == "drawn"]
    assert all(one.draws == one.k and one.soft is not None for one in drawn)
    assert labelled.tree is not None
    states = labelled.tree.states
    assert states[0].prefix == ""
    assert states[0].parent is None
    assert all(states[state.parent or 0].prefix == state.prefix[: len(states[state.parent or 0].prefix)]
               for state in states)  # fmt: skip
    assert {one.source for one in rest} == {"tree"}
    assert len(rest) == tally.counts["tree paths"] == 4 * (len(states) - 1)
    assert len({one.id for one in labelled.paths}) == len(labelled.paths)
    assert len({one.text for one in labelled.paths}) == len(labelled.paths)
    assert labelled.tree.searches[0].path == "c#0"
    assert labelled.tree.searches[0].first_error == 3
    assert sum(state.visits for state in states) == len(labelled.tree.searches) == tally.counts["tree searches"]
    searched = {search.path for search in labelled.tree.searches}
    for one in rest:
        assert one.correct is (one.text.endswith("76"))
        if one.id in searched:
            assert None not in [step.hard for step in one.labels or []]
    check_paths(labelled)
    assert Problem.model_validate_json(labelled.to_json()) == labelled
    assert '"text":null' not in labelled.to_json()


def test_only_states_that_are_neither_dead_nor_sure_are_searched_further() -> None:
    problem, engine = branching(0)
    labelled, tally = label("mcts", problem, engine, k=4)
    assert labelled.tree is not None
    assert [search.state for search in labelled.tree.searches] == [0], "no rollout of a dead state enters the pool"
    assert tally.counts["tree rollouts left in the pool"] == 0
    problem, engine = branching(3)
    labelled, tally = label("mcts", problem, engine, k=4, tree=TreeSettings(searches=1))
    assert labelled.tree is not None
    assert len(labelled.tree.searches) == 1
    assert tally.counts["tree rollouts left in the pool"] > 0


def test_all_paths_of_a_problem_share_the_states() -> None:
    rows = [LONG, (*LONG[:7], "7+9=16")]
    _, engine = branching(3)
    paths = [path(i, *row, answer="75") for i, row in enumerate(rows)]
    labelled, _ = label("mcts", chain_problem(paths=paths), engine, k=4, tree=TreeSettings(searches=2, tree_alpha=0.01))
    assert set(engine.handed.values()) == {1}
    assert labelled.tree is not None
    prefixes = [state.prefix for state in labelled.tree.states]
    assert len(prefixes) == len(set(prefixes))
    shared = prefix_of(LONG, 3)
    both = [one.labels[3] for one in labelled.paths[:2] if one.labels]
    assert shared in prefixes
    assert both[0] == both[1]


def test_right_paths_are_checked_at_their_last_step_and_the_budget_ends_the_search() -> None:
    problem = chain_problem(paths=[path(0, *GOLD, correct=True)])
    engine = Written(lambda request, draw: "The answer is 76")
    labelled, tally = label("mcts", problem, engine, k=4)
    assert kinds(labelled) == [("before-live", True)] * 2 + [("drawn", True)]
    assert tally.counts["tree rollouts that repeat a path"] == 4
    engine = Written(lambda request, draw: f"{draw.seed}+1={draw.seed + 1}\nThe answer is 76")
    labelled, tally = label("mcts", problem, engine, k=4)
    assert tally.counts["tree paths"] == tally.counts["rollouts"] == 4, "right rollouts are not searched in their turn"
    problem, engine = branching(3)
    labelled, tally = label("mcts", problem, engine, k=4, budget=6)
    assert tally.counts["rollouts"] == 6
    assert labelled.tree is not None
    assert labelled.tree.searches[-1].first_error is None
    assert ("undecided", None) in kinds(labelled)
