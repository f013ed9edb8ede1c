"""What every rule is given and what it gives: one question's paths, and pairs of them.

    question = Question(problem, paths, settings, counts)
    for chosen in question.right: ...
    Pair(question.chosen(path), question.rejected(other))

A rule is a function of one question; the seed is the only thing besides that its pairs depend on.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from evals.errors import DataError
from evals.records import Path, Problem, StepScores
from evals.tasks import task_of
from evals.tasks.base import split_of
from stages.seeds import lot
from stages.settings.pairs import PairSettings

LEFT_OUT = "paths left out: "
"""Counts of paths that a rule cannot use, by reason, begin with this."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a pair.

    `tokens` is its length where it is known; `score` is in [0, 1], None for a rule that looks at no scores. A text with
    `finish` "length" does not end by itself: no end of sequence is learnt behind it.
    """

    id: str
    text: str
    correct: bool
    finish: Literal["stop", "length"] = "stop"
    tokens: int | None = None
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A chosen and a rejected text. Both continue `prefix`, which belongs to the prompt: neither side learns it."""

    chosen: Side
    rejected: Side
    prefix: str = ""

    @property
    def gap(self) -> float:
        """How much more the chosen side scores; 0 where a side has no score."""
        if self.chosen.score is None or self.rejected.score is None:
            return 0.0
        return self.chosen.score - self.rejected.score

    @property
    def texts(self) -> tuple[str, str, str]:
        """What makes two pairs of a problem the same pair."""
        return self.prefix, self.chosen.text, self.rejected.text


@dataclass(frozen=True, slots=True)
class Found:
    """A question's pairs, those to be preferred first; `none` says why there is none."""

    pairs: list[Pair]
    none: str


@dataclass(frozen=True, slots=True)
class Question:
    """A problem, those of its paths that pairs may be made of (all judged), and how.

    Args:
        counts: of the rule that is asked; it counts the paths that it cannot use.
        lowest: receives the lowest step score of each right path that a rule looks at.
        passing: with `--pass-share` what a right path has to score, by its number of steps.
        left_out: receives each path that the rule cannot use: its id, and why.
    """

    problem: Problem
    paths: list[Path]
    settings: PairSettings
    counts: Counter[str]
    lowest: array[float] = field(default_factory=lambda: array("d"))
    passing: Mapping[int, float] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def right(self) -> list[Path]:
        """The paths with a right answer."""
        return [path for path in self.paths if path.correct]

    @property
    def wrong(self) -> list[Path]:
        """The paths with a wrong answer."""
        return [path for path in self.paths if not path.correct]

    def leave_out(self, path: Path, reason: str) -> None:
        """Count a path that the rule cannot use, and note why."""
        self.counts[LEFT_OUT + reason] += 1
        self.left_out.append((path.id, reason))

    def scored(self) -> list[tuple[Path, float]]:
        """The paths that have a score, each with it; the others are counted."""
        found = []
        for path in self.paths:
            score = self.score(path)
            if score is not None:
                found.append((path, score))
        return found

    def score(self, path: Path) -> float | None:
        """A path's score by `--aggregate`; one that has none is counted."""
        scores = self.scores(path)
        if scores is None:
            self.leave_out(path, f"no score {self.settings.name!r}")
            return None
        aggregate = scores.chosen(self.settings.aggregate)
        self.counts[f"paths ranked by {aggregate}"] += 1
        return float(getattr(scores, aggregate))

    def scores(self, path: Path) -> StepScores | None:
        """The step scores that decide; None where the path has none."""
        return (path.scores or {}).get(self.settings.name)

    def verdicts(self, path: Path) -> list[bool | None] | None:
        """For each step whether it is right, by `--by`; None: not decided. None for a path without labels or scores."""
        if self.settings.by == "labels":
            return None if path.labels is None else [label.hard for label in path.labels]
        scores = self.scores(path)
        return None if scores is None else [score >= self.settings.pass_score for score in scores.steps]

    def no_verdicts(self) -> str:
        """Why a path has no verdicts."""
        return "no labels" if self.settings.by == "labels" else f"no score {self.settings.name!r}"

    def chosen(self, path: Path, score: float | None = None) -> Side:
        """A path as the chosen side."""
        return _side(path, score)

    def losers(self, paths: list[Path]) -> Iterator[tuple[Path, Side]]:
        """The paths that can be rejected, each as the rejected side; with `--reject step` only up to its first wrong
        step, and a path without one is left out and counted."""
        for path in paths:
            side = self.rejected(path)
            if side is not None:
                yield path, side

    def rejected(self, path: Path, score: float | None = None) -> Side | None:
        """A path as the rejected side; None if it is to be cut behind its first wrong step and has none (counted)."""
        if self.settings.reject == "whole":
            return _side(path, score)
        verdicts = self.verdicts(path)
        if verdicts is None or False not in verdicts:
            self.leave_out(path, f"not rejected: {self.no_verdicts() if verdicts is None else 'no wrong step'}")
            return None
        text = cut(self.problem, path, verdicts.index(False))
        return Side(path.id, text, bool(path.correct), "length", None, score)

    def shuffle(self, pairs: list[Pair]) -> list[Pair]:
        """The pairs in an order that only the seed decides."""
        return sorted(pairs, key=self.lot)

    def lot(self, pair: Pair) -> str:
        """What orders pairs that are otherwise equal."""
        return lot(f"{self.problem.id}/{pair.chosen.id}/{pair.rejected.id}", self.settings.seed)


def cut(problem: Problem, path: Path, step: int) -> str:
    """A path's text up to and including a step.

    Raises:
        DataError: the path's steps are not those of its text.
    """
    try:
        return split_of(task_of(problem), path).prefix(path.text, step)
    except DataError as error:
        raise DataError(f"{path.id}: {error.message}", error.advice) from error


def _side(path: Path, score: float | None) -> Side:
    return Side(path.id, path.text, bool(path.correct), path.finish or "stop", path.tokens, score)
