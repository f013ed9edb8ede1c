"""The matcher and the step splitter under fuzzing: no crash, no false pass, and never more than the text itself."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from evals.datasets.mmlu import free_number
from evals.reading import answers, letters
from evals.records import Problem
from evals.tasks.math import MathTask
from evals.tasks.mmlu import MMLU
from tests.growth import LINEAR, growth

WITHOUT_SEVEN = "01234568 9.,$%-+*=:()[]{}#\\abcdeQ\n\t!?_\u2212\u00a0\u00b2"
MARKS = ["#### ", "####", "\\boxed{", "The answer is ", "Answer: ", "answer:\n", "Question: ", "**", "= ", "1e", "$-"]
FORMS = ["The answer is {}", "#### {}", "\\boxed{{{}}}", "Answer: {}."]
TEXTS = st.lists(st.one_of(st.sampled_from(list(WITHOUT_SEVEN)), st.sampled_from(MARKS)), max_size=80).map("".join)
ANYTHING = st.one_of(TEXTS, st.text(max_size=300))
SETTINGS = settings(max_examples=300, deadline=None)


@SETTINGS
@given(TEXTS)
@example("The answer is 6.9999999999999999999")
@example("#### 1e")
def test_a_text_that_nowhere_has_the_digit_of_the_answer_never_matches(text: str) -> None:
    """Without `7`, without a division and without a power, no reading of the text can be 7, 70 or 0.7."""
    for gold in ("7", "70", "0.7", "-7", "work\n#### 7"):
        _, match = answers.match(gold, text)
        assert not any((match.strict, match.flexible, match.robust)), gold


@SETTINGS
@given(st.text(alphabet=st.characters(exclude_categories=["Nd", "Nl", "No", "Cs"]), max_size=200))
def test_a_text_without_a_digit_has_no_number(text: str) -> None:
    for gold in ("0", "18", "-3", "1/2"):
        _, match = answers.match(gold, text)
        assert not any((match.strict, match.flexible, match.robust))


@SETTINGS
@given(
    st.integers(-(10**9), 10**9),
    st.sampled_from(["The answer is {}", "#### {}", "\\boxed{{{}}}", "Answer: {}."]),
    TEXTS,
)
def test_a_marked_number_is_what_counts_whatever_stands_before_it(gold: int, form: str, before: str) -> None:
    text = f"{answers.cut(before)}\n\n{form.format(gold)}"
    answer, match = answers.match(str(gold), text)
    assert match.robust, answer
    assert not answers.match(str(gold + 1), text)[1].robust


@SETTINGS
@given(ANYTHING)
def test_steps_are_lines_of_the_text_in_order(text: str) -> None:
    for task in (MathTask("math"), MMLU):
        split = task.split(text)
        assert len(split.steps) == len(split.ends)
        assert split.ends == sorted(set(split.ends))
        start = 0
        for step, end in zip(split.steps, split.ends, strict=True):
            line = text[start:end].rpartition("\n")[2]
            assert line.strip() == step != ""
            start = end
        for j in range(len(split.steps)):
            assert split.prefix(text, j).endswith("\n")
        assert task.signature(text) == task.signature(text)
        task.false_equation(text)


@SETTINGS
@given(st.text(alphabet=st.characters(exclude_characters="ABCDabcd", exclude_categories=["Cs"]), max_size=200))
def test_a_text_without_a_letter_of_the_four_chooses_none(text: str) -> None:
    for rule in (letters.strict, letters.flexible, letters.robust):
        assert rule(text) is None


@SETTINGS
@given(ANYTHING, st.sampled_from("ABCD"), st.lists(st.text(max_size=20), min_size=4, max_size=4))
def test_no_text_breaks_the_letter_rules(text: str, gold: str, choices: list[str]) -> None:
    letter, match = letters.match(gold, text, choices)
    assert letter in {None, *letters.LETTERS}
    assert match.robust == (letter == gold)
    problem = Problem.model_validate(
        {"id": "x", "task": "mmlu_math", "question": "?", "mode": "letter", "answer": gold, "choices": choices}
    )
    assert MMLU.judge(problem, text).correct == match.robust
    free_number(text)


def test_work_grows_with_the_text_and_not_with_its_square() -> None:
    """Each piece in turn makes two texts, one ten times as long: both must be read within one generous deadline."""

    pieces = [
        "(A",
        "A ",
        "answer is ",
        "answer is (",
        "\\boxed{",
        "choice ",
        "*",
        "\u00b0",
        "1 a ",
        "$ 1",
        "x = ",
        "1.1.",
    ]

    def scan(text: str) -> None:
        letters.match("B", text, [text, "1", "2", "3"])
        free_number(text)
        MMLU.split(text)

    assert {piece: grown for piece in pieces if (grown := growth(scan, piece)) >= LINEAR} == {}
