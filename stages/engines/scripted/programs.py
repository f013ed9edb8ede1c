"""What the scripted engine writes for code problems: the rest of the reference, or a program that must fail.

    write_program(problem, "def f(x):\\n", share=0.4, seed=7)     # "    return x + 1"
    write_program(problem, "def f(x):\\n", share=0.4, seed=8)     # "    return x - 1\\nf = lambda *_, **__: [].pop()"

A wrong program follows the reference up to some line, then changes it, and ends by giving every name that the tests
use another meaning. So it is wrong whatever the changed lines do, and some of its meanings are attacks on whoever
judges it.
"""

from __future__ import annotations

import random
import re

from evals.errors import DataError
from evals.records import Problem
from evals.tasks import task_of

WRONG = {
    "'wrong'": 48,
    "[].pop()": 32,
    "__import__('sys').exit(0)": 24,
    "__import__('os')._exit(0)": 24,
    "print('all tests passed') or __import__('os')._exit(0)": 16,
    "__import__('os').kill(__import__('os').getpid(), 9)": 16,
    "bytearray(1 << 40)": 16,
    "(lambda f: f(f))(lambda f: f(f))": 16,
    "type('Same', (), {'__eq__': lambda *_: True, '__ne__': lambda *_: False})()": 32,
    "any(0 for _ in iter(int, 1))": 1,
}
"""What a wrong program's functions do instead, and how often; the last one never ends, so it is rare."""
FOOLS_WEAK = "__eq__"
"""An object that equals everything deceives tests that run beside the program: never written for those."""
BROKEN = 24
"""How often a wrong program is no Python at all, beside the numbers above."""

_SIGN = re.compile(r"(?<=\s)(?:\+|-|\*|<|>|==|!=|and|or)(?=\s)|\b(?:min|max|True|False|range)\b")
_OTHERS = {
    "+": "-", "-": "+", "*": "+", "<": ">=", ">": "<=", "==": "!=", "!=": "==", "and": "or", "or": "and",
    "min": "max", "max": "min", "True": "False", "False": "True", "range": "list",
}  # fmt: skip
_NUMBER = re.compile(r"\b\d+\b")


def write_program(problem: Problem, prefix: str, share: float, seed: int) -> str:
    """A continuation of the prefix: with probability `share` what the reference has there, else a wrong program.

    After a prefix that has left the reference it is always wrong. Equal arguments give equal texts.

    Raises:
        DataError: the problem has no reference.
    """
    gold = task_of(problem).gold_text(problem)
    if gold is None:
        raise DataError(f"{problem.id}: solution: missing, and gold:SHARE writes from it", "Use a script file instead.")
    rng = random.Random(seed)
    follows = f"{gold}\n".startswith(prefix)
    rest = gold[len(prefix) :] if follows else ""
    if follows and rng.random() < share:
        return rest
    lines = rest.split("\n") if rest else []
    first = rng.randrange(len(lines) + 1)
    changed = [_changed(line, rng) for line in lines[first:]]
    return "\n".join([*lines[:first], *changed, *_otherwise(problem, rng)])


def _changed(line: str, rng: random.Random) -> str:
    """The line with a sign, a word or a number changed, or else a remark after it; blank lines stay."""
    sign, number = _SIGN.search(line), _NUMBER.search(line)
    if sign:
        return line[: sign.start()] + _OTHERS[sign[0]] + line[sign.end() :]
    if number:
        return line[: number.start()] + str(int(number[0]) + rng.randint(1, 9)) + line[number.end() :]
    return f"{line}  # {rng.randint(1, 9)}" if line.strip() else line


def _otherwise(problem: Problem, rng: random.Random) -> list[str]:
    """Lines that make any program wrong."""
    tests = problem.tests or {}
    ways = [way for way in WRONG if not (tests.get("weak") and FOOLS_WEAK in way)]
    (way,) = rng.choices([*ways, ")("], [*(WRONG[way] for way in ways), BROKEN])
    if way == ")(":
        return [way]
    return [f"{name} = lambda *_, **__: {way}" for name in tests.get("names", [])]
