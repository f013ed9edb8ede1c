"""What is read as the answer of a text, and when two answers are the same."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.reading import answers, numbers
from evals.tasks.math import MathTask
from tests.growth import LINEAR, growth

ROBUST: list[tuple[str, str | None]] = [
    ("The answer is 18", "18"),
    ("The answer is 18.", "18"),
    ("the answer is 18!", "18"),
    ("The answer is 18.0", "18"),
    ("The answer is **18**", "18"),
    ("The answer is **$18.00**.", "18"),
    ("The answer is $1,234.50 in all.", "1234.5"),
    ("The answer is: 18 apples", "18"),
    ("The answer is 1 000 dollars", "1000"),
    ("The answer is 12\u202f500", "12500"),
    ("The answer is \u22123", "-3"),
    ("The answer is -$3", "-3"),
    ("The answer is $-3$", "-3"),
    ("The answer is 50%", "50"),
    ("The answer is 50 %", "50"),
    ("The answer is .5", "0.5"),
    ("The answer is 0.50", "0.5"),
    ("The answer is 007", "7"),
    ("The answer is -0", "0"),
    ("The answer is 1/2", "1/2"),
    ("The answer is 1 1/2 cups", "1.5"),
    ("The answer is 1e3", "1000"),
    ("The answer is \uff11\uff18", "18"),
    ("The answer is 10,000,000", "10000000"),
    ("The answer is ... 18", "18"),
    ("The answer is ...18", "18"),
    ("The answer is $.50", "0.5"),
    ("He ate some of the eggs.18 were left", "18"),
    ("The answer is 5 or 6", "5 or 6"),
    ("The answer is that Jim has 5 apples.", "5"),
    ("The answer is x = 5", "5"),
    ("The answer is 5+3=8", "8"),
    ("The answer is 3+4=7*2=14", "14"),
    ("The answer is 7 x 5 = 35.", "35"),
    ("The answer is 18/3 = 6.", "6"),
    ("The answer is 18 = 3*6", "18"),
    ("The answer is 18 because 2*3=6", "18"),
    ("answer is 5 apples + 3 apples = 8 apples.", "8"),
    ("The answer is 2^3 = 8", "8"),
    ("The answer is 2^10", "2^10"),
    ("The answer is 9**9**9**9", "9**9**9**9"),
    ("It takes 9**9**9**9", "9**9**9**9"),
    ("The answer is 5:30", "5:30"),
    ("The answer is not 5. It is 6.", "6"),
    ("The answer is \\(2\\sqrt{3}\\).", "2\\sqrt{3}"),
    ("The answer is \\sqrt{16}", "\\sqrt{16}"),
    ("The answer is \\$18", "18"),
    ("The answer is \\text{18 apples}", "18"),
    ("The answer is blue.", "blue"),
    ("5 balls. The answer is blue", "blue"),
    ("**Answer:** 18", "18"),
    ("**Final Answer**: 18", "18"),
    ("Answer:\n18", "18"),
    ("Answer: \n\n**18**", "18"),
    ("Answer:\n5+3=8\nso 9 are left", "9"),
    ("### Answer:\n2*3=6\nThe answer is 6", "6"),
    ("6*3=18\n#### 18", "18"),
    ("#### $1,800", "1800"),
    ("#### blue", "blue"),
    ("#### Step 4: add\n5+6=11", "11"),
    ("#### 4. Add them\n5+6=11", "11"),
    ("\\boxed{18}", "18"),
    ("so $\\boxed{18}$ of 20.", "18"),
    ("\\boxed{\\frac{1}{2}}", "1/2"),
    ("\\boxed{-\\dfrac{3}{4}}", "-3/4"),
    ("\\boxed{18 \\text{ apples}}", "18"),
    ("\\boxed{1{,}234}", "1234"),
    ("\\boxed{x=18}", "18"),
    ("\\boxed{(3, 4)}", "(3, 4)"),
    ("\\boxed{2\\sqrt{3}}", "2\\sqrt{3}"),
    ("\\boxed{18\nand so on 20", "18"),
    ("\\boxed{}", None),
    ("#### 5\nThe answer is 6\n\\boxed{7}", "7"),
    ("\\boxed{7}\nThe answer is 6", "6"),
    ("The answer is 6\n#### 5", "5"),
    ("The answer is 5\nWait. The answer is 6", "6"),
    ("The answer is 18.\n\nI hope the answer is clear.", "18"),
    ("The answer is 18\nQuestion: how many?\nThe answer is 5", "18"),
    ("The answer is 18\n\nQ: how many?\nA: The answer is 5", "18"),
    ("He has 4.\n### Question: 5 more?\n### Answer: 9", "4"),
    ("Question: how many?\nAnswer: 5", "5"),
    ("3+4=7\nThe answer is", "7"),
    ("I have 5...", "5"),
    ("He pays 6*3=<<6*3=18>>18 dollars", "18"),
    ("Total 1,234 and 5", "5"),
    ("they are 1,2,3", "3"),
    ("10-3", "3"),
    ("-7", "-7"),
    ("Hmm...", None),
    ("", None),
    ("...", None),
    ("The answer is", None),
    ("I cannot answer.", None),
    ("The answer is unknown. He has 5", None),
    ("The answer is not known", None),
    ("The answer is none", None),
    ("Answer: N/A", None),
    ("[invalid]", None),
    ("The answer is [invalid]", None),
]


@pytest.mark.parametrize(("text", "answer"), ROBUST)
def test_robust_reads_what_a_careful_reader_reads(text: str, answer: str | None) -> None:
    assert answers.robust(text) == answer


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("18", "18.0"),
        ("18", "**18**"),
        ("18", "$18.00"),
        ("18", "18 apples"),
        ("1000", "1 000"),
        ("1000", "1,000"),
        ("-3", "\u22123"),
        ("0.5", "1/2"),
        ("0.5", ".50"),
        ("1.5", "1 1/2"),
        ("2/4", "\\frac{1}{2}"),
        ("50", "50%"),
        ("0", "-0.0"),
        ("60", "60 km/h"),
        ("Blue", " blue. "),
        ("(1,2)", "( 1, 2 )"),
        ("2^10", "2 ^ 10"),
    ],
)
def test_equal_answers_are_the_same_both_ways(a: str, b: str) -> None:
    assert answers.same(a, b)
    assert answers.same(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("18", "1"),
        ("18", "181"),
        ("3", "-3"),
        ("0.3333333", "1/3"),
        ("2", "2\\sqrt{3}"),
        ("2", "\\sqrt{2}"),
        ("2", "2x"),
        ("2", "x^2"),
        ("1024", "2^10"),
        ("5", "5:30"),
        ("5", "5/0"),
        ("1", "1 or 2"),
        ("blue", "red"),
        ("9" * 300, "9" * 300 + "8"),
    ],
)
def test_unequal_answers_are_not_the_same(a: str, b: str) -> None:
    assert not answers.same(a, b)


def test_decimals_are_compared_exactly() -> None:
    assert answers.same("0.1", "1/10")
    assert not answers.same("0.1000000000000000055511151231257827", "0.1")


@given(st.fractions(max_denominator=10**6))
def test_a_rational_survives_being_written_and_read(value: Fraction) -> None:
    assert numbers.number(numbers.written(value)) == value
    assert numbers.number(str(value)) == value
    assert answers.robust(f"The answer is {numbers.written(value)}.") == numbers.written(value)


def test_strict_takes_the_first_mark_and_flexible_the_last_number() -> None:
    text = "#### 1,234.\n#### 5\n$17."
    assert answers.strict(text) == "1234."
    assert answers.flexible(text) == "17"
    assert answers.strict("The answer is 18") is None
    assert answers.flexible("no number") is None
    assert answers.flexible("He said: 18 ...") == ".."


def test_match_judges_under_all_three_rules() -> None:
    answer, match = answers.match("1,800", "so\n#### 1,800")
    assert (answer, match.strict, match.flexible, match.robust) == ("1800", True, True, True)
    answer, match = answers.match("18", "The answer is 18.0")
    assert (answer, match.strict, match.flexible, match.robust) == ("18", False, False, True)
    answer, match = answers.match("18", "The answer is 18, not 20")
    assert (match.strict, match.flexible, match.robust) == (False, False, True)
    answer, match = answers.match("18", "I do not know")
    assert (answer, match.strict, match.flexible, match.robust) == (None, False, False, False)
    assert answers.match("18", "#### 18\nQuestion: x\n#### 5")[1].flexible
    assert answers.match("a long solution of 3 lines\n#### 18", "The answer is 18")[1].robust


def test_cut_only_cuts_at_a_line_that_asks() -> None:
    assert answers.cut("a\nQuestion: b") == "a\n"
    assert answers.cut("a\n **Q:** b") == "a\n"
    assert answers.cut("a\n### Question:\nb") == "a\n"
    assert answers.cut("see FAQ: b\nThe Question: c") == "see FAQ: b\nThe Question: c"


PIECES = st.lists(
    st.sampled_from(
        [
            *"0123456789.,$%/*^+-=x:{}()[]#\\ \n\t_!?e",
            "\\boxed{",
            "\\frac{1}{",
            "####",
            "The answer is ",
            "Answer:",
            "Question:",
            "\nQ:",
            "**",
            "\u2212",
            "<<",
            ">>",
            "not ",
            "apples ",
            "\r\n",
            "\u0664",
            "\u00b2",
            "\x00",
        ]
    ),
    max_size=60,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.one_of(PIECES, st.text(max_size=200)))
def test_no_text_breaks_the_rules(text: str) -> None:
    answer, match = answers.match("18", text)
    assert answer == answers.robust(text)
    assert match.robust == (answer is not None and answers.same(answer, "18"))
    assert answers.same(text, text)
    if answer is not None:
        assert answer.strip()
        assert answers.robust("...") is None
    found = re.findall(r"#### (\-?[0-9\.\,]+)", answers.cut(text))
    assert answers.strict(text) == (found[0].replace(",", "") if found else None)


HOSTILE = [
    "1,",
    "1,000",
    "1 000 ",
    "1/",
    "9",
    "9**",
    "-",
    "$-",
    "1 1/",
    "\\frac{1}{",
    "\\text{",
    "1.1",
    "1e1",
    "1:",
    "^",
    "9^(",
    "{",
    "\\boxed{",
    "\\boxed{a b c d e f g ",
    "#### a\n",
    "####",
    "answer:",
    "answer:\n",
    "the answer is ",
    "the answer is 1+",
    "the answer is 1=1+",
    " ",
    "\n",
    "*",
    "_",
    "Q",
    "1+",
    "5 apples + ",
    "\\text{" + " " * 79,
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_long_hostile_text_is_read_in_linear_time(piece: str) -> None:
    def scan(text: str) -> None:
        for candidate in (text, "The answer is " + text, text + "!"):
            answers.match("18", candidate)
            answers.same(candidate, "18")
            MathTask("math").split(candidate)

    assert growth(scan, piece) < LINEAR
