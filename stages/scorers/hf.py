"""Scoring with transformers: all steps of a path in one forward pass.

    scorer = Scorer("runs/prm")
    scorer.score_paths([(problem, path)])     # [[0.98, 0.91]]
    await scorer.score(problem)               # the same as records, batched with all problems that wait

A batch always has the same shape for paths of the same length class (filled up with padding rows), because the last
bits of a matrix product depend on its shape: a path's scores are the same alone, in any batch, in a resumed run.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import accelerate
import torch
from accelerate.utils import gather_object

from evals.errors import ModelError
from evals.records import Path, Problem
from stages.models.devices import busy_tokens, choose_device, choose_dtype
from stages.models.loading import load_policy
from stages.models.reward import has_sigmoid, load_reward_model
from stages.scorers.base import Job, PathScorer
from stages.scorers.likelihood import LikelihoodScorer
from stages.scorers.reward import RewardScorer
from stages.settings.model import ScorerSettings
from stages.settings.score import ScoreSettings

LENGTH_CLASS = 16
RIGHT = 1
CPU_LOGITS, GPU_LOGITS = 1 << 27, 1 << 30
"""Most logits that a causal model may give at once: a batch has fewer tokens where the vocabulary is large."""


class _Batches(PathScorer):
    """Collects what waits and computes it in batches."""

    def hold(self, model: Any, most_tokens: int) -> None:
        """Take the model, on its device and in eval mode; a batch has at most so many tokens unless the user says."""
        self.model = model
        self.batch_tokens = self.settings.batch_tokens or most_tokens
        config = self.model.config.get_text_config()
        self.max_length = int(getattr(config, "max_position_embeddings", 0) or 1 << 30)
        self._waiting: list[Job] = []
        self._seen = 0

    @abstractmethod
    def give(self, job: Job, logits: Any) -> None:
        """Read the steps of a path off the (tokens, classes or vocabulary) logits of its row."""

    def compute(self, paths: Sequence[tuple[Problem, Path]]) -> list[list[float] | None]:
        """What the model says of every step of each path; None for one that is too long or has no steps (counted)."""
        jobs = [self.job(problem, path) for problem, path in paths]
        _run(self.model, [job for job in jobs if isinstance(job, Job)], self._pad, self.batch_tokens, self.give)
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
                _run(self.model, jobs, self._pad, self.batch_tokens, self.give)
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


class Scorer(_Batches, RewardScorer):
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
        device = choose_device(settings.device)
        model = load_reward_model(
            name,
            device,
            choose_dtype(settings.dtype, device),
            sigmoid=has_sigmoid(self.card),
            new_head=False,
            load_in_4bit=settings.load_in_4bit,
            trust_remote_code=settings.trust_remote_code,
        )
        self.hold(model.eval(), _tokens(device, model))

    def score_paths(self, paths: Sequence[tuple[Problem, Path]]) -> list[list[float] | None]:
        """P(right) of every step of each path; None for a path that is too long or has no steps (counted)."""
        return self.compute(paths)

    def give(self, job: Job, logits: Any) -> None:
        """See `_Batches.give`."""
        give_right(job, logits)


class HFLikelihood(_Batches, LikelihoodScorer):
    """A causal model, ready to score by the likelihood of steps.

    Args:
        name: any causal language model, or an adapter of one.
        settings: how it runs; `batch_tokens` 0 chooses by device and size of the vocabulary.
        how: `per` step or token.

    Raises:
        ModelError: a reward model, or it cannot be loaded.
    """

    def __init__(
        self, name: str, settings: ScorerSettings = ScorerSettings(), how: ScoreSettings = ScoreSettings()
    ) -> None:
        super().__init__(name, settings, how)
        loaded = load_policy(
            name, settings.device, settings.dtype, settings.load_in_4bit, settings.trust_remote_code
        )  # fmt: skip
        logits = GPU_LOGITS if loaded.device.startswith("cuda") else CPU_LOGITS
        vocabulary = int(loaded.model.get_output_embeddings().weight.shape[0])
        self.hold(loaded.model, min(_tokens(loaded.device, loaded.model), max(1, logits // vocabulary)))

    def give(self, job: Job, logits: Any) -> None:
        """See `_Batches.give`."""
        end = job.positions[-1] + 1
        written = torch.tensor(job.ids[job.start : end], device=logits.device)
        before = logits[job.start - 1 : end - 1].float()
        tokens = before.gather(-1, written[:, None])[:, 0] - before.logsumexp(-1)
        job.give(self.steps(job, tokens.double().tolist()))


def _tokens(device: str, model: Any) -> int:
    """Tokens of a batch. The fewer keep a CPU busy, the less it costs to fill a batch up."""
    return 16384 if device.startswith("cuda") else busy_tokens(model)


def step_probabilities(
    model: Any, rows: Sequence[tuple[list[int], list[int]]], pad: int, batch_tokens: int
) -> list[list[float]]:
    """P(right) at the step positions of each row.

    The processes of a training run share the batches and all get all scores; each goes through the model equally often,
    as a sharded model needs it.

    Args:
        model: a token-classification model with two classes, in eval mode.
        rows: token ids and step positions.
        pad: id to fill up with (masked).
        batch_tokens: tokens of a batch, padding included.
    """
    state = accelerate.PartialState()
    jobs = [Job(ids, positions) for ids, positions in rows]
    batches = list(_batches(jobs, batch_tokens))
    for start in range(0, len(batches), state.num_processes):
        # Those left without a batch compute the last one again.
        mine, width, height = batches[min(start + state.process_index, len(batches) - 1)]
        _batch(model, mine, width, height, pad, give_right)
    found = {number: job.scores for number, job in enumerate(jobs) if job.scores is not None}
    scores = dict(item for part in gather_object([found]) for item in part.items())
    return [scores[number] for number in range(len(jobs))]


def give_right(job: Job, logits: Any) -> None:
    """P(right) at each step's last token, from the (tokens, 2) logits of its row."""
    job.give(torch.softmax(logits[job.positions].double(), dim=-1)[:, RIGHT].tolist())


