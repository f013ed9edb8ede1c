"""The problems in flight: admitted in input order, as many as the engine can use, never far ahead of the oldest.

    scheduler = Scheduler(reader, work, delivery, hungry, reporter, flag)
    await scheduler.run()          # every line read, every problem delivered, failed or bad

Each problem is a task on the event loop that the engine also runs on. Memory is bounded by the window, not by the
input: a problem is admitted only while it is fewer than `window` lines after the oldest unfinished one.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from evals.errors import DataError, UsageError
from evals.records import Problem, Record
from stages.counts import Count, Tally
from stages.files.interrupts import StopFlag
from stages.files.manifest import Ranges
from stages.files.outputs import to_line
from stages.files.records import Line, RecordReader
from stages.runs.faults import LineFault, ProblemFailed

BURST = 32
"""Problems admitted before the other tasks run again. An engine does one decode step each time, so with one problem at
a time it would fill only one row per step. A `hungry` that counts problems can be exceeded by this many."""
_POLL, _TAIL, _SPELL = 0.005, 0.05, 256
"""Seconds between checks of `hungry` or an idle pipe; seconds between checks of the stop flag; lines skipped before the
other tasks run again."""
_WARNINGS = 20


class Reporter(Protocol):
    """What the user sees of a run."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """A run begins: `total` lines (None: unknown), of which `done` were finished before."""

    def advance(self, tokens: int = 0, tally: Tally | None = None) -> None:
        """One more line is done, for which `tokens` tokens were generated; what was counted of it, if it was good."""

    def warn(self, text: str) -> None:
        """Show something the user should know."""

    def finish(self) -> None:
        """The run has ended, whether or not it succeeded."""


class Quiet:
    """A reporter that shows nothing."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """See `Reporter`."""

    def advance(self, tokens: int = 0, tally: Tally | None = None) -> None:
        """See `Reporter`."""

    def warn(self, text: str) -> None:
        """See `Reporter`."""

    def finish(self) -> None:
        """See `Reporter`."""


class Delivery(Protocol):
    """Where finished problems go."""

    def digest(self, position: int) -> str | None:
        """The digest of the line that an earlier attempt finished at this position, or None."""

    def admit(self, position: int) -> None:
        """The problem at this position has been started."""

    def deliver(self, line: Line[Problem], position: int, counts: Mapping[str, int], payload: list[str]) -> None:
        """It is finished, with these counts and output lines."""

    def lose(self, position: int) -> None:
        """It failed: there is no output for it."""


Work = Callable[[Problem, Tally], Awaitable[Sequence[Record | Mapping[str, Any] | str]]]
"""One problem in, its output records out; a string is a line that is written as it stands."""


class Scheduler:
    """One pass through the input. Afterwards `bad`, `gaps`, `failed` and `delivered` say what became of the lines."""

    def __init__(
        self,
        reader: RecordReader[Problem],
        work: Work,
        delivery: Delivery,
        hungry: Callable[[], bool],
        reporter: Reporter,
        flag: StopFlag,
        window: int = 4096,
        strict: bool = False,
    ) -> None:
        self.reader, self.work, self.delivery, self.hungry = reader, work, delivery, hungry
        self.reporter, self.flag, self.strict = reporter, flag, strict
        self.window = max(1, window)
        self.step = reader.shard.count if reader.shard else 1
        self.bad, self.gaps = Ranges(self.step), Ranges(self.step)
        self.bad_count = self.delivered = 0
        self.spoiled: list[int] = []
        """Numbers of the lines that turned out to be bad while they were worked on."""
        self.failed: list[tuple[int, str, str]] = []
        """Line number, problem id and reason of each problem that failed."""
        self.last = -1
        """The last position read."""
        self._running: OrderedDict[int, asyncio.Task[None]] = OrderedDict()
        self._crash: BaseException | None = None
        self._closing = False
        self._wake: asyncio.Future[None] | None = None
        self._burst = self._passed = 0
        self._warned: Counter[str] = Counter()

    async def run(self) -> None:
        """Read every line and do every problem.

        Raises:
            DataError: a bad line with `strict`, or input whose rest cannot be read.
            UsageError: a line has changed since it was finished.
            Interrupted, KeyboardInterrupt: asked to stop, or the disk is full.
        """
        try:
            for line in self.reader:
                self._check_stop()
                if line is None:
                    await self._pause(_POLL)
                else:
                    await self._take(line)
            while self._running:
                await self._pause(_TAIL)
                self._check_stop()
            self._check_stop()
        finally:
            await self._cancel_rest()

    async def _take(self, line: Line[Problem]) -> None:
        self.last = position = line.n // self.step
        known = self.delivery.digest(position)
        if known is not None and known != line.digest:
            raise UsageError(
                f"{self.reader.source}:{line.n + 1} is not the line that was finished before",
                "Give the same input as before, or start over with --overwrite.",
            )
        if line.record is None:
            self._pass_over(line)
        elif known is None:
            await self._wait_for_room(position)
            self._launch(line, line.record, position)
            return
        self._passed += 1
        if self._running and self._passed % _SPELL == 0:
            await asyncio.sleep(0)

    def _pass_over(self, line: Line[Problem]) -> None:
        self.gaps.add(line.n)
        self.reporter.advance()
        if line.fault is None:
            return
        if self.strict:
            raise line.fault
        self.bad.add(line.n)
        self.bad_count += 1
        self._warn("bad line", line.fault.message)

    def _warn(self, kind: str, text: str) -> None:
        self._warned[kind] += 1
        if self._warned[kind] <= _WARNINGS:
            self.reporter.warn(f"{kind} skipped: {text}" if kind == "bad line" else text)
        elif self._warned[kind] == _WARNINGS + 1:
            self.reporter.warn(f"more than {_WARNINGS} times: {kind}; further ones are counted, not shown")

    async def _wait_for_room(self, position: int) -> None:
        """Wait until one more problem may be admitted."""
        while self._running:
            oldest = next(iter(self._running))
            if position < oldest + self.window and self.hungry():
                break
            self._burst = 0
            await self._pause(_POLL)
            self._check_stop()
        self._burst += 1
        if self._burst >= BURST:
            self._burst = 0
            await asyncio.sleep(0)

    def _launch(self, line: Line[Problem], problem: Problem, position: int) -> None:
        self.delivery.admit(position)
        self._running[position] = asyncio.get_running_loop().create_task(self._one(line, problem, position))

    async def _one(self, line: Line[Problem], problem: Problem, position: int) -> None:
        # the work changes the problem, so keep now what is needed later
        identity, tally = problem.id, Tally()
        try:
            records = await self.work(problem, tally)
            if not self._closing:
                self.delivery.deliver(line, position, tally.counts, [to_line(record) for record in records])
                self.delivered += 1
                self.reporter.advance(tally.counts[Count.TOKENS], tally)
        except ProblemFailed as error:
            self.failed.append((line.n, identity, error.message))
            self.delivery.lose(position)
            self.reporter.advance()
            self._warn("problem failed", f"{self.reader.source}:{line.n + 1}: {identity} failed: {error.message}")
        except LineFault as error:
            fault = DataError(f"{self.reader.source}:{line.n + 1}: {error.message}", error.advice)
            if self.strict:
                self._crash = self._crash or fault
                return
            self.spoiled.append(line.n)
            self.bad_count += 1
            self.delivery.lose(position)
            self.reporter.advance()
            self._warn("bad line", fault.message)
        except BaseException as error:
            if not self._closing and self._crash is None:
                self._crash = error
            if not isinstance(error, Exception):
                raise
        finally:
            del self._running[position]
            self._wake_up()

    def _check_stop(self) -> None:
        self.flag.check()  # first: Ctrl-C may also have ended an engine's processes, and is the true reason
        if self._crash is not None:
            if isinstance(self._crash, asyncio.CancelledError):
                raise RuntimeError("a problem was cancelled from inside") from self._crash
            raise self._crash

    async def _pause(self, seconds: float) -> None:
        """Let the other tasks run until one ends, for at most this long."""
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = loop.call_later(seconds, self._wake_up)
        try:
            await self._wake
        finally:
            timer.cancel()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _cancel_rest(self) -> None:
        """Cancel the problems in flight; nothing is delivered from here on."""
        self._closing = True
        rest = list(self._running.values())
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.gather(*rest, return_exceptions=True)

    def nothing_good(self) -> DataError | None:
        """The error for an input without a single good line; None if there is one."""
        if self.reader.good > len(self.spoiled):
            return None
        lines = f"{self.reader.lines} lines, {self.bad_count} of them bad" if self.reader.lines else "it is empty"
        return DataError(f"{self.reader.source}: no line holds a problem ({lines})", "Is it the right file?")
