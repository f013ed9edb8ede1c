"""Equations in a path: checks GSM8K's calculator annotations, and makes a path's signature from its equations.

    >>> first_false("He pays 7*5 = <<7*5=36>>36.")
    '7*5=36'
    >>> signature("7 x 5 = 35\\nThe answer is 35")
    '7*5=35'

Arithmetic is read by a small parser on exact fractions: + - * / and parentheses, decimals, percent. No powers and no
`eval`; an expression is at most `EXPRESSION_CAP` characters long, so checking one takes bounded time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from rapidfuzz.distance import Levenshtein

from evals.reading import numbers, turns

EXPRESSION_CAP = 200

_ANNOTATION = re.compile(r"<<([^<>\n]*)>>")
_TOKEN = re.compile(r"[ ]*(?:([0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)|([-+*/()%]))")
_RUN = re.compile(r"[-0-9.,+*/x\u00d7\u00f7()%$ =]+")
_BREAK = re.compile(r"[.,;:](?=\s|$)")
_OPERATION = re.compile(r"[0-9)%][-+*/][-+*/(.]*[0-9]")
_SIGNS = str.maketrans({"x": "*", "X": "*", "\u00d7": "*", "\u00f7": "/", "$": None, " ": None, "\t": None})


class _UnreadableError(Exception):
    """The text is not arithmetic."""


class _Arithmetic:
    """Recursive descent over one expression: sum -> product -> signed -> number or parentheses, then `%`."""

    def __init__(self, text: str, hundred: int) -> None:
        self.tokens = _tokens(text)
        self.at = 0
        self.hundred = hundred

    def value(self) -> Fraction:
        value = self._sum()
        if self.at != len(self.tokens):
            raise _UnreadableError
        return value

    def _take(self, wanted: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at] in wanted:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def _sum(self) -> Fraction:
        value = self._product()
        while sign := self._take("+-"):
            value += self._product() if sign == "+" else -self._product()
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while sign := self._take("*/"):
            value = value * self._signed() if sign == "*" else value / self._signed()
        return value

    def _signed(self) -> Fraction:
        sign = 1
        while found := self._take("+-"):
            sign = -sign if found == "-" else sign
        value = sign * self._atom()
        while self._take("%"):
            value /= self.hundred
        return value

    def _atom(self) -> Fraction:
        if self._take("("):
            value = self._sum()
            if not self._take(")"):
                raise _UnreadableError
            return value
        if self.at == len(self.tokens) or self.tokens[self.at][0] not in ".0123456789":
            raise _UnreadableError
        self.at += 1
        return Fraction(self.tokens[self.at - 1])


def _tokens(text: str) -> list[str]:
    if len(text) > EXPRESSION_CAP:
        raise _UnreadableError
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _UnreadableError
        tokens.append(found[1].replace(",", "") if found[1] else found[2])
        at = found.end()
    return tokens


def value_of(text: str, percent: bool = True) -> Fraction | None:
    """The exact value of an arithmetic expression, or None if the text is not one.

    Args:
        text: `(3+4)*1.5`, `20% * 50`, `7 x 5`, `$1,000/4`.
        percent: whether `20%` means 20/100; else it means 20.

    Raises:
        ZeroDivisionError: the expression divides by zero.
    """
    try:
        return _Arithmetic(_plain(text), 100 if percent else 1).value()
    except _UnreadableError:
        return None


def holds(equation: str) -> bool | None:
    """Whether `lhs=rhs` (or a chain of them) is true; None if a side is not arithmetic.

    A side that is written as a decimal may be rounded or truncated: 10/3=3.33 and 2/3=0.66 hold, 7/2=3 does not.
    A `%` may mean a hundredth or be just a unit: 1/4*100=25% and 1/4=25% both hold.
    """
    sides = [_plain(side) for side in equation.split("=")]
    if len(sides) < 2 or len(equation) > 2 * EXPRESSION_CAP:
        return None
    verdicts = [_equal(left, right) for left, right in pairwise(sides)]
    if None in verdicts:
        return None
    return all(verdicts)


def _equal(left: str, right: str) -> bool | None:
    for percent in (True, False):
        try:
            a, b = value_of(left, percent), value_of(right, percent)
        except ZeroDivisionError:
            return False
        if a is None or b is None:
            return None
        if a == b or abs(a - b) < _slack(right, percent):
            return True
    return False


def _slack(side: str, percent: bool) -> Fraction:
    """One unit in the last written decimal place of a side, at least 1e-9 because calculators use floats.

    0 unless the side is a single decimal number.
    """
    found = re.fullmatch(r"-?[0-9,]*\.([0-9]+)(%?)", side)
    if found is None:
        return Fraction(0)
    return Fraction(1, 10 ** min(len(found[1]), 9) * (100 if found[2] and percent else 1))


def _plain(text: str) -> str:
    return numbers.with_plain_signs(text).translate(_SIGNS)


def first_false(text: str) -> str | None:
    """The first annotated equation (`<<lhs=rhs>>`) that does not hold, as written; None if there is none.

    An annotation that is not arithmetic does not count as false: there is nothing to check.
    """
    for found in _ANNOTATION.finditer(text):
        if holds(found[1]) is False:
            return found[1]
    return None


def strip_annotations(text: str) -> str:
    """The text without its `<<...>>`."""
    return _ANNOTATION.sub("", text)


def equation_signature(text: str) -> str:
    """The path's sequence of equations, one per line; two paths with the same sequence are the same reasoning.

    These are the annotated equations if there are any, else those found in the lines (`7 x 5 = 35`), without spaces,
    currency signs and commas, and with one sign for each operation. A text without equations is its own signature,
    ignoring case and white space.
    """
    text = turns.reply(text)
    found = [_plain(annotation) for annotation in _ANNOTATION.findall(text)]
    equations = [equation.replace(",", "") for equation in found if "=" in equation] or _in_lines(text)
    return "\n".join(equations) if equations else " ".join(text.casefold().split())


def _in_lines(text: str) -> list[str]:
    equations = []
    for line in numbers.with_plain_signs(text).splitlines():
        for sentence in _BREAK.split(line) if "=" in line else ():
            for run in _RUN.findall(sentence):
                sides = [side.strip("*/+,.") for side in run.translate(_SIGNS).replace(",", "").split("=")]
                sides = [side for side in sides if side]
                if len(sides) > 1 and _OPERATION.search(sides[0]):
                    equations.append("=".join(sides))
    return equations


def distance(a: Sequence[str], b: Sequence[str], limit: int | None = None) -> int:
    """Levenshtein distance of two token lists: insertions, deletions and substitutions cost one each.

    Computed by rapidfuzz, which works on bits in C++: sampling compares paths between the engine's steps, and must
    not keep the engine waiting.

    Args:
        limit: if given, stop early and return `limit` as soon as the distance is known to be at least that.
    """
    # rapidfuzz compares hashes; of numbers they are the numbers themselves, so two tokens never count as one.
    numbers_of: dict[str, int] = {}
    numbered = [[numbers_of.setdefault(token, len(numbers_of)) for token in tokens] for tokens in (a, b)]
    found = Levenshtein.distance(*numbered, score_cutoff=limit)
    return found if limit is None else min(found, limit)
