"""Math problems: splitting into steps, prompting and judging."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import DataError, UsageError
from evals.records import Problem
from evals.tasks import TASKS, task
from evals.tasks.math import MathTask

MATH = MathTask("math")


def problem(answer: str | None = "6", **fields: object) -> Problem:
    return Problem.model_validate({"id": "p", "task": "math", "question": "2*3?", "answer": answer, **fields})


# -- splitting


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("a\nb\nThe answer is 5", ["a", "b"]),
        ("a\n\n  b  \n\n#### 5\nc", ["a", "b"]),
        ("a\r\nb\r\nThe answer is 5\r\n", ["a", "b"]),
        ("a\n**The answer is 5**", ["a"]),
        ("a\n- the final answer is 5", ["a"]),
        ("a\nAnswer: 5\nb", ["a"]),
        ("a\n**Final Answer:** 5", ["a"]),
        ("a\n$\\boxed{5}$.\nb", ["a"]),
        ("a\nso \\boxed{5} it is", ["a", "so \\boxed{5} it is"]),
        ("a\n\\boxed{5} apples\nb", ["a", "\\boxed{5} apples", "b"]),
        ("Answer:\na\nb\nThe answer is 5", ["a", "b"]),
        ("a\nAnswer:\n5", ["a"]),
        ("#### Step 1: add\na\n#### 5", ["#### Step 1: add", "a"]),
        ("a\n#### blue", ["a"]),
        ("a\nQuestion: b\nc", ["a"]),
        ("a\nWhat the answer is we see here\nb", ["a", "What the answer is we see here", "b"]),
        ("a\nb", ["a", "b"]),
        ("The answer is 5", []),
        ("", []),
        (" \n\n", []),
    ],
)
def test_steps_are_the_lines_before_the_answer_line(text: str, steps: list[str]) -> None:
    assert MATH.split(text).steps == steps


def test_ends_are_offsets_into_the_text_as_it_was_written() -> None:
    text = "\n  a \r\n\nbc\r\nThe answer is 5"
    split = MATH.split(text)
    assert split.ends == [5, 10]
    assert split.prefix(text, 0) == "\n  a \r\n\n"
    assert split.prefix(text, 1) == "\n  a \r\n\nbc\r\n"


LINES = st.sampled_from(
    [
        "a",
        " b\t",
        "",
        "  ",
        "c\r",
        "The answer is 5",
        "#### 5",
        "#### x",
        "Answer:",
        "Q: d",
        "\\boxed{",
        "\u2028e",
        "\x0b",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(LINES, max_size=12).map("\n".join), st.text(max_size=200)))
def test_every_step_stands_where_its_end_says(text: str) -> None:
    split = MATH.split(text)
    assert len(split.steps) == len(split.ends)
    assert split.ends == sorted(set(split.ends))
    for step, end in zip(split.steps, split.ends, strict=True):
        assert step
        assert text[:end].rstrip().endswith(step)
        assert text[end : end + 2] in ("", "\r", "\r\n") or text[end] == "\n"
    MATH.signature(text)
    MATH.false_equation(text)
    MATH.judge(problem(), text)


def test_a_prefix_has_the_first_steps_of_its_path() -> None:
    text = "a\n\nb\nc\nThe answer is 5"
    for j in range(3):
        assert MATH.split(MATH.split(text).prefix(text, j)).steps == ["a", "b", "c"][: j + 1]


# -- prompting and judging


@pytest.mark.parametrize("name", ["gsm8k", "math"])
def test_every_template_takes_the_question_and_ends_a_line(name: str) -> None:
    made = task(name)
    assert next(iter(made.templates)) == "paper"
    for template in made.templates.values():
        prompt = template.format(question="How {many}?")
        assert "How {many}?" in prompt
        assert prompt.endswith("Answer:\n")


def test_the_registry_knows_its_tasks_and_says_so() -> None:
    assert [task(name).name for name in TASKS] == list(TASKS)
    with pytest.raises(UsageError) as caught:
        task("gsm9k")
    assert "gsm8k, math, chain" in caught.value.advice


def test_the_robust_rule_decides_and_all_three_are_kept() -> None:
    verdict = MATH.judge(problem("1,800"), "900*2=1800\nThe answer is $1,800.00")
    assert verdict.correct
    assert verdict.answer == "1800"
    assert verdict.match is not None
    assert (verdict.match.strict, verdict.match.flexible, verdict.match.robust) == (False, False, True)
    assert not MATH.judge(problem("1"), "The answer is 18").correct
    assert MATH.judge(problem(), "no idea").answer is None


def test_a_problem_without_an_answer_is_refused() -> None:
    MATH.check(problem("blue"))
    for answer in (None, " "):
        with pytest.raises(DataError, match="answer"):
            MATH.check(problem(answer))


def test_the_gold_text_is_the_solution_and_the_answer_line() -> None:
    assert MATH.gold_text(problem("6", solution=["2*3=6"])) == "2*3=6\nThe answer is 6"
    assert MATH.gold_text(problem("6")) is None
    assert MATH.gold_text(problem(None, solution=["2*3=6"])) is None


def test_equations_after_the_path_do_not_count() -> None:
    assert MATH.false_equation("<<1+1=2>>\nQ: x <<1+1=3>>") is None
    assert MATH.false_equation("<<1+1=3>>") == "1+1=3"
