"""Several servers of one model: each problem is asked of one of them, and of another if that one stops answering.

    --engine server --url http://a:8000/v1 --url http://b:8000/v1 --model m1

A problem stays with its server, which so computes each prefix once; a balancer in front of them knows no prefixes. A
new problem goes to the server with the fewest draws under way. One that has used up its retries gets no more for a
while; what it had not finished is asked of the others, with the same seeds. If none is left, the run ends (exit 4).
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import astuple, replace

from evals.records import Problem
from stages.engines.base import Completion, Request, Usage
from stages.engines.server.client import ServerGone
from stages.engines.server.engine import ServerEngine

REST = 60.0
"""Seconds after which a server that did not answer is tried again, with one problem."""
REMEMBERED = 20_000
"""Problems whose server is known; the oldest are forgotten first."""


class SeveralServers:
    """An `Engine` over one `ServerEngine` per server."""

    def __init__(self, servers: Sequence[ServerEngine]) -> None:
        self.servers = servers
        self.given_up = 0
        self._away: dict[int, float] = {}
        """When a server was given up, or was last tried since, by its number."""
        self._where: OrderedDict[str, int] = OrderedDict()
        """The number of the server that a problem is asked of, by the problem's id."""

    @property
    def usage(self) -> Usage:
        """What all of them have spent."""
        return Usage(*(sum(parts) for parts in zip(*(astuple(server.usage) for server in self.servers), strict=True)))

    async def stream(self, request: Request) -> AsyncGenerator[Completion, None]:
        """See `Engine.stream`."""
        given, tried = 0, set[int]()
        while True:
            number, begun = self._server_of(request.problem, tried)
            rest = replace(request, draws=request.draws[given:])
            try:
                async with aclosing(self.servers[number].stream(rest)) as draws:
                    async for completion in draws:
                        self._answered(number, begun)
                        given += 1
                        yield completion
                return
            except ServerGone as error:
                self._give_up(number, tried, error)

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        """See `Engine.loglikelihood`."""
        tried = set[int]()
        while True:
            number, begun = self._server_of(problem, tried)
            try:
                found = await self.servers[number].loglikelihood(problem, continuations)
                self._answered(number, begun)
                return found
            except ServerGone as error:
                self._give_up(number, tried, error)

    def _server_of(self, problem: Problem, tried: set[int]) -> tuple[int, float]:
        """The problem's server, or else the one with the fewest draws under way that answers; and the time."""
        now = asyncio.get_running_loop().time()
        known = self._where.get(problem.id)
        if known is not None and known not in self._away and known not in tried:
            return known, now
        left = [number for number in range(len(self.servers)) if number not in tried]
        # rather one that may be back than none
        free = [number for number in left if self._away.get(number, -REST) + REST <= now] or left
        chosen = min(free, key=lambda number: len(self.servers[number].open))
        if chosen in self._away:
            self._away[chosen] = now  # this problem tries it; the others wait for what comes of it
        self._where[problem.id] = chosen
        if len(self._where) > REMEMBERED:
            self._where.popitem(last=False)
        return chosen, now

    def _answered(self, number: int, begun: float) -> None:
        """A server is back if it answers what it was asked after it was given up."""
        if number in self._away and begun >= self._away[number]:
            del self._away[number]

    def _give_up(self, number: int, tried: set[int], error: ServerGone) -> None:
        """Ask a server no more for a while.

        Raises:
            ServerGone: the error, if no server is left to try.
        """
        tried.add(number)
        if number not in self._away:
            self.given_up += 1
            self._away[number] = asyncio.get_running_loop().time()
        if len(tried) == len(self.servers):
            raise error

    def hungry(self) -> bool:
        """True while one that answers has room."""
        there = [server for number, server in enumerate(self.servers) if number not in self._away]
        return any(server.hungry() for server in there or self.servers)

    def rows(self) -> int:
        """Draws under way."""
        return sum(server.rows() for server in self.servers)

    def spent(self) -> dict[str, int]:
        """See `Engine.spent`; and how often a server was given up."""
        total: Counter[str] = Counter()
        for server in self.servers:
            total.update(server.spent())
        return {**total, **({"servers given up": self.given_up} if self.given_up else {})}

    async def close(self) -> None:
        """Close all of them."""
        for server in self.servers:
            await server.close()
