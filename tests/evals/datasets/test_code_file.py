"""A user's own code file: what a row may look like, and what is wrong with one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evals.datasets import code_file
from evals.errors import DataError
from evals.programs.steps import StepRule

ADD = {"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"], "entry_point": "add"}
STUB = {**ADD, "prompt": "def add(a, b):\n    '''Add.'''\n"}


def test_a_line_of_ones_own_becomes_a_problem() -> None:
    rows: list[dict[str, Any]] = [
        {**ADD, "solution": "def add(a, b):\r\n    return a + b", "level": [1, {"a": None}]},
        {**STUB, "id": 7, "tests": "def check(candidate):\n    assert candidate(1, 2) == 3"},
        {**ADD, "id": "mine", "canonical_solution": ["def add(a, b):", "    return a + b"]},
    ]
    rule = StepRule("lines", 3)
    first, second, third = (code_file.problem(row, f"notes/{n}", rule) for n, row in enumerate(rows))
    assert (first.id, first.task, first.question) == ("notes/0", "code", "Write add(a, b).")
    assert first.solution == ["def add(a, b):", "    return a + b"]
    assert json.loads(first.to_json())["level"] == [1, {"a": None}]
    assert first.tests == {"code": "assert add(1, 2) == 3", "names": ["add"], "steps": "lines:3"}
    assert (second.id, second.solution) == ("7", None)
    assert second.tests is not None
    assert second.tests["entry_point"] == "add"
    assert (third.id, third.solution) == ("mine", ["def add(a, b):", "    return a + b"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": None}, "prompt: must be a text"),
        ({"prompt": " "}, "prompt: must be a text"),
        ({"entry_point": None}, "entry_point: must be the name of a function"),
        ({"entry_point": "a b"}, "entry_point: must be the name of a function"),
        ({"tests": []}, "tests: must be a list of asserts"),
        ({"tests": [3]}, "tests: must be a list of asserts"),
        ({"tests": "assert add("}, "tests: not Python"),
        ({"tests": "add(1, 2)"}, "tests: contain no assert"),
        ({"tests": "assert sub(1, 2) == 3"}, "tests: never use add"),
        ({"solution": 5}, "solution: "),
        ({"id": ""}, "id: "),
        ({"id": True}, "id: "),
        ({"task": "math"}, "task: is 'math'"),
        ({"paths": 3}, "paths: "),
    ],
)
def test_what_is_wrong_with_a_row_is_named_by_its_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        code_file.problem({**ADD, **change}, "mine/0")
    assert caught.value.message.startswith(message)
