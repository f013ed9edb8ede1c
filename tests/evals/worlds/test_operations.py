"""The operations of the functions world: all ways of writing one mean the same, and what may be swapped may be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from evals.worlds.operations import FORMS, VARIABLES, Operation, Value, commute, run, written

VALUES: dict[Value, list[Any]] = {
    "list": [[], [3], [4, 4], [9, -2, 5, 14, 5, 0, 3, 8, 2, 9], [1, 2, 3, 4, 5, 6, 7]],
    "text": ["", "a", "banana", "transparent", "eees"],
    "number": [-7, 0, 3, 8, 41],
}


def operations(kind: Value) -> Iterator[Operation]:
    for name, form in FORMS[kind].items():
        yield from (Operation(name, argument) for argument in form.arguments or (None,))


def outcome(kind: Value, expression: str, value: Any) -> Any:
    """What the expression gives for a value of its variable."""
    try:
        return eval(expression, {VARIABLES[kind]: value})
    except (ValueError, IndexError):  # of an empty list
        return None


@pytest.mark.parametrize("kind", FORMS)
def test_every_way_of_writing_an_operation_computes_what_the_operation_does(kind: Value) -> None:
    for one in operations(kind):
        for way in range(len(FORMS[kind][one.name].expressions)):
            for value in VALUES[kind]:
                text = written(kind, one, VARIABLES[kind], way)
                try:
                    meant = run(kind, [one], value)
                except ValueError:
                    meant = None
                assert outcome(kind, text, value) == meant, text


@pytest.mark.parametrize("kind", FORMS)
def test_an_operation_of_an_expression_is_written_as_one_after_the_other(kind: Value) -> None:
    rng = random.Random(0)
    for first, second in rng.sample(list(product(operations(kind), operations(kind))), 300):
        if FORMS[kind][first.name].group == "end":
            continue
        ways = [range(len(FORMS[kind][one.name].expressions)) for one in (first, second)]
        for one, two in product(*ways):
            joined = written(kind, second, written(kind, first, VARIABLES[kind], one), two)
            for value in VALUES[kind]:
                between = outcome(kind, written(kind, first, VARIABLES[kind], one), value)
                apart = outcome(kind, written(kind, second, VARIABLES[kind], two), between)
                assert outcome(kind, joined, value) == apart, joined


@pytest.mark.parametrize("kind", FORMS)
def test_operations_that_commute_give_the_same_in_either_order(kind: Value) -> None:
    swapped = 0
    for first, second in product(operations(kind), operations(kind)):
        assert commute(kind, first, second) == commute(kind, second, first)
        if commute(kind, first, second):
            swapped += 1
            for value in VALUES[kind]:
                assert run(kind, [first, second], value) == run(kind, [second, first], value), (first, second)
    assert swapped > 50


def test_twice_that_number_is_written_as_one_number() -> None:
    assert written("list", Operation("add", 4, 2), "xs") == "[x + 8 for x in xs]"
    assert run("list", [Operation("add", 4, 2), Operation("sum")], [1, 2]) == 19
    assert written("text", Operation("remove", "a"), "s") == 's.replace("a", "")'
    assert written("number", Operation("multiply", 3), written("number", Operation("add", 2), "n")) == "(n + 2) * 3"
