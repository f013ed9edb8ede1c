"""What every scorer shares: which tokens of a path are looked at, how the scores are written, what is counted.

    {"steps": [0.98, 0.91], "mean": 0.945, "min": 0.91, "product": 0.8918, "last": 0.91}

Who computes them is another matter: `stages.scorers.hf.Scorer` with transformers, `stages.scorers.vllm` with vLLM.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from evals.errors import ModelError, UsageError
from evals.records import Path, Problem, StepScores
from evals.tasks import task_of
from stages.models.devices import choose_device, choose_dtype
from stages.models.loading import load_tokenizer, model_fingerprint, read_card
from stages.models.prompts import Prompter, make_prompter
from stages.runs.scheduler import Tally
from stages.training.step_rows import step_ends

NO_NUMBERS = "the reward model gives scores that are not numbers"


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
        template: refused if it is not "auto" and not what the model was trained with.
        label: key under which `score` writes.
        trust_remote_code: run code that comes with the tokenizer.

    Raises:
        ModelError: not a reward model.
    """

    max_length: int

    def __init__(self, name: str, template: str, label: str, trust_remote_code: bool) -> None:
        self.card = reward_card(name)
        self.name, self.label = name, label
        self.fingerprint = model_fingerprint(name)
        self.tokenizer = load_tokenizer(name, trust_remote_code)
        self.counts: Counter[str] = Counter()
        self._template = template
        self._prompters: dict[str, Prompter] = {}

    @abstractmethod
    async def finish_jobs(self, jobs: list[Job]) -> None:
        """Compute the scores of the jobs, together with whatever else waits."""

    def prompter(self, problem: Problem) -> Prompter:
        """The prompts the model was trained with.

        Raises:
            UsageError: the template asked for is another.
        """
        if problem.task not in self._prompters:
            templates = task_of(problem).templates
            recorded = make_prompter(self.tokenizer, templates, "auto", self.card.get("template"))
            if self._template != "auto":
                asked = make_prompter(self.tokenizer, templates, self._template)
                if asked.recorded != recorded.recorded:
                    raise UsageError(
                        f"{self.name} was trained with the template {recorded.name!r}, not {asked.name!r}",
                        "Leave --template out: the model knows its own.",
                    )
            self._prompters[problem.task] = recorded
        return self._prompters[problem.task]

    async def score(self, problem: Problem) -> Problem:
        """The problem with `scores[label]` on every path that can be scored; batched with all that are waiting.

        A path that cannot is left unscored and says why under `unscored`.
        """
        jobs = [self.job(problem, path) for path in problem.paths]
        await self.finish_jobs([job for job in jobs if isinstance(job, Job)])
        paths: list[Path] = []
        for path, job in zip(problem.paths, jobs, strict=True):
            if isinstance(job, Job):
                assert job.scores is not None
                paths.append(
                    path.model_copy(update={"scores": {**(path.scores or {}), self.label: to_scores(job.scores)}})
                )
            else:
                before = (path.model_extra or {}).get("unscored") or {}
                paths.append(path.model_copy(update={"unscored": {**before, self.label: job}}))
        return problem.model_copy(update={"paths": paths}) if paths else problem

    async def work(self, problem: Problem, tally: Tally) -> list[Problem]:
        """`score`, for `run_lines`; counts what was scored, and what was not by reason."""
        scored = await self.score(problem)
        for path in scored.paths:
            if path.scores is not None and self.label in path.scores:
                tally.count("paths scored")
                tally.count("steps scored", len(path.steps))
            else:
                reason = str((path.model_extra or {})["unscored"][self.label])
                tally.count(f"paths left unscored: {reason.partition(':')[0]}")
        return [scored]

    def spent(self) -> dict[str, int]:
        """What scoring has cost so far: paths, and tokens read (padding not counted)."""
        return {"paths": self.counts["paths"], "tokens": self.counts["tokens"]}

    @abstractmethod
    def hungry(self) -> bool:
        """True while more problems should be admitted."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the model."""

    def job(self, problem: Problem, path: Path) -> Job | str:
        """What to compute for a path, or why it cannot be."""
        if not path.steps:
            self.counts["no steps"] += 1
            return "no steps"
        ids, positions = self.prompter(problem).step_positions(problem, path.text, step_ends(problem, path))
        if len(ids) > self.max_length:
            self.counts["too long"] += 1
            return f"too long: {len(ids)} tokens, the model takes {self.max_length}"
        self.counts["paths"] += 1
        self.counts["tokens"] += len(ids)
        return Job(ids, positions)


def describe_scorer(
    name: str,
    device: str = "auto",
    dtype: str = "auto",
    *,
    load_in_4bit: bool = False,
    template: str = "auto",
    engine: str = "hf",
    tensor_parallel: int = 1,
) -> dict[str, Any]:
    """What a run of `score` is identified by, without loading the model.

    Raises:
        ModelError: not a reward model, no such device, or an engine that is not installed.
        UsageError: 4-bit weights with vLLM.
    """
    card = reward_card(name)
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    facts: dict[str, Any] = {
        "engine": engine,
        "model": name,
        "model_sha256": model_fingerprint(name),
        "trained_on": {key: card[key] for key in ("labels", "outcome", "base") if key in card},
        "device": device,
        "dtype": dtype,
        "load_in_4bit": load_in_4bit,
        "template": template,
        "same whatever the batch": "yes" if dtype == "float32" and device == "cpu" else "not guaranteed",
    }
    if engine == "vllm":
        from stages.engines.vllm.start import vllm_facts

        facts |= vllm_facts(load_in_4bit=load_in_4bit, tensor_parallel=tensor_parallel)
    return facts


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
