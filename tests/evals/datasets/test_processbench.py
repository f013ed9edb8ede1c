"""ProcessBench: the published lines, F1 against hand-computed cases, and the threshold against every threshold."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.datasets.processbench import Item, best_threshold, first_below, measured, problem
from evals.errors import DataError
from evals.metrics import wilson
from evals.records import Problem
from evals.tasks import task_of
from evals.tasks.base import split_of
from tests.data import need, need_whole

ROW = {
    "id": "gsm8k-7", "generator": "G", "problem": "2+3?", "steps": ["First,\nadd.", "It is 6."], "label": 1,
    "final_answer_correct": False,
}  # fmt: skip


def test_the_published_lines_become_problems_whose_steps_are_theirs() -> None:
    rows = json.loads(need("processbench/gsm8k.json").read_text(encoding="utf-8"))
    found = [problem(row) for row in rows]
    assert len({made.id for made in found}) == len(found)
    for row, made in zip(rows, found, strict=True):
        again = Problem.from_row(json.loads(made.to_json()))
        (path,) = again.paths
        assert path.steps == row["steps"]
        assert (path.first_error, path.correct) == (row["label"], row["final_answer_correct"])
        split = split_of(task_of(again), path)
        assert [path.text[:end].endswith(step) for step, end in zip(split.steps, split.ends, strict=True)]
    assert any("\n" in step for made in found for step in made.paths[0].steps), "steps of several lines"


def test_the_whole_file_has_207_items_with_a_wrong_step_and_193_without() -> None:
    rows = json.loads(need_whole("processbench/gsm8k.json").read_text(encoding="utf-8"))
    errors = [problem(row).paths[0].first_error for row in rows]
    assert (len(errors), errors.count(-1)) == (400, 193)


def test_one_line_in_full() -> None:
    assert json.loads(problem(ROW).to_json()) == {
        "id": "processbench/gsm8k-7", "task": "gsm8k", "question": "2+3?", "generator": "G",
        "paths": [
            {
                "id": "processbench/gsm8k-7#0", "text": "First,\nadd.\n\nIt is 6.", "split": "given",
                "steps": ["First,\nadd.", "It is 6."], "first_error": 1, "correct": False,
            }
        ],
    }  # fmt: skip
    assert problem({**ROW, "id": "olympiadbench-3"}).task == "math"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": 2}, "first_error \\(2\\) is beyond the last of 2 steps"),
        ({"label": -2}, "first_error"),
        ({"label": True}, "label: missing"),
        ({"label": "1"}, "label: missing"),
        ({"steps": []}, "steps: must be texts"),
        ({"steps": ["a", " "]}, "steps: must be texts"),
        ({"problem": None}, "problem: missing"),
        ({"problem": ""}, "question: "),
    ],
)
def test_a_row_of_another_shape_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"^(paths\.0[.:] ?)?{message}"):
        problem({**ROW, **changes})


def test_f1_by_hand() -> None:
    """With 0.5: wrong items guessed 1 (right), 0 (wrong), -1 (wrong); clean items guessed -1, -1, 0, -1."""
    items = [
        Item([0.9, 0.1, 0.8], 1), Item([0.4, 0.1, 0.1], 2), Item([0.9, 0.9], 0),
        Item([0.6], -1), Item([0.5, 0.7], -1), Item([0.49, 0.9], -1), Item([1.0], -1),
    ]  # fmt: skip
    assert [first_below(item.scores, 0.5) for item in items] == [1, 0, -1, -1, -1, 0, -1]
    found = measured(items, 0.5)
    assert found["acc_err"] == {"right": 1, "n": 3, "rate": 1 / 3, "low": wilson(1, 3)[0], "high": wilson(1, 3)[1]}
    assert (found["acc_ok"]["right"], found["acc_ok"]["n"]) == (3, 4)
    a, b = 1 / 3, 3 / 4
    f1 = 2 * a * b / (a + b)
    assert found["f1"]["rate"] == pytest.approx(f1)
    # The interval: each rate's own end moves F1 by so much; the root of the summed squares moves it by both.
    (la, ha), (lb, hb) = wilson(1, 3), wilson(3, 4)
    low = f1 - math.hypot(f1 - 2 * la * b / (la + b), f1 - 2 * a * lb / (a + lb))
    high = f1 + math.hypot(2 * ha * b / (ha + b) - f1, 2 * a * hb / (a + hb) - f1)
    assert (found["f1"]["low"], found["f1"]["high"]) == pytest.approx((max(0, low), min(1, high)))


def test_without_one_kind_of_items_there_is_no_f1() -> None:
    found = measured([Item([0.2], 0)], 0.5)
    assert (found["acc_err"]["rate"], found["acc_ok"], found["f1"]) == (1.0, None, None)
    assert measured([Item([0.2], 0), Item([0.2], -1)], 0.5)["f1"]["rate"] == 0.0
    with pytest.raises(DataError, match="items with a wrong step and items without one"):
        best_threshold([Item([0.2], 0)])


SCORES = st.lists(st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1)), min_size=1, max_size=5)
ITEMS = st.lists(SCORES.flatmap(lambda s: st.builds(Item, st.just(s), st.integers(-1, len(s) - 1))), max_size=12)


@settings(max_examples=200, deadline=None)
@given(ITEMS, SCORES, SCORES)
def test_no_threshold_is_better_than_the_chosen_one(items: list[Item], wrong: list[float], clean: list[float]) -> None:
    items = [*items, Item(wrong, len(wrong) - 1), Item(clean, -1)]
    chosen = measured(items, best_threshold(items))["f1"]["rate"]
    ends = sorted({0.0, 1.0, *(score for item in items for score in item.scores)})
    for low, high in itertools.pairwise(ends):
        for threshold in ((low + high) / 2, high):
            assert measured(items, threshold)["f1"]["rate"] <= chosen + 1e-12


def test_two_scores_with_no_number_between_them_are_told_apart() -> None:
    above = math.nextafter(0.0, 1.0)
    assert best_threshold([Item([0.0], 0), Item([above], -1)]) == above
    assert measured([Item([0.0], 0), Item([above], -1)], above)["f1"]["rate"] == 1.0


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_taken() -> None:
    assert best_threshold([Item([0.2], 0), Item([0.8], -1)]) == 0.5
    assert best_threshold([Item([0.9], 0), Item([0.95], -1)]) == pytest.approx(0.925)


def test_a_perfect_and_a_blind_scorer_on_the_published_lines() -> None:
    rows = json.loads(need("processbench/gsm8k.json").read_text(encoding="utf-8"))
    paths = [problem(row).paths[0] for row in rows]
    perfect = [
        Item([0.1 if j == p.first_error else 0.9 for j in range(len(p.steps))], p.first_error or 0) for p in paths
    ]
    assert measured(perfect, best_threshold(perfect))["f1"]["rate"] == 1.0
    trusting = measured([Item([0.9] * len(path.steps), path.first_error or 0) for path in paths], 0.5)
    assert (trusting["acc_err"]["rate"], trusting["acc_ok"]["rate"], trusting["f1"]["rate"]) == (0.0, 1.0, 0.0)
    without = sum(path.first_error == -1 for path in paths)
    assert (trusting["acc_err"]["n"], trusting["acc_ok"]["n"]) == (len(paths) - without, without)
    first = measured([Item([0.1] * len(path.steps), path.first_error or 0) for path in paths], 0.5)
    assert first["acc_err"]["right"] == sum(path.first_error == 0 for path in paths)
