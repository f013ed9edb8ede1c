"""Paths of a problem that are searched at the same time: the draws are those of one search after the other."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from evals.records import Problem
from stages.engines.base import Completion, Request
from tests.stages.fakes import Written, chain_problem, path
from tests.stages.strategies.truth import LONG, label, prefix_of

WAYS: dict[str, dict[str, Any]] = {
    "binary": {},
    "binary, trust_correct": {"trust_correct": True},
    "binary, confidence": {"confidence": 0.8},
    "prm-guided": {},
    "prm-guided, walk_on": {"walk_on": True},
    "prm-guided, trust_correct": {"trust_correct": True},
}


class Uneven(Written):
    """Takes a different number of turns for each draw, and counts the streams that are open at once."""

    def __init__(self, write: Any, seed: int) -> None:
        super().__init__(write)
        self.turns, self.open, self.most = random.Random(seed), 0, 0

    async def stream(self, request: Request) -> AsyncGenerator[Completion, None]:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            async for completion in super().stream(request):
                for _ in range(self.turns.randrange(12)):
                    await asyncio.sleep(0)
                yield completion
        finally:
            self.open -= 1


def answers_by_chance(seed: int) -> Uneven:
    """Three prefixes of five are dead; a draw of the others is right every other time. Nothing else is known of them,
    so that a path may well be live again after a dead step."""

    def write(request: Request, draw: Any) -> str:
        live = random.Random(f"{seed} {request.prefix}").random() < 0.4
        return f"The answer is {76 if live and draw.seed % 2 else 75}"

    return Uneven(write, seed)


def paths_that_share(seed: int) -> Problem:
    """Up to five paths; each leaves an earlier one after some of its steps, which may be none or all."""
    draws = random.Random(seed)
    rows: list[tuple[str, ...]] = [LONG[: draws.randint(1, 8)]]
    for number in range(draws.randrange(5)):
        shared = draws.choice(rows)
        shared = shared[: draws.randint(0, len(shared))]
        rows.append((*shared, *(f"{number}+{i}={number + i}" for i in range(draws.randint(not shared, 4)))))
    return chain_problem(paths=[with_scores(i, row, draws) for i, row in enumerate(rows)])


def with_scores(number: int, row: tuple[str, ...], draws: random.Random) -> dict[str, Any]:
    right = draws.random() < 0.3
    scores = {"steps": [draws.random() for _ in row], "mean": 0.5, "min": 0.0, "product": 0.0, "last": 0.0}
    return path(number, *row, answer="76" if right else "75", correct=right) | {"scores": {"prm": scores}}


@pytest.mark.parametrize("way", WAYS)
def test_labels_draws_and_counts_are_those_of_one_search_after_the_other(way: str) -> None:
    most = Counter[bool]()
    for seed in range(60):
        problem, sides = paths_that_share(seed), []
        for budget in (None, 10_000):  # under a budget the searches follow each other
            engine = answers_by_chance(seed)
            labelled, tally = label(way.partition(",")[0], problem, engine, k=3, budget=budget, **WAYS[way])
            sides.append((labelled.model_dump(), engine.handed, tally.counts))
            most[budget is None] = max(most[budget is None], engine.most)
        assert sides[0] == sides[1], f"seed {seed}"
    assert most[False] == 1
    assert most[True] >= 3, "nothing was searched at the same time"


def test_a_search_waits_no_longer_than_for_the_steps_that_it_shares() -> None:
    rows = [LONG, (LONG[0], *(f"9+{i}={9 + i}" for i in range(7)))]
    live = {prefix_of(row, step) for row in rows for step in range(4)}
    engine = Uneven(lambda request, draw: f"The answer is {76 if request.prefix in live else 75}", 0)
    paths = [path(i, *row, answer="75", correct=False) for i, row in enumerate(rows)]
    label("binary", chain_problem(paths=paths), engine, k=4)
    steps = [request.prefix.count("\n") for request in engine.asked]
    assert steps[0] == 4, "the first path's middle is live, so it draws no step any more that the second shares"
    assert sorted(steps) == [4, 4, 5, 5, 6, 6]
    assert engine.most == 2
