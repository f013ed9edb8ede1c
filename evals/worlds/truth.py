"""Whether the steps of a path about a chain story are really right, in whichever right way they are written.

    story: 33, loses 6, gets 5, doubles        quantities: 33-6, 33+5, 33-6+5, 6-5, 5-6 and (33-6+5)*2
    33+5=38  38-6=32  32*2=64                  all right: losses and gains commute
    6-5=1    33-1=32  32*2=64                  all right: the net loss first
    33-6=27  27*2=54  54+5=59                  wrong from 27*2: this story doubles later

A right quantity of a story is the stock after some of its changes, or the net of some of them. Additions and
subtractions with no multiplication or division between them commute; nothing else does. No step takes a change back.
Every number that a step uses must be told in the story or be the result of a step before; "twice that number" tells the
double too, as one may double in one's head. A number may mean several things (two people who each give 5); a step is
right if one reading of its numbers makes it so.

Quantities are kept as linear forms in the start and the numbers of the operations, so 33+5 and 5+33, or 32*2 and 32+32,
are the same, and a number that happens to be equal is not.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import groupby, product
from math import prod
from typing import Any

from evals.worlds.chain import Operation

Form = tuple[int, ...]
"""Coefficients of the start and of each operation's number, times the product of the story's divisors."""

_STEP = re.compile(r"([-+*/()0-9 ]{3,80})=\s*(\d{1,6})")


class _NotArithmeticError(Exception):
    """The text is not an expression of the world."""


def true_steps(world: Mapping[str, Any], steps: Sequence[str]) -> list[bool]:
    """Whether each written step is really right, and all steps before it are.

    Args:
        world: `world` of the problem's line: "start", "operations" as [sign, number, times].
        steps: the written steps.

    Returns:
        One flag per step: True up to the first wrong step, then False.
    """
    right = len(_read(world, steps).meant)
    return [True] * right + [False] * (len(steps) - right)


def sound(world: Mapping[str, Any], steps: Sequence[str]) -> bool:
    """Whether every step is right and together they reach the story's last state."""
    return _read(world, steps).sound


def first_error(world: Mapping[str, Any], steps: Sequence[str]) -> int:
    """Where the path as a whole first goes wrong, as a reader would mark it; -1 if it is sound.

    That is the first wrong step, or before it the step that passes over a change which is never made up for:

        33, loses 6, gets 5, loses 2:     33-6=27  27-2=25  25+7=32      goes wrong at 27-2
                                          33-6=27  27-2=25  25+5=30      does not: losses and gains commute

    The number of steps, if all are right but stop before the end.
    """
    reading = _read(world, steps)
    if reading.sound:
        return -1
    made = {i for forms in reading.meant for form in forms for i, number in enumerate(form) if i and number}
    runs: list[range] = []
    for adds, run in groupby(range(1, len(reading.operations) + 1), key=lambda i: reading.operations[i - 1].adds):
        places = list(run)
        if adds:
            runs.append(range(places[0], places[-1] + 1))
    for at, forms in enumerate(reading.meant):
        if all(form[0] and _passes_over(form, runs, made) for form in forms):
            return at
    return len(reading.meant)


