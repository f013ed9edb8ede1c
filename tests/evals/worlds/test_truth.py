"""The truth about written steps: every right way of a story is known, and everything else is wrong."""

from __future__ import annotations

import itertools
import random
import re
from typing import Any

import pytest

from evals.worlds.chain import Operation, draw_story, solution_lines, told_lines
from evals.worlds.truth import first_error, sound, true_steps
from evals.worlds.wordings import OOD, SPLITS


def story(start: int, *operations: tuple[str, int] | tuple[str, int, int]) -> dict[str, Any]:
    return {"start": start, "operations": [[*one, 1][:3] for one in operations]}


STORY = story(33, ("-", 6), ("+", 5), ("*", 2), ("-", 9, 2), ("-", 4))
"""33-6+5, doubled, minus twice 9, minus 4: 42."""


@pytest.mark.parametrize(
    "way",
    [
        "33-6=27 27+5=32 32*2=64 9*2=18 64-18=46 46-4=42",
        "33-6=27 27+5=32 32*2=64 64-18=46 46-4=42",
        "33+5=38 38-6=32 32+32=64 64-4=60 9+9=18 60-18=42",
        "33-6+5=32 2*32=64 64-9*2-4=42",
        "6-5=1 33-1=32 32*2=64 64-9=55 55-4=51 51-9=42",
        "(33-6+5)*2=64 9*2+4=22 64-22=42",
        "33-6=27 27+5=32 32*2=64 64-4=60 60-9-9=42",
        "9*2=18 18+4=22 33-6=27 27+5=32 32*2=64 64-22=42",
    ],
)
def test_every_right_way_is_sound(way: str) -> None:
    steps = way.split()
    assert true_steps(STORY, steps) == [True] * len(steps)
    assert sound(STORY, steps)
    assert not sound(STORY, steps[:-1]), "it does not reach the end"


@pytest.mark.parametrize(
    ("way", "right"),
    [
        ("33-6=28 28+5=33", 0),  # a false equation
        ("33-6=27 27*2=54 54+5=59", 1),  # doubled too early
        ("33-6=27 27-5=22", 1),  # the wrong direction
        ("33-6=27 27+6=33", 1),  # a number used again
        ("33-6=27 27+5=32 32*2=64 64-9=55 55-4=51 51*2=102", 5),
        ("33-6=27 27+5=32 32*2=64 64-22=42", 3),  # 22 has not been calculated, and the story does not tell it
        ("33-6=27 27+5=32 32*3=96", 2),
        ("33-6=27 27+5=32 32-5=27", 2),  # a change taken back
        ("33-6+6=33", 0),
        ("33+6=39", 0),
        ("33*2=66 66-12=54", 0),  # distributing the doubling gives no quantity of the story
        ("6+5=11", 0),  # a loss and a gain are no sum
        ("33-7=26", 0),  # a number that is not there
        ("27+5=32", 0),  # a number that is not there yet
        ("33-6=27 27*1=27", 1),
        ("33=33", 0),
        ("33-6=27. 27+5=32", 0),
        ("so:33-6=27", 0),
        ("33//2=16", 0),
        ("33-06=27", 0),
        ("33--6=39", 0),
        ("33/0=33", 0),
        ("33-6=27=27", 0),
        ("((33-6=27", 0),
        ("33-6=27 27+5=32 32*2=64 9*2=18 64-18=46 46-4=42 42+0=42", 6),
    ],
)
def test_the_first_wrong_step_and_all_after_it_are_wrong(way: str, right: int) -> None:
    steps = way.split()
    assert true_steps(STORY, steps) == [True] * right + [False] * (len(steps) - right)
    assert not sound(STORY, steps)


def test_spaces_around_signs_are_no_fault() -> None:
    assert true_steps(STORY, [" 33 - 6 = 27 ", "27 + 5 =32"]) == [True, True]
    assert true_steps(STORY, ["3 3-6=27"]) == [False]


def test_equal_numbers_are_read_in_the_way_that_makes_the_step_right() -> None:
    twice_five = story(10, ("+", 5), ("*", 2), ("+", 5))
    assert sound(twice_five, ["10+5=15", "15*2=30", "30+5=35"])
    assert true_steps(twice_five, ["10+5=15", "15+5=20"]) == [True, False], "the second five comes after the doubling"
    as_many = story(5, ("+", 5), ("+", 5))
    assert sound(as_many, ["5+5=10", "10+5=15"])
    assert sound(as_many, ["5+5+5=15"])
    assert not sound(as_many, ["5+5=10", "10+10=20"])
    halves = story(40, ("/", 2), ("/", 2))
    assert sound(halves, ["40/2=20", "20/2=10"])
    assert sound(halves, ["40/4=10"])
    assert sound(halves, ["40/2=20", "40-20=20", "20/2=10"]), "half of them go"
    assert true_steps(halves, ["40/2=20", "20/4=5"]) == [True, False]


def test_nothing_written_is_not_sound() -> None:
    assert true_steps(STORY, []) == []
    assert not sound(STORY, [])


def test_all_orders_of_changes_between_two_factors_are_right_and_no_other_order() -> None:
    changes = [("+", 7), ("-", 4), ("+", 11)]
    told = story(20, *changes, ("*", 2), ("-", 8))
    for order in itertools.permutations(changes):
        lines, _ = told_lines(20, [Operation(*one) for one in (*order, ("*", 2), ("-", 8))])
        assert sound(told, lines)
        early, _ = told_lines(20, [Operation(*one) for one in (*order[:2], ("*", 2), order[2], ("-", 8))])
        assert true_steps(told, early) == [True, True, False, False, False]


def test_drawn_solutions_are_sound_and_a_changed_number_is_found() -> None:
    """The truth against solutions that are written without it; a number not in the story can mean nothing."""
    rng = random.Random(2)
    for wordings, lengths in ((SPLITS, (3, 5)), (OOD, (6, 7))):
        for _ in range(60):
            chain = draw_story(rng, wordings, *lengths).chain
            told = {"start": chain.start, "operations": [[o.sign, o.number, o.times] for o in chain.operations]}
            lines = solution_lines(rng, chain.start, chain.operations, varied=0.8)
            assert sound(told, lines), (told, lines)
            at = rng.randrange(len(lines))
            left, result = lines[at].split("=")
            number = rng.choice(re.findall(r"\d+", left))
            other = re.sub(rf"\b{number}\b", "997", left, count=1)
            assert true_steps(told, [*lines[:at], f"{other}={result}"])[-1] is False
            assert true_steps(told, [*lines[:at], f"{left}={int(result) + 1}"])[-1] is False


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("33-6=27 27+5=32 32*2=64 9*2=18 64-18=46 46-4=42", -1),
        ("33+5=38 38-6=32 32*2=64 64-18=46 46-4=42", -1),  # the loss is put off, not left out
        ("33+5=38 38*2=76", 0),  # the loss of 6 is never taken up
        ("33-6=27 27+5=32 32*2=64 64-4=60 60*2=120", 3),  # neither is the doubled 9
        ("33-6=27 27+5=32 32*2=64 64-4=60 60-18=42", -1),
        ("33-6=27 27+6=33", 1),  # every change before the error was made
        ("33-6=27 27+5=32 32*2=64", 3),  # stops too early
        ("9*2=18 33-6=27 27+5=33", 2),  # a sum of its own passes over nothing
    ],
)
def test_a_change_that_is_never_made_is_an_error_where_it_is_passed_over(way: str, error: int) -> None:
    assert first_error(STORY, way.split()) == error
