"""The `functions` world: small Python functions to write from a description. They are hard to read and easy to program.

    Write a function solve(xs) for a list of numbers. Drop the even numbers. Before that, add 3 to each number.
    Then keep all but the first 2 numbers. Return the sum.

    def solve(xs):
        xs = [x + 3 for x in xs]
        xs = [x for x in xs if x % 2 == 1]
        xs = xs[2:]
        return sum(xs)

Of the sentences, `HARD` are hard to read: what stays is said by what goes ("all but", "no more than"), they are told
out of order ("before that"), refer to the number before ("the same number", "twice that number"), or change nothing
("The list is not sorted"). A program can be written in more than one right way; `program_lines` draws one, and any
other that passes the tests is right as well.

The three tests of a problem are chosen so that they tell its program from every one with an operation left out, swapped
with its neighbour or changed into another; a description for which no three inputs do so is not used. Splits never
share a problem: the kind of value and the operations are hashed into one of ten buckets; `test` and `ood` take bucket
0, `validation` bucket 1, `train` the rest. `ood` problems have more operations than any other split's, and other
wordings.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evals.programs.checks import CodeTests
from evals.records import Problem
from evals.worlds.operations import FORMS, NUMBERS, VARIABLES, Group, Operation, Pipeline, Value, commute, run, written
from evals.worlds.phrases import OOD, SPLITS, Wordings
from evals.worlds.splits import draw_problems
from evals.worlds.telling import all_matter, telling_inputs

HARD = 0.3
"""Chance that a sentence is hard to read."""
ASIDE, EARLIER, AGAIN = 0.2, 0.25, 0.25
"""Chances that such a sentence changes nothing, is told after what it precedes, or refers to the number before."""
VARIED = 0.3
"""Chance that two neighbouring operations, or one operation, are not written in the usual way."""
ENDS = 0.6
"""Chance that a list or text is turned into a number at the end."""
KINDS: tuple[Value, ...] = ("list", "list", "list", "text", "text", "number")
NAMES = ("solve", "change", "convert", "compute", "build", "handle", "work", "make")
"""What functions are called."""
STEPS = "lines:1"
"""Each line of a program is a step with its own rollouts and label, as programs are short."""
OPERATIONS_OF_SPLIT = {"train": (2, 4), "validation": (2, 4), "test": (2, 4), "ood": (5, 5)}
"""The least and the greatest number of operations, the one that ends in a number included."""


@dataclass(frozen=True, slots=True)
class Description:
    """A pipeline as it is described."""

    name: str
    question: str
    pipeline: Pipeline


def problems(split: str, n: int, seed: int) -> Iterator[Problem]:
    """`n` problems of a split, no two with the same skeleton; the same seed gives the same problems.

    A shorter run is the beginning of a longer one.

    Raises:
        UsageError: unknown split.
    """

    def draw(rng: random.Random) -> tuple[Pipeline, Description]:
        task = draw_description(rng, OOD if split == "ood" else SPLITS, *OPERATIONS_OF_SPLIT[split])
        return task.pipeline, task

    def finish(rng: random.Random, task: Description, identity: str) -> Problem | None:
        inputs = telling_inputs(rng, task.pipeline)
        if inputs is None:
            return None
        return _problem(identity, task, program_lines(rng, task.name, task.pipeline), inputs, split)

    return draw_problems("functions", split, n, seed, draw, finish)


def _problem(identity: str, task: Description, solution: list[str], inputs: Sequence[Any], split: str) -> Problem:
    """The record of a task; `world` holds the skeleton, which only the generator knows."""
    pipeline = task.pipeline
    asserts = [f"assert {task.name}({one!r}) == {run(pipeline.kind, pipeline.operations, one)!r}" for one in inputs]
    return Problem.model_validate(
        {
            "id": identity,
            "task": "functions",
            "question": task.question,
            "solution": solution,
            "tests": {**CodeTests("\n".join(asserts), (task.name,)).as_dict(), "steps": STEPS},
            "split": split,
            "world": {
                "kind": pipeline.kind,
                "operations": [[one.name, one.argument, one.times] for one in pipeline.operations],
            },
        }
    )


def draw_description(rng: random.Random, wordings: Wordings, least: int, most: int, hard: float = HARD) -> Description:
    """A random description of `least` to `most` operations, each of which matters for some value.

    Args:
        hard: chance that a sentence is hard to read.
    """
    kind, name, length = rng.choice(KINDS), rng.choice(NAMES), rng.randint(least, most)
    ended = kind != "number" and length > 1 and rng.random() < ENDS
    while True:
        sentences = [rng.choice(wordings.heads[kind]).format(call=f"{name}({VARIABLES[kind]})")]
        told, operations = _told(rng, wordings, kind, length - ended, hard)
        sentences += told
        last = "result"
        if ended:
            operations.append(_draw(rng, kind, ended=True))
            last = operations[-1].name
        is_hard = rng.random() < hard and last in wordings.hard[kind]
        phrase = rng.choice((wordings.hard if is_hard else wordings.plain)[kind][last])
        sentences.append(_sentence(wordings.frames[0], phrase, operations[-1].argument))
        if all_matter(kind, operations):
            return Description(name, " ".join(sentences), Pipeline(kind, tuple(operations)))


def _told(
    rng: random.Random, wordings: Wordings, kind: Value, length: int, hard: float
) -> tuple[list[str], list[Operation]]:
    """Sentences that tell so many operations, and these in the order in which they are done."""
    sentences, operations = list[str](), list[Operation]()
    before: Operation | None = None  # what the last sentence tells
    at = -1  # and where it stands
    while len(operations) < length:
        operation = _draw(rng, kind)
        if _too_much(kind, operation, operations):
            continue
        phrases = wordings.plain[kind][operation.name]
        frame = wordings.frames[0] if not operations else rng.choice(wordings.frames)
        place = len(operations)
        if rng.random() < hard:
            way = rng.random()
            if way < ASIDE:
                sentences.append(rng.choice(wordings.asides[kind]).format(n=rng.choice(NUMBERS)))
                before = None
                continue
            if before is not None and way < ASIDE + EARLIER and not commute(kind, operation, before):
                frame, place = rng.choice(wordings.earlier), at
            elif way > 1 - AGAIN and kind != "text" and before is not None and _numbered(before):
                reference = rng.choice(_REFERENCES)
                times, name = reference.split()
                operation = Operation(name, before.argument, 2 if times == "twice" else 1)
                phrases = wordings.hard[kind][reference]
            else:
                phrases = wordings.hard[kind].get(operation.name, phrases)
        sentences.append(_sentence(frame, rng.choice(phrases), operation.argument))
        operations.insert(place, operation)
        before, at = operation, place
    return sentences, operations


def _numbered(operation: Operation) -> bool:
    """Whether the next sentence may refer to its number."""
    return isinstance(operation.argument, int) and operation.times == 1


_REFERENCES = ("again add", "again subtract", "twice add", "twice subtract")


def _draw(rng: random.Random, kind: Value, *, ended: bool = False) -> Operation:
    name = rng.choice([name for name, form in FORMS[kind].items() if (form.group == "end") == ended])
    arguments = FORMS[kind][name].arguments
    return Operation(name, rng.choice(arguments) if arguments else None)


def _too_much(kind: Value, operation: Operation, operations: Sequence[Operation]) -> bool:
    """Whether one more of its group hardly ever changes anything, or leaves nothing."""
    group = FORMS[kind][operation.name].group
    return sum(FORMS[kind][one.name].group == group for one in operations) >= _MOST.get(group, len(operations) + 1)


_MOST: dict[Group, int] = {"keep": 2, "cut": 2, "reverse": 1, "sort": 1, "once": 1}


def _sentence(frame: str, phrase: str, argument: int | str | None) -> str:
    phrase = phrase.format(n=argument)
    return frame.format(phrase=phrase, Phrase=phrase[0].upper() + phrase[1:])


def program_lines(rng: random.Random, name: str, pipeline: Pipeline, varied: float = VARIED) -> list[str]:
    """A right program, a line per step, in one of the ways in which it can be written.

        xs = [x + 3 for x in xs]; xs = xs[::-1]             as it is described
        xs = [3 + x for x in xs]; xs = list(reversed(xs))   in other words
        xs = xs[::-1]; xs = [x + 3 for x in xs]             in another order, where the two commute
        xs = [x + 3 for x in xs][::-1]                      joined

    Args:
        varied: chance that an operation is not written as it is described, where there is another way.
    """
    kind, rest = pipeline.kind, list(pipeline.operations)
    value = VARIABLES[kind]
    lines, result = [f"def {name}({value}):"], value
    while rest:
        operation, way = rest.pop(0), 0
        other = rng.choice(("words", "order", "joined")) if rng.random() < varied else ""
        if other == "words":
            way = rng.randrange(len(FORMS[kind][operation.name].expressions))
        if other == "order" and rest and commute(kind, operation, rest[0]):
            operation, rest[0] = rest[0], operation
        expression = written(kind, operation, value, way)
        if other == "joined" and rest:
            expression = written(kind, rest.pop(0), expression)
        if not rest and (pipeline.ended or other == "joined"):
            result = expression
        else:
            lines.append(f"    {value} = {expression}")
    return [*lines, f"    return {result}"]
