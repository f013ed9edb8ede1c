"""A user's own code file: one JSON object per line.

    {"prompt": "Write add(a, b).", "tests": ["assert add(1, 2) == 3"], "entry_point": "add",
     "solution": "def add(a, b):\\n    return a + b"}

`tests` are asserts (a list, or one text) or define HumanEval's `check(candidate)`. Names that they use and do not
define, beside the entry point, are the program's, too (`assert dec(enc("ab")) == "ab"`). If a prompt begins the
function itself (`def add(a, b):` at the left margin), the model continues it; any other prompt asks for a whole
program. The model sees the prompt unchanged. `id` and `solution` (or `canonical_solution`) may be missing; with
`"weak": true` the tests run beside the program, for values that are not plain data. Keys that are not named here are
kept.
"""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from collections.abc import Mapping
from typing import Any

from evals.datasets.code_problem import made_problem, unix_lines
from evals.errors import DataError
from evals.programs.checks import CodeTests
from evals.programs.steps import LINES, StepRule
from evals.records import Problem

READ = ("prompt", "tests", "entry_point", "solution", "canonical_solution", "weak", "id", "task", "question")
"""Keys that are read here; all others are kept."""


def problem(row: Mapping[str, Any], identity: str, steps: StepRule = LINES) -> Problem:
    """One parsed line as a problem, named `identity` if it has no id.

    Args:
        steps: how programs are cut into steps; written to the line.

    Raises:
        DataError: `field: what is wrong`.
    """
    if row.get("task", "code") != "code":
        raise DataError(f"task: is {row['task']!r}, but this is a code file", "Rename your own key `task`.")
    prompt = row.get("prompt")
    if row.get("question", prompt) != prompt:
        raise DataError("question: a problem's question is its prompt", "Rename your own key `question`.")
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError("prompt: must be a text", "It is what the model sees.")
    given: Any = row.get("id", identity)
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    solution = row.get("solution", row.get("canonical_solution"))
    if isinstance(solution, list) and all(isinstance(line, str) for line in solution):
        solution = "\n".join(solution)
    if solution is not None and not isinstance(solution, str):
        raise DataError("solution: must be one text or a list of lines")
    tests = _tests(row.get("tests"), row.get("entry_point"), solution, unix_lines(prompt), row.get("weak", False))
    more = {name: value for name, value in row.items() if name not in READ}
    return made_problem(given, "code", unix_lines(prompt), solution, tests, steps=steps, **more)


def _tests(given: Any, entry: Any, solution: str | None, prompt: str, weak: Any) -> CodeTests:
    if not isinstance(weak, bool):
        raise DataError("weak: must be true or false", "true: the tests run beside the program.")
    if not isinstance(entry, str) or not entry.isidentifier():
        raise DataError("entry_point: must be the name of a function", "It is what the tests call.")
    if isinstance(given, list) and given and all(isinstance(line, str) for line in given):
        given = "\n".join(given)
    if not isinstance(given, str) or not given.strip():
        raise DataError("tests: must be a list of asserts, or one text", 'For example ["assert add(1, 2) == 3"].')
    code = unix_lines(given)
    tree = _parsed(code)
    check = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body)
    if not check and not re.search(rf"\b{re.escape(entry)}\b", code):
        raise DataError(f"tests: never use {entry}", "Tests that do not call the entry point prove nothing.")
    others = sorted(_missing(tree) - {entry})
    reference = None if solution is None else _defined(unix_lines(solution), prompt)
    if reference is not None and (unknown := [name for name in others if name not in reference]):
        raise DataError(
            f"tests: use {', '.join(unknown)}, which neither they nor the solution define",
            "Define it in the tests, or in the solution if every program has to.",
        )
    return CodeTests(code, (entry, *others), entry if check else None, weak=weak)


def _parsed(code: str) -> ast.Module:
    """The tests as a tree. Raises DataError if they are not Python or assert nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in a string is up to the user
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise DataError(f"tests: not Python ({error})") from error
    if not any(isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(tree)):
        raise DataError("tests: contain no assert", "Without one every program would pass.")
    return tree


def _missing(tree: ast.Module) -> set[str]:
    """The names that the tests read and nowhere define: the program has to, as it has the entry point."""
    read: set[str] = set()
    given = set(vars(builtins)) | {"__name__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else given).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            given.add(node.name)
        elif isinstance(node, ast.arg):
            given.add(node.arg)
        elif isinstance(node, ast.alias):
            given.add("*" if node.name == "*" else (node.asname or node.name.partition(".")[0]))
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            given.add(node.name)
    return set() if "*" in given else read - given


def _defined(solution: str, prompt: str) -> frozenset[str]:
    """What the solution, or the beginning of the program that the prompt is, defines or assigns at the left margin."""
    found = re.findall(
        r"^(?:(?:async[ \t]+)?def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]+)?=(?!=)"
        r"|^from .*\bimport\b(.*)|^import (.*)",
        f"{prompt}\n{solution}",
        re.MULTILINE,
    )
    return frozenset(name for groups in found for name in re.findall(r"\w+", " ".join(groups)))
