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
    ("b", None, None, "B"),
    ("The answer is b", None, None, "B"),
    ("I do not know", None, None, None),
    ("", None, None, None),
    ("The answer is 12", None, None, "A"),
    ("The answer is 0.5", None, None, "B"),
    ("It costs $6049.00.", None, None, "D"),
    ("a group of order 4.", None, None, "C"),
    ("The answer is 13", None, None, None),
    ("B\nQuestion: next\nAnswer: C", "B", "B", "B"),
    ("option B.", None, "B", "B"),
    ("Choice B", None, "B", "B"),
    ("The correct choice is b.", None, None, "B"),
    ("My answer: d)", None, None, "D"),
    ("c)", None, None, "C"),
    (r"$\boxed{\textbf{(B)}\ 12}$", None, "B", "B"),
    (r"Final Answer: $\mathbf{D}$", None, "D", "D"),
    ("Answer: B. 1/2", None, "B", "B"),
    ("The answer is **(D) 12**", None, "D", "D"),
    ("<answer>\n(C)\n</answer>", None, "C", "C"),
    ('{"reasoning":"A is bad","answer":"D"}', None, "D", "D"),
    ("#### C", None, "C", "C"),
    ("I would choose (C).", None, "C", "C"),
    ("So B is correct.", None, "B", "B"),
    ("(B) 1/2 is the correct answer.", None, "B", "B"),
    ("Option C is incorrect. Option D is the right answer.", None, "D", "D"),
    ("Work.\n**B**", None, "B", "B"),
    ("(A) is wrong.\n(C)", None, "C", "C"),
    ("A and B are wrong. C is the best answer.", None, "C", "C"),
    ("The answer is A or B.", None, "B", None),
    ("The answer is either B or C", None, "C", None),
    ("The answer is C and not D.", None, "D", "C"),
    ("The answer is a group", None, None, None),
    ("Question: x?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: D", None, None, "D"),
    ("The answer is B.<|im_end|>\n<|im_start|>assistant\nThe answer is C", None, "C", "B"),
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
