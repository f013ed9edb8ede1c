"""The driver's side of replicas: every problem goes to one of them, and to another if that one dies.

    pool = Pool(stage, fleet, kept, left=reporter.left, warn=reporter.warn)
    summary = await run_lines(run, pool.work, hungry=pool.hungry, usage=pool.spent, ...)
    await pool.close()

The pool knows nothing about how a replica is reached: that is the `Fleet`'s affair. A problem stays with one replica,
so its prefixes are shared there. It goes to the replica that asks for more and has the fewest; near the end of the file
none holds more than its share of the lines that are left, so that all end together.

When a replica dies, its problems are given to others, in input order, under new tickets; an answer under an old one is
dropped. A problem that was there when replicas died may be the cause, so it is tried again with few others beside it,
at last alone (`TOGETHER`); if that replica dies as well, the problem has failed. Another replica is started in the
place of the dead one, unless they die without doing anything: that ends the run.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evals.errors import ModelError
from evals.records import Problem, Record
from stages.counts import Tally
from stages.runs.faults import ProblemFailed
from stages.runs.opened import OpenedResources
from stages.runs.replicas.links import Fleet, ReplicaDied
from stages.runs.replicas.messages import Broken, Failed, Order, Ready, Reply, Want
from stages.runs.replicas.places import TOGETHER, Job, Place, merged
from stages.runs.stage import Stage

PATIENCE = 120.0
"""Seconds during which a share of the last lines is kept for a replica that is still starting."""
RESTS = (0.0, 1.0, 5.0, 15.0)
"""Seconds before a replica is started again, after so many deaths in a row without an answer; the last one holds on."""
LOST = "replicas lost"
_WARNINGS = 20


class Pool:
    """Gives problems to replicas.

    Args:
        stage: the whole stage; what `Stage.begin` does is done here.
        fleet: starts the replicas, when the first problem needs one.
        kept: the resources that `Stage.begin` needs.
        left: lines of the file without a result, those in flight included; None: not known.
        warn: tells the user something.
    """

    def __init__(
        self,
        stage: Stage,
        fleet: Fleet,
        kept: OpenedResources,
        left: Callable[[], int | None] = lambda: None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.stage, self.fleet, self.kept, self.left, self.warn = stage, fleet, kept, left, warn
        self.lost = 0
        """Replicas that died."""
        self._places: list[Place] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._queue: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        """Problems whose number of companions is limited, see `TOGETHER`."""
        self._numbers, self._tickets = itertools.count(), itertools.count()
        self._failure: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answered = False
        self._barren = self._unready = 0
        """Deaths of all replicas in a row: without any answer; before any was ready."""

    async def work(self, problem: Problem, tally: Tally) -> Sequence[Record | Mapping[str, Any] | str]:
        """Have one problem done; its output lines.

        Raises:
            ProblemFailed: it cannot be done, or replicas die of it.
            SipfError: what the work raises; or replicas cannot be started, or keep dying.
        """
        self.kept.ensure()
        known = self.stage.begin(problem, tally)
        if known is not None:
            return known
        if self._failure is not None:
            raise self._failure
        self._start()
        job = Job(next(self._numbers), problem, asyncio.get_running_loop().create_future())
        self._queue.append(job)
        self._assign()
        done = await job.answer
        tally.counts.update(done.counts)
        tally.shown.update(done.shown)
        return done.lines

    def hungry(self) -> bool:
        """True while replicas ask for more problems than wait for one."""
        room = 0
        share = self._share()
        for place in self._places:
            room += max(0, min(place.credit, share - len(place.jobs)))
            if room > len(self._queue):
                return True
        return False

    def spent(self) -> dict[str, int]:
        """What all replicas have spent, as far as the dead ones had told; and how many died."""
        total = Counter(self.kept.spent())
        for place in self._places:
            total.update(place.past)
            total.update(place.state.spent)
        return {**total, **({LOST: self.lost} if self.lost else {})}

    def rows(self) -> int:
        """Sequences that are being written now."""
        return sum(place.state.rows for place in self._places)

    async def close(self) -> None:
        """End all replicas."""
        at_once = bool(self._queue or self._suspects or any(place.jobs for place in self._places))
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(
            *(place.link.close(at_once=at_once or not place.ready) for place in self._places if place.link is not None)
        )
        await self.fleet.close()
        await self.kept.close()

    def _start(self) -> None:
        if not self._places:
            loop = asyncio.get_running_loop()
            self._places = [Place(number, loop.time()) for number in range(self.fleet.count)]
            self._tasks = [loop.create_task(self._serve(place)) for place in self._places]
            self._timer = loop.call_later(PATIENCE, self._tell_slow)

    def _tell_slow(self) -> None:
        if not self._answered and not any(place.ready for place in self._places):
            self.warn(f"no replica is ready after {PATIENCE:.0f} seconds: {self.fleet.slow}")

    async def _serve(self, place: Place) -> None:
        """Keep a replica in its place, and hear what it says."""
        try:
            while self._failure is None:
                try:
                    place.begun = asyncio.get_running_loop().time()
                    place.link = await self.fleet.start(place.number)
                    while True:
                        for reply in await place.link.receive():
                            self._hear(place, reply)
                        self._assign()
                except ReplicaDied as death:
                    link, place.link = place.link, None
                    self._bury(place, str(death))
                    if link is not None:
                        await link.close(at_once=True)
                    if self._is_hopeless(place):
                        self.warn(f"replica {place.number} is not started again: it died {place.barren} times in a row")
                        return
                    await asyncio.sleep(RESTS[min(max(place.barren - 1, 0), len(RESTS) - 1)])
        except Exception as error:  # it ends the run; every problem that waits raises it
            self._give_up(error)

    def _hear(self, place: Place, reply: Reply) -> None:
        if isinstance(reply, Want):
            place.credit += reply.count
        elif isinstance(reply, Ready):
            place.ready, self._unready = True, 0
        elif isinstance(reply, Broken):
            raise reply.error
        else:
            place.state = reply.state
            job = place.answered(reply.ticket)
            if job is None or job.answer.done():
                return
            place.barren = self._barren = 0
            self._answered = True
            if isinstance(reply, Failed):
                job.answer.set_exception(reply.error)
            else:
                job.answer.set_result(reply)

    def _assign(self) -> None:
        """Give what waits to the replicas that want it."""
        share = self._share()
        while self._suspects:
            place = self._place_for(self._suspects[0], share)
            if place is None:
                break
            self._give(place, self._suspects.popleft())
        while self._queue:
            place = self._place_for(self._queue[0], share)
            if place is None:
                break
            self._give(place, self._queue.popleft())

    def _place_for(self, job: Job, share: int) -> Place | None:
        """The replica with the fewest problems among those that want more and may have this one."""
        free = [place for place in self._places if place.room(job, share)]
        return min(free, key=lambda place: len(place.jobs), default=None)

    def _give(self, place: Place, job: Job) -> None:
        assert place.link is not None, "only a replica that is there wants anything"
        if job.answer.done():  # cancelled
            return
        ticket = next(self._tickets)
        place.take(ticket, job)
        place.link.send([Order(ticket, job.problem)])

    def _share(self) -> int:
        """The most problems that one replica may hold: its share of the lines that are left."""
        left = self.left()
        if left is None:
            return 1 << 30
        early = asyncio.get_running_loop().time() - PATIENCE
        there = sum(place.ready or place.begun > early for place in self._places)
        return max(1, -(-left // max(1, there)))

    def _bury(self, place: Place, why: str) -> None:
        """A replica died: its problems go back to their places in the queue."""
        self.lost += 1
        self._barren += 1
        place.barren += 1
        self._unready += not place.ready
        jobs = place.vacate()
        if self.lost <= _WARNINGS:
            more = f"; its {len(jobs)} problems are given to others" if jobs else ""
            self.warn(f"replica {place.number} died ({why}){more}")
        for job in jobs:
            job.deaths += 1
            if job.deaths == len(TOGETHER):
                job.answer.set_exception(ProblemFailed(f"{job.deaths} replicas died of it, the last one {why}"))
                if self._answered:  # else it may be the engine that fails, whatever it is given
                    place.barren = self._barren = 0
        again = [job for job in jobs if not job.answer.done()]
        self._queue = merged(self._queue, [job for job in again if not job.is_suspect])
        self._suspects = merged(self._suspects, [job for job in again if job.is_suspect])
        self._give_up_after(why)

    def _give_up_after(self, why: str) -> None:
        """End the run if replicas only die.

        Raises:
            ModelError: they do.
        """
        if self._unready > self.fleet.count + 1 and not any(place.ready for place in self._places):
            what = f"{self._unready} replicas in a row ended before they were ready, the last one {why}"
        elif self._barren > len(TOGETHER) * (self.fleet.count + 1):
            what = f"{self._barren} replicas in a row ended without an answer, the last one {why}"
        else:
            self._assign()
            return
        raise ModelError(what, self.fleet.advice)

    def _is_hopeless(self, place: Place) -> bool:
        """Whether a place is better left empty: replicas only die there, and there are others."""
        return place.barren >= len(TOGETHER) and any(other.ready for other in self._places)

    def _give_up(self, error: Exception) -> None:
        self._failure = self._failure or error
        for job in [*self._queue, *self._suspects, *(job for place in self._places for job in place.jobs.values())]:
            if not job.answer.done():
                job.answer.set_exception(error)
