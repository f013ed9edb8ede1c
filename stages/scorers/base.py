"""What every scorer shares: which tokens of a path are looked at, and the scores that come of them.

    {"steps": [0.98, 0.91], "mean": 0.945, "min": 0.91, "product": 0.8918, "last": 0.91}

What is read at these tokens: `stages.scorers.reward` (a reward model's verdicts) and `stages.scorers.likelihood`. Who
computes it is another matter: `stages.scorers.hf` with transformers, `stages.scorers.vllm` with vLLM.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from evals.errors import ModelError
from evals.records import Path, Problem, StepScores
from evals.rules import Aggregate
from stages.models.loading import load_tokenizer
from stages.models.prompts import Prompter
from stages.settings.model import ScorerSettings

NO_NUMBERS = "the model gives scores that are not numbers"


class Reason(StrEnum):
    """Why a path has no scores."""

    NO_STEPS = "no steps"
    TOO_LONG = "too long"


@dataclass(frozen=True, slots=True)
class Unscored:
    """Stands for the scores of a path that cannot have any."""

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


@dataclass(slots=True, eq=False)
class Job:
    """A path to be scored: its token ids, the position of each step's last token, and what was read of each step once
    it is known. `start` is the position of the first token behind the prompt."""

    ids: list[int]
    positions: list[int]
    start: int = 0
    scores: list[float] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def give(self, scores: list[float]) -> None:
        """Write down what was read of each step.

        Raises:
            ModelError: one of them is not a number.
        """
        if not all(math.isfinite(score) for score in scores):
            raise ModelError(NO_NUMBERS, "Its training diverged: train it again.")
        self.scores = scores


class StepScorer(Protocol):
    """Whoever scores the paths of a problem, alone or with others behind it."""

    async def score(self, problem: Problem) -> list[StepScores | Unscored]:
        """The scores of each path, or why it has none; computed together with all that are waiting."""

    def spent(self) -> dict[str, int]:
        """What scoring has cost so far, by name."""

    def hungry(self) -> bool:
        """True while more problems should be admitted."""

    async def close(self) -> None:
        """Let go of what it holds."""


class PathScorer(ABC):
    """Scores paths with one model: what is read of a step a subclass says, who computes it another.

    Args:
        name: as for `stages.models.naming.resolve`.
        settings: how the model runs.
    """

    max_length: int

    def __init__(self, name: str, settings: ScorerSettings) -> None:
        self.name, self.settings = name, settings
        self.tokenizer = load_tokenizer(name, settings.trust_remote_code)
        self.counts: Counter[str] = Counter()

    @abstractmethod
    def prompter(self, problem: Problem) -> Prompter:
        """What builds the problem's prompt."""

    @abstractmethod
    def ends(self, problem: Problem, path: Path) -> list[int]:
        """Character offsets in the path's text up to which each step reaches."""

    @abstractmethod
    def to_scores(self, found: list[float]) -> StepScores:
        """The scores of a path, from what was read of each step."""

    @abstractmethod
    async def finish_jobs(self, jobs: list[Job]) -> None:
        """Compute the scores of the jobs, together with whatever else waits."""

    @abstractmethod
    def hungry(self) -> bool:
        """True while more problems should be admitted."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the model."""

    async def read(self, problem: Problem) -> list[list[float] | Unscored]:
        """What the model says of each step of each path, or why nothing."""
        jobs = [self.job(problem, path) for path in problem.paths]
        await self.finish_jobs([job for job in jobs if isinstance(job, Job)])
        return [job.scores or [] if isinstance(job, Job) else job for job in jobs]

    async def score(self, problem: Problem) -> list[StepScores | Unscored]:
        """The scores of each path, or why it has none; computed together with all that are waiting."""
        found = await self.read(problem)
        return [one if isinstance(one, Unscored) else self.to_scores(one) for one in found]

    def spent(self) -> dict[str, int]:
        """What scoring has cost so far: paths, and tokens read (padding not counted)."""
        return {"paths": self.counts["paths"], "tokens": self.counts["tokens"]}

    def job(self, problem: Problem, path: Path) -> Job | Unscored:
        """What to compute for a path, or why it cannot be."""
        if not path.steps:
            self.counts[Reason.NO_STEPS] += 1
            return Unscored(Reason.NO_STEPS)
        prompter = self.prompter(problem)
        ids, positions = prompter.step_positions(problem, path.text, self.ends(problem, path))
        if len(ids) > self.max_length:
            self.counts[Reason.TOO_LONG] += 1
            return Unscored(Reason.TOO_LONG, f"{len(ids)} tokens, the model takes {self.max_length}")
        self.counts["paths"] += 1
        self.counts["tokens"] += len(ids)
        return Job(ids, positions, len(prompter.prompt_ids(problem)))


def to_scores(
    steps: list[float], by: Literal["likelihood", "ratio"] | None = None, aggregate: Aggregate | None = None
) -> StepScores:
    """The record of a path's step scores: mean (the paper's r), min, product and last, and which of them fits."""
    kind: dict[str, Any] = ({} if by is None else {"by": by}) | ({} if aggregate is None else {"aggregate": aggregate})
    return StepScores(
        steps=steps, mean=math.fsum(steps) / len(steps), min=min(steps), product=math.prod(steps), last=steps[-1],
        **kind,
    )  # fmt: skip