def _run(model: Any, jobs: Sequence[Job], pad: int, batch_tokens: int, give: Callable[[Job, Any], None]) -> None:
    """Compute the jobs' scores."""
    for jobs_of_batch, width, rows in _batches(jobs, batch_tokens):
        _batch(model, jobs_of_batch, width, rows, pad, give)


def _batches(jobs: Sequence[Job], batch_tokens: int) -> Iterator[tuple[Sequence[Job], int, int]]:
    """Jobs, width and rows of each batch, longest first, so that running out of memory shows at once."""
    classes: dict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        classes[-(-len(job.ids) // LENGTH_CLASS) * LENGTH_CLASS].append(job)
    for width in sorted(classes, reverse=True):
        rows = max(1, batch_tokens // width)
        for start in range(0, len(classes[width]), rows):
            yield classes[width][start : start + rows], width, rows


def _batch(model: Any, jobs: Sequence[Job], width: int, rows: int, pad: int, give: Callable[[Job, Any], None]) -> None:
    ids = torch.full((rows, width), pad, dtype=torch.long)
    mask = torch.zeros((rows, width), dtype=torch.long)
    mask[:, 0] = 1  # a row without any token to look at gives nan
    for row, job in enumerate(jobs):
        ids[row, : len(job.ids)] = torch.tensor(job.ids)
        mask[row, : len(job.ids)] = 1
    device = next(model.parameters()).device
    try:
        with torch.no_grad():  # FSDP cannot work on what inference mode makes
            logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{rows} rows of {width} tokens do not fit into the device's memory",
            f"Try a smaller --batch-tokens (now {rows * width}), or --load-in-4bit.",
        ) from error
    for row, job in enumerate(jobs):
        give(job, logits[row])
