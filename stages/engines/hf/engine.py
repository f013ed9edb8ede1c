"""The `hf` engine: a transformers model behind the refilling decode loop, on CPU, CUDA or MPS.

The loop blocks while it computes and lets the strategies run between two tokens, all on one thread, so nothing here
needs a lock. fp32 on one device and one set of versions gives the same completions whatever the batch; with other
types the last bits of a logit may depend on it, and the manifest says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import psutil
import torch

from evals.errors import ModelError
from evals.records import Problem
from stages.engines.base import Completion, Request, Usage
from stages.engines.hf.chains import CacheLimits, PrefixChain
from stages.engines.hf.decode import DecodeLoop
from stages.engines.stops import TextReader, end_ids
from stages.models.architectures import check_decoding
from stages.models.attention import use_whole_attention
from stages.models.loading import Loaded
from stages.models.prompts import Prompter
from stages.models.templates import Prompters
from stages.settings.model import ModelSettings

CPU_ROWS, GPU_ROWS = 256, 512
BACKLOG = 1.0
"""Chains kept waiting, as a share of the rows, so that a finished row never waits for a problem to be read."""


class HFEngine:
    """Writes text with a loaded policy.

    Args:
        loaded: model, tokenizer and device (`stages.models.loading.load_policy`).
        template: as for `stages.models.templates.make_prompter`.
        rows: draws decoded at a time; None: chosen from the device and its memory.
        chat_args: what the chat template is told; None: what the model's folder recorded.
        compiled: compile the decode step.

    Raises:
        ModelError: the model's layers keep other state than keys and values, or its step cannot be compiled.
    """

    def __init__(
        self, loaded: Loaded, template: str = ModelSettings.template, rows: int | None = None,
        chat_args: Mapping[str, Any] | None = None, compiled: bool = False,
    ) -> None:  # fmt: skip
        told = loaded.chat_args if chat_args is None else chat_args
        self._prompters = Prompters(loaded.tokenizer, template, loaded.template_recorded, told)
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        self.model.eval()
        check_decoding(loaded.name, self.model.config)
        use_whole_attention(self.model)
        vocabulary = self.model.get_output_embeddings().weight.shape[0]
        reader = TextReader(self.tokenizer, end_ids(self.model.generation_config, self.tokenizer), vocabulary)
        forward = None
        if compiled:
            from stages.engines.hf.compiled import CompiledStep

            forward = CompiledStep(self.model)
        self.loop = DecodeLoop(self.model, reader, _limits(self.model, rows), forward)
        self._task: asyncio.Task[None] | None = None
        self._open: dict[PrefixChain, asyncio.Queue[Completion | BaseException]] = {}

    @property
    def usage(self) -> Usage:
        """What has been spent so far."""
        return self.loop.usage

    def prompter(self, problem: Problem) -> Prompter:
        """What builds the problem's prompt."""
        return self._prompters.of(problem)

    def hungry(self) -> bool:
        """True while fewer chains wait than the backlog that keeps the rows full."""
        return len(self.loop.queue) < self.loop.max_rows * BACKLOG

    async def stream(self, request: Request) -> AsyncGenerator[Completion, None]:
        """See `Engine.stream`."""
        queue: asyncio.Queue[Completion | BaseException] = asyncio.Queue()
        prompter = self.prompter(request.problem)
        encoded = prompter.begun(request.problem, request.prefix)
        stop = prompter.stops(request.stop, request.problem)
        self.loop.reader.watch(stop)
        chain = PrefixChain(
            ids=encoded.prompt_ids + encoded.completion_ids,
            draws=request.draws,
            top_p=request.top_p,
            max_tokens=request.max_tokens,
            stop=stop,
            deliver=queue.put_nowait,
            eager=request.eager,
        )
        self.loop.submit(chain)
        self._open[chain] = queue
        self._wake()
        try:
            for _ in request.draws:
                item = await queue.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            chain.closed = True
            del self._open[chain]

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            with torch.inference_mode():
                busy = True
                while busy:
                    busy = self.loop.step()
                    await asyncio.sleep(0)
        except Exception as error:
            for queue in self._open.values():
                queue.put_nowait(error)

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        """See `Engine.loglikelihood`. One forward pass for all continuations of a problem."""
        encoded = [self.prompter(problem).encode(problem, text, end=False) for text in continuations]
        if any(not item.completion_ids for item in encoded):
            raise ModelError("a continuation without a token has no likelihood")
        width = max(len(item.ids) for item in encoded)
        ids = torch.zeros((len(encoded), width), dtype=torch.int64)
        for row, item in enumerate(encoded):
            ids[row, : len(item.ids)] = torch.tensor(item.ids)
        ids = ids.to(self.model.device)
        with torch.inference_mode():
            logits = self.model(ids, use_cache=False).logits.float()
            token = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        self.usage.prompt_tokens += sum(len(item.ids) for item in encoded)
        spans = [(len(item.prompt_ids) - 1, len(item.ids) - 1) for item in encoded]
        await asyncio.sleep(0)
        return [float(token[row, start:end].sum()) for row, (start, end) in enumerate(spans)]

    def rows(self) -> int:
        """Rows of the batch that are being decoded."""
        return self.loop.live

    def written(self) -> int:
        """Tokens written so far, those of unfinished draws included."""
        return self.usage.tokens + self.usage.cancelled_tokens + self.loop.unfinished

    def spent(self) -> dict[str, int]:
        """See `Engine.spent`."""
        return asdict(self.usage)

    async def close(self) -> None:
        """Stop the loop and free the slots."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for queue in self._open.values():
            queue.put_nowait(ModelError("the engine was closed before it had written everything"))
        self.loop.cache.free()


def _limits(model: Any, rows: int | None) -> CacheLimits:
    """Rows and memory for the model's device: keys and values may take 80 % of what is free (half, of main memory)."""
    device = model.device
    if device.type == "cuda":
        free = int(torch.cuda.mem_get_info(device)[0] * 0.8)
        return CacheLimits(rows or GPU_ROWS, free, 16_384, 128)
    free = psutil.virtual_memory().available // 2
    return CacheLimits(rows or CPU_ROWS, free, 4_096, 64)
