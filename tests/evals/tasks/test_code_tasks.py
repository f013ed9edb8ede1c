"""Problems that are solved by a program: prompting, cutting, judging, and what is wrong with a bad line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from evals.datasets import code_file
from evals.errors import DataError
from evals.records import Problem
from evals.sandbox.checker import Checker
from evals.tasks import check_problem, code, task, task_of
from evals.tasks.base import Verdict

ADD = {"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"], "entry_point": "add"}
STUB = {**ADD, "prompt": "def add(a, b):\n    '''Add.'''\n"}


def mine(**changes: Any) -> Problem:
    return code_file.problem({**ADD, **changes}, "mine/0")


def changed(problem: Problem, **tests: Any) -> Problem:
    return problem.model_copy(update={"tests": {**(problem.tests or {}), **tests}})


# -- prompting


def test_a_prompt_that_begins_the_function_is_gone_on_from_and_any_other_is_not() -> None:
    whole, stub = mine(), mine(**STUB)
    assert task_of(whole).stop == ("[DONE]",)
    assert task_of(stub).stop == task("humaneval").stop
    assert task_of(whole).program(whole, "x") == "x"  # type: ignore[attr-defined]  # a code task
    assert task_of(stub).program(stub, "    return 1") == STUB["prompt"] + "    return 1"  # type: ignore[attr-defined]  # a code task
    assert task_of(whole).question(whole) == "Write add(a, b).\n"


# -- what a line must have


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ({"code": ""}, "tests.code: "),
        ({"names": []}, "tests.names: "),
        ({"names": "add"}, "tests.names: "),
        ({"entry_point": 3}, "tests.entry_point: "),
        ({"prelude": 3}, "tests.prelude: "),
        ({"weak": "yes"}, "tests.weak: "),
        ({"steps": "words"}, "tests.steps: 'words' is neither lines:N"),
        ({"steps": 2}, "tests.steps: 2 is neither"),
        ({"shown": "assert"}, "tests.shown: "),
    ],
)
def test_tests_that_cannot_be_used_make_a_bad_line(tests: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        check_problem(changed(mine(), **tests))
    assert caught.value.message.startswith(message)


def test_a_problem_without_tests_is_refused() -> None:
    with pytest.raises(DataError, match="tests: missing"):
        check_problem(mine().model_copy(update={"tests": None}))


def test_the_line_says_how_its_programs_are_cut() -> None:
    problem, text = mine(), "def add(a, b):\n    c = a\n    return c + b"
    cuts = {rule: task_of(changed(problem, steps=rule)).split(text) for rule in ("lines:1", "lines:2", "blocks")}
    assert [len(set(split.cuts or [])) for split in cuts.values()] == [3, 2, 3]
    problem.tests = {name: value for name, value in (problem.tests or {}).items() if name != "steps"}
    assert task_of(problem).split(text) == cuts["lines:2"]


# -- judging


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with Checker(workers=1) as made:
        yield made


def judged(checker: Checker, problem: Problem, text: str) -> Verdict:
    """The verdict on a text, its program checked now."""
    made = task_of(problem)
    assert isinstance(made, code.CodeTask)
    return made.verdict(checker.check(made.program(problem, text), code.tests_of(problem)))


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("def add(a, b):\n    return a + b", "passed"),
        ("Sure:\n```python\ndef add(a, b):\n    return a + b\n```", "passed"),
        ("def add(a, b):\n    return a - b", "wrong"),
        ("def add(a, b):\n    return a +", "syntax"),
        ("def add(a, b):\n    return c", "exception"),
        ("I do not know.", "syntax"),
    ],
)
def test_a_verdict_says_how_the_check_ended_and_has_no_answer(checker: Checker, text: str, outcome: str) -> None:
    verdict = judged(checker, mine(), text)
    assert (verdict.outcome, verdict.correct, verdict.answer) == (outcome, outcome == "passed", None)


@pytest.mark.parametrize(
    ("prefix", "text", "whole"),
    [
        ("    a = 1\n", "    return a", "    a = 1\n    return a"),
        ("    return 1\n", "def g(): pass", "    return 1"),
        ("    return 1\n", "\ndef g(): pass", "    return 1\n\ndef g(): pass"),  # the engine has stopped before that
        ("    return 1\n", "if x: pass", "    return 1"),
        ("```python\nimport re\n", "def add(a, b): pass", "```python\nimport re\ndef add(a, b): pass"),
        ("import re\n", "def add(a, b): pass", "import re\ndef add(a, b): pass"),
    ],
)
def test_a_stop_string_across_the_end_of_a_prefix_ends_the_rollout(prefix: str, text: str, whole: str) -> None:
    made: Any = task_of(mine(**STUB))
    assert made.resumed(prefix, text) == whole


def test_a_verdict_says_in_one_line_why_a_program_failed(checker: Checker) -> None:
    said = {
        "def add(a, b):\n    return a - b": "line 1 of the tests, assert add(1, 2) == 3: AssertionError",
        "def add(a, b):\n    import nothing_here": "ModuleNotFoundError: No module named 'nothing_here'",
        "def add(a, b):\n    raise ValueError('a\\nb\\x1b[2J\\u202e' + 'c' * 999)": "ValueError: a b",
        "def add(a, b):\n    raise KeyError(object())": "<object object at 0x...>",
        "def add(a, b):\n    return add(": "'(' was never closed",
    }
    for text, failure in said.items():
        told = judged(checker, mine(), text).failure
        assert told is not None
        assert failure in told
        assert told.isprintable()
        assert len(told) <= 200
    assert judged(checker, mine(), "def add(a, b):\n    return a + b").failure is None


def test_a_raw_sample_is_cleaned_for_its_own_problem() -> None:
    whole, stub = mine(), mine(**STUB)
    made: Any = task_of(stub)
    assert made.cleaned(stub, "    return a + b\n\nThis adds.") == "    return a + b\n\n"
    assert (
        made.cleaned(whole, "Here:\ndef add(a, b):\n    return a + b\nDone so.") == "def add(a, b):\n    return a + b\n"
    )
