"""A vLLM engine for tests to ask, the hf engine beside it, and requests."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from evals.records import Problem
from evals.tasks import task_of
from evals.worlds import chain
from stages.engines.base import Completion, Draw, Request, generate
from stages.engines.hf.engine import HFEngine
from stages.engines.vllm.engine import VLLMEngine
from stages.engines.vllm.opening import vllm_start
from stages.engines.vllm.start import VLLMStart
from stages.models.loading import load_policy
from stages.seeds import seed_of
from stages.settings.model import EngineSettings

PROBLEMS = list(chain.problems("test", 20, 3))


class Opened:
    """An engine, and the event loop it lives on."""

    def __init__(self, name: str, **settings: Any) -> None:
        self.loop = asyncio.new_event_loop()
        try:
            self.engine = self.loop.run_until_complete(
                self._open(name, replace(vllm_start(EngineSettings(device="cpu", dtype="float32")), **settings))
            )
        except BaseException:
            self.loop.close()
            raise

    async def _open(self, name: str, settings: VLLMStart) -> VLLMEngine:
        return VLLMEngine(name, settings)

    def ask(self, *requests: Request) -> list[list[Completion]]:
        return self.loop.run_until_complete(self._ask(requests))

    async def _ask(self, requests: tuple[Request, ...]) -> list[list[Completion]]:
        return await asyncio.gather(*[generate(self.engine, request) for request in requests])

    def close(self) -> None:
        self.loop.run_until_complete(self.engine.close())
        self.loop.close()


def greedy(problem: Problem, **more: Any) -> Request:
    return Request(problem, (Draw(1, 0.0),), max_tokens=96, stop=task_of(problem).stop, **more)


def drawn(problem: Problem, n: int = 8, temperature: float = 1.0, **more: Any) -> Request:
    draws = tuple(Draw(seed_of("simulate", problem.id, 0, ["", i]), temperature) for i in range(n))
    return Request(problem, draws, **{"max_tokens": 96, **more})


def by_hf(name: str, *requests: Request) -> list[list[Completion]]:
    async def go() -> list[list[Completion]]:
        engine = HFEngine(load_policy(name, device="cpu", dtype="float32"))
        try:
            return await asyncio.gather(*[generate(engine, request) for request in requests])
        finally:
            await engine.close()

    return asyncio.run(go())
