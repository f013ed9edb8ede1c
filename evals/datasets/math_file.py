"""A user's own math file: one JSON object a line.

    {"question": "Two apples and three?", "answer": "5", "solution": ["2+3=5"], "source": "my notes"}

`id` and `solution` may be missing, `solution` may be one string, `answer` may be a JSON number or a whole GSM8K-style
solution that ends in `#### 5`. Keys that are not named here are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from evals.datasets import gsm8k
from evals.errors import DataError
from evals.records import Problem, first_fault, parse_json


def problems(lines: Iterable[str], stem: str) -> Iterator[Problem]:
    """The lines of a file as problems; a blank line is no problem but counts in the numbering.

    Args:
        lines: the file's lines, newline or not.
        stem: the file's name without its ending; problems without an id are `<stem>/<n>`, counted from 0.

    Raises:
        DataError: `stem:line: field: what is wrong`, lines counted from 1.
    """
    return made_of(lines, stem, lambda row, n: problem(row, stem, n))


def made_of(lines: Iterable[str], stem: str, make: Callable[[Any, int], Problem]) -> Iterator[Problem]:
    """What `make` makes of each parsed line and its number (from 0). Raises DataError as `problems` does."""
    for n, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{stem}:{n + 1}: not a line of JSON ({error})") from error
        try:
            yield make(row, n)
        except DataError as error:
            raise DataError(f"{stem}:{n + 1}: {error.message}", error.advice) from error


def problem(row: Any, stem: str, n: int) -> Problem:
    """One parsed line, the n-th (from 0) of its file, as a problem. Raises DataError: `field: what is wrong`."""
    if not isinstance(row, Mapping):
        raise DataError(f"a line must be a JSON object, this one is {type(row).__name__}")
    fields = {**row, "task": _task(row), "id": _id(row, stem, n), **_answer_and_solution(row)}
    try:
        made = Problem.model_validate(fields)
    except ValidationError as error:
        raise DataError(first_fault(error)) from error
    if not made.question.strip():
        raise DataError("question: empty")
    return made


def _task(row: Mapping[str, Any]) -> str:
    if row.get("task", "math") != "math":
        raise DataError(f"task: is {row['task']!r}, but this is a math file", "Rename your own key `task`.")
    return "math"


def _id(row: Mapping[str, Any], stem: str, n: int) -> Any:
    given = row.get("id")
    if given is None:
        return f"{stem}/{n}"
    return str(given) if _is_number(given) else given


def _answer_and_solution(row: Mapping[str, Any]) -> dict[str, Any]:
    answer, solution = row.get("answer"), row.get("solution")
    if _is_number(answer):
        answer = str(answer)
    if not isinstance(answer, str) or not answer.strip():
        raise DataError("answer: must be a text or a number", "Every math problem needs its right answer.")
    if "####" in answer:
        try:
            lines, answer = gsm8k.parted(answer)
        except ValueError as error:
            raise DataError(f"answer: {error}") from error
        solution = lines if solution is None else solution
    if solution is None:
        return {"answer": answer}
    if isinstance(solution, list) and all(isinstance(line, str) for line in solution):
        solution = "\n".join(solution)
    if not isinstance(solution, str):
        raise DataError("solution: must be a list of lines or one text")
    return {"answer": answer, "solution": gsm8k.step_lines(solution)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
