"""MBPP as published: its splits, its lines and its prompt, and what is wrong with a bad row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evals.datasets import mbpp
from evals.errors import DataError
from evals.programs.steps import StepRule
from evals.records import Problem
from evals.tasks import check_problem, task_of
from tests.data import need


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in need("mbpp/mbpp.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_splits_of_mbpp_are_the_published_task_ids() -> None:
    everything = rows()
    sizes = {split: len(list(mbpp.problems(everything, split))) for split in mbpp.TASK_IDS}
    assert sizes == {"prompt": 10, "test": 500, "validation": 90, "train": 374}
    first = next(mbpp.problems(everything, "test"))
    assert first.id == "mbpp/test/11"
    sanitized = json.loads(need("mbpp/sanitized-mbpp.json").read_text(encoding="utf-8"))
    assert [len(list(mbpp.problems(sanitized, split))) for split in mbpp.TASK_IDS] == [7, 257, 43, 120]


def test_an_mbpp_line_has_the_reference_with_plain_line_breaks_and_stands_for_itself() -> None:
    everything = rows()
    (problem, *_) = mbpp.problems(everything, "train", StepRule("blocks", 1))
    row = next(row for row in everything if row["task_id"] == 601)
    assert "\r\n" in row["code"]
    assert task_of(problem).gold_text(problem) == row["code"].replace("\r\n", "\n")
    assert problem.tests is not None
    assert problem.tests["shown"] == row["test_list"]
    assert problem.tests["steps"] == "blocks"
    again = Problem.from_row(json.loads(problem.to_json()))
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
