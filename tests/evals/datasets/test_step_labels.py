"""Step labels in their published forms, made by hand from their documentation."""

from __future__ import annotations

from typing import Any

import pytest

from evals.datasets.math_shepherd import TAG
from evals.datasets.step_labels import is_foreign, problem
from evals.errors import DataError

QUESTION = "3 bags of 4. How many?"
STEPS = ["Step 1: 3*4 = 12", "Step 2: The answer is: 11"]
MARKED = "\n".join(f"{step} {TAG}" for step in STEPS)
SIGNED = "\n".join(f"{step} {sign}" for step, sign in zip(STEPS, "+-", strict=True))


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def rated(*ratings: tuple[str, int | None], chosen: int | None = 0, human: Any = None) -> dict[str, Any]:
    completions = [{"text": text, "rating": rating, "flagged": None} for text, rating in ratings]
    return {"completions": completions, "human_completion": human, "chosen_completion": chosen}


def prm800k(*steps: dict[str, Any], finish: str = "solution") -> dict[str, Any]:
    asked = {"problem": QUESTION, "ground_truth_answer": "12"}
    return {"labeler": "x", "question": asked, "label": {"steps": list(steps), "finish_reason": finish}}


RLHFLOW = {
    "conversations": [
        said("user", f"{QUESTION} {STEPS[0]}"), said("assistant", "+"), said("user", STEPS[1]), said("assistant", "-"),
    ]
}  # fmt: skip


@pytest.mark.parametrize(
    "row",
    [
        {"question": QUESTION, "process": MARKED, "label": ["+", "-"]},
        {"question": QUESTION, "process": MARKED + "\n", "labels": [1, 0]},
        {"question": QUESTION, "process": MARKED, "label": [1, -1]},
        {"input": f"{QUESTION} {MARKED}", "value": ["+", "-"]},
        {"input": f"{QUESTION} {MARKED}", "label": [True, False]},
        {"input": f"{QUESTION} {MARKED}", "label": f"{QUESTION} {SIGNED}", "task": "MATH"},
        RLHFLOW,
        prm800k(rated((STEPS[0], 1)), rated((STEPS[1], -1)), finish="found_error"),
    ],
    ids=["openr", "openr, 1 and 0", "openr, 1 and -1", "openrlhf", "openrlhf, label", "math-shepherd", "rlhflow",
         "prm800k"],
)  # fmt: skip
def test_every_form_is_the_same_labelled_path(row: dict[str, Any]) -> None:
    assert is_foreign(row)
    made = problem(row, "x/0")
    (path,) = made.paths
    assert (made.id, made.task, made.question) == ("x/0", "math", QUESTION)
    assert (path.steps, path.text, path.split) == (STEPS, "\n".join(STEPS), "given")
    assert [label.hard for label in path.labels or []] == [True, False]
    assert {(label.draws, label.soft) for label in path.labels or []} == {(0, None)}, "no share is made up"
    assert path.answer == "11"


def test_a_question_may_hold_step_marks() -> None:
    asked = "Do Step 1: mix, then Step 2: stir. How long?"
    rows = [
        {"conversations": [said("user", f"{asked} Step 1: 3 minutes"), said("assistant", "+")]},
        {"input": f"{asked} Step 1: 3 minutes {TAG}", "value": ["+"]},
        {"question": f"{asked} \u043e\u0447{TAG}", "process": f"Step 1: 3 minutes {TAG}", "label": ["+"]},
    ]
    made = [problem(row, "x") for row in rows]
    assert [line.question for line in made] == [asked, asked, f"{asked} \u043e\u0447{TAG}"]
    assert {line.paths[0].text for line in made} == {"Step 1: 3 minutes"}


def test_alternatives_of_prm800k_are_paths_and_neutral_ratings_no_labels() -> None:
    made = problem(
        prm800k(
            rated((" a", 0)),
            rated(("wrong", -1), ("b", 1), chosen=1),
            rated(("worse", -1), chosen=None, human={"text": "c", "rating": None}),
        ),
        "x",
    )
    found = [(path.steps, [label.hard for label in path.labels or []], path.correct) for path in made.paths]
    assert found == [
        ([" a", "b", "c"], [None, True, True], True),
        ([" a", "wrong"], [None, False], None),
        ([" a", "b", "worse"], [None, True, False], None),
    ]
    assert made.answer == "12"


def test_a_path_of_prm800k_ends_where_labelling_ended() -> None:
    stopped = problem(prm800k(rated(("a", 1)), {"completions": None, "chosen_completion": None}, finish="give_up"), "x")
    assert [(path.steps, path.correct) for path in stopped.paths] == [(["a"], None)]
    error = problem(prm800k(rated(("a", 1)), rated(("b", -1), ("c", -1), chosen=None), finish="found_error"), "x")
    assert [path.steps for path in error.paths] == [["a", "b"], ["a", "c"]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "", "process": MARKED, "label": ["+", "-"]}, "question: must be a text"),
        ({"question": "q", "process": MARKED, "label": ["+"]}, "label: 1 labels for 2 marked steps"),
        ({"question": "q", "process": MARKED, "label": ["+", "?"]}, "label.1: '\\?' is no verdict"),
        ({"question": "q", "process": MARKED, "label": "+-"}, "label: must be a list"),
        ({"question": "q", "process": "a", "label": ["+"]}, "process: no step is marked"),
        ({"question": "q", "process": f"a {TAG} b", "label": ["+"]}, "process: text after the last mark: 'b'"),
        ({"question": "q", "process": f"a {TAG} {TAG}", "label": ["+", "+"]}, "a step is empty"),
        ({"input": f"No end. a {TAG}", "value": ["+"]}, "input: neither `Step 1:`"),
        ({"conversations": [said("user", "q? a"), said("assistant", "Sure")]}, "conversations.1.content: is neither"),
        ({"conversations": [said("user", "q? a"), said("user", "+")]}, "conversations: must be the user's"),
        (prm800k(rated(("a", 5))), "label.steps.0.completions.0.rating: must be"),
        (prm800k(rated(("", 1))), "label.steps.0.completions.0.text: must be a text"),
        (prm800k(rated(("a", 1), chosen=3)), "label.steps.0.chosen_completion: names none"),
        (prm800k(rated(chosen=None)), "label.steps: no step has a completion"),
        ({"question": "q"}, "no form of step labels"),
    ],
)
def test_a_row_of_another_shape_is_refused_by_its_field(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}"):
        problem(row, "x")
