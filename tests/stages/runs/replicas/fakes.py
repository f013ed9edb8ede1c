"""A stage without an engine, and a fleet whose replicas live in the test's own loop and die when it says so."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evals.records import Problem
from stages.counts import Tally
from stages.runs.replicas.host import Host
from stages.runs.replicas.links import ReplicaDied
from stages.runs.replicas.messages import Order, Reply
from stages.runs.stage import Stage


def problem(number: int) -> Problem:
    return Problem.from_row({"id": f"p/{number}", "task": "math", "question": f"{number}?", "answer": str(number)})


def nothing(given: Problem) -> None:
    """What `Copying` does besides."""


class Room:
    """A resource with room for so many problems; may refuse to open."""

    def __init__(self, room: int = 1 << 30, error: Exception | None = None) -> None:
        self.room, self.error = room, error
        self.busy = self.most = self.done = 0
        self.closed = False

    def facts(self) -> Mapping[str, Any]:
        return {}

    def open(self) -> None:
        if self.error is not None:
            raise self.error

    def hungry(self) -> bool:
        return self.busy < self.room

    def spent(self) -> Mapping[str, int]:
        return {"tokens": 3 * self.done}

    def rows(self) -> int:
        return self.busy

    async def close(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class Copying(Stage):
    """Copies each problem after a while; `act` may do something else for one of them."""

    room: Room = field(default_factory=Room)
    seconds: float = 0.001
    act: Callable[[Problem], None] = nothing
    name: ClassVar[str] = "copy"

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        self.room.busy += 1
        self.room.most = max(self.room.most, self.room.busy)
        try:
            await asyncio.sleep(self.seconds)
            self.act(problem)
            tally.count("tokens", 3)
            self.room.done += 1
        finally:
            self.room.busy -= 1
        return [problem]


class FakeLink:
    """A replica in this loop. `die` ends it as a kill does: what it says afterwards is lost, or comes late."""

    def __init__(self, stage: Stage) -> None:
        self.replies: asyncio.Queue[Reply | ReplicaDied] = asyncio.Queue()
        self.host = Host(stage, self.replies.put_nowait)
        self.orders: list[Order] = []
        self.closed: list[bool] = []
        self.task = asyncio.create_task(self.host.run())

    def send(self, orders: Sequence[Order]) -> None:
        self.orders += orders
        for order in orders:
            self.host.take(order)

    async def receive(self) -> Sequence[Reply]:
        reply = await self.replies.get()
        if isinstance(reply, ReplicaDied):
            raise reply
        return [reply]

    def die(self, why: str = "killed") -> None:
        self.task.cancel()
        while not self.replies.empty():
            self.replies.get_nowait()
        self.replies.put_nowait(ReplicaDied(why))

    async def close(self, *, at_once: bool) -> None:
        self.closed.append(at_once)
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.host.close()


class FakeFleet:
    """Starts a replica with the stage that `make` gives for its number."""

    advice, slow = "Look at them.", "they were told to be"

    def __init__(self, count: int, make: Callable[[int], Stage], late: Mapping[int, float] = {}) -> None:
        self.count, self.make, self.late = count, make, late
        self.links: dict[int, list[FakeLink]] = {number: [] for number in range(count)}
        self.closed = False

    async def start(self, number: int) -> FakeLink:
        await asyncio.sleep(self.late.get(number, 0))
        link = FakeLink(self.make(number))
        self.links[number].append(link)
        return link

    async def close(self) -> None:
        self.closed = True


@dataclass(frozen=True)
class Poisonous(Stage):
    """Copies each problem, and kills its process at one of them."""

    poison: str = "p/7"
    name: ClassVar[str] = "copy"

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        await asyncio.sleep(0.001)
        if problem.id == self.poison:
            os.kill(os.getpid(), signal.SIGKILL)
        return [problem]
