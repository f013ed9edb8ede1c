"""Where a prefix ends: where the next line begins, as the model wrote it."""

from __future__ import annotations

import pytest

from evals.split import Split
from evals.tasks.code import CODE
from evals.tasks.math import MATH

ANSWER = "The answer is 5"


def prefixes(text: str) -> list[str]:
    split = MATH.split(text)
    return [split.prefix(text, j) for j in range(len(split.steps))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a\nb\n{ANSWER}", ["a\n", "a\nb\n"]),  # GSM8K's way: as it always was
        ("a\nb", ["a\n", "a\nb\n"]),
        ("a\nb\n", ["a\n", "a\nb\n"]),
        ("a", ["a\n"]),
        (f"a\n\nb\n\n{ANSWER}", ["a\n\n", "a\n\nb\n\n"]),  # a chat model's way
        ("a\n\nb", ["a\n\n", "a\n\nb\n\n"]),  # goes on as it went
        ("a\n\nb\nc", ["a\n\n", "a\n\nb\n", "a\n\nb\nc\n"]),
        (f"a\r\n\r\nb\n{ANSWER}", ["a\r\n\r\n", "a\r\n\r\nb\n"]),
        ("a \n \n  - b", ["a \n \n", "a \n \n  - b\n \n"]),  # the next line's own indentation is the next line's
    ],
)
def test_blank_lines_between_steps_stay_in_the_prefix(text: str, expected: list[str]) -> None:
    assert prefixes(text) == expected
    for prefix in expected:
        assert text.startswith(prefix) or prefix.rstrip() == text.rstrip()


def test_steps_that_stand_in_one_line_are_continued_on_a_new_one() -> None:
    text = "One. Two.\nThree."
    split = Split(["One.", "Two.", "Three."], [4, 9, 16])
    assert [split.prefix(text, j) for j in range(3)] == ["One.\n", "One. Two.\n", "One. Two.\nThree.\n"]


def test_chunks_of_code_keep_the_blank_line_behind_them() -> None:
    text = "def f(x):\n    y = x\n\n    return y"
    split = CODE.split(text)
    assert [split.prefix(text, j) for j in range(3)] == [
        "def f(x):\n    y = x\n\n", "def f(x):\n    y = x\n\n", text + "\n",
    ]  # fmt: skip


def test_a_path_that_resumes_from_a_prefix_begins_with_its_steps() -> None:
    text = f"a\n\nb\n\n\nc\n{ANSWER}"
    for j, prefix in enumerate(prefixes(text)):
        assert MATH.split(prefix).steps == ["a", "b", "c"][: j + 1]
        whole = prefix + f"d\n\n{ANSWER}"
        assert MATH.split(whole).steps == [*["a", "b", "c"][: j + 1], "d"]
        assert prefixes(whole)[j] == prefix, "and has the same prefixes, so the same rollouts"
