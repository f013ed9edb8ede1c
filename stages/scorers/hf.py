"""Scoring: a reward model's P(right) for every step of a path, all steps in one forward pass.

    scorer = Scorer("runs/prm")
    scorer.score_paths([(problem, path)])     # [[0.98, 0.91]]
    await scorer.score(problem)               # the same as records, batched with all problems that wait

A batch always has the same shape for paths of the same length class (filled up with padding rows), because the last
bits of a matrix product depend on its shape: a path's scores are the same alone, in any batch, in a resumed run.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from evals.errors import ModelError
from evals.records import Path, Problem
from stages.models.devices import choose_device, choose_dtype
from stages.models.reward import has_sigmoid, load_reward_model
from stages.scorers.base import Job, PathScorer
from stages.settings.model import ScorerSettings

LENGTH_CLASS = 16
RIGHT = 1


class Scorer(PathScorer):
    """A reward model, ready to score.

    Args:
        name: folder written by `train-prm` (full or adapter).
        settings: how it runs; `batch_tokens` 0 chooses by device.

    Raises:
        ModelError: not a reward model, or it cannot be loaded.
        UsageError: another template.
    """

    def __init__(self, name: str, settings: ScorerSettings = ScorerSettings()) -> None:
        super().__init__(name, settings)
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        self.model = load_reward_model(
            name,
            self.device,
            self.dtype,
            sigmoid=has_sigmoid(self.card),
            new_head=False,
            load_in_4bit=settings.load_in_4bit,
            trust_remote_code=settings.trust_remote_code,
        ).eval()
        self.batch_tokens = settings.batch_tokens or (16384 if self.device.startswith("cuda") else 4096)
        config = self.model.config.get_text_config()
        self.max_length = int(getattr(config, "max_position_embeddings", 0) or 1 << 30)
        self._waiting: list[Job] = []
        self._seen = 0

    def score_paths(self, paths: Sequence[tuple[Problem, Path]]) -> list[list[float] | None]:
        """P(right) of every step of each path; None for a path that is too long or has no steps (counted)."""
        jobs = [self.job(problem, path) for problem, path in paths]
        _run(self.model, [job for job in jobs if isinstance(job, Job)], self._pad, self.batch_tokens)
        return [job.scores if isinstance(job, Job) else None for job in jobs]

    async def close(self) -> None:
        """Let go of the model."""
        del self.model

    def hungry(self) -> bool:
        """True while more problems should be admitted."""
        # Batches hold one class of lengths each, so their last ones are only full where many paths wait.
        return sum(len(job.ids) for job in self._waiting) < 32 * self.batch_tokens

    async def finish_jobs(self, jobs: list[Job]) -> None:
        """See `PathScorer.finish_jobs`."""
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
    jobs = [Job(ids, positions) for ids, positions in rows]
    _run(model, jobs, pad, batch_tokens)
    return [job.scores or [] for job in jobs]


def _run(model: Any, jobs: Sequence[Job], pad: int, batch_tokens: int) -> None:
    """Compute the jobs' scores, longest first, so that running out of memory shows at once."""
    classes: dict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        classes[-(-len(job.ids) // LENGTH_CLASS) * LENGTH_CLASS].append(job)
    for width in sorted(classes, reverse=True):
        rows = max(1, batch_tokens // width)
        for start in range(0, len(classes[width]), rows):
            _batch(model, classes[width][start : start + rows], width, rows, pad)


def _batch(model: Any, jobs: Sequence[Job], width: int, rows: int, pad: int) -> None:
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
        job.give(right[row, job.positions].tolist())
