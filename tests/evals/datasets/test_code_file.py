"""A user's own code file: lines become problems, and a bad one is named with its field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evals.datasets import code_file
from evals.errors import DataError
from evals.programs.steps import StepRule
from evals.records import Problem

ADD = {"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"], "entry_point": "add"}
STUB = {**ADD, "prompt": "def add(a, b):\n    '''Add.'''\n"}


def mine(**changes: Any) -> Problem:
    (problem,) = code_file.problems([json.dumps({**ADD, **changes})], "mine")
    return problem


def test_a_line_of_ones_own_becomes_a_problem() -> None:
    lines = [
        json.dumps({**ADD, "solution": "def add(a, b):\r\n    return a + b", "level": [1, {"a": None}]}),
        "",
        json.dumps({**STUB, "id": 7, "tests": "def check(candidate):\n    assert candidate(1, 2) == 3"}),
        json.dumps({**ADD, "id": "mine", "canonical_solution": ["def add(a, b):", "    return a + b"]}),
    ]
    first, second, third = code_file.problems(lines, "notes", StepRule("lines", 3))
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
        ({"prompt": None}, "mine:1: prompt: must be a text"),
        ({"prompt": " "}, "mine:1: prompt: must be a text"),
        ({"entry_point": None}, "mine:1: entry_point: must be the name of a function"),
        ({"entry_point": "a b"}, "mine:1: entry_point: must be the name of a function"),
        ({"tests": []}, "mine:1: tests: must be a list of asserts"),
        ({"tests": [3]}, "mine:1: tests: must be a list of asserts"),
        ({"tests": "assert add("}, "mine:1: tests: not Python"),
        ({"tests": "add(1, 2)"}, "mine:1: tests: hold no assert"),
        ({"tests": "assert sub(1, 2) == 3"}, "mine:1: tests: never use add"),
        ({"solution": 5}, "mine:1: solution: "),
        ({"id": ""}, "mine:1: id: "),
        ({"id": True}, "mine:1: id: "),
        ({"task": "math"}, "mine:1: task: is 'math'"),
        ({"paths": 3}, "mine:1: paths: "),
    ],
)
def test_a_bad_line_is_named_with_its_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        mine(**change)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("line", "message"), [("{", "mine:1: not a line of JSON"), ("[1]", "mine:1: a line must be a JSON")]
)
def test_what_is_no_object_is_named(line: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        list(code_file.problems([line], "mine"))
    assert caught.value.message.startswith(message)
