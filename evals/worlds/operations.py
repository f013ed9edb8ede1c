"""The operations of the `functions` world: how each is written in Python, what it does, and when two may be swapped.

    FORMS["list"]["above"].expressions[0]                     # "[x for x in {v} if x > {n}]"
    run("list", [Operation("add", 3), Operation("sum")], [1, 2])     # 9
    written("list", Operation("add", 3), "xs")                # "[x + 3 for x in xs]"

What an operation does is what its first expression computes, so a program and its meaning cannot differ.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

Value = Literal["list", "text", "number"]
Group = Literal["each", "shift", "keep", "cut", "reverse", "sort", "once", "end", "other"]
"""What an operation does to a value, as far as it decides with which others it commutes."""

VARIABLES: dict[Value, str] = {"list": "xs", "text": "s", "number": "n"}
"""What a function of this world calls its argument."""


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of operation.

    Args:
        expressions: the ways to write it, the usual one first; `{v}` is the value and `{n}` the argument.
        arguments: what it may be given; empty: nothing.
        group: see `Group`; an "end" turns the value into a number and comes last.
    """

    expressions: tuple[str, ...]
    arguments: Sequence[int | str] = ()
    group: Group = "other"
    apply: Callable[[Any, Any], Any] = field(init=False, repr=False, compare=False)
    """The value after the operation, of the value and the argument."""

    def __post_init__(self) -> None:
        source = "lambda v, n: " + self.expressions[0].format(v="v", n="n")
        object.__setattr__(self, "apply", eval(source))  # noqa: S307  # written in this module, never read from a file or a model


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation with its argument; `times` is 2 for "twice that number"."""

    name: str
    argument: int | str | None = None
    times: int = 1

    @property
    def given(self) -> int | str | None:
        """The argument that counts."""
        return self.argument * self.times if isinstance(self.argument, int) else self.argument


NUMBERS = range(2, 10)
"""Numbers that descriptions name; `_FEW` where more would leave nothing, or too much."""
_FEW = range(2, 5)
_LETTERS = ("a", "e", "n", "r", "s", "t")


def _slices(reverse: str) -> dict[str, Form]:
    """What lists and texts have in common."""
    return {
        "first": Form(("{v}[:{n}]",), _FEW, "cut"),
        "last": Form(("{v}[-{n}:]",), _FEW, "cut"),
        "skip": Form(("{v}[{n}:]",), _FEW, "cut"),
        "cut": Form(("{v}[:-{n}]",), _FEW, "cut"),
        "reverse": Form(("{v}[::-1]", reverse), group="reverse"),
    }


FORMS: dict[Value, dict[str, Form]] = {
    "list": {
        "add": Form(("[x + {n} for x in {v}]", "[{n} + x for x in {v}]"), NUMBERS, "shift"),
        "subtract": Form(("[x - {n} for x in {v}]",), NUMBERS, "shift"),
        "multiply": Form(("[x * {n} for x in {v}]", "[{n} * x for x in {v}]"), _FEW, "each"),
        "square": Form(("[x * x for x in {v}]", "[x ** 2 for x in {v}]"), group="each"),
        "even": Form(("[x for x in {v} if x % 2 == 0]", "[x for x in {v} if not x % 2]"), group="keep"),
        "odd": Form(("[x for x in {v} if x % 2 == 1]", "[x for x in {v} if x % 2]"), group="keep"),
        "above": Form(("[x for x in {v} if x > {n}]", "[x for x in {v} if {n} < x]"), NUMBERS, "keep"),
        "below": Form(("[x for x in {v} if x < {n}]", "[x for x in {v} if {n} > x]"), NUMBERS, "keep"),
        "least": Form(("[x for x in {v} if x >= {n}]", "[x for x in {v} if {n} <= x]"), NUMBERS, "keep"),
        "most": Form(("[x for x in {v} if x <= {n}]", "[x for x in {v} if {n} >= x]"), NUMBERS, "keep"),
        **_slices("list(reversed({v}))"),
        "second": Form(("{v}[::2]",), group="cut"),
        "sort": Form(("sorted({v})",), group="sort"),
        "fall": Form(("sorted({v}, reverse=True)", "sorted({v})[::-1]"), group="sort"),
        "once": Form(("list(dict.fromkeys({v}))",), group="once"),
        "sum": Form(("sum({v})",), group="end"),
        "count": Form(("len({v})",), group="end"),
        "largest": Form(("max({v})", "sorted({v})[-1]"), group="end"),
        "smallest": Form(("min({v})", "sorted({v})[0]"), group="end"),
    },
    "text": {
        **_slices('"".join(reversed({v}))'),
        "upper": Form(("{v}.upper()",), group="each"),
        "remove": Form(('{v}.replace({n}, "")', '"".join(c for c in {v} if c != {n})'), _LETTERS, "keep"),
        "append": Form(("{v} + {n}",), _LETTERS),
        "prepend": Form(("{n} + {v}",), _LETTERS),
        "twice": Form(("{v} * 2",)),
        "vowels": Form(('"".join(c for c in {v} if c in "aeiou")',), group="keep"),
        "consonants": Form(('"".join(c for c in {v} if c not in "aeiou")',), group="keep"),
        "sort": Form(('"".join(sorted({v}))',), group="sort"),
        "once": Form(('"".join(dict.fromkeys({v}))',), group="once"),
        "length": Form(("len({v})",), group="end"),
        "letters": Form(("{v}.count({n})",), _LETTERS, "end"),
    },
    "number": {
        "add": Form(("{v} + {n}", "{n} + {v}"), NUMBERS, "shift"),
        "subtract": Form(("{v} - {n}",), NUMBERS, "shift"),
        "multiply": Form(("{v} * {n}", "{n} * {v}"), _FEW),
        "square": Form(("{v} ** 2",)),
        "half": Form(("{v} // 2",)),
        "rest": Form(("{v} % {n}",), range(3, 10)),
        "least": Form(("max({v}, {n})", "max({n}, {v})"), NUMBERS),
        "most": Form(("min({v}, {n})", "min({n}, {v})"), NUMBERS),
    },
}
"""Operations by the kind of value that they take."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A problem's skeleton: the kind of value, and the operations on it in the order in which they are done."""

    kind: Value
    operations: tuple[Operation, ...]

    @property
    def ended(self) -> bool:
        """Whether the last operation turns a list or text into a number."""
        return FORMS[self.kind][self.operations[-1].name].group == "end"

    def bucket(self) -> int:
        """0 to 9, by a hash of the skeleton; this keeps the splits apart."""
        skeleton = (self.kind, *((one.name, one.argument, one.times) for one in self.operations))
        return int.from_bytes(hashlib.blake2b(repr(skeleton).encode(), digest_size=8).digest(), "big") % 10


