"""What engines share that make every draw by a request of its own: draws begun ahead, handed out in draw order.

    class MyEngine(DrawEngine):
        def prompter(self, problem): ...                       # what builds the problem's prompt
        def prepare(self, request): ...                        # the prompt, once for all draws
        def begin(self, prompt, request, draw, answer): ...    # sets the future `answer` some time later

A caller that has seen enough closes the stream, and the draws that were begun for it are given up.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import asdict, replace
from typing import Any

from evals.errors import ModelError
from evals.records import Problem
from stages.engines.base import Completion, Draw, Request, Usage
from stages.models.prompts import Prompter

Answer = asyncio.Future[Completion]


class DrawEngine(ABC):
    """Streams in draw order over draws that end in any order.

    Args:
        room: draws under way up to which more problems are admitted.
        spare: draws under way below which one more costs next to nothing, so that draws of a stream which may be
            closed are begun before the caller has seen the one before; 0: never, every draw is paid for.
    """

    def __init__(self, room: int, spare: int = 0) -> None:
        self.usage = Usage()
        self.room, self.spare = room, spare
        self.open: set[asyncio.Future[Any]] = set()
        """What is awaited of the engine."""

    @abstractmethod
    def prompter(self, problem: Problem) -> Prompter:
        """What builds the problem's prompt, and says which stop strings hold under it."""

    @abstractmethod
    def prepare(self, request: Request) -> Any:
        """The request's prompt in whatever form `begin` takes it."""

    @abstractmethod
    def begin(self, prompt: Any, request: Request, draw: Draw, answer: Answer) -> None:
        """Begin a draw; set `answer` when it has ended, and stop when `answer` is cancelled."""

    async def stream(self, request: Request) -> AsyncGenerator[Completion, None]:
        """See `Engine.stream`."""
        request = replace(request, stop=self.prompter(request.problem).stops(request.stop, request.problem))
        prompt = self.prepare(request)
        begun: list[Answer] = []
        try:
            for number in range(len(request.draws)):
                while len(begun) < len(request.draws) and self._wanted(request, len(begun), number):
                    answer = self.expect()
                    begun.append(answer)
                    self.begin(prompt, request, request.draws[len(begun) - 1], answer)
                yield await begun[number]
        finally:
            for answer in begun:
                answer.cancel()

    def _wanted(self, request: Request, next_draw: int, awaited: int) -> bool:
        return request.eager or next_draw <= awaited or len(self.open) < self.spare

    def expect(self) -> asyncio.Future[Any]:
        """A future that counts as under way until it is set or cancelled."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.open.add(future)
        future.add_done_callback(self._closed)
        return future

    def _closed(self, future: asyncio.Future[Any]) -> None:
        self.open.discard(future)
        if not future.cancelled():
            future.exception()  # seen: a draw that nobody waits for any more may fail unheard

    def hungry(self) -> bool:
        """True while fewer draws are under way than there is room for."""
        return len(self.open) < self.room

    def rows(self) -> int:
        """Draws under way."""
        return len(self.open)

    def spent(self) -> dict[str, int]:
        """See `Engine.spent`."""
        return asdict(self.usage)

    def fail(self, error: Exception) -> None:
        """End everything that is under way with an error."""
        for future in list(self.open):
            if not future.done():
                future.set_exception(error)

    async def close(self) -> None:
        """End what is under way."""
        self.fail(ModelError("the engine was closed before it had written everything"))
