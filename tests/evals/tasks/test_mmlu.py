"""MMLU's mathematics: how it is asked and judged in each mode, and which lines are refused."""

from __future__ import annotations

from collections import Counter

import pytest

from evals.datasets.mmlu import problems
from evals.errors import DataError
from evals.records import Problem
from evals.tasks import task
from evals.tasks.mmlu import MMLU, Mode
from evals.tasks.prompts import PromptChoice, plain_prompt

ROW = ["Two and three?", "4", "5", "6", "7", "B"]
DEV = [[f"One and {n}?", str(n), str(n + 1), "x", "y", "B"] for n in range(7)]


def made(mode: Mode) -> Problem:
    return next(problems([ROW], "abstract_algebra", "test", mode, DEV, Counter()))


def test_the_harness_s_prompt_is_built_from_the_line_alone() -> None:
    problem = made("loglikelihood")
    prompting = PromptChoice().of(problem)
    assert prompting is not None, "letters are asked for after worked examples unless told otherwise"
    text = plain_prompt(prompting.template or "", MMLU.question(problem), prompting.header, prompting.shots)
    head = "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
    shots = [f"One and {n}?\nA. {n}\nB. {n + 1}\nC. x\nD. y\nAnswer: B" for n in range(5)]
    assert text == head + "\n\n".join([*shots, "Two and three?\nA. 4\nB. 5\nC. 6\nD. 7\nAnswer:"])
    assert MMLU.continuations(problem) == [" A", " B", " C", " D"]
    assert MMLU.continuations(made("letter")) == []
    assert PromptChoice().of(made("number")) is None, "a number is asked for as in every math problem"


def test_a_dev_item_is_never_its_own_example() -> None:
    counts = Counter[str]()
    first = next(problems(DEV, "abstract_algebra", "dev", "letter", DEV, counts))
    assert [shot.id for shot in PromptChoice(shots=4).of(first).shots] == [  # type: ignore[union-attr]  # letters have a prompt
        f"mmlu/dev/abstract_algebra/{n}" for n in range(1, 5)
    ]


def test_letters_and_numbers_are_judged_by_their_own_rules() -> None:
    letter, number = made("letter"), made("number")
    assert (letter.answer, number.answer) == ("B", "5")
    assert MMLU.judge(letter, "The answer is (B).").correct
    assert MMLU.judge(letter, "It makes 5.").correct, "the choice's own text is an answer"
    assert not MMLU.judge(letter, "The answer is C").correct
    assert MMLU.judge(number, "The answer is 5.0").correct
    assert not MMLU.judge(number, "B").correct
    assert MMLU.split("2+3=5\nB").steps == ["2+3=5"]
    assert MMLU.split("2+3=5\nThe answer is B").steps == ["2+3=5"]
    assert MMLU.gold_text(letter) == "The answer is B"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "essay"}, "mode: must be one of loglikelihood, letter, number"),
        ({"choices": ["1", "2"]}, "choices: must be four texts"),
        ({"answer": "AB"}, "answer: must be a letter"),
        ({"answer": "5"}, "answer: must be a letter"),
        ({"mode": "number", "answer": " "}, "answer: empty"),
    ],
)
def test_a_line_whose_parts_do_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    line = {**made("letter").model_dump(), **changes}
    with pytest.raises(DataError, match=message):
        task("mmlu_math").check(Problem.model_validate(line))
