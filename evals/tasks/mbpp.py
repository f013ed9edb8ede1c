"""MBPP as its authors publish it (CC-BY-4.0): one JSON object a line, or the sanitized part of it in one JSON list.

    {"task_id": 601, "text": "Write a function to ...", "code": "class Pair(object): \\r\\n...", "test_setup_code": "",
     "test_list": ["assert max_chain_length(...) == 3", ...], "challenge_test_list": []}

The prompt is the standard one: the task, its asserts, and `[BEGIN]`; `[DONE]` ends the program.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from evals.errors import DataError
from evals.programs.steps import LINES, StepRule
from evals.programs.text import BEGIN, DONE
from evals.records import Problem
from evals.tasks.code import CodeTask, made_problem

Split = Literal["prompt", "test", "validation", "train"]
SPLITS: dict[Split, range] = {
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}
"""Task ids of each split."""

MBPP = CodeTask(
    name="mbpp",
    templates={"plain": f"You are an expert Python programmer, and here is your task: {{question}}\n{BEGIN}\n"},
    stop=(DONE,),
)


def problems(rows: Iterable[Mapping[str, Any]], split: Split, steps: StepRule = LINES) -> Iterator[Problem]:
    """The problems `mbpp/<split>/<task_id>` of one split, in file order; other splits' rows are passed over.

    Args:
        rows: the parsed rows, of either form.
        steps: how programs are cut; written to each line.

    Raises:
        DataError: `row N: field: what is wrong`, rows counted from 0.
    """
    for n, row in enumerate(rows):
        try:
            made = problem_of_split(row, split, steps)
        except DataError as error:
            raise error.at(f"row {n}") from error
        if made is not None:
            yield made


def problem_of_split(row: Mapping[str, Any], split: Split, steps: StepRule = LINES) -> Problem | None:
    """One row as a problem, or None if it is of another split. Raises DataError (`field: what is wrong`)."""
    identity = row.get("task_id")
    if not isinstance(identity, int) or isinstance(identity, bool):
        raise DataError("task_id: must be a whole number", "Is this the official MBPP file?")
    if identity not in SPLITS[split]:
        return None
    try:
        return problem(row, split, steps)
    except (DataError, ValueError, SyntaxError) as error:
        raise DataError(str(error), "Is this the official MBPP file?") from error


def problem(row: Mapping[str, Any], split: Split, steps: StepRule = LINES) -> Problem:
    """One row as a problem. Raises DataError (`field: what is wrong`)."""
    from evals.datasets.code_tests import mbpp_tests

    text = "prompt" if "prompt" in row and "text" not in row else "text"
    for name in (text, "code"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise DataError(f"{name}: must be a text")
    asserts = row.get("test_list")
    if not isinstance(asserts, list) or not asserts or not all(isinstance(line, str) for line in asserts):
        raise DataError("test_list: must be a list of asserts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some references hold escapes such as "\\w" outside of raw strings
        tests = mbpp_tests(row)
    identity = f"mbpp/{split}/{row['task_id']}"
    return made_problem(identity, "mbpp", row[text], row["code"], tests, shown=asserts, steps=steps)
