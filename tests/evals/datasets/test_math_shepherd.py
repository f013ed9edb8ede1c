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
    made = problem(row(verdicts, **form), "math-shepherd/0")
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
    made = problem({"input": text, "label": label, "task": "MATH"}, "x")
    assert made.task == "math"
    assert made.paths[0].steps == ["Step 1: 5 - 2 = 3 +", "Step 2: -3"]
    assert [label.hard for label in made.paths[0].labels or []] == [False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": None}, "label: must be a text"),
        ({"input": "q Step 1: a"}, "input: no step is marked"),
        ({"input": f"q a {TAG}", "label": "q a +"}, "input: neither `Step 1:` nor"),
        ({"input": f"Step 1: a {TAG}", "label": "Step 1: a +"}, "input: the question is empty"),
        ({"input": f"q Step 1: a {TAG} more"}, "input: text after the last mark: 'more'"),
        ({"input": f"q Step 1: a {TAG}{TAG}", "label": "q Step 1: a +-"}, "input: a step is empty"),
        ({"label": "q Step 1: other +"}, "label: is not the text of input before mark 0"),
        ({"label": row()["label"].rpartition(" ")[0]}, "label: no \\+ or - after step 2"),
        (
            {"label": row()["label"].replace("Step 2: The", "Step 2: A")},
            "label: is not the text of input before mark 1",
        ),
        ({"label": row()["label"] + " and"}, "label: text after the last step: 'and'"),
    ],
)
def test_a_row_of_another_shape_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        problem(row(**changes), "x")


@pytest.mark.parametrize(
    ("text", "label", "question", "steps", "verdicts"),
    [
        ("How many? step 1: 2 @\nstep 2: 3 @", "How many? step 1: 2 +\nstep 2: 3 -", "How many?",
         ["step 1: 2", "step 2: 3"], [True, False]),
        ("Cy has 2. How many? He has 2. @\nThe answer is: 2 @", "Cy has 2. How many? He has 2. +\nThe answer is: 2 +",
         "Cy has 2. How many?", ["He has 2.", "The answer is: 2"], [True, True]),
        ("A mark @ is here, how many? Step 1: 2 @", "A mark - is here, how many? Step 1: 2 +",
         "A mark is here, how many?", ["Step 1: 2"], [True]),
        ("Round to tens. @ Step 1: 2 @", "Round to tens. + Step 1: 2 -", "Round to tens.", ["Step 1: 2"], [False]),
        ("Do Step 1: mix. Step 2: stir. How long? Step 1: 2 @", "Do Step 1: mix. Step 2: stir. How long? Step 1: 2 +",
         "Do Step 1: mix. Step 2: stir. How long?", ["Step 1: 2"], [True]),
        ("Add \u043e\u0447@ + 5? Step 1: \u043e\u0447@ @", "Add \u043e\u0447@@ + 5? Step 1: \u043e\u0447@@ +",
         "Add \u043e\u0447@ + 5?", ["Step 1: \u043e\u0447@"], [True]),
    ],
    ids=["lower case", "question mark", "a mark in the question", "a mark behind it", "steps in the question",
         "the letters in words"],
)  # fmt: skip
def test_odd_rows_of_the_published_file_are_read_and_questions_may_hold_marks(
    text: str, label: str, question: str, steps: list[str], verdicts: list[bool]
) -> None:
    label = label.replace("@@", TAG)
    made = problem({"input": text.replace("@", TAG), "label": label, "task": "MATH"}, "x")
    assert made.question == question.replace("@", TAG)
    assert made.paths[0].steps == [step.replace("@", TAG) for step in steps]
    assert [step.hard for step in made.paths[0].labels or []] == verdicts


@pytest.mark.parametrize("text", ["How? Why? He has 2. @", "He has 2. @"])
def test_where_nothing_says_where_the_question_ends_the_row_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="where the question ends"):
        problem({"input": text.replace("@", TAG), "label": text.replace("@", "+"), "task": "MATH"}, "x")
