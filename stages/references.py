"""Whether the tests of a user's own problems can be judged: each reference solution is checked once, at import.

    with References(CheckSettings(), counts, note=print) as references:
        problem = references.tried(problem, "mine.jsonl:3")      # its tests marked weak if they need it

The code checker lets only plain data pass between a program and its tests. Where a solution returns a Decimal, a date,
a generator, a function or an object of its own class, or where the tests look at what it prints, a right program would
be called wrong. Such tests run beside the program instead, and are marked weak (`evals.sandbox.checker`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from evals.errors import DataError, SandboxError
from evals.programs.checks import CheckResult, CodeTests
from evals.records import Problem
from evals.tasks import task_of
from evals.tasks.base import ProgramTask
from stages.settings.checks import CheckSettings

if TYPE_CHECKING:
    from evals.sandbox.checker import Checker


class References:
    """Tries the tests of problems on their reference solutions; starts a checker when the first one is there.

    Args:
        counts: receives how many tests were marked weak, and how many could not be tried, by reason.
        note: told which tests were marked weak, and why.
    """

    def __init__(self, settings: CheckSettings, counts: Counter[str], note: Callable[[str], None]) -> None:
        self._settings, self._counts, self._note = settings, counts, note
        self._checker: Checker | None = None
        self._without: SandboxError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._checker is not None:
            self._checker.close()

    def tried(self, problem: Problem, place: str) -> Problem:
        """The problem, its tests marked weak if its solution passes them only beside them.

        Raises:
            DataError: `tests: the solution does not pass them (...)`.
        """
        task = task_of(problem)
        assert isinstance(task, ProgramTask), "a code file has problems that programs solve"
        text = task.gold_text(problem)
        if text is None:
            self._counts["tests not tried: no solution"] += 1
            return problem
        checker = self._opened()
        if checker is None:
            self._counts["tests not tried: no sandbox works here"] += 1
            return problem
        program, tests = task.program(problem, text), task.tests(problem)
        apart = _result(checker, program, tests)
        if apart.passed:
            return problem
        hopeless = tests.weak or apart.outcome in ("syntax", "timeout")
        if hopeless or not _result(checker, program, replace(tests, weak=True)).passed:
            said = f"{apart.outcome}: {apart.message}" if apart.message else apart.outcome
            raise DataError(
                f"tests: the solution does not pass them ({said})",
                "Mend one of the two. Without a solution nothing is tried.",
            )
        self._counts["tests marked weak"] += 1
        self._note(f"{place}: tests: marked weak, the solution passes them only beside them ({apart.message})")
        return problem.model_copy(update={"tests": {**(problem.tests or {}), "weak": True}})

    def _opened(self) -> Checker | None:
        if self._checker is None and self._without is None:
            from evals.sandbox.checker import Checker

            how = self._settings
            try:
                self._checker = Checker(1, how.limits(), how.sandbox, how.unsafe_exec)
            except SandboxError as error:
                self._without = error
                self._note(f"the solutions are not run: {error.message}")
        return self._checker


def _result(checker: Checker, program: str, tests: CodeTests) -> CheckResult:
    """How a check ended; tests that are at fault themselves are a wrong one here."""
    try:
        return checker.check(program, tests)
    except DataError as error:
        return CheckResult("wrong", weak=tests.weak, message=error.message)
