"""MMLU's mathematics: what is read from the published files, in each mode."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from evals.datasets.mmlu import SUBJECTS, free_number, problems
from evals.errors import DataError
from evals.records import Problem
from evals.tasks import check_problem
from evals.tasks.mmlu import MMLU, Mode
from tests.data import need, need_whole

ROW = ["Two and three?", "4", "5", "6", "7", "B"]
DEV = [[f"One and {n}?", str(n), str(n + 1), "x", "y", "B"] for n in range(7)]


def official(subject: str, split: str) -> list[list[str]]:
    with need(f"mmlu/{split}/{subject}_{split}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def loaded(mode: Mode, split: str = "test") -> tuple[list[Problem], Counter[str]]:
    counts = Counter[str]()
    found = [
        problem
        for subject in SUBJECTS
        for problem in problems(official(subject, split), subject, split, mode, official(subject, "dev"), counts)
    ]
    return found, counts


def made(mode: Mode, row: list[str] = ROW, n: int = 1) -> Problem:
    counts = Counter[str]()
    return list(problems([row] * n, "abstract_algebra", "test", mode, DEV, counts))[-1]


@pytest.mark.parametrize("mode", ["loglikelihood", "letter"])
def test_letters_take_all_items_five_of_them_damaged_upstream(mode: Mode) -> None:
    found, counts = loaded(mode)
    sizes = {subject: len(official(subject, "test")) for subject in SUBJECTS}
    assert Counter(getattr(problem, "subject", None) for problem in found) == sizes
    assert len({problem.id for problem in found}) == len(found)
    assert counts == {"kept though damaged by a spreadsheet": 5}
    for problem in found:
        check_problem(problem)
        assert len(problem.shots or []) == 5
    assert ["7-Mar", "5-Mar", "10-Jul", "10-Sep"] in [problem.choices for problem in found], "kept as published"


def test_the_whole_files_have_848_items_of_which_509_ask_for_a_number() -> None:
    for subject in SUBJECTS:
        need_whole(f"mmlu/test/{subject}_test.csv")
    found, _ = loaded("letter")
    assert Counter(getattr(problem, "subject", None) for problem in found) == {
        "abstract_algebra": 100, "college_mathematics": 100, "elementary_mathematics": 378,
        "high_school_mathematics": 270,
    }  # fmt: skip
    damaged = {problem.id: problem.choices for problem in found}["mmlu/test/elementary_mathematics/327"]
    assert damaged == ["7-Mar", "5-Mar", "10-Jul", "10-Sep"]
    numbers, counts = loaded("number")
    assert len(numbers) == 509
    assert counts == {"left out: right choice is no number": 334, "left out: damaged by a spreadsheet": 5}


def test_numbers_take_the_items_whose_right_choice_is_one_and_count_the_others() -> None:
    found, counts = loaded("number")
    assert set(counts) == {"left out: right choice is no number", "left out: damaged by a spreadsheet"}
    assert sum(counts.values()) + len(found) == sum(len(official(subject, "test")) for subject in SUBJECTS)
    assert found
    for problem in found:
        check_problem(problem)
        right = (problem.choices or [])["ABCD".index(getattr(problem, "letter", ""))]
        assert MMLU.judge(problem, f"The answer is {problem.answer}").correct
        assert MMLU.judge(problem, f"so it is {right}").answer is not None
        assert problem.shots is None
        assert MMLU.question(problem) == problem.question, "the choices are not shown"


@pytest.mark.parametrize(
    ("choice", "number"),
    [
        ("12", "12"), ("\u22127", "-7"), ("1,395 push-ups", "1395"), ("$6,049 ", "6049"), ("p = 12", "12"),
        ("25%", "25"),
        ("36/7 days", "36/7"), (r"\frac{8}{9}", "8/9"), (r"-\frac{49}{12}", "-49/12"), ("0.50", "0.5"),
        ("\u221249°C", "-49"),
        ("about 20", "20"), ("365 square miles per county", "365"), ("12 in.", "12"), ("θ=  0.47", "0.47"),
        ("32i", None), ("4t", None), ("5k", None), ("p-3", None), ("1 over 5", None), ("7-Mar", None), ("3:01", None),
        ("January 21st", None), ("divide both sides by 6", None), ("0.21 Repeating", None), ("5, 7", None),
        ("1/0", None), ("", None), ("x", None), ("Yes, with p=3.", None), (r"\sqrt{2}", None), ("2^10", None),
    ],
)  # fmt: skip
def test_a_free_number_is_one_number_and_at_most_a_unit(choice: str, number: str | None) -> None:
    assert free_number(choice) == number


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["q", "1", "2", "3", "A"], "5 fields"),
        (["q", "1", "2", "3", "4", "E"], "letter: 'E' is none of A to D"),
        (["q", "1", "2", "3", "4", ""], "letter: '' is none of"),
        ([" ", "1", "2", "3", "4", "A"], "question: empty"),
    ],
)
def test_a_row_of_another_shape_is_refused_by_number(row: list[str], message: str) -> None:
    with pytest.raises(DataError, match=f"abstract_algebra row 0: .*{message}"):
        made("letter", row)
