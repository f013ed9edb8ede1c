"""A user's own math file: one JSON object per line.

    {"question": "Two apples and three?", "answer": "5", "solution": ["2+3=5"], "source": "my notes"}

`id` and `solution` may be missing, `solution` may be one string, `answer` may be a JSON number or a whole GSM8K-style
solution that ends in `#### 5`. Rows of MATH are read as they are: `problem` is the question, and where there is no
`answer` it is what the last `\\boxed{}` of the solution holds. Keys that are not named here are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evals.datasets import gsm8k
from evals.errors import DataError
from evals.records import Problem


def problem(row: Mapping[str, Any], identity: str) -> Problem:
    """One parsed line as a problem, named `identity` if it has no id.

    Raises:
        DataError: `field: what is wrong`.
    """
    if "problem" in row and "question" not in row:
        row = {"question": row["problem"], **{name: value for name, value in row.items() if name != "problem"}}
    made = Problem.from_row({**row, "task": _task(row), "id": _id(row, identity), **_answer_and_solution(row)})
    if not made.question.strip():
        raise DataError("question: empty")
    return made


def _task(row: Mapping[str, Any]) -> str:
    if row.get("task", "math") != "math":
        raise DataError(f"task: is {row['task']!r}, but this is a math file", "Rename your own key `task`.")
    return "math"


def _id(row: Mapping[str, Any], identity: str) -> Any:
    given = row.get("id")
    if given is None:
        return identity
    return str(given) if _is_number(given) else given


def _answer_and_solution(row: Mapping[str, Any]) -> dict[str, Any]:
    answer, solution = row.get("answer"), row.get("solution")
    if answer is None and isinstance(solution, str):
        answer = _boxed(solution)
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


def _boxed(solution: str) -> str | None:
    """What the last `\\boxed{...}` holds; None if there is none, or it does not end."""
    begin = solution.rfind(r"\boxed{")
    depth = 0
    for at in range(begin + len(r"\boxed"), len(solution) if begin >= 0 else 0):
        depth += {"{": 1, "}": -1}.get(solution[at], 0)
        if not depth:
            return solution[begin + len(r"\boxed{") : at].strip()
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
