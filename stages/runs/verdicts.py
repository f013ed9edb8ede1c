"""How a stage gets its verdicts: math at once, programs from the checker, which takes its time in threads of its own.

    verdict = await judge(task, problem, completion.text, tally=tally)
    verdict.correct, verdict.outcome            # False, "timeout"

The event loop goes on meanwhile, so an engine writes while programs are checked. A program that has been checked for a
problem is not checked again in the same run. How each check ended is counted ("outcome: timeout"); what the checks cost
depends on the machine, so it goes to the manifest's usage and never into the data.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from evals.errors import DataError
from evals.records import Path, Problem, Rollout
from evals.sandbox.checks import CheckResult
from evals.tasks.base import Task, Verdict
from evals.tasks.code import CodeTask
from stages.runs.scheduler import LineFault, Tally

REMEMBERED = 20_000
"""Checked programs of a run that are remembered; the oldest are forgotten first."""

Key = tuple[str, str]
"""Problem id and program."""


async def judge(task: Task, problem: Problem, text: str, *, prefix: str = "", tally: Tally | None = None) -> Verdict:
    """Judge a whole path, or a prefix and what was written after it.

    Args:
        task: the problem's, as `task_of` gives it.
        text: the path, or the part after `prefix`.
        tally: counts how checks ended.

    Raises:
        SandboxError: a program cannot be run safely here.
        LineFault: the problem's tests are at fault, whatever the program.
    """
    text = joined_path(task, prefix, text)
    if not isinstance(task, CodeTask):
        return task.judge(problem, text)
    program = task.program(problem, text)
    result = await _checks().result(task, problem, program)
    verdict = task.verdict(result)
    if tally is not None:
        tally.count(f"outcome: {verdict.outcome}")
        tally.count("weak verdicts", verdict.weak)
    return verdict


def joined_path(task: Task, prefix: str, text: str) -> str:
    """A prefix and what was written after it as one path: the text that `judge` judges."""
    return task.resumed(prefix, text) if isinstance(task, CodeTask) and prefix else prefix + text


async def judge_all(task: Task, problem: Problem, texts: Sequence[str], tally: Tally | None = None) -> list[Verdict]:
    """The verdicts of several paths of one problem, in their order; programs are checked side by side."""
    if not isinstance(task, CodeTask):
        return [task.judge(problem, text) for text in texts]
    return await asyncio.gather(*[judge(task, problem, text, tally=tally) for text in texts])


def write_verdict(verdict: Verdict, record: Path | Rollout) -> None:
    """Fill in what a path or a rollout keeps of its verdict; a field that says nothing is not set."""
    record.correct = verdict.correct
    if verdict.outcome is not None:
        record.outcome = verdict.outcome
    else:
        record.answer = verdict.answer
    if isinstance(record, Path) and verdict.match is not None:
        record.match = verdict.match
    if verdict.weak:
        record.weak = True


def check_costs() -> dict[str, int]:
    """What checking programs has cost the run that is under way: nothing where none was checked."""
    return dict(_checks().spent)


class _Checks:
    """The checks of one run: what is being checked, what was found, what it cost."""

    def __init__(self) -> None:
        self.known: OrderedDict[Key, Future[CheckResult]] = OrderedDict()
        self.spent: Counter[str] = Counter()

    async def result(self, task: CodeTask, problem: Problem, program: str) -> CheckResult:
        """The check of a program, made now or before."""
        key = problem.id, program
        future = self.known.get(key)
        if future is None or future.cancelled():
            future = self.known[key] = _workers().submit(lambda: task.run(problem, program))
            future.add_done_callback(self._count)
            if len(self.known) > REMEMBERED:
                self.known.popitem(last=False)
        try:
            return await asyncio.wrap_future(future)
        except DataError as error:
            raise LineFault(f"{problem.id}: {error.message}", error.advice) from error

    def _count(self, future: Future[CheckResult]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        result = future.result()
        self.spent.update(
            {
                "programs checked": 1,
                "checks run again": int(result.rerun),
                "check CPU ms": round(1000 * result.cpu_s),
                "check wall ms": round(1000 * result.wall_s),
            }
        )


_RUNS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Checks] = WeakKeyDictionary()
"""A run is an event loop: what is known of its programs ends with it."""


def _checks() -> _Checks:
    return _RUNS.setdefault(asyncio.get_running_loop(), _Checks())


class _Workers:
    """Threads that each wait for one check at a time. They do not hold up the end of the process, as a pool of the
    standard library would: an interrupted run is over at once, and what is still being checked ends with it."""

    def __init__(self, count: int) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._work, name=f"check-{number}", daemon=True).start()

    def submit(self, job: Callable[[], CheckResult]) -> Future[CheckResult]:
        """Do the job when a thread is free."""
        future: Future[CheckResult] = Future()
        self._jobs.put((future, job))
        return future

    def _work(self) -> None:
        while True:
            future, job = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:  # it belongs to whoever waits for the result
                future.set_exception(error)


@cache
def _workers() -> _Workers:
    from evals.sandbox.checker import shared_checker

    return _Workers(shared_checker().workers)
