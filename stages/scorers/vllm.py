"""`sipf score --engine vllm`: a reward model behind vLLM's pooling runner, which gives both classes of every token; or
a causal model, of whose prompts vLLM gives the log-probability of every token.

scorer = VLLMScorer("runs/prm", ScorerSettings(engine="vllm"))
await scorer.score(problem)
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from evals.errors import ModelError
from stages.engines.vllm.engine import VLLMEngine
from stages.engines.vllm.opening import vllm_start
from stages.engines.vllm.start import prepared, start, stop
from stages.models.reward import AUTO_CLASS, CLASSES
from stages.scorers.base import Job
from stages.scorers.hf import RIGHT
from stages.scorers.likelihood import LikelihoodScorer
from stages.scorers.reward import RewardScorer
from stages.settings.model import ScorerSettings
from stages.settings.score import ScoreSettings

BACKLOG = 2


class VLLMScorer(RewardScorer):
    """Scores paths with a reward model on vLLM.

    Args:
        name: folder written by `train-prm`; an adapter is merged into a temporary folder first.
        settings: how it runs.

    Raises:
        ModelError: not a reward model, vLLM is missing, or it cannot load the model.
    """

    def __init__(self, name: str, settings: ScorerSettings) -> None:
        super().__init__(name, settings)
        how = vllm_start(settings)
        with prepared(
            name, auto_class=AUTO_CLASS, dtype=how.dtype,
            trust_remote_code=how.trust_remote_code, num_labels=CLASSES,
        ) as model:  # fmt: skip
            # Every token's classes are wanted, so no prefix may be skipped and no path computed in pieces.
            more = {"runner": "pooling", "enable_prefix_caching": False, "enable_chunked_prefill": False}
            self.llm: Any = start(model, how, **more)
        self.max_length = int(self.llm.model_config.max_model_len)
        self._room = BACKLOG * int(self.llm.vllm_config.scheduler_config.max_num_seqs)
        self._jobs: dict[str, Job] = {}
        self._number = 0
        self._task: asyncio.Task[None] | None = None

    def hungry(self) -> bool:
        """True while fewer paths are under way than there is room for."""
        return len(self._jobs) < self._room

    async def finish_jobs(self, jobs: list[Job]) -> None:
        """See `PathScorer.finish_jobs`."""
        from vllm import PoolingParams

        asked = []
        try:
            for job in jobs:
                self._number += 1
                asked.append(str(self._number))
                self._jobs[asked[-1]] = job
                params = PoolingParams(task="token_classify", use_activation=True)
                self.llm.add_request(asked[-1], {"prompt_token_ids": job.ids}, params)
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._run())
            for job in jobs:
                await job.done.wait()
                if job.error is not None:
                    raise job.error
        finally:
            given_up = [identity for identity in asked if self._jobs.pop(identity, None) is not None]
            if given_up:
                self.llm.abort_request(given_up)

    async def _run(self) -> None:
        try:
            while self._jobs:
                for output in self.llm.step():
                    job = self._jobs.pop(output.request_id, None)
                    if job is not None:
                        _give(job, output.outputs.data)
                await asyncio.sleep(0)
        except Exception as error:  # whatever it was, vLLM does not go on after it
            text = str(error).strip() or type(error).__name__
            stopped = ModelError(f"vLLM stopped: {text.splitlines()[0]}", "The same command goes on from here.")
            stopped.__cause__ = error
            for job in self._jobs.values():
                job.error = stopped
                job.done.set()

    async def close(self) -> None:
        """Stop vLLM and free what it holds."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        stop(self.llm)


class VLLMLikelihood(LikelihoodScorer):
    """Scores paths by the likelihood of their steps, with vLLM.

    Args:
        name: any causal language model, or an adapter of one.
        settings: how it runs.
        how: `per` step or token.

    Raises:
        ModelError: a reward model, vLLM is missing, or it cannot load the model.
    """

    def __init__(self, name: str, settings: ScorerSettings, how: ScoreSettings) -> None:
        super().__init__(name, settings, how)
        # Merged: on a CPU vLLM fails at the log-probabilities of a prompt under an adapter (0.32).
        self.engine = VLLMEngine(name, vllm_start(settings), settings.template, settings.chat_arg, merge=True)
        self.max_length = self.engine.max_length - 1  # vLLM computes a prompt only together with a token after it

    def hungry(self) -> bool:
        """True while fewer paths are under way than there is room for."""
        return self.engine.hungry()

    async def finish_jobs(self, jobs: list[Job]) -> None:
        """See `PathScorer.finish_jobs`."""
        found = await self.engine.token_logprobs([job.ids for job in jobs])
        for job, tokens in zip(jobs, found, strict=True):
            job.give(self.steps(job, tokens[job.start - 1 : job.positions[-1]]))

    async def close(self) -> None:
        """Stop vLLM and free what it holds."""
        await self.engine.close()


def _give(job: Job, classes: Any) -> None:
    """Read the scores out of (tokens, 2) probabilities."""
    try:
        job.give(classes[job.positions, RIGHT].double().tolist())
    except ModelError as error:
        job.error = error
    job.done.set()