_COMMUTING: frozenset[frozenset[Group]] = frozenset(
    frozenset(pair)
    for pair in (
        ("shift",), ("keep",), ("shift", "cut"), ("shift", "reverse"), ("shift", "sort"), ("shift", "once"),
        ("each", "cut"), ("each", "reverse"), ("keep", "reverse"), ("keep", "sort"), ("keep", "once"),
    )
)  # fmt: skip
"""Pairs of groups whose operations give the same in either order, on every value; a group alone: with itself."""


def commute(kind: Value, first: Operation, second: Operation) -> bool:
    """Whether two operations, one after the other, may be swapped whatever the value is."""
    groups = frozenset(FORMS[kind][one.name].group for one in (first, second))
    return groups in _COMMUTING and not (kind == "text" and "each" in groups and "keep" in groups)


def run(kind: Value, operations: Sequence[Operation], value: Any) -> Any:
    """The value after the operations.

    Raises:
        ValueError: the largest or smallest of no numbers.
    """
    forms = FORMS[kind]
    for one in operations:
        value = forms[one.name].apply(value, one.given)
    return value


def written(kind: Value, operation: Operation, value: str, way: int = 0) -> str:
    """The operation as an expression of the value, which may be an expression itself.

    Args:
        way: which of the form's expressions.
    """
    expression = FORMS[kind][operation.name].expressions[way]
    argument = operation.given
    if _binary(value) and "({v}" not in expression:
        value = f"({value})"
    return expression.format(v=value, n=f'"{argument}"' if isinstance(argument, str) else argument)


@cache
def _binary(expression: str) -> bool:
    return isinstance(ast.parse(expression, mode="eval").body, ast.BinOp)
