"""The kinds of problems, by name."""

from __future__ import annotations

from functools import cache
from typing import cast

from evals.errors import DataError, UsageError
from evals.records import Problem
from evals.tasks.base import Task

TASK_NAMES = ("gsm8k", "math", "chain", "mbpp", "humaneval", "code", "mmlu_math")
_CODE = ("mbpp", "humaneval", "code")


@cache
def task(name: str) -> Task:
    """The task of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in TASK_NAMES:
        raise UsageError(f"there is no task {name!r}", f"The tasks are: {', '.join(TASK_NAMES)}.")
    if name == "chain":
        from evals.tasks.chain import CHAIN

        return cast(Task, CHAIN)  # frozen, where the protocol's plain attributes could be set
    if name in _CODE:
        from evals.tasks.code import CODE_TASKS

        return cast(Task, CODE_TASKS[name])
    if name == "mmlu_math":
        from evals.tasks.mmlu import MMLU

        return cast(Task, MMLU)
    from evals.tasks.math import MathTask

    return cast(Task, MathTask(name))


def task_of(problem: Problem) -> Task:
    """The task that a line names, as it is for this line.

    Raises:
        DataError: `task: ...`, when it names none; `tests.steps: ...`, when its programs cannot be cut as it says.
    """
    if problem.task not in TASK_NAMES:
        raise DataError(f"task: there is no task {problem.task!r}", f"The tasks are: {', '.join(TASK_NAMES)}.")
    made = task(problem.task)
    if problem.task in _CODE:
        from evals.tasks.code import CodeTask, for_problem

        return cast(Task, for_problem(cast(CodeTask, made), problem))
    return made


def check_problem(problem: Problem) -> None:
    """Raise DataError (`field: what is wrong`) if the problem lacks what its task needs."""
    task_of(problem).check(problem)