def _passes_over(form: Form, runs: Sequence[range], made: Collection[int]) -> bool:
    """Whether a state has a change in it that comes after one which is never made, in the same run."""
    return any(
        form[later] and any(earlier not in made for earlier in range(run[0], later)) for run in runs for later in run
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the steps of a path mean, up to the first wrong one."""

    operations: tuple[Operation, ...]
    meant: list[set[Form]]
    sound: bool


def _read(world: Mapping[str, Any], steps: Sequence[str]) -> _Reading:
    operations = tuple(Operation(*one) for one in world["operations"])
    right, last = _quantities(operations)
    known: dict[int, set[Form]] = defaultdict(set)
    for value, form in zip([world["start"], *(one.number for one in operations)], _told(operations), strict=True):
        known[value].add(form)
    for one, form in zip(operations, _told(operations)[1:], strict=True):
        known[one.amount].add(_scaled(form, one.times))
    found: list[set[Form]] = []
    for step in steps:
        meant = _meanings(step, known) & right
        if not meant:
            return _Reading(operations, found, False)
        found.append(meant)
        known[int(step.rpartition("=")[2])] |= meant
    return _Reading(operations, found, any(last in forms for forms in known.values()))


def _told(operations: Sequence[Operation]) -> list[Form]:
    """The forms of the numbers that the story tells: the start, and each operation's."""
    size = len(operations) + 1
    unit = prod(one.amount for one in operations if one.sign == "/")  # so that every right quantity is whole
    return [tuple(unit if i == j else 0 for j in range(size)) for i in range(size)]


@lru_cache(maxsize=4096)
def _quantities(operations: tuple[Operation, ...]) -> tuple[frozenset[Form], Form]:
    """All right quantities of a story, and its last state."""
    stock, *numbers = _told(operations)
    nothing = _scaled(stock, 0)
    right = set[Form]()
    for adds, run in groupby(zip(operations, numbers, strict=True), key=lambda one: one[0].adds):
        if adds:
            nets, net = {nothing}, nothing
            for one, number in run:
                signed = _scaled(number, 1 if one.sign == "+" else -1)
                nets = {_sum(some, _scaled(signed, times)) for some in nets for times in range(one.times + 1)}
                net = _sum(net, _scaled(signed, one.times))
            right |= {_sum(stock, some) for some in nets} | nets | {_scaled(some, -1) for some in nets}
            stock = _sum(stock, net)
        else:
            reached = {stock}
            for one, _ in run:
                reached |= {_changed(some, one) for some in reached}
                stock = _changed(stock, one)
            right |= reached
    return frozenset(right - {nothing}), stock


def _meanings(step: str, known: Mapping[int, Iterable[Form]]) -> set[Form]:
    """What a step's left side can stand for; nothing if it is no equation, or a false one."""
    found = _STEP.fullmatch(step.strip())
    if found is None:
        return set()
    try:
        tree = ast.parse(found[1].strip(), mode="eval").body
        forms, value = _evaluate(tree, known)
    except (SyntaxError, _NotArithmeticError):
        return set()
    return forms if isinstance(tree, ast.BinOp) and value == int(found[2]) else set()


def _evaluate(tree: ast.expr, known: Mapping[int, Iterable[Form]]) -> tuple[set[Form], Fraction]:
    """The forms that an expression can mean, and its value."""
    if isinstance(tree, ast.Constant) and type(tree.value) is int:
        return set(known.get(tree.value, ())), Fraction(tree.value)
    if not isinstance(tree, ast.BinOp):
        raise _NotArithmeticError
    (left, a), (right, b) = _evaluate(tree.left, known), _evaluate(tree.right, known)
    match tree.op:
        case ast.Add():
            return {_sum(*pair) for pair in product(left, right) if _adds_up(*pair)}, a + b
        case ast.Sub():
            taken = {_scaled(one, -1) for one in right}
            return {_sum(*pair) for pair in product(left, taken) if _adds_up(*pair)}, a - b
        case ast.Mult():
            return _multiplied(left, b) | _multiplied(right, a), a * b
        case ast.Div() if b:
            whole = {_divided(one, int(b)) for one in left} if b > 1 and b.denominator == 1 else set()
            return {one for one in whole if one is not None}, a / b
    raise _NotArithmeticError


def _multiplied(forms: Iterable[Form], factor: Fraction) -> set[Form]:
    """The forms times a whole factor above 1; none for any other factor."""
    return {_scaled(one, int(factor)) for one in forms} if factor > 1 and factor.denominator == 1 else set()


def _adds_up(one: Form, other: Form) -> bool:
    """Whether no number goes in and out again, as in 33-6=27, 27+6=33. Half of a stock may be taken from it."""
    if all(abs(a + b) >= max(abs(a), abs(b)) for a, b in zip(one, other, strict=True)):
        return True
    shares = {Fraction(a, b) if b else None for a, b in zip(one, other, strict=True) if a or b}
    return len(shares) == 1 and None not in shares


def _sum(one: Form, other: Form) -> Form:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _scaled(one: Form, factor: int) -> Form:
    return tuple(a * factor for a in one)


def _changed(one: Form, factor: Operation) -> Form:
    """The form multiplied or divided as the story says; whole, by the choice of the unit in `_told`."""
    return _scaled(one, factor.amount) if factor.sign == "*" else tuple(a // factor.amount for a in one)


def _divided(one: Form, divisor: int) -> Form | None:
    """The form divided; None if it is no right quantity, as its coefficients are not whole."""
    return None if any(a % divisor for a in one) else tuple(a // divisor for a in one)
