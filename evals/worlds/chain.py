"""The `chain` world: word problems solved by a chain of arithmetic steps, and the true verdict on every written step.

    Mia has 23 pens. She buys 14 more. She gives 9 to Tom. She doubles the pens. How many pens does Mia have?

    23+14=37
    37-9=28
    28*2=56
    The answer is 56

Splits never share a problem: the arithmetic skeleton (start, operations, operands) is hashed into one of ten buckets;
`test` and `ood` take bucket 0, `validation` bucket 1, `train` the rest. `ood` problems have more operations than any
other split's, and other wordings.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evals.errors import UsageError
from evals.records import Problem

PEOPLE = ("Mia", "Tom", "Ana", "Ben", "Eva", "Leo", "Ida", "Max", "Zoe", "Sam", "Amy", "Jon")
PRONOUNS = {name: "She" if i % 2 == 0 else "He" for i, name in enumerate(PEOPLE)}
ITEMS = ("pens", "books", "coins", "cards", "apples", "shells", "stamps", "beads", "nuts", "eggs", "keys", "cups")

WORDINGS: dict[str, tuple[str, ...]] = {
    "+": ("{who} buys {n} more.", "{who} finds {n} more.", "{other} gives {obj} {n}.", "{who} wins {n}."),
    "-": ("{who} gives {n} to {other}.", "{who} loses {n}.", "{who} sells {n}.", "{n} of them break."),
    "*": ("{who} now gets {n} times as many.", "The number grows {n} times."),
    "/": ("{who} keeps one of {n} equal parts.", "The number shrinks {n} times."),
}
OOD_WORDINGS: dict[str, tuple[str, ...]] = {
    "+": ("Then {n} are added.", "{who} picks up another {n}."),
    "-": ("Then {n} are taken away.", "{who} throws out {n} of the {item}."),
    "*": ("Then there are {n} times as many.",),
    "/": ("Then only one part in {n} is left.",),
}
LIMIT = 99
"""The highest state a problem may reach."""

STEPS_OF_SPLIT = {"train": (2, 6), "validation": (2, 6), "test": (2, 6), "ood": (7, 8)}
_BUCKETS = {"train": range(2, 10), "validation": range(1, 2), "test": range(1), "ood": range(1)}
_EQUATION = re.compile(r"(\d{1,6})([-+*/])(\d{1,6})=(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Chain:
    """A problem's skeleton: a start and the operations on it, in order."""

    start: int
    operations: tuple[tuple[str, int], ...]

    def states(self) -> list[int]:
        """The state after each operation."""
        state, states = self.start, []
        for operator, operand in self.operations:
            state = apply(state, operator, operand)
            states.append(state)
        return states

    def solution(self) -> list[str]:
        """One equation per operation."""
        before = [self.start, *self.states()]
        return [
            f"{before[i]}{operator}{operand}={before[i + 1]}" for i, (operator, operand) in enumerate(self.operations)
        ]

    def bucket(self) -> int:
        """0 to 9, by a hash of the skeleton; this keeps the splits apart."""
        digest = hashlib.blake2b(repr((self.start, self.operations)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % 10


def apply(state: int, operator: str, operand: int) -> int:
    """The state after one operation. Division is exact in every generated problem."""
    if operator == "+":
        return state + operand
    if operator == "-":
        return state - operand
    if operator == "*":
        return state * operand
    return state // operand


def problems(split: str, n: int, seed: int) -> Iterator[Problem]:
    """`n` problems of a split, no two with the same skeleton; the same seed gives the same problems.

    A shorter run is the beginning of a longer one.

    Raises:
        UsageError: unknown split.
    """
    if split not in STEPS_OF_SPLIT:
        raise UsageError(f"the chain world has no split {split!r}", f"Choose one of {', '.join(STEPS_OF_SPLIT)}.")
    rng = random.Random(f"chain/{split}/{seed}")
    wordings = OOD_WORDINGS if split == "ood" else WORDINGS
    seen: set[Chain] = set()
    while len(seen) < n:
        chain = draw_chain(rng, *STEPS_OF_SPLIT[split])
        if chain.bucket() not in _BUCKETS[split] or chain in seen:
            continue
        yield problem(f"chain/{split}/{seed}/{len(seen)}", chain, tell(rng, chain, wordings), split)
        seen.add(chain)


def problem(identity: str, chain: Chain, question: str, split: str) -> Problem:
    """The record of a chain; `world` holds the true states, which only the generator knows."""
    states = chain.states()
    return Problem.model_validate(
        {
            "id": identity,
            "task": "chain",
            "question": question,
            "answer": str(states[-1]),
            "solution": chain.solution(),
            "split": split,
            "world": {"states": states},
        }
    )


def draw_chain(rng: random.Random, least: int, most: int) -> Chain:
    """A random skeleton of `least` to `most` operations whose states stay within 1..LIMIT."""
    start = rng.randint(2, LIMIT)
    state, operations = start, []
    for _ in range(rng.randint(least, most)):
        operator, operand = _draw_operation(rng, state)
        operations.append((operator, operand))
        state = apply(state, operator, operand)
    return Chain(start, tuple(operations))


def _draw_operation(rng: random.Random, state: int) -> tuple[str, int]:
    while True:
        operator = rng.choice("++--*/")
        if operator == "+" and state < LIMIT:
            return operator, rng.randint(1, LIMIT - state)
        if operator == "-" and state > 1:
            return operator, rng.randint(1, state - 1)
        if operator == "*" and state * 2 <= LIMIT:
            return operator, rng.randint(2, min(9, LIMIT // state))
        if operator == "/":
            divisors = [d for d in range(2, 10) if state % d == 0]
            if divisors:
                return operator, rng.choice(divisors)


def tell(rng: random.Random, chain: Chain, wordings: dict[str, tuple[str, ...]]) -> str:
    """The chain as a story that ends in its question."""
    who, other = rng.sample(PEOPLE, 2)
    item = rng.choice(ITEMS)
    pronoun = PRONOUNS[who]
    sentences = [f"{who} has {chain.start} {item}."]
    for operator, operand in chain.operations:
        wording = rng.choice(wordings[operator])
        sentences.append(
            wording.format(who=pronoun, other=other, obj="her" if pronoun == "She" else "him", item=item, n=operand)
        )
    sentences.append(f"How many {item} does {who} have?")
    return " ".join(sentences)


def true_steps(states: Sequence[int], steps: Sequence[str]) -> list[bool]:
    """Whether each written step is really right: its equation holds, and its result is the problem's state after that
    many operations.

    Args:
        states: the problem's states (`world.states` of its line), one per operation.
        steps: the written steps.

    Returns:
        One flag per step. A step past the last operation is wrong.
    """
    flags = []
    for j, step in enumerate(steps):
        found = _EQUATION.fullmatch(step.strip())
        if found is None or j >= len(states):
            flags.append(False)
            continue
        left, operator, right, result = int(found[1]), found[2], int(found[3]), int(found[4])
        flags.append(_holds(left, operator, right, result) and result == states[j])
    return flags


def _holds(left: int, operator: str, right: int, result: int) -> bool:
    if operator == "/":
        return right != 0 and left == right * result
    return apply(left, operator, right) == result
