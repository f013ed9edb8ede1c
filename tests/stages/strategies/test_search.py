"""The strategies that jump: binary search, and a reward model's guess."""

from __future__ import annotations

import math
from typing import Any

import pytest

from evals.errors import DataError
from stages.settings.simulate import SimulateSettings
from stages.simulate import check_scores
from tests.stages.fakes import chain_problem, path
from tests.stages.strategies.truth import LONG, drawn, kinds, label, long_problem, pattern_engine, prefix_of


@pytest.mark.parametrize("lives", range(9))
def test_binary_search_finds_every_first_error_in_log_many_prefixes(lives: int) -> None:
    problem, engine = long_problem(lives)
    labelled, tally = label("binary", problem, engine, k=4)
    assert [hard for _, hard in kinds(labelled)] == [True] * lives + [False] * (8 - lives)
    assert {kind for kind, _ in kinds(labelled)[:lives]} <= {"drawn", "before-live"}
    assert {kind for kind, _ in kinds(labelled)[lives + 1 :]} <= {"drawn", "after-dead"}
    assert tally.counts["prefixes rolled out"] <= math.ceil(math.log2(9))
    if lives < 8:
        assert kinds(labelled)[lives][0] == "drawn", "the first wrong step is never inferred"


def test_a_right_answer_is_searched_only_if_its_last_step_is_dead() -> None:
    problem, engine = long_problem(8, right=True)
    labelled, _ = label("binary", problem, engine, k=4)
    assert kinds(labelled) == [("before-live", True)] * 7 + [("drawn", True)]
    assert drawn(engine) == [LONG[7]]
    problem, engine = long_problem(3, right=True)
    labelled, _ = label("binary", problem, engine, k=4)
    assert [hard for _, hard in kinds(labelled)] == [True] * 3 + [False] * 5
    problem, engine = long_problem(3, right=True)
    labelled, _ = label("binary", problem, engine, k=4, trust_correct=True)
    assert kinds(labelled) == [("trusted", True)] * 8
    assert not engine.asked


def test_what_one_path_shows_the_next_one_knows() -> None:
    rows = [LONG, (*LONG[:7], "7+9=16")]
    patterns = {prefix_of(row, j): [j < 5] * 4 for row in rows for j in range(8)}
    paths = [path(i, *row, answer="75") for i, row in enumerate(rows)]
    engine = pattern_engine(patterns)
    labelled, _ = label("binary", chain_problem(paths=paths), engine, k=4)
    assert len(drawn(engine)) == 3, "the second path's first error is known from the first's"
    assert [hard for _, hard in kinds(labelled, 1)] == [True] * 5 + [False] * 3


def test_where_reach_comes_back_the_drawn_labels_stand() -> None:
    patterns = {prefix_of(LONG, j): [j != 2] * 4 for j in range(8)}  # dead at step 2 only
    problem = chain_problem(paths=[path(0, *LONG, answer="75")])
    labelled, _ = label("binary", problem, pattern_engine(patterns), k=4)
    assert [hard for _, hard in kinds(labelled)] == [True] * 8, "binary search never sees the dead step"
    labelled, _ = label("first-error", problem, pattern_engine(patterns), k=4)
    assert [hard for _, hard in kinds(labelled)] == [True, True] + [False] * 6


def guided(lives: int, scores: list[float], **options: Any) -> tuple[list[tuple[str, bool | None]], list[str]]:
    problem, engine = long_problem(lives)
    problem.paths[0] = problem.paths[0].model_validate(
        problem.paths[0].model_dump(exclude_unset=True)
        | {"scores": {"mine": {"steps": scores, "mean": 0.5, "min": 0.0, "product": 0.0, "last": 0.0}}}
    )
    labelled, _ = label("prm-guided", problem, engine, k=4, name="mine", **options)
    return kinds(labelled), drawn(engine)


def test_a_good_guess_takes_two_prefixes() -> None:
    found, asked = guided(3, [0.9, 0.9, 0.8, 0.2, 0.1, 0.3, 0.1, 0.1])
    assert found == [("before-live", True)] * 2 + [("drawn", True), ("drawn", False)] + [("after-dead", False)] * 4
    assert asked == [LONG[2], LONG[3]]
    found, asked = guided(0, [0.1, 0.1, 0.2, 0.2, 0.1, 0.3, 0.1, 0.1])
    assert found == [("drawn", False)] + [("after-dead", False)] * 7
    assert asked == [LONG[0]]


def test_a_bad_guess_leaves_the_far_side_undecided_or_walks_on() -> None:
    early, late = [0.9, 0.1, *[0.1] * 6], [*[0.9] * 6, 0.1, 0.1]
    assert guided(4, early)[0] == [("drawn", True)] * 2 + [("undecided", None)] * 6
    assert guided(4, late)[0] == [("undecided", None)] * 5 + [("drawn", False)] + [("after-dead", False)] * 2
    for scores in (early, late):
        found, _ = guided(4, scores, walk_on=True)
        assert [hard for _, hard in found] == [True] * 4 + [False] * 4
        assert found[4][0] == "drawn"
    assert guided(0, late, walk_on=True)[0] == [("drawn", False)] * 6 + [("after-dead", False)] * 2
    assert guided(8, early, walk_on=True)[0] == [("drawn", True)] * 8


def test_paths_without_the_scores_are_bad_lines() -> None:
    problem, _ = long_problem(3)
    settings = SimulateSettings(strategy="prm-guided", name="mine")
    with pytest.raises(DataError, match=r"paths\.0\.scores\.mine: missing"):
        check_scores(problem, settings)
    check_scores(problem, SimulateSettings())
    check_scores(long_problem(3, right=True)[0], settings)
