"""What runs inside a replica: it opens the stage's resources itself and works on hundreds of problems at once.

    host = Host(stage, tell=send_back)
    task = asyncio.create_task(host.run())
    host.take(Order(17, problem))           # asked for by Want; answered by Done or Failed
    await host.close()

It asks for more while its engine is hungry, a handful ahead, so what waits here is bounded as in one process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from stages.counts import Tally
from stages.files.interrupts import StopFlag
from stages.files.outputs import to_line
from stages.runs.opened import OpenedResources
from stages.runs.replicas.messages import Broken, Done, Failed, Order, Ready, Reply, State, Want, portable
from stages.runs.scheduler import BURST
from stages.runs.stage import Stage

_POLL = 0.005
"""Seconds between two looks at whether the engine is hungry, which it does not say by itself."""


class Host:
    """Works on the problems that it is given.

    Args:
        stage: as `Stage.for_replica` makes it, not opened.
        tell: sends a reply; it must not block.
    """

    def __init__(self, stage: Stage, tell: Callable[[Reply], None]) -> None:
        self.stage, self.tell = stage, tell
        self._opened = OpenedResources(stage.resources(), StopFlag())
        self._waiting: deque[Order] = deque()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._wanted = 0
        """Problems that were asked for and have not come yet."""
        self._changed = asyncio.Event()
        self._closing = False

    def take(self, order: Order) -> None:
        """Work on this problem when there is room."""
        self._wanted -= 1
        self._waiting.append(order)
        self._changed.set()

    async def run(self) -> None:
        """Open the resources, then work until cancelled."""
        try:
            self._opened.ensure()
        except Exception as error:  # whatever it is, whoever waits for the replica must hear of it
            self.tell(Broken(portable(error)))
            return
        self.tell(Ready())
        while True:
            self._changed.clear()
            await self._begin()
            self._ask()
            try:
                await asyncio.wait_for(self._changed.wait(), _POLL if self._must_look() else None)
            except TimeoutError:
                continue

    def _has_room(self) -> bool:
        return not self._running or self._opened.hungry()

    def _must_look(self) -> bool:
        """Whether something may happen that sets no event: the engine gets hungry."""
        return bool(self._waiting) or self._wanted < BURST // 2

    async def _begin(self) -> None:
        """Begin what waits while there is room; a burst at a time, as an engine does not see a problem at once."""
        begun = 0
        while self._waiting and self._has_room():
            order = self._waiting.popleft()
            self._running[order.ticket] = asyncio.get_running_loop().create_task(self._one(order))
            begun += 1
            if begun % BURST == 0:
                await asyncio.sleep(0)

    def _ask(self) -> None:
        room = BURST - len(self._waiting) - self._wanted
        if room >= BURST // 2 and self._has_room():
            self._wanted += room
            self.tell(Want(room))

    async def _one(self, order: Order) -> None:
        tally = Tally()
        try:
            lines = [to_line(record) for record in await self.stage(order.problem, tally)]
        except BaseException as error:  # it is raised again where the answer is awaited
            if self._closing:  # nobody waits for it
                raise
            self._end(order.ticket, Failed(order.ticket, portable(error), self._state()))
        else:
            counts, shown = dict(tally.counts), dict(tally.shown)
            self._end(order.ticket, Done(order.ticket, lines, counts, shown, self._state()))

    def _end(self, ticket: int, reply: Reply) -> None:
        del self._running[ticket]
        self.tell(reply)
        self._changed.set()

    def _state(self) -> State:
        return State(self._opened.spent(), self._opened.rows())

    async def close(self) -> None:
        """Give up what is under way and free what was opened."""
        self._closing = True
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await self._opened.close()
