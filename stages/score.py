"""Scoring: a reward model's P(right) for every step of a path, all steps in one forward pass.

    scorer = Scorer("runs/prm")
    scorer.score_paths([(problem, path)])     # [[0.98, 0.91]]
    await scorer.score(problem)               # path.scores["prm"] filled in, batched with whoever else waits

A batch always has the same shape for paths of the same length class (filled up with padding rows), because the last
bits of a matrix product depend on its shape: a path's scores are the same alone, in any batch, in a resumed run.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from evals.errors import ModelError, UsageError
from evals.records import Path, Problem, StepScores
from evals.tasks import task_of
from stages.devices import choose_device, choose_dtype
from stages.flight import Tally
from stages.models import (
    fingerprint,
    is_adapter,
    load_tokenizer,
    load_weights,
    read_card,
)
from stages.prompts import Prompter, make_prompter
from stages.stepwise import step_ends

HEADS = ("score", "classifier")
LENGTH_CLASS = 16
RIGHT = 1


@dataclass(slots=True)
class _Job:
    ids: list[int]
    positions: list[int]
    scores: list[float] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None


class Scorer:
    """A reward model, ready to score.

    Args:
        name: folder written by `train-prm` (full or adapter).
        device, dtype: as for `load_policy`.
        batch_tokens: tokens of a batch, padding included; 0: by device.
        template: refused if it is not "auto" and not what the model was trained with.
        label: key under which `score` writes.

    Raises:
        ModelError: not a reward model, or it cannot be loaded.
        UsageError: another template.
    """

    def __init__(
        self,
        name: str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        load_in_4bit: bool = False,
        batch_tokens: int = 0,
        template: str = "auto",
        label: str = "prm",
        trust_remote_code: bool = False,
    ) -> None:
        self.card = _reward_card(name)
        self.name = name
        self.label = label
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.fingerprint = fingerprint(name)
        self.tokenizer = load_tokenizer(name, trust_remote_code)
        self.model = load_weights(
            name,
            "AutoModelForTokenClassification",
            self.device,
            self.dtype,
            load_in_4bit=load_in_4bit,
            trust_remote_code=trust_remote_code,
            # An adapter brings the head along; its base has none.
            fresh=HEADS if is_adapter(name) else (),
            num_labels=2,
        ).eval()
        self.batch_tokens = batch_tokens or (16384 if self.device.startswith("cuda") else 4096)
        self.max_length = int(getattr(self.model.config, "max_position_embeddings", 0) or 1 << 30)
        self.counts: Counter[str] = Counter()
        self._template = template
        self._prompters: dict[str, Prompter] = {}
        self._waiting: list[_Job] = []
        self._seen = 0

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

    def score_paths(self, paths: Sequence[tuple[Problem, Path]]) -> list[list[float] | None]:
        """P(right) of every step of each path; None for a path that is too long or has no steps (counted)."""
        jobs = [self._job(problem, path) for problem, path in paths]
        _run(self.model, [job for job in jobs if isinstance(job, _Job)], self._pad, self.batch_tokens)
        return [job.scores if isinstance(job, _Job) else None for job in jobs]

    async def score(self, problem: Problem) -> Problem:
        """The problem with `scores[label]` on every path that can be scored; batched with all that are waiting.

        A path that cannot is left unscored and says why under `unscored`.
        """
        jobs = [self._job(problem, path) for path in problem.paths]
        await self._finished([job for job in jobs if isinstance(job, _Job)])
        paths: list[Path] = []
        for path, job in zip(problem.paths, jobs, strict=True):
            if isinstance(job, _Job):
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

    async def close(self) -> None:
        """Let go of the model."""
        del self.model

    def hungry(self) -> bool:
        """True while more problems should be admitted."""
        return sum(len(job.ids) for job in self._waiting) < 8 * self.batch_tokens

    def _job(self, problem: Problem, path: Path) -> _Job | str:
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
        return _Job(ids, positions)

    async def _finished(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        idle = not self._waiting
        self._waiting += jobs
        if idle:
            asyncio.get_running_loop().call_soon(self._pump)
        for job in jobs:
            await job.done.wait()
            if job.error is not None:
                raise job.error

    def _pump(self) -> None:
        """Runs when every task that could go on has: compute full batches, and the rest once nobody adds to it."""
        jobs, quiet = self._waiting, len(self._waiting) == self._seen
        if quiet or not self.hungry():
            self._waiting = []
            error: Exception | None = None
            try:
                _run(self.model, jobs, self._pad, self.batch_tokens)
            except Exception as raised:  # it belongs to those who wait for these scores
                error = raised
            for job in jobs:
                job.error = error
                job.done.set()
        self._seen = len(self._waiting)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._pump)

    @property
    def _pad(self) -> int:
        return int(self.tokenizer.pad_token_id)


def describe_scorer(
    name: str, device: str = "auto", dtype: str = "auto", *, load_in_4bit: bool = False, template: str = "auto"
) -> dict[str, Any]:
    """What a run of `score` is identified by, without loading the model.

    Raises:
        ModelError: not a reward model, or no such device.
    """
    card = _reward_card(name)
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    return {
        "model": name,
        "model_sha256": fingerprint(name),
        "trained_on": {key: card[key] for key in ("labels", "outcome", "base") if key in card},
        "device": device,
        "dtype": dtype,
        "load_in_4bit": load_in_4bit,
        "template": template,
        "same whatever the batch": "yes" if dtype == "float32" and device == "cpu" else "not guaranteed",
    }


def _reward_card(name: str) -> dict[str, Any]:
    card = read_card(name)
    if card.get("kind") != "prm":
        raise ModelError(f"{name} is no reward model", "Give the folder that `sipf train-prm` has written.")
    return card


def to_scores(steps: list[float]) -> StepScores:
    """The record of a path's step scores: mean (the paper's r), min, product and last."""
    return StepScores(
        steps=steps, mean=math.fsum(steps) / len(steps), min=min(steps), product=math.prod(steps), last=steps[-1]
    )


def step_probabilities(
    model: Any, rows: Sequence[tuple[list[int], list[int]]], pad: int, batch_tokens: int
) -> list[list[float]]:
    """P(right) at the step positions of each row.

    Args:
        model: a token-classification model with two classes, in eval mode.
        rows: token ids and step positions.
        pad: id to fill up with (masked).
        batch_tokens: tokens of a batch, padding included.
    """
    jobs = [_Job(ids, positions) for ids, positions in rows]
    _run(model, jobs, pad, batch_tokens)
    return [job.scores or [] for job in jobs]


def _run(model: Any, jobs: Sequence[_Job], pad: int, batch_tokens: int) -> None:
    """Compute the jobs' scores, longest first, so that running out of memory shows at once."""
    classes: dict[int, list[_Job]] = defaultdict(list)
    for job in jobs:
        classes[-(-len(job.ids) // LENGTH_CLASS) * LENGTH_CLASS].append(job)
    for width in sorted(classes, reverse=True):
        rows = max(1, batch_tokens // width)
        for start in range(0, len(classes[width]), rows):
            _batch(model, classes[width][start : start + rows], width, rows, pad)


def _batch(model: Any, jobs: Sequence[_Job], width: int, rows: int, pad: int) -> None:
    ids = torch.full((rows, width), pad, dtype=torch.long)
    mask = torch.zeros((rows, width), dtype=torch.long)
    mask[:, 0] = 1  # a row without any token to look at gives nan
    for row, job in enumerate(jobs):
        ids[row, : len(job.ids)] = torch.tensor(job.ids)
        mask[row, : len(job.ids)] = 1
    device = next(model.parameters()).device
    try:
        with torch.inference_mode():
            logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{rows} rows of {width} tokens do not fit into the device's memory",
            f"Try a smaller --batch-tokens (now {rows * width}), or --load-in-4bit.",
        ) from error
    right = torch.softmax(logits.double(), dim=-1)[..., RIGHT].cpu()
    for row, job in enumerate(jobs):
        job.scores = right[row, job.positions].tolist()
        if not all(math.isfinite(score) for score in job.scores):
            raise ModelError(
                "the reward model gives scores that are not numbers", "Its training diverged: train it again."
            )
