"""The kinds of problems, by name. A kind's module is imported when its first problem comes."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from evals.errors import DataError, UsageError
from evals.records import Problem
from evals.rules import AnswerRule
from evals.tasks.base import AnswerReader, Task, split_of

TASKS = {
    "gsm8k": "evals.tasks.math:GSM8K",
    "math": "evals.tasks.math:MATH",
    "chain": "evals.tasks.chain:CHAIN",
    "mbpp": "evals.tasks.code:MBPP",
    "humaneval": "evals.tasks.code:HUMANEVAL",
    "code": "evals.tasks.code:CODE",
    "functions": "evals.tasks.code:FUNCTIONS",
    "mmlu_math": "evals.tasks.mmlu:MMLU",
}
"""Name on the line -> module and object."""


@cache
def task(name: str) -> Task:
    """The task of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in TASKS:
        raise UsageError(f"there is no task {name!r}", f"The tasks are: {', '.join(TASKS)}.")
    module, _, constant = TASKS[name].partition(":")
    return cast(Task, getattr(import_module(module), constant))


def task_of(problem: Problem) -> Task:
    """The task that a line names, as it is for this line.

    Raises:
        DataError: `task: ...`, when it names none; `tests.steps: ...`, when its programs cannot be cut as it says.
    """
    if problem.task not in TASKS:
        raise DataError(f"task: there is no task {problem.task!r}", f"The tasks are: {', '.join(TASKS)}.")
    return task(problem.task).adapted(problem)


def check_problem(problem: Problem, rule: AnswerRule = "robust") -> None:
    """Raise DataError (`field: what is wrong`) if the problem lacks what its task, or the answer rule, needs."""
    found = task_of(problem)
    found.check(problem)
    if isinstance(found, AnswerReader):
        found.check_rule(problem, rule)


def check_paths(problem: Problem, rule: AnswerRule = "robust") -> None:
    """Refuse a problem that its task cannot judge by the rule, and what `check_steps` refuses."""
    check_problem(problem, rule)
    check_steps(problem)


def check_steps(problem: Problem) -> None:
    """Refuse paths whose `steps` are not the steps of their `text`.

    Raises:
        DataError: `paths.N.steps: ...`.
    """
    task = task_of(problem)
    for number, path in enumerate(problem.paths):
        try:
            split_of(task, path)
        except DataError as error:
            raise DataError(f"paths.{number}.{error.message}", error.advice) from error
