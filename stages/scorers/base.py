"""What every scorer shares: which tokens of a path are looked at, and the scores that come of them.

    {"steps": [0.98, 0.91], "mean": 0.945, "min": 0.91, "product": 0.8918, "last": 0.91}

Who computes them is another matter: `stages.scorers.hf.Scorer` with transformers, `stages.scorers.vllm` with vLLM.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from evals.errors import ModelError, UsageError
from evals.records import Path, Problem, StepScores
from evals.tasks import task_of
from evals.tasks.base import step_ends
from stages.models.loading import load_tokenizer
from stages.models.naming import read_card
from stages.models.prompts import Prompter
from stages.models.templates import chat_arguments, make_prompter
from stages.settings.model import ScorerSettings

NO_NUMBERS = "the reward model gives scores that are not numbers"


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
    """A path to be scored: its token ids, the position of each step's end, and P(right) there once it is known."""

    ids: list[int]
    positions: list[int]
    scores: list[float] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def give(self, scores: list[float]) -> None:
        """Write the scores down.

        Raises:
            ModelError: one of them is not a number.
        """
        if not all(math.isfinite(score) for score in scores):
            raise ModelError(NO_NUMBERS, "Its training diverged: train it again.")
        self.scores = scores


class PathScorer(ABC):
    """Scores paths with a reward model; how, a subclass says in `finish_jobs`.

    Args:
        name: folder written by `train-prm` (full or adapter).
        settings: how it runs; a template is refused if it is not "auto" and not what the model was trained with.

    Raises:
        ModelError: not a reward model.
    """

    max_length: int

    def __init__(self, name: str, settings: ScorerSettings) -> None:
        self.name, self.settings = name, settings
        self.card = reward_card(name)
        self.tokenizer = load_tokenizer(name, settings.trust_remote_code)
        self.counts: Counter[str] = Counter()
        self._prompters: dict[str, Prompter] = {}

    @abstractmethod
    async def finish_jobs(self, jobs: list[Job]) -> None:
        """Compute the scores of the jobs, together with whatever else waits."""

    def prompter(self, problem: Problem) -> Prompter:
        """The prompts the model was trained with.

        Raises:
            UsageError: the template asked for, or what it is told, is another.
        """
        if problem.task not in self._prompters:
            templates = task_of(problem).templates
            told = chat_arguments((), self.card)
            recorded = make_prompter(self.tokenizer, templates, "auto", self.card.get("template"), told)
            if self.settings.template != "auto":
                asked = make_prompter(self.tokenizer, templates, self.settings.template)
                if asked.recorded != recorded.recorded:
                    raise UsageError(
                        f"{self.name} was trained with the template {recorded.name!r}, not {asked.name!r}",
                        "Leave --template out: the model knows its own.",
                    )
            if chat_arguments(self.settings.chat_arg, self.card) != told:
                raise UsageError(
                    f"{self.name} was trained with other --chat-arg ({told or 'none'})",
                    "Leave --chat-arg out: the model knows its own.",
                )
            self._prompters[problem.task] = recorded
        return self._prompters[problem.task]

    async def score(self, problem: Problem) -> list[StepScores | Unscored]:
        """The scores of each path, or why it has none; computed together with all that are waiting."""
        jobs = [self.job(problem, path) for path in problem.paths]
        await self.finish_jobs([job for job in jobs if isinstance(job, Job)])
        return [to_scores(job.scores or []) if isinstance(job, Job) else job for job in jobs]

    def spent(self) -> dict[str, int]:
        """What scoring has cost so far: paths, and tokens read (padding not counted)."""
        return {"paths": self.counts["paths"], "tokens": self.counts["tokens"]}

    @abstractmethod
    def hungry(self) -> bool:
        """True while more problems should be admitted."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the model."""

    def job(self, problem: Problem, path: Path) -> Job | Unscored:
        """What to compute for a path, or why it cannot be."""
        if not path.steps:
            self.counts[Reason.NO_STEPS] += 1
            return Unscored(Reason.NO_STEPS)
        ids, positions = self.prompter(problem).step_positions(problem, path.text, step_ends(task_of(problem), path))
        if len(ids) > self.max_length:
            self.counts[Reason.TOO_LONG] += 1
            return Unscored(Reason.TOO_LONG, f"{len(ids)} tokens, the model takes {self.max_length}")
        self.counts["paths"] += 1
        self.counts["tokens"] += len(ids)
        return Job(ids, positions)


def reward_card(name: str) -> dict[str, Any]:
    """A reward model's `sipf.json`.

    Raises:
        ModelError: it is no reward model.
    """
    card = read_card(name)
    if card.get("kind") != "prm":
        raise ModelError(f"{name} is no reward model", "Give the folder that `sipf train-prm` has written.")
    return card


def to_scores(steps: list[float]) -> StepScores:
    """The record of a path's step scores: mean (the paper's r), min, product and last."""
    return StepScores(
        steps=steps, mean=math.fsum(steps) / len(steps), min=min(steps), product=math.prod(steps), last=steps[-1]
    )
