"""Which values tell a pipeline of the `functions` world from those that differ from it in one operation.

    telling_inputs(random.Random(0), Pipeline("list", (Operation("even"), Operation("sum"))))
    # three lists; at least one of them gives another result with `odd` for `even`, with `count` for `sum`, ...

These values become the problem's tests.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from evals.worlds.operations import FORMS, Operation, Pipeline, Value, commute, run

WORDS = (
    "banana", "function", "letters", "strange", "season", "returns", "entrance", "assessment", "tea", "eastern",
    "nearest", "string", "sentences", "rattle", "sense", "ant", "transparent", "arrest", "errands", "tennis",
)  # fmt: skip
"""What functions of a text are tested with."""
LARGEST = 9999
"""No number in a test's expected result is greater, nor less than its negative."""
POOL = 24
"""Inputs of which a problem's tests are chosen."""
LOOKED_AT = (1, 8, POOL)
"""How many inputs are tried for each of a problem's three tests; the one that tells most is taken."""


def all_matter(kind: Value, operations: Sequence[Operation]) -> bool:
    """Whether each operation changes the result of some probe, as far as the probes show."""
    results = [_outcome(kind, operations, probe) for probe in _PROBES[kind]]
    return all(
        any(_outcome(kind, without, probe) != result for probe, result in zip(_PROBES[kind], results, strict=True))
        for i in range(len(operations))
        for without in [[*operations[:i], *operations[i + 1 :]]]
    )


_PROBES: dict[Value, tuple[Any, ...]] = {
    "list": ([7, 2, 15, 4, 9, 2, -3, 10], [1, 12, 5, 5, 8, 3, 0, 6], [14, -1, 11, 2, 13, 4, 11]),
    "text": ("transparent", "assessment", "sentences"),
    "number": (-5, 8, 31),
}


def telling_inputs(rng: random.Random, pipeline: Pipeline) -> list[Any] | None:
    """Values that tell the pipeline from every other with one operation changed; None if there are none.

    Returns:
        Three inputs; each changed pipeline gives another result for at least one of them, or fails.
    """
    kind, operations = pipeline.kind, pipeline.operations
    pool = [one for one in _pool(rng, kind) if _small(_outcome(kind, operations, one))]
    chosen, alike = list[Any](), list(changes(pipeline))
    for looked_at in LOOKED_AT:
        best, least = None, alike
        for one in pool[:looked_at]:
            result = _outcome(kind, operations, one)
            left = [changed for changed in alike if _outcome(kind, changed, one) == result]
            if best is None or len(left) < len(least):
                best, least = one, left
            if not left:
                break
        if best is None:
            return None
        pool.remove(best)
        chosen.append(best)
        alike = least
    return None if alike else chosen


def changes(pipeline: Pipeline) -> Iterator[tuple[Operation, ...]]:
    """The pipelines with an operation left out, swapped with the next, made another, or given a neighbouring number."""
    kind, operations = pipeline.kind, pipeline.operations
    forms = FORMS[kind]
    for i, one in enumerate(operations):
        before, after = operations[:i], operations[i + 1 :]
        end = forms[one.name].group == "end"
        if not end:
            yield (*before, *after)
            if after and forms[after[0].name].group != "end" and not commute(kind, one, after[0]):
                yield (*before, after[0], one, *after[1:])
        for name, form in forms.items():
            if name != one.name and (form.group == "end") == end:
                argument = one.given if one.given in form.arguments else next(iter(form.arguments), None)
                yield (*before, Operation(name, argument), *after)
        if isinstance(one.given, int):
            for argument in (one.given - 1, one.given + 1):
                yield (*before, Operation(one.name, argument), *after)


def _outcome(kind: Value, operations: Sequence[Operation], value: Any) -> Any:
    """The result, or None where there is none."""
    try:
        return run(kind, operations, value)
    except ValueError:
        return None


def _small(result: Any) -> bool:
    numbers = result if isinstance(result, list) else [result]
    return result is not None and all(isinstance(one, str) or abs(one) <= LARGEST for one in numbers)


def _pool(rng: random.Random, kind: Value) -> list[Any]:
    if kind == "text":
        return rng.sample(WORDS, len(WORDS))
    if kind == "number":
        return rng.sample(range(-9, 50), POOL)
    pool = []
    for _ in range(POOL):
        numbers = [rng.randint(-4, 15) for _ in range(rng.randint(6, 8))]
        numbers.insert(rng.randrange(len(numbers)), rng.choice(numbers))  # so that there is a duplicate
        pool.append(numbers)
    return pool
