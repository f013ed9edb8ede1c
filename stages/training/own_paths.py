"""Which of the paths on the lines a policy is fine-tuned on: right ones, each reasoning once.

    for written in own_paths(problems, OwnPaths(name="prm", least=0.5), seed=42, counts=counts): ...

RFT (arXiv 2308.01825) learns distinct right paths beside the gold solutions: of paths with the same equations one. STaR
(arXiv 2203.14465) learns right paths alone, one per question, some of them drawn with the answer in sight
(`sample --rationalise`). With a least score of every step the choice rests on process feedback.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from evals.records import Path, Problem
from evals.tasks import task_of
from stages.seeds import lot
from stages.settings.training import OwnPaths


@dataclass(frozen=True, slots=True)
class Written:
    """A solution to learn. One that was cut off did not end by itself, so nothing is learned of its end."""

    problem: Problem
    text: str
    ended: bool = True
    path: str | None = None
    """Names the path (problem/path); None: the gold solution."""


def own_paths(problems: Iterable[Problem], own: OwnPaths, seed: int, counts: Counter[str]) -> list[Written]:
    """The solutions to learn, in input order, a problem's gold solution first.

    Args:
        counts: receives "gold solutions", "paths" and "paths from problems" (how many have one), and what was left out
            by reason ("paths left out: wrong", ...; "no solution").
    """
    found = [written for problem in problems for written in _of_problem(problem, own, seed, counts)]
    drawn = [written.path for written in found if written.path is not None]
    kept = set(_drawn(drawn, own.most, seed))
    if len(kept) < len(drawn):
        counts["paths left out: most"] += len(drawn) - len(kept)
    chosen = [written for written in found if written.path is None or written.path in kept]
    counts["gold solutions"] += sum(written.path is None for written in chosen)
    counts["paths"] += len(kept)
    counts["paths from problems"] += len({written.problem.id for written in chosen if written.path is not None})
    return chosen


def _of_problem(problem: Problem, own: OwnPaths, seed: int, counts: Counter[str]) -> list[Written]:
    task = task_of(problem)
    gold = task.gold_text(problem) if own.gold else None
    if own.gold and not gold:
        counts["no solution"] += 1
    seen = {task.signature(gold)} if gold else set()
    distinct: list[Path] = []
    for path in problem.paths:
        reason = _fault(path, own)
        if reason is None and task.signature(path.text) in seen:
            reason = "same reasoning as another"
        if reason is not None:
            counts[f"paths left out: {reason}"] += 1
            continue
        seen.add(task.signature(path.text))
        distinct.append(path)
    kept = set(_drawn([path.id for path in distinct], own.max_per_problem, seed))
    if len(kept) < len(distinct):
        counts["paths left out: max-per-problem"] += len(distinct) - len(kept)
    written = [
        Written(problem, path.text, path.finish != "length", f"{problem.id}/{path.id}")
        for path in distinct
        if path.id in kept
    ]
    return [*([Written(problem, gold)] if gold else []), *written]


def _fault(path: Path, own: OwnPaths) -> str | None:
    """Why a path is not learned, or None."""
    if path.source == "gold":
        return "gold"  # learned, if at all, as the problem's solution
    if path.correct is None:
        return "not judged"
    if not path.correct:
        return "wrong"
    if own.name is None:
        return None
    scores = (path.scores or {}).get(own.name)
    if scores is None:
        return f"no score {own.name!r}"
    return None if scores.min >= own.least else f"a step scores below {own.least:g}"


def _drawn(ids: list[str], most: int | None, seed: int) -> list[str]:
    """At most so many of them, by the seed."""
    return ids if most is None or len(ids) <= most else sorted(ids, key=lambda name: lot(name, seed))[:most]
