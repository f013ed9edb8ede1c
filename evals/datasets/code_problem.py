"""How a row becomes a problem of a code task, for MBPP, HumanEval and users' files.

    tests = CodeTests("assert f(1) == 1", ("f",))
    made_problem("mbpp/train/601", "mbpp", "Write f(x).", "def f(x):\\n    return x", tests)

The readers of the files check the rows; this module gives them the form of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from evals.errors import DataError
from evals.programs.checks import CodeTests
from evals.programs.steps import LINES, StepRule
from evals.records import Problem, first_fault


def made_problem(
    identity: str,
    task: str,
    question: str,
    code: str | None,
    tests: CodeTests,
    *,
    shown: Sequence[str] = (),
    steps: StepRule = LINES,
    **more: Any,
) -> Problem:
    """A problem of a code task.

    Args:
        code: the reference, or None; its line breaks become newlines.
        shown: tests that the prompt quotes.
        more: further keys of the line.
    """
    fields: dict[str, Any] = {**more, "id": identity, "task": task, "question": question}
    if code is not None:
        fields["solution"] = unix_lines(code).split("\n")
    fields["tests"] = {**tests.as_dict(), **({"shown": list(shown)} if shown else {}), "steps": str(steps)}
    try:
        return Problem.model_validate(fields)
    except ValidationError as error:
        raise DataError(first_fault(error)) from error


def unix_lines(text: str) -> str:
    """The text with every line break written as one newline."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
