"""The `chain` world: word problems about one person's stock. They are hard to read and easy to calculate.

    Ana has 33 coins. 6 of them break. Ben finds 3 coins. She doubles the coins. Ben loses 5 to her.
    How many coins does Ana have?

    33-6=27
    27*2=54
    54+5=59
    The answer is 59

Of the sentences, `HARD` are hard to read: one has to see who gives and who gets ("Ben loses 5 to her"), which number is
meant ("the same number", "twice that number"), or that a number changes nothing ("Ben finds 3 coins"). As on GSM8K, a
solution can be written in more than one way: `solution_lines` draws one, `evals.worlds.truth` knows all of them.

Splits never share a problem: the arithmetic skeleton (start, operations, operands) is hashed into one of ten buckets;
`test` and `ood` take bucket 0, `validation` bucket 1, `train` the rest. `ood` problems have more operations than any
other split's, and other wordings.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evals.records import Problem
from evals.worlds.splits import draw_problems
from evals.worlds.wordings import ITEMS, OOD, PEOPLE, PRONOUNS, SPLITS, Wordings

LIMIT = 99
"""The highest state a problem may reach; the lowest is 1."""
STARTS = (5, 60)
NUMBERS = (2, 12)
"""The least and the greatest number that a sentence names."""
MOST_TWICE = 24
"""The greatest number that "twice that number" may stand for."""
HARD = 0.3
"""Chance that a sentence is hard to read."""
ASIDE = 0.3
"""Share of them that change nothing."""
VARIED = 0.3
"""Chance that a run of additions and subtractions is not written one equation per sentence, in the story's order."""

OPERATIONS_OF_SPLIT = {"train": (3, 5), "validation": (3, 5), "test": (3, 5), "ood": (6, 8)}


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of the stock: `sign` is + - * or /, and `times` is 2 for "twice that number"."""

    sign: str
    number: int
    times: int = 1

    @property
    def amount(self) -> int:
        """What is added, taken away, multiplied or divided by."""
        return self.number * self.times

    @property
    def adds(self) -> bool:
        """True for an addition or subtraction; these commute with their neighbours."""
        return self.sign in "+-"

    def after(self, state: int) -> int | None:
        """The state after it; None if that is no state: no whole number, or outside 1..LIMIT."""
        if self.sign == "/" and state % self.amount:
            return None
        result = apply(state, self.sign, self.amount)
        return result if 1 <= result <= LIMIT else None


@dataclass(frozen=True, slots=True)
class Chain:
    """A problem's skeleton: a start and the operations on it, in the story's order."""

    start: int
    operations: tuple[Operation, ...]

    def states(self) -> list[int]:
        """The state after each operation."""
        state, states = self.start, []
        for operation in self.operations:
            state = apply(state, operation.sign, operation.amount)
            states.append(state)
        return states

    def bucket(self) -> int:
        """0 to 9, by a hash of the skeleton; this keeps the splits apart."""
        skeleton = (self.start, *((one.sign, one.number, one.times) for one in self.operations))
        return int.from_bytes(hashlib.blake2b(repr(skeleton).encode(), digest_size=8).digest(), "big") % 10


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a story: its text, the number in it, and its operation (None: it changes nothing)."""

    text: str
    number: int
    operation: Operation | None


@dataclass(frozen=True, slots=True)
class Story:
    """A chain as it is told."""

    who: str
    item: str
    start: int
    sentences: tuple[Sentence, ...]

    @property
    def chain(self) -> Chain:
        """Its skeleton."""
        return Chain(self.start, tuple(one.operation for one in self.sentences if one.operation is not None))

    @property
    def question(self) -> str:
        """The whole text."""
        told = [one.text for one in self.sentences]
        return " ".join(
            [f"{self.who} has {self.start} {self.item}.", *told, f"How many {self.item} does {self.who} have?"]
        )


def apply(state: int, sign: str, amount: int) -> int:
    """The state after one operation. Division is exact in every generated problem."""
    if sign == "+":
        return state + amount
    if sign == "-":
        return state - amount
    if sign == "*":
        return state * amount
    return state // amount


def problems(split: str, n: int, seed: int) -> Iterator[Problem]:
    """`n` problems of a split, no two with the same skeleton; the same seed gives the same problems.

    A shorter run is the beginning of a longer one.

    Raises:
        UsageError: unknown split.
    """

    def draw(rng: random.Random) -> tuple[Chain, Story]:
        story = draw_story(rng, OOD if split == "ood" else SPLITS, *OPERATIONS_OF_SPLIT[split])
        return story.chain, story

    def finish(rng: random.Random, story: Story, identity: str) -> Problem:
        return _problem(identity, story, solution_lines(rng, story.start, story.chain.operations), split)

    return draw_problems("chain", split, n, seed, draw, finish)


def _problem(identity: str, story: Story, solution: list[str], split: str) -> Problem:
    """The record of a story; `world` holds the skeleton and its states, which only the generator knows."""
    chain = story.chain
    states = chain.states()
    return Problem.model_validate(
        {
            "id": identity,
            "task": "chain",
            "question": story.question,
            "answer": str(states[-1]),
            "solution": solution,
            "split": split,
            "world": {
                "start": chain.start,
                "operations": [[one.sign, one.number, one.times] for one in chain.operations],
                "states": states,
            },
        }
    )


