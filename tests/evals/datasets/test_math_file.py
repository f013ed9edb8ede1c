"""A user's own math file: lines become problems, and a bad one is named with its field."""

from __future__ import annotations

import json

import pytest

from evals.datasets import math_file
from evals.errors import DataError


def test_a_line_of_ones_own_becomes_a_problem() -> None:
    lines = [
        '{"question": "q", "answer": "5", "solution": "2+3=5\\n\\nThe answer is 5", "level": [1, {"a": null}]}\n',
        "\n",
        '{"id": "mine", "question": "q", "answer": 7.5, "solution": ["a", "b", "#### 7.5"]}',
        '{"id": 12, "question": "q", "answer": "work\\n#### 1,000"}',
        '{"question": "q", "answer": "blue", "id": null}',
    ]
    first, second, third, fourth = math_file.problems(lines, "notes")
    assert (first.id, first.task, first.answer, first.solution) == ("notes/0", "math", "5", ["2+3=5"])
    assert json.loads(first.to_json())["level"] == [1, {"a": None}]
    assert (second.id, second.answer, second.solution) == ("mine", "7.5", ["a", "b"])
    assert (third.id, third.answer, third.solution) == ("12", "1000", ["work"])
    assert (fourth.id, fourth.solution) == ("notes/4", None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "notes:1: not a line of JSON"),
        ("[1]", "notes:1: a line must be a JSON object, this one is list"),
        ('{"answer": "5"}', "notes:1: question: "),
        ('{"question": " ", "answer": "5"}', "notes:1: question: empty"),
        ('{"question": 5, "answer": "5"}', "notes:1: question: "),
        ('{"question": "q"}', "notes:1: answer: "),
        ('{"question": "q", "answer": true}', "notes:1: answer: "),
        ('{"question": "q", "answer": NaN}', "notes:1: not a line of JSON"),
        ('{"question": "q", "answer": "5", "solution": 5}', "notes:1: solution: "),
        ('{"question": "q", "answer": "5", "id": ""}', "notes:1: id: "),
        ('{"question": "q", "answer": "5", "id": true}', "notes:1: id: "),
        ('{"question": "q", "answer": "5", "task": "algebra"}', "notes:1: task: is 'algebra'"),
        ('{"question": "q", "answer": "5", "paths": 3}', "notes:1: paths: "),
    ],
)
def test_a_bad_line_is_named_with_its_field(line: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        list(math_file.problems([line], "notes"))
    assert caught.value.message.startswith(message)
