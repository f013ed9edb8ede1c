"""Annotations are checked without being run, and equal reasoning has an equal signature."""

from __future__ import annotations

import random
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.reading import equations
from tests.growth import LINEAR, growth


@pytest.mark.parametrize(
    "equation",
    [
        "48/2=24",
        "2+3*4=14",
        "(2+3)*4=20",
        "10-2-3=5",
        "16/4/2=2",
        "3*-2=-6",
        "3--2=5",
        "10/3=3.33",
        "10/3=3.3",
        "2/3=.67",
        "2/3=0.66",
        "5+5=10=10",
        "20/100*50=10",
        "50*20%=10",
        "1/4=25%",
        "10/40*100=25%",
        "1,000+1=1001",
        "$5 x 3=15",
        "6÷3=2",
        "((((2))))=2",
        "0.1+0.2=0.30000000000000004",
    ],
)
def test_a_true_equation_holds(equation: str) -> None:
    assert equations.holds(equation) is True


@pytest.mark.parametrize(
    "equation", ["48/2=25", "7/2=3", "10/3=3.5", "2/3=.65", "5/0=0", "5+5=10=11", "1/4=26%", "2*3=6.01"]
)
def test_a_false_equation_does_not(equation: str) -> None:
    assert equations.holds(equation) is False


@pytest.mark.parametrize(
    "equation",
    ["", "=", "5", "5=", "2**3=8", "2^3=8", "9**9**9**9=1", "(2=2", "2)=2", "x=5", "1..2=1", "__import__('os')=1"],
)
def test_what_is_no_arithmetic_is_neither(equation: str) -> None:
    assert equations.holds(equation) is None


def test_the_first_false_annotation_is_named() -> None:
    text = "a <<2+2=4>> b <<560//10=56>> c <<2+2=5>> d <<1+1=3>>"
    assert equations.first_false(text) == "2+2=5"
    assert equations.first_false("2+2=5 without an annotation") is None


def test_annotations_are_stripped() -> None:
    assert equations.strip_annotations("pays $<<7*5=35>>35 and <<a>b") == "pays $35 and <<a>b"


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        ("He pays 7*5 = <<7*5=35>>35.\nThen 8+1=9", "7*5=35"),
        ("<<1,000*2=2000>> and <<2000-5=1995>>", "1000*2=2000\n2000-5=1995"),
        ("7+5=12\n12-2=10\nThe answer is 10", "7+5=12\n12-2=10"),
        ("He sells 7 x 5 = $35. Then 35 + 2 = 37, so the box = 5", "7*5=35\n35+2=37"),
        ("7 \u00d7 5 = 35", "7*5=35"),
        ("8 \u00f7 2 = 4 and 9 \u2212 1 = 8", "8/2=4\n9-1=8"),
        ("x = 5\n2x = 10", "x = 5 2x = 10"),
        ("He HAS  two\napples", "he has two apples"),
        ("7+5=12\nQuestion: 1+1=2", "7+5=12"),
    ],
)
def test_the_signature_is_the_sequence_of_equations(text: str, signature: str) -> None:
    assert equations.equation_signature(text) == signature


def test_other_words_keep_the_signature_and_another_order_changes_it() -> None:
    first = equations.equation_signature("Ann has 7 + 5 = 12.\nShe eats 2: 12-2=10")
    assert first == equations.equation_signature("Then 7+5=12\nleaves 12 - 2 = 10.")
    assert first != equations.equation_signature("12-2=10\n7+5=12")


LEAF = st.integers(0, 99).map(str)
EXPRESSION = st.recursive(
    LEAF,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
    max_leaves=8,
)


@given(EXPRESSION, st.integers(-3, 3))
def test_the_parser_agrees_with_python(expression: str, off: int) -> None:
    value = eval(expression)
    assert equations.value_of(expression) == Fraction(value)
    assert equations.holds(f"{expression}={value + off}") is (off == 0)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(alphabet="0123456789.+-*/()%=, x$<>\n", max_size=120), st.text(max_size=120)))
def test_no_text_breaks_equations(text: str) -> None:
    equations.holds(text)
    equations.first_false(text)
    equations.first_false(f"<<{text}>>")
    assert "<<1=1>>" not in equations.strip_annotations(text + "<<1=1>>")
    assert equations.equation_signature(text) == equations.equation_signature(text)


@pytest.mark.parametrize(
    "piece", ["<<", "<<1=1>>", "1=", "1+", "(", "-", "1-", "9", "1 ", ".", "%", "1..", "x", "=", "5%)("]
)
def test_a_long_hostile_text_is_checked_in_linear_time(piece: str) -> None:
    def scan(text: str) -> None:
        for candidate in (text, f"<<{text}>>", "1+" + text + "=1"):
            equations.holds(candidate)
            equations.first_false(candidate)
            equations.equation_signature(candidate)

    assert growth(scan, piece) < LINEAR


def _reference(a: list[str], b: list[str]) -> int:
    """Levenshtein distance by the table, row by row."""
    row = list(range(len(b) + 1))
    for i, token in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            cost = min(row[j] + 1, row[j - 1] + 1, diagonal + (token != other))
            diagonal, row[j] = row[j], cost
    return row[-1]


# Few words, so that paths share some; single letters and numbers, which a library may treat in its own way.
TOKENS = st.lists(st.sampled_from(["x", "y", "z", "120", "-1", "", "40+32=72", "\u00fc", "\U0001f600"]), max_size=70)


@settings(max_examples=400, deadline=None)
@given(TOKENS, TOKENS, st.none() | st.integers(0, 80))
def test_distance_is_levenshteins(a: list[str], b: list[str], limit: int | None) -> None:
    expected = _reference(a, b)
    assert equations.distance(a, b, limit) == (expected if limit is None else min(limit, expected))


def test_long_paths_are_compared_much_faster_than_by_a_table() -> None:
    rng = random.Random(0)
    a, b = ([rng.choice("abcdefgh") for _ in range(800)] for _ in range(2))
    taken = []
    for measure in (equations.distance, _reference):
        began = time.process_time()
        measure(a, b)
        taken.append(time.process_time() - began)
    assert taken[0] < taken[1] / 3
