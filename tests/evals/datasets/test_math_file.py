"""A user's own math file: what a row may look like, and what is wrong with one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evals.datasets import math_file
from evals.errors import DataError


def test_a_line_of_ones_own_becomes_a_problem() -> None:
    rows: list[dict[str, Any]] = [
        {"question": "q", "answer": "5", "solution": "2+3=5\n\nThe answer is 5", "level": [1, {"a": None}]},
        {"id": "mine", "question": "q", "answer": 7.5, "solution": ["a", "b", "#### 7.5"]},
        {"id": 12, "question": "q", "answer": "work\n#### 1,000"},
        {"question": "q", "answer": "blue", "id": None},
    ]
    first, second, third, fourth = (math_file.problem(row, f"notes/{n}") for n, row in enumerate(rows))
    assert (first.id, first.task, first.answer, first.solution) == ("notes/0", "math", "5", ["2+3=5"])
    assert json.loads(first.to_json())["level"] == [1, {"a": None}]
    assert (second.id, second.answer, second.solution) == ("mine", "7.5", ["a", "b"])
    assert (third.id, third.answer, third.solution) == ("12", "1000", ["work"])
    assert (fourth.id, fourth.solution) == ("notes/3", None)


def test_rows_of_math_are_read_by_their_own_keys() -> None:
    row = {
        "problem": "What is $1+1$?",
        "level": "Level 1",
        "type": "Algebra",
        "solution": r"So $1+1=\boxed{\frac{4}{2}}$.",
    }
    made = math_file.problem(row, "math/0")
    assert (made.question, made.answer) == ("What is $1+1$?", r"\frac{4}{2}")
    kept = json.loads(made.to_json())
    assert (kept["level"], kept["type"]) == ("Level 1", "Algebra")
    assert "problem" not in kept
    assert math_file.problem({**row, "answer": "2"}, "math/0").answer == "2", "as MATH-500 says"
    both = math_file.problem({**row, "question": "q", "answer": "2"}, "math/0")
    assert (both.question, json.loads(both.to_json())["problem"]) == ("q", row["problem"]), "nobody's key is lost"
    for solution in ("no box", r"\boxed{2"):
        with pytest.raises(DataError, match=r"^answer: "):
            math_file.problem({**row, "solution": solution}, "math/0")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"answer": "5"}, "question: "),
        ({"question": " ", "answer": "5"}, "question: empty"),
        ({"question": 5, "answer": "5"}, "question: "),
        ({"question": "q"}, "answer: "),
        ({"question": "q", "answer": True}, "answer: "),
        ({"question": "q", "answer": "5", "solution": 5}, "solution: "),
        ({"question": "q", "answer": "5", "id": ""}, "id: "),
        ({"question": "q", "answer": "5", "id": True}, "id: "),
        ({"question": "q", "answer": "5", "task": "algebra"}, "task: is 'algebra'"),
        ({"question": "q", "answer": "5", "paths": 3}, "paths: "),
    ],
)
def test_what_is_wrong_with_a_row_is_named_by_its_field(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        math_file.problem(row, "notes/0")
    assert caught.value.message.startswith(message)
