"""How a stage gets its verdicts: math at once, or from math-verify's process; programs from the checker's threads.

    verdicts = Verdicts(CheckSettings(check_cpu=3.0))
    verdict = await verdicts.of(task, problem, completion.text, tally=tally)
    verdict.correct, verdict.outcome            # False, "timeout"
    await verdicts.close()

The event loop runs meanwhile, so an engine generates while programs are checked. A program is checked only once per
problem and run. How each check ended is counted ("outcome: timeout"); what the checks cost
depends on the machine, so it goes into the manifest's usage and never into the data.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from evals import thoughts
from evals.errors import DataError
from evals.programs.checks import CheckResult, CodeTests
from evals.reading import turns
from evals.reading.math_verifier import MathVerifier
from evals.records import Path, Problem, Rollout
from evals.rules import AnswerRule
from evals.tasks.base import AnswerReader, ProgramTask, Task, Verdict
from stages.counts import OUTCOMES, Tally
from stages.runs.faults import LineFault
from stages.settings.checks import CheckSettings

REMEMBERED = 20_000
"""Checked programs of a run that are remembered; the oldest are forgotten first."""


class Verdicts:
    """The verdicts of one run: what is being checked, what was found, what it cost.

    Its checker is started with the first program; until then it can be pickled. Use it from one event loop at a time.

    Args:
        settings: how programs are checked.
        cores: programs that are checked at once; None: as many as this process has cores.
    """

    def __init__(self, settings: CheckSettings = CheckSettings(), cores: int | None = None) -> None:
        self.settings, self.cores = settings, cores
        self._known: OrderedDict[tuple[str, str], Future[CheckResult]] = OrderedDict()  # by problem id and program
        self._costs: Counter[str] = Counter()
        self._threads: _CheckThreads | None = None
        self._verifier: MathVerifier | None = None

    async def of(
        self,
        task: Task,
        problem: Problem,
        text: str,
        *,
        prefix: str = "",
        rule: AnswerRule = "robust",
        tally: Tally | None = None,
    ) -> Verdict:
        """Judge a whole path, or a prefix and what was written after it.

        Args:
            task: the problem's, as `task_of` gives it.
            text: the path, or the part after `prefix`.
            rule: by which an answer is read and compared; nothing to a program.
            tally: counts how checks ended.

        Raises:
            SandboxError: a program cannot be run safely on this machine.
            UsageError: the rule is math-verify, which is not installed.
            LineFault: the problem's tests fail for any program.
        """
        text = joined_path(task, prefix, text)
        if not isinstance(task, ProgramTask):
            assert isinstance(task, AnswerReader), "what is no program is an answer"
            if rule == "math-verify":
                return await self._verified(task, problem, text, tally)
            return task.judge(problem, text, rule)
        verdict = task.verdict(await self._result(task, problem, task.program(problem, text)))
        if tally is not None:
            tally.count(OUTCOMES.of(str(verdict.outcome)))
            tally.count("weak verdicts", verdict.weak)
        return verdict

    async def of_all(
        self,
        task: Task,
        problem: Problem,
        texts: Sequence[str],
        *,
        rule: AnswerRule = "robust",
        tally: Tally | None = None,
    ) -> list[Verdict]:
        """The verdicts of several paths of one problem, in their order; programs are checked in parallel."""
        if not isinstance(task, ProgramTask):
            return [await self.of(task, problem, text, rule=rule, tally=tally) for text in texts]
        return await asyncio.gather(*[self.of(task, problem, text, tally=tally) for text in texts])

    def facts(self) -> dict[str, Any]:
        """The settings of the checker that are not the defaults, for the manifest."""
        return self.settings.changed()

    def pinned(self, cores: int) -> Verdicts:
        """Verdicts by the same settings, of as many programs at once as there are cores."""
        return Verdicts(self.settings, cores)

    def open(self) -> None:
        """Nothing to do yet: the checker is started with the first program."""

    def hungry(self) -> bool:
        """Always: programs wait for a free thread."""
        return True

    def spent(self) -> dict[str, int]:
        """What checking programs has cost so far; empty if none was checked."""
        return dict(self._costs)

    async def close(self) -> None:
        """End the checker, if it was started, without waiting for what is still being checked."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.close()
        verifier, self._verifier = self._verifier, None
        if verifier is not None:
            await asyncio.to_thread(verifier.close)

    async def _verified(self, task: AnswerReader, problem: Problem, text: str, tally: Tally | None) -> Verdict:
        """The verdict of math-verify, from its own process; the other rules stand beside it."""
        if self._verifier is None:
            self._verifier = MathVerifier()
        verdict = task.judge(problem, text)
        assert verdict.match is not None, "a math problem"
        own = thoughts.outside(turns.reply(text, problem.question))
        judged = await asyncio.to_thread(self._verifier.judge, problem.answer or "", own)
        verdict.match.math_verify = judged.right
        if tally is not None:
            tally.count("answers that math-verify did not finish", judged.unfinished)
        return Verdict(judged.answer, judged.right, verdict.match)

    async def _result(self, task: ProgramTask, problem: Problem, program: str) -> CheckResult:
        """The check of a program, made now or before."""
        key = problem.id, program
        future = self._known.get(key)
        try:
            if future is None or future.cancelled():
                if self._threads is None:
                    self._threads = _CheckThreads(self.settings, self.cores)
                future = self._known[key] = self._threads.check(program, task.tests(problem))
                future.add_done_callback(self._count)
                if len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            return await asyncio.wrap_future(future)
        except DataError as error:
            raise LineFault(f"{problem.id}: {error.message}", error.advice) from error

    def _count(self, future: Future[CheckResult]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        result = future.result()
        self._costs.update(
            {
                "programs checked": 1,
                "checks run again": int(result.rerun),
                "check CPU ms": round(1000 * result.cpu_s),
                "check wall ms": round(1000 * result.wall_s),
            }
        )


def joined_path(task: Task, prefix: str, text: str) -> str:
    """A prefix and what was written after it as one path: the text that is judged."""
    return task.resumed(prefix, text) if isinstance(task, ProgramTask) and prefix else prefix + text


def write_verdict(verdict: Verdict, record: Path | Rollout) -> None:
    """Fill in what a path or a rollout keeps of its verdict; empty fields are not set."""
    record.correct = verdict.correct
    if verdict.outcome is not None:
        record.outcome = verdict.outcome
    else:
        record.answer = verdict.answer
    if isinstance(record, Path) and verdict.match is not None:
        record.match = verdict.match
    if isinstance(record, Path) and verdict.failure is not None:
        record.failure = verdict.failure
    if verdict.weak:
        record.weak = True


class _CheckThreads:
    """A checker, and threads that each wait for one check at a time. Unlike a pool of the
    standard library they do not delay the end of the process: an interrupted run ends at once, and so do its checks.

    Raises:
        SandboxError: no sandbox works on this machine, or not the one asked for.
    """

    def __init__(self, settings: CheckSettings, cores: int | None) -> None:
        from evals.sandbox.checker import Checker

        self._checker = Checker(
            limits=settings.limits(), layer=settings.sandbox, unsafe=settings.unsafe_exec, workers=cores
        )
        self._jobs: queue.SimpleQueue[tuple[Future[CheckResult], str, CodeTests] | None] = queue.SimpleQueue()
        for number in range(self._checker.workers):
            threading.Thread(target=self._work, name=f"check-{number}", daemon=True).start()

    def check(self, program: str, tests: CodeTests) -> Future[CheckResult]:
        """Check the program when a thread is free."""
        future: Future[CheckResult] = Future()
        self._jobs.put((future, program, tests))
        return future

    def close(self) -> None:
        """End the checker, and each thread after its check."""
        for _ in range(self._checker.workers):
            self._jobs.put(None)
        self._checker.close()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, program, tests = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._checker.check(program, tests))
            except BaseException as error:  # raised again where the result is awaited
                future.set_exception(error)
