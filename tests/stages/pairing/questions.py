"""Questions for the rules: paths with scores, labels and counts of draws, and what a rule makes of them."""

from __future__ import annotations

import random
from typing import Any

from evals.records import Problem
from stages.pairing.report import PairReport
from stages.pairs import make_pairs
from stages.settings.pairs import PairSettings
from tests.stages.fakes import chain_problem


def solved(
    number: int,
    steps: str,
    correct: bool = False,
    *,
    scores: list[float] | None = None,
    labels: list[bool | None] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Path `number`; each letter of `steps` is a step. A label of None is undecided."""
    answer = 76 if correct else number
    made: dict[str, Any] = {
        "id": f"c#{number}", "text": "".join(f"{letter}+{number}=1\n" for letter in steps) + f"The answer is {answer}",
        "steps": [f"{letter}+{number}=1" for letter in steps], "correct": correct, **fields,
    }  # fmt: skip
    if scores is not None:
        made["scores"] = {"prm": aggregates(scores)}
    if labels is not None:
        made["labels"] = [label(one) for one in labels]
    return made


def aggregates(scores: list[float]) -> dict[str, Any]:
    product = 1.0
    for score in scores:
        product *= score
    mean = sum(scores) / len(scores)
    return {"steps": scores, "mean": mean, "min": min(scores), "product": product, "last": scores[-1]}


def label(right: bool | None) -> dict[str, Any]:
    """A step's label by two draws; None: by one wrong draw of two, which decides nothing."""
    draws, hits = (1, 0) if right is None else (2, int(right))
    return {"k": 2, "draws": draws, "hits": hits, "settled": right is not None}


def made(paths: list[dict[str, Any]] | Problem, *rules: str, **settings: Any) -> tuple[list[str], PairReport]:
    """The pairs as CHOSEN>REJECTED in their order, at most 999, and what was counted."""
    rows, report = rows_of(paths, *rules, **settings)
    return [row["id"].removeprefix("c#") for row in rows], report


def rows_of(
    paths: list[dict[str, Any]] | Problem, *rules: str, **settings: Any
) -> tuple[list[dict[str, Any]], PairReport]:
    chosen = PairSettings(rule=rules, **{"max_per_problem": 999, **settings})
    report = PairReport(chosen)
    problem = paths if isinstance(paths, Problem) else chain_problem(paths=paths)
    return list(make_pairs([problem], chosen, report)), report


def any_question(seed: int) -> list[dict[str, Any]]:
    """Up to nine paths of one to four steps with scores in tenths, labels and counts of draws, some of them missing."""
    rng = random.Random(seed)
    paths = []
    for number in range(rng.randrange(2, 10)):
        steps = "abcd"[: rng.randrange(1, 5)]
        more: dict[str, Any] = {}
        if rng.random() < 0.9:
            more["scores"] = [rng.randrange(11) / 10 for _ in steps]
        if rng.random() < 0.9:
            more["labels"] = [rng.choice([True, True, True, False, None]) for _ in steps]
        if rng.random() < 0.9:
            more["times"] = rng.randrange(1, 6)
        paths.append(solved(number, steps, rng.random() < 0.5, **more))
    return paths
