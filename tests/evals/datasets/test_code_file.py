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


def named(**changes: Any) -> list[str]:
    tests = code_file.problem({**ADD, **changes}, "mine/0").tests
    assert tests is not None
    names: list[str] = tests["names"]
    return names


def test_further_names_that_the_tests_need_are_the_programs_too() -> None:
    pair = {"entry_point": "enc", "tests": ["assert dec(enc('ab')) == 'ab'"]}
    assert named(**pair, solution="def enc(s):\n    return s\ndef dec(s):\n    return s") == ["enc", "dec"]
    assert named(**pair) == ["enc", "dec"], "nothing says otherwise"
    assert named(**pair, prompt="def dec(s):\n    return s\n\ndef enc(s):\n", solution="    return s") == ["enc", "dec"]
    own = "import math\nfrom os import path as p\nLIMIT = 3\ndef low(x):\n    return x\n"
    used = "for i in range(LIMIT):\n    assert add(i, 2) == low(i) + 2 and math.pi and p\n"
    assert named(tests=own + used) == ["add"], "the tests define the others"
    checked = "def check(candidate):\n    assert helper(candidate(1, 2)) == 3"
    assert named(tests=checked) == ["add", "helper"]


def test_a_name_that_nothing_defines_makes_a_bad_row() -> None:
    with pytest.raises(DataError, match="tests: use sub, which neither they nor the solution define"):
        named(tests=["assert add(1, 2) == sub(5, 2)"], solution="def add(a, b):\n    return a + b")
