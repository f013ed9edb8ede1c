"""Problems that are solved by a program: loading, prompting, checking, and what is wrong with a bad line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evals.datasets import code_file
from evals.errors import DataError
from evals.programs.steps import StepRule
from evals.records import Problem, parse_problem
from evals.tasks import check_problem, humaneval, mbpp, task, task_of
from tests.data import need, need_whole

ADD = {"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"], "entry_point": "add"}
STUB = {**ADD, "prompt": "def add(a, b):\n    '''Add.'''\n"}


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in need("mbpp/mbpp.jsonl").read_text(encoding="utf-8").splitlines()]


def mine(**changes: Any) -> Problem:
    (problem,) = code_file.problems([json.dumps({**ADD, **changes})], "mine")
    return problem


def changed(problem: Problem, **tests: Any) -> Problem:
    return problem.model_copy(update={"tests": {**(problem.tests or {}), **tests}})


# -- MBPP


def test_the_splits_of_mbpp_are_the_published_task_ids() -> None:
    everything = rows()
    first = {split: next(mbpp.problems(everything, split)).id for split in mbpp.SPLITS}
    assert first == {
        "prompt": "mbpp/prompt/1", "test": "mbpp/test/11", "validation": "mbpp/validation/511",
        "train": "mbpp/train/601",
    }  # fmt: skip
    found = [problem.id for split in mbpp.SPLITS for problem in mbpp.problems(everything, split)]
    assert [int(name.rpartition("/")[2]) for name in found] == [row["task_id"] for row in everything]


def test_the_splits_of_the_whole_mbpp_are_as_large_as_is_published() -> None:
    need_whole("mbpp/mbpp.jsonl")
    everything = rows()
    sizes = {split: len(list(mbpp.problems(everything, split))) for split in mbpp.SPLITS}
    assert sizes == {"prompt": 10, "test": 500, "validation": 90, "train": 374}
    sanitized = json.loads(need_whole("mbpp/sanitized-mbpp.json").read_text(encoding="utf-8"))
    assert [len(list(mbpp.problems(sanitized, split))) for split in mbpp.SPLITS] == [7, 257, 43, 120]


def test_an_mbpp_line_has_the_reference_with_plain_line_breaks_and_stands_for_itself() -> None:
    everything = rows()
    (problem, *_) = mbpp.problems(everything, "train", StepRule("blocks", 1))
    row = next(row for row in everything if row["task_id"] == 601)
    assert "\r\n" in row["code"]
    assert task_of(problem).gold_text(problem) == row["code"].replace("\r\n", "\n")
    assert problem.tests is not None
    assert problem.tests["shown"] == row["test_list"]
    assert problem.tests["steps"] == "blocks"
    again = parse_problem(problem.to_json(), "x:1")
    assert again == problem
    check_problem(again)


def test_the_prompt_of_mbpp_is_the_standard_one() -> None:
    problem = next(mbpp.problems(rows(), "test"))
    made = task_of(problem)
    prompt = made.templates["plain"].replace("{question}", made.question(problem))
    assert prompt == (
        "You are an expert Python programmer, and here is your task: Write a python function to remove first and last "
        "occurrence of a given character from the string. Your code should pass these tests:\n\n"
        'assert remove_Occ("hello","l") == "heo"\nassert remove_Occ("abcda","a") == "bcd"\n'
        'assert remove_Occ("PHP","P") == "H"\n[BEGIN]\n'
    )
    assert made.stop == ("[DONE]",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_id": "601"}, "row 1: task_id: "),
        ({"text": None}, "row 1: text: must be a text"),
        ({"code": " "}, "row 1: code: must be a text"),
        ({"test_list": []}, "row 1: test_list: must be a list of asserts"),
        ({"test_list": ["assert other(1) == 2"]}, "row 1: test_list: "),
        ({"code": "def f(:"}, "row 1: "),
    ],
)
def test_a_bad_mbpp_row_is_named_with_its_field(change: dict[str, Any], message: str) -> None:
    good = {"task_id": 601, "text": "t", "code": "def f(x): return x", "test_list": ["assert f(1) == 1"]}
    with pytest.raises(DataError) as caught:
        list(mbpp.problems([good, {**good, **change}], "train"))
    assert caught.value.message.startswith(message)


# -- HumanEval


def test_humaneval_comes_with_its_package_and_goes_on_from_the_raw_prompt() -> None:
    problems = list(humaneval.problems())
    assert [problem.id for problem in problems] == [f"HumanEval/{n}" for n in range(164)]
    for problem in problems:
        check_problem(problem)
        made = task_of(problem)
        assert made.question(problem) == problem.question
        assert problem.question.endswith("\n")
        gold = made.gold_text(problem) or ""
        assert made.program(problem, gold) == problem.question + gold  # type: ignore[attr-defined]  # a code task
        assert made.split(gold).steps == [line for line in gold.split("\n") if line.strip()]
        assert not any(stop in gold for stop in made.stop)
    assert made.stop == ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def test_a_whole_function_takes_the_place_of_the_one_that_the_prompt_begins() -> None:
    problem = list(humaneval.problems())[32]  # its prompt defines `poly` as well, and the tests use both
    made: Any = task_of(problem)
    program = made.program(problem, "Here:\n```python\ndef find_zero(xs):\n    return 0.0\n```\nDone.")
    assert program.count("def find_zero") == 1
    assert program.startswith("import math\n\n\ndef poly(xs: list, x: float):")
    assert program.endswith("def find_zero(xs):\n    return 0.0\n")


# -- a code file of one's own


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


def test_a_prompt_that_begins_the_function_is_gone_on_from_and_any_other_is_not() -> None:
    whole, stub = mine(), mine(**STUB)
    assert task_of(whole).stop == ("[DONE]",)
    assert task_of(stub).stop == task("humaneval").stop
    assert task_of(whole).program(whole, "x") == "x"  # type: ignore[attr-defined]  # a code task
    assert task_of(stub).program(stub, "    return 1") == STUB["prompt"] + "    return 1"  # type: ignore[attr-defined]  # a code task
    assert task_of(whole).question(whole) == "Write add(a, b).\n"


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
def test_a_verdict_says_how_the_check_ended_and_has_no_answer(text: str, outcome: str) -> None:
    problem = mine()
    verdict = task_of(problem).judge(problem, text)
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
