"""The kinds of problems, by name."""

from __future__ import annotations

from functools import cache
from typing import cast

from evals.errors import DataError, UsageError
from evals.records import Problem
from evals.tasks.base import Task

NAMES = ("gsm8k", "math", "chain")


@cache
def task(name: str) -> Task:
    """The task of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in NAMES:
        raise UsageError(f"there is no task {name!r}", f"The tasks are: {', '.join(NAMES)}.")
    if name == "chain":
        from evals.tasks.chain import CHAIN

        return cast(Task, CHAIN)  # frozen, where the protocol's plain attributes could be set
    from evals.tasks.math import MathTask

    return cast(Task, MathTask(name))


def task_of(problem: Problem) -> Task:
    """The task that a line names.

    Raises:
        DataError: `task: ...`, when it names none.
    """
    if problem.task not in NAMES:
        raise DataError(f"task: there is no task {problem.task!r}", f"The tasks are: {', '.join(NAMES)}.")
    return task(problem.task)


def check_problem(problem: Problem) -> None:
    """Raise DataError (`field: what is wrong`) if the problem lacks what its task needs."""
    task_of(problem).check(problem)
