"""The rule that decides: each reads its own answer, and the paper's is kept only where it decides."""

from __future__ import annotations

import pytest

from evals.errors import DataError
from evals.reading import answers, letters
from evals.records import Match, Problem
from evals.rules import AnswerRule
from evals.tasks import check_problem, task_of

TEXT = "40+32=72\n#### 70\nThe answer is 72.0, not 71"


def math(answer: str, task: str = "gsm8k", **more: object) -> Problem:
    return Problem.model_validate({"id": "p", "task": task, "question": "?", "answer": answer, **more})


@pytest.mark.parametrize(
    ("rule", "answer", "gold"),
    [("robust", "72", "72"), ("strict", "70", "70"), ("flexible", "71", "71"), ("paper", "72.0", "72")],
)
def test_each_rule_reads_its_own_answer_and_decides(rule: AnswerRule, answer: str, gold: str) -> None:
    for right in ("70", "71", "72"):
        problem = math(right)
        verdict = task_of(problem).judge(problem, TEXT, rule)  # type: ignore[attr-defined]  # math has answers
        assert verdict.answer == answer
        assert verdict.correct == (right == gold)
        assert verdict.match.under(rule) == verdict.correct


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("The answer is 18", "18"),
        ("The answer is 18.", "18"),
        ("The answer is 1,234.50.", "1234.50"),
        ("The answer is -3", "-3"),
        ("The answer is .5", ".5"),
        ("The answer is 5\nThe answer is 6", "5"),  # the first one
        ("the answer is 18", None),  # to the letter
        ("The answer is: 18", None),
        ("The answer is $18", None),
        ("The answer is eighteen", None),
        ("The answer is 1.2.3", None),
        ("The answer is ...", None),
        ("#### 18", None),
        ("Question: x\nThe answer is 18", None),  # belongs to a question that the model asked itself
        ("The answer is " + "9" * 400, None),  # no finite float
    ],
)
def test_the_papers_rule_is_the_number_behind_its_own_words(text: str, read: str | None) -> None:
    assert answers.paper(text) == read
    answer, match = answers.match("18", text, "paper")
    assert answer == read
    assert match.paper is (read is not None and float(read) == 18.0)


def test_the_papers_rule_compares_floats() -> None:
    assert answers.match("1,800", "The answer is 1800.0", "paper")[1].paper
    assert answers.match("so\n#### 1,800", "The answer is 1800", "paper")[1].paper
    assert not answers.match("1,800", "The answer is 1801", "paper")[1].paper
    assert answers.match("0.3", "The answer is 0.30000000000000001", "paper")[1].paper, (
        "equal as floats, not as numbers"
    )
    assert not answers.match("0.3", "The answer is 0.30000000000000001")[1].robust


def test_only_where_it_decides_is_the_papers_rule_written() -> None:
    for rule, keys in (("robust", 3), ("strict", 3), ("flexible", 3), ("paper", 4)):
        _, match = answers.match("18", "The answer is 18", rule)  # type: ignore[arg-type]  # each is one
        assert len(match.model_dump(exclude_unset=True)) == keys
        _, match = letters.match("B", "The answer is B", ["1", "2", "3", "4"], rule)  # type: ignore[arg-type]  # each is one
        assert len(match.model_dump(exclude_unset=True)) == keys
    old = Match.model_validate_json('{"strict":false,"flexible":true,"robust":true}')
    assert old.to_json() == '{"strict":false,"flexible":true,"robust":true}', "old lines read, and stay as they were"


def test_letters_under_each_rule() -> None:
    text = "(A) looks good.\nThe answer is (B).\nC"
    found = {rule: letters.match("B", text, (), rule) for rule in ("robust", "strict", "flexible", "paper")}
    assert {rule: letter for rule, (letter, _) in found.items()} == {
        "robust": "B", "strict": None, "flexible": "C", "paper": "B",
    }  # fmt: skip
    assert letters.paper("The answer is Because") is None
    problem = math("B", "mmlu_math", mode="letter", choices=["1", "2", "3", "4"])
    assert task_of(problem).judge(problem, text, "paper").correct  # type: ignore[attr-defined]  # letters are answers
    assert not task_of(problem).judge(problem, text, "flexible").correct  # type: ignore[attr-defined]  # as above


def test_a_problem_that_no_answer_could_be_right_for_is_refused() -> None:
    for answer in ("1/2", "x+1", "nan", "1_000", "$18"):
        check_problem(math(answer, "math"))
        with pytest.raises(DataError, match="is no plain number, and --answer-rule paper compares numbers"):
            check_problem(math(answer, "math"), "paper")
    check_problem(math("1,800", "math"), "paper")
    with pytest.raises(DataError, match="no plain number"):
        check_problem(math("1/2", "mmlu_math", mode="number"), "paper")
    check_problem(math("B", "mmlu_math", mode="letter", choices=["1", "2", "3", "4"]), "paper")
