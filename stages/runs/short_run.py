"""A short run of chosen problems through a stage, of which only figures are kept: what each took, and how fast it went.

short = ShortRun(stage, ChosenLines(chosen, None, "problems.jsonl", 32, opened.hungry), opened, flag)
await short.go("sample", display)
short.done            # [(1.0, {"drawn": 8, "tokens": 331, ...}), ...]
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol, cast, runtime_checkable

from evals.errors import SomeFailed
from evals.records import Problem
from stages.counts import Tally
from stages.files.interrupts import StopFlag
from stages.files.records import Line, RecordReader
from stages.files.shards import Shard
from stages.runs.estimates import Moment, between, clocks
from stages.runs.memory import peak_memory
from stages.runs.opened import OpenedResources
from stages.runs.progress import Display, Progress
from stages.runs.scheduler import Scheduler
from stages.runs.stage import Stage

_LOOK_EVERY = 0.02  # seconds between two looks at the engine


@runtime_checkable
class Batching(Protocol):
    """A resource that works on many problems together."""

    def fills(self) -> bool:
        """Whether it is hungry only until it has as many as it works on together; else each problem is done at once."""

    def written(self) -> int | None:
        """Tokens written so far, those of unfinished draws included; None where that is not known."""


class Candidate(NamedTuple):
    """A line that may be run. The problem is kept as text: as an object it would take ten times the memory."""

    key: int
    line: Line[Problem]
    text: str
    size: float


class ChosenLines:
    """Chosen lines as a reader (`RecordReader`): `least` of them, then more while the engine has room."""

    def __init__(
        self, chosen: Sequence[Candidate], shard: Shard | None, source: str, least: int, hungry: Callable[[], bool]
    ) -> None:
        self.shard, self.source = shard, source
        self.good = self.lines = 0
        self.sizes: dict[int, float] = {}
        """By line number."""
        self._chosen, self._least, self._hungry = chosen, least, hungry

    def __iter__(self) -> Iterator[Line[Problem]]:
        for number, one in enumerate(self._chosen):
            if number >= self._least and not self._hungry():
                return
            self.sizes[one.line.n] = one.size
            self.good += 1
            yield one.line._replace(record=Problem.from_row(json.loads(one.text)))


class ShortRun:
    """The run of the chosen lines, as a `Delivery` that keeps what was counted of each, and throws the lines away."""

    def __init__(self, stage: Stage, lines: ChosenLines, opened: OpenedResources, flag: StopFlag) -> None:
        self._stage, self._lines, self._opened, self._flag = stage, lines, opened, flag
        self.done: list[tuple[float, Mapping[str, int]]] = []
        """Size and counts of each finished problem."""
        self.course: list[Moment] = []
        self.failed = 0
        """Problems that could not be done."""
        self.start_up = self.seconds = self.cpu_start_up = self.cpu = 0.0
        """Seconds until everything was open, and from then on; the same of CPU time."""
        self.usage: dict[str, int] = {}
        self.written = 0
        self.memory: dict[str, int] = {}
        self._ready: tuple[float, float] | None = None

    async def go(self, name: str, display: Display) -> None:
        """Run them.

        Raises:
            SomeFailed: none could be done.
        """
        begun = clocks()
        reporter = Progress(display, self._stage.live, self._opened.rows)
        reporter.start(f"{name}, calibration", None, 0)
        # To a scheduler lines in any order are a reader like any other; only a window would keep some of them back.
        reader, window = cast("RecordReader[Problem]", self._lines), 1 << 60
        scheduler = Scheduler(reader, self._work, self, self._opened.hungry, reporter, self._flag, window)
        looking = asyncio.ensure_future(self._look())
        try:
            await scheduler.run()
            ready, end = self._ready or begun, clocks()
            (self.start_up, self.cpu_start_up), (self.seconds, self.cpu) = between(begun, ready), between(ready, end)
            self.usage, self.written = self._opened.spent(), self._written() or 0
            self.memory = peak_memory()
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            await self._opened.close()
            reporter.finish()
        self.failed = len(scheduler.failed) + len(scheduler.spoiled)
        if not self.done:
            raise SomeFailed(f"none of the {self.failed} problems of the calibration could be done")

    async def _work(self, problem: Problem, tally: Tally) -> Sequence[Problem]:
        self._opened.ensure()
        self._ready = self._ready or clocks()
        return await self._stage(problem, tally)

    async def _look(self) -> None:
        """Note the engine's course, for as long as the run takes."""
        while True:
            written = self._written()
            if self._ready is not None and written is not None:
                prompt = self._opened.spent().get("prompt_tokens", 0)
                self.course.append(Moment(time.perf_counter() - self._ready[0], written, prompt))
            await asyncio.sleep(_LOOK_EVERY)

    def _written(self) -> int | None:
        told = [each.written() for each in self._stage.resources() if isinstance(each, Batching)]
        known = [written for written in told if written is not None]
        return sum(known) if known else None

    # as a Delivery

    def digest(self, position: int) -> str | None:
        """None: what was finished before is not among the lines."""
        return None

    def admit(self, position: int) -> None:
        """Nothing to do."""

    def deliver(self, line: Line[Problem], position: int, counts: Mapping[str, int], payload: list[str]) -> None:
        """Keep the counts."""
        self.done.append((self._lines.sizes[line.n], dict(counts)))

    def lose(self, position: int) -> None:
        """Nothing to do: what failed is left out of the estimate."""