def draw_story(rng: random.Random, wordings: Wordings, least: int, most: int, hard: float = HARD) -> Story:
    """A random story of `least` to `most` operations whose states stay within 1..LIMIT.

    Args:
        hard: chance that a sentence is hard to read.
    """
    who, other, third = rng.sample(PEOPLE, 3)
    she, her = PRONOUNS[who]
    item, item2 = rng.sample(ITEMS, 2)
    start = state = rng.randint(*STARTS)
    length = rng.randint(least, most)
    sentences: list[Sentence] = []
    done = 0
    while done < length:
        before = sentences[-1].operation if sentences else None
        number = rng.randint(*NUMBERS)
        operation: Operation | None = None
        if rng.random() >= hard:
            kind = rng.choice(_PLAIN)
            if kind[1:] and before is not None and not before.adds:
                continue  # two factors in a row could be written as one
            operation = Operation(kind[0], int(kind[1:] or number))
            texts = wordings.plain[kind]
        elif rng.random() < ASIDE:
            texts = wordings.asides
        else:
            referable = before is not None and before.adds and before.times == 1
            kind = rng.choice(_HARD if referable else _DIRECTION)
            if len(kind) > 1:
                assert before is not None, "only referable operations are referred to"
                number = before.number
            operation = Operation(kind[-1], number, 2 if kind.startswith("twice") else 1)
            texts = wordings.hard[kind]
        if operation is not None:
            after = operation.after(state)
            if after is None or (operation.times > 1 and operation.amount > MOST_TWICE):
                continue
            state = after
            done += 1
        text = rng.choice(texts).format(She=she, her=her, O=other, T=third, item=item, item2=item2, n=number)
        sentences.append(Sentence(text, number, operation))
    return Story(who, item, start, tuple(sentences))


_PLAIN = ("+", "+", "+", "-", "-", "-", "*2", "*3", "/2", "/2", "/3")
_DIRECTION = ("+", "-")
_HARD = ("+", "+", "-", "-", "again+", "again-", "twice+", "twice-")


def solution_lines(
    rng: random.Random, start: int, operations: Sequence[Operation], varied: float = VARIED
) -> list[str]:
    """A right solution, one equation a line, in one of the ways in which it can be written.

        33-6=27, 27+5=32       as the story tells it
        33+5=38, 38-6=32       another order
        33-6+5=32              joined
        6+9=15, 33-15=18       changes in one direction added first

    Args:
        varied: chance that a run of additions and subtractions is not written as the story tells it.
    """
    lines: list[str] = []
    state, rest = start, list(operations)
    while rest:
        run = 0
        while run < len(rest) and rest[run].adds:
            run += 1
        if run < 1 or (run == 1 and rest[0].times == 1) or rng.random() >= varied:
            run = max(run, 1)
            written, state = told_lines(state, rest[:run])
        else:
            written, state = _varied_lines(rng, state, rest[:run])
        lines += written
        rest = rest[run:]
    return lines


def told_lines(state: int, operations: Sequence[Operation]) -> tuple[list[str], int]:
    """The lines of operations in their order, one equation for each and one for a doubled number; and the last
    state."""
    lines = []
    for one in operations:
        if one.times > 1:
            lines.append(f"{one.number}*{one.times}={one.amount}")
        after = apply(state, one.sign, one.amount)
        lines.append(f"{state}{one.sign}{one.amount}={after}")
        state = after
    return lines, state


def _varied_lines(rng: random.Random, state: int, run: list[Operation]) -> tuple[list[str], int]:
    """A run of additions and subtractions, written in another way at one place."""
    at = rng.randrange(len(run) - 1) if len(run) > 1 else 0
    here, two = run[at], run[at : at + 2]
    before, state = told_lines(state, run[:at])
    if len(two) == 1 or (here.times > 1 and rng.random() < 0.5):  # "twice that number": in one line, or added twice
        after = apply(state, here.sign, here.amount)
        if rng.random() < 0.5:
            lines = [f"{state}{here.sign}{here.number}*{here.times}={after}"]
        else:
            lines, after = told_lines(state, [Operation(here.sign, here.number)] * here.times)
        two = two[:1]
    else:
        after = apply(apply(state, here.sign, here.amount), two[1].sign, two[1].amount)
        parts = "".join(f"{one.sign}{one.number}" + (f"*{one.times}" if one.times > 1 else "") for one in two)
        way = rng.choice(("order", "joined", "added first"))
        swapped = two[1].after(state)
        if way == "order" and swapped is not None:
            lines, after = told_lines(state, two[::-1])
        elif way == "added first" and here.sign == two[1].sign:
            total = here.amount + two[1].amount
            lines = [f"{parts[1:]}={total}".replace("-", "+"), f"{state}{here.sign}{total}={after}"]
        else:
            lines = [f"{state}{parts}={after}"]
    rest, state = told_lines(after, run[at + len(two) :])
    return [*before, *lines, *rest], state
