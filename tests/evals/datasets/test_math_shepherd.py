"""Math-Shepherd's format: the published example in both of its spellings, and rows of another shape."""

from __future__ import annotations

from typing import Any

import pytest

from evals.datasets.math_shepherd import TAG, problem
from evals.errors import DataError

QUESTION = "If Buzz bought a pizza with 78 slices, what's twenty less the number of slices that the waiter ate?"
STEPS = [
    "Step 1: The total ratio representing the pizza is 5+8 = <<5+8=13>>13.",
    "Step 2: The waiter ate 13 x 8 / 13 = <<13*8/13=6>>6 slices of the pizza.",
    "Step 3: 20 less than 72 is 72 - 20 = 52. The answer is: 52",
]


def row(
    verdicts: str = "+--", *, mark: str = "", between: str = "\n", tail: str = "", **changes: Any
) -> dict[str, Any]:
    """A published row; `mark` stands behind each tag of `input`, and the tags stay in `label` with it."""
    tagged = between.join(f"{step} {TAG}{mark}" for step in STEPS)
    tag = f"{TAG} " if mark else ""
    labelled = between.join(f"{step} {tag}{verdict}" for step, verdict in zip(STEPS, verdicts, strict=True))
    return {"input": f"{QUESTION} {tagged}{tail}", "label": f"{QUESTION} {labelled}", "task": "GSM8K", **changes}


@pytest.mark.parametrize(
    "form", [{}, {"mark": " ?"}, {"between": " \n\n"}, {"tail": "\n"}, {"mark": " ?", "between": " \n\n"}]
)
@pytest.mark.parametrize("verdicts", ["+--", "+++", "---", "-+-"])
def test_a_row_becomes_a_labelled_path(form: dict[str, str], verdicts: str) -> None:
    made = problem(row(verdicts, **form), 0)
    (path,) = made.paths
    assert (made.id, made.task, made.question) == ("math-shepherd/0", "gsm8k", QUESTION)
    assert path.steps == STEPS
    assert path.text == "\n".join(STEPS)
    assert path.split == "given", "the last step states the answer and keeps its label"
    assert [label.hard for label in path.labels or []] == [verdict == "+" for verdict in verdicts]
    assert {(label.draws, label.soft) for label in path.labels or []} == {(0, None)}, "no share is made up"
    assert path.correct is (verdicts[-1] == "+")
    assert path.answer == "52"


def test_a_step_may_begin_or_end_with_a_sign() -> None:
    text = f"q Step 1: 5 - 2 = 3 + {TAG}\nStep 2: -3 {TAG}"
    label = "q Step 1: 5 - 2 = 3 + -\nStep 2: -3 +"
    made = problem({"input": text, "label": label, "task": "MATH"}, 0)
    assert made.task == "math"
    assert made.paths[0].steps == ["Step 1: 5 - 2 = 3 +", "Step 2: -3"]
    assert [label.hard for label in made.paths[0].labels or []] == [False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": None}, "label: must be a text"),
        ({"input": "q Step 1: a"}, "input: no step is marked"),
        ({"input": f"q a {TAG}"}, "input: no `Step 1:`"),
        ({"input": f"Step 1: a {TAG}"}, "input: the question is empty"),
        ({"input": f"q Step 1: a {TAG} more"}, "input: text after the last mark: 'more'"),
        ({"input": f"q Step 1: a {TAG}{TAG}"}, "input: a step is empty"),
        ({"label": "q Step 1: other +"}, "label: is not the text of input"),
        ({"label": row()["label"].rpartition(" ")[0]}, "label: no \\+ or - after step 2"),
        ({"label": row()["label"].replace("Step 2: The", "Step 2: A")}, "label: step 1 is not that of input"),
        ({"label": row()["label"] + " and"}, "label: text after the last step: 'and'"),
    ],
)
def test_a_row_of_another_shape_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        problem(row(**changes), 1)
