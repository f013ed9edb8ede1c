"""Which letter of a multiple-choice answer a text says, under the three rules."""

from __future__ import annotations

import pytest

from evals.reading import letters

CHOICES = ["12", "1/2", "a group of order 4", "$6,049 "]

# text, strict, flexible, robust
TABLE: list[tuple[str, str | None, str | None, str | None]] = [
    (" B", "B", "B", "B"),
    ("B\n", "B", "B", "B"),
    ("(B)", "B", "B", "B"),
    ("B.", "B", "B", "B"),
    ("**B**", "B", "B", "B"),
    ("B. 1/2", None, "B", "B"),
    ("(C) a group of order 4", None, "C", "C"),
    ("B because it halves", None, "B", "B"),
    ("The answer is B", None, "B", "B"),
    ("The answer is (B).", None, "B", "B"),
    ("The correct answer is: **C**", None, "C", "C"),
    ("Answer: D", None, "D", "D"),
    ("Answer: option D", None, "D", "D"),
    (r"So $\boxed{\text{C}}$", None, "C", "C"),
    (r"\boxed{A}", None, "A", "A"),
    ("Not A, not B. The answer is C.", None, "C", "C"),
    ("The answer is B. Not C or D.", None, "D", "B"),
    ("The answer is A, no: the answer is D", None, "D", "D"),
    ("A train leaves at 5.", None, "A", None),
    ("The answer is a train", None, None, None),
    ("The answer is A train", None, "A", None),
    ("BAD DAB", None, None, None),
    ("b", None, None, None),
    ("The answer is b", None, None, None),
    ("I do not know", None, None, None),
    ("", None, None, None),
    ("The answer is 12", None, None, "A"),
    ("The answer is 0.5", None, None, "B"),
    ("It costs $6049.00.", None, None, "D"),
    ("a group of order 4.", None, None, "C"),
    ("The answer is 13", None, None, None),
    ("B\nQuestion: next\nAnswer: C", "B", "B", "B"),
    ("Vitamins B6 and C3 and D'Arcy", None, None, None),
]


@pytest.mark.parametrize(("text", "strict", "flexible", "robust"), TABLE)
def test_crafted_letters(text: str, strict: str | None, flexible: str | None, robust: str | None) -> None:
    said = (letters.strict(text), letters.flexible(text), letters.robust(text, CHOICES))
    assert said == (strict, flexible, robust)


def test_a_choice_that_stands_twice_decides_nothing() -> None:
    assert letters.robust("It is 5", ["5", "5.0", "6", "7"]) is None
    assert letters.robust("It is 6", ["5", "5.0", "6", "7"]) == "C"
    assert letters.robust("It is 6") is None


def test_three_verdicts_are_kept_side_by_side() -> None:
    letter, match = letters.match("B", "The answer is B, not C.", CHOICES)
    assert (letter, match.strict, match.flexible, match.robust) == ("B", False, False, True)
