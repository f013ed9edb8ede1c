"""GSM8K as its authors publish it: one JSON object per line, the solution and the answer in one string.

{"question": "Natalia sold ...", "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\\n...\\n#### 72"}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from evals.errors import DataError
from evals.reading import equations, marks
from evals.records import Problem

_FIELDS = frozenset(Problem.model_fields)
"""Keys that are a problem's own; all others of a row are kept."""
Annotations = Literal["keep", "strip"]


def problems(rows: Iterable[Mapping[str, Any]], split: str, annotations: Annotations = "keep") -> Iterator[Problem]:
    """The rows of a split as problems `gsm8k/<split>/<row>`, rows counted from 0.

    Args:
        rows: the parsed lines, in file order.
        split: `train` or `test`; part of the id.
        annotations: whether the calculator's `<<48/2=24>>` are kept in the solution.

    Raises:
        DataError: `row N: field: what is wrong`.
    """
    for n, row in enumerate(rows):
        try:
            yield problem(row, split, n, annotations)
        except DataError as error:
            raise error.at(f"row {n}") from error


def is_row(row: Mapping[str, Any]) -> bool:
    """Whether a row has GSM8K's own form rather than that of a line."""
    return "task" not in row and isinstance(row.get("question"), str) and "####" in str(row.get("answer"))


def problem(row: Mapping[str, Any], split: str, n: int, annotations: Annotations = "keep") -> Problem:
    """One row, the n-th of its split, as a problem. Raises DataError (`field: what is wrong`)."""
    for name in ("question", "answer"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise DataError(f"{name}: must be a text", "Is this the official GSM8K file?")
    try:
        solution, answer = parted(row["answer"])
    except ValueError as error:
        raise DataError(f"answer: {error}", "Official rows end with a line such as `#### 72`.") from error
    if annotations == "strip":
        solution = [equations.strip_annotations(line) for line in solution]
    more = {name: value for name, value in row.items() if name not in _FIELDS} if len(row) > 2 else {}
    made = {"id": f"gsm8k/{split}/{n}", "task": "gsm8k", "question": row["question"], "answer": answer}
    return Problem.from_row({**made, "solution": solution, **more})


def parted(text: str) -> tuple[list[str], str]:
    """A solution that ends in `#### N` as its step lines and N, commas removed.

    A line just above that already says "The answer is N" (two rows of the train split) is not a step and is dropped.

    Raises:
        ValueError: there is no `#### N`.
    """
    body, mark, answer = text.rpartition("####")
    if not mark or not answer.strip():
        raise ValueError("has no line `#### N`")
    return step_lines(body), answer.replace(",", "").strip()


def step_lines(text: str) -> list[str]:
    """The lines of a solution that are steps, stripped; blank lines and a closing answer line are left out."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if lines and marks.ends_steps(lines[-1], is_last=True):
        lines.pop()
    return lines
