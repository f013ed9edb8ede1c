"""What a round drew: how diverse its paths are, how long, and how many draws were cut off.

    paths_drawn(Path("runs/loop/r1"), 1)
    # {"questions": 1600, "draws_per_question": 4.0, "distinct_per_draw": 0.79, "standard_error": 0.004,
    #  "answers_per_question": 2.6, "overlap": 0.31, "steps": 4.0, "tokens": 30.1, "cut_off": 0.0}

Diversity is measured in three cheap ways, each of them a mean over the questions:

- `distinct_per_draw`: paths with different steps, divided by the draws. Draws that `sample` dropped for another reason
  than being a copy (no answer, a false equation) are draws without a path.
- `answers_per_question`: different answers among these paths.
- `overlap`: the mean Jaccard overlap of two paths' steps (steps in both, divided by steps in either), over all pairs of
  the first `PAIRED` paths; 0 where no two paths share a step. Over questions with two paths at least.

Only draws of this round count, also where the line holds the paths of earlier rounds (`sample --pool`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path as File
from statistics import fmean, stdev
from typing import Any

from evals.reading.answers import normal
from evals.records import Path
from stages.counts import DROPPED, Count
from stages.files.manifest import read_manifest
from stages.files.problems import read_problems
from stages.files.reading import BadLines

PAIRED = 8
"""Paths of a question that are compared with each other: 28 pairs at most."""
UNFINISHED = DROPPED.of("unfinished")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was drawn for a question before a round: all draws, and how often each path was drawn, by its id."""

    drawn: int
    times: dict[str, int]


def paths_drawn(folder: File, number: int) -> dict[str, Any] | None:
    """The figures of the paths that a round drew, or None if it drew none.

    Args:
        folder: the round's, with paths.jsonl.
        number: of the round as `sample --round` counts, from 0.

    Raises:
        DataError: a line that cannot be read.
        UsageError: the pool that they were drawn on is gone.
    """
    file = folder / "paths.jsonl"
    manifest = read_manifest(str(file))
    if manifest is None or not file.is_file():
        return None
    pool = manifest.get("facts", {}).get("pool")
    earlier = {} if pool is None else dict(_pool(File(pool), folder.with_name(f"r{number - 1}") / "pool.jsonl"))
    shares, answers, overlaps, steps, tokens, draws = [], [], [], [], [], 0
    for problem in read_problems(str(file), BadLines(strict=True)):
        before = earlier.get(problem.id, Earlier(0, {}))
        made = problem.drawn - before.drawn
        if made <= 0:
            continue
        paths = [path for path in problem.paths if _drawn_now(path, before, number)]
        draws += made
        shares.append(len({tuple(path.steps) for path in paths}) / made)
        answers.append(len({normal(path.answer) for path in paths if path.answer is not None}))
        overlaps += overlap(paths)
        steps += [len(path.steps) for path in paths]
        tokens += [path.tokens for path in paths if path.tokens is not None]
    if not shares:
        return None
    counts = manifest["counts"]
    return {
        "questions": len(shares),
        "draws_per_question": draws / len(shares),
        "distinct_per_draw": fmean(shares),
        "standard_error": stdev(shares) / math.sqrt(len(shares)) if len(shares) > 1 else None,
        "answers_per_question": fmean(answers),
        "overlap": _mean(overlaps),
        "steps": _mean(steps),
        "tokens": _mean(tokens),
        "cut_off": counts.get(UNFINISHED, 0) / drawn if (drawn := counts.get(Count.DRAWN)) else None,
    }


def _pool(named: File, beside: File) -> Iterator[tuple[str, Earlier]]:
    """Every question of the pool that the paths were drawn on: as the manifest names it, or where the loop keeps it."""
    file = named if named.is_file() else beside
    for problem in read_problems(str(file), BadLines(strict=True)):
        yield problem.id, Earlier(problem.drawn, {path.id: path.times or 0 for path in problem.paths})


def _drawn_now(path: Path, before: Earlier, number: int) -> bool:
    """Whether a round drew this path: its first time, or once more."""
    if path.id in before.times:
        return (path.times or 0) > before.times[path.id]
    return path.source in ("sample", "rationalised") and path.round == number


def overlap(paths: Sequence[Path]) -> list[float]:
    """The mean Jaccard overlap of the steps of a question's paths, two by two; nothing for fewer than two."""
    sets = [set(path.steps) for path in paths[:PAIRED]]
    shared = [len(a & b) / len(a | b) for a, b in combinations(sets, 2) if a or b]
    return [fmean(shared)] if shared else []


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
