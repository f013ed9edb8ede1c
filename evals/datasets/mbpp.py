"""MBPP as its authors publish it (CC-BY-4.0): one JSON object per line, or its sanitized part in one JSON list.

    {"task_id": 601, "text": "Write a function to ...", "code": "class Pair(object): \\r\\n...", "test_setup_code": "",
     "test_list": ["assert max_chain_length(...) == 3", ...], "challenge_test_list": []}

The prompt quotes the asserts. Four of the 974 problems pass classes or their objects to the program (367, 533, 601,
927). Those cannot cross the checker's border, so such rows are detected and marked `weak`.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from evals.datasets.code_problem import made_problem
from evals.errors import DataError
from evals.programs.checks import CodeTests
from evals.programs.steps import LINES, StepRule
from evals.records import Problem

MbppSplit = Literal["prompt", "test", "validation", "train"]
TASK_IDS: dict[MbppSplit, range] = {
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}
"""The task ids of each split."""
_TYPES = frozenset(name for name, value in vars(builtins).items() if isinstance(value, type))


def problems(rows: Iterable[Mapping[str, Any]], split: MbppSplit, steps: StepRule = LINES) -> Iterator[Problem]:
    """The problems `mbpp/<split>/<task_id>` of one split, in file order; rows of other splits are skipped.

    Args:
        rows: the parsed rows, of either form.
        steps: how programs are cut into steps; written to each line.

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


def problem_of_split(row: Mapping[str, Any], split: MbppSplit, steps: StepRule = LINES) -> Problem | None:
    """One row as a problem, or None if it belongs to another split. Raises DataError (`field: what is wrong`)."""
    identity = row.get("task_id")
    if not isinstance(identity, int) or isinstance(identity, bool):
        raise DataError("task_id: must be a whole number", "Is this the official MBPP file?")
    if identity not in TASK_IDS[split]:
        return None
    try:
        return problem(row, split, steps)
    except (DataError, ValueError, SyntaxError) as error:
        raise DataError(str(error), "Is this the official MBPP file?") from error


def problem(row: Mapping[str, Any], split: MbppSplit, steps: StepRule = LINES) -> Problem:
    """One row as a problem. Raises DataError (`field: what is wrong`)."""
    text = "prompt" if "prompt" in row and "text" not in row else "text"
    for name in (text, "code"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise DataError(f"{name}: must be a text")
    asserts = row.get("test_list")
    if not isinstance(asserts, list) or not asserts or not all(isinstance(line, str) for line in asserts):
        raise DataError("test_list: must be a list of asserts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some references have escapes such as "\\w" outside raw strings
        tests = mbpp_tests(row)
    identity = f"mbpp/{split}/{row['task_id']}"
    return made_problem(identity, "mbpp", row[text], row["code"], tests, shown=asserts, steps=steps)


def mbpp_tests(row: Mapping[str, Any]) -> CodeTests:
    """The tests of a row of mbpp.jsonl or sanitized-mbpp.json: its asserts, with a proxy for each name that the
    reference defines and the asserts use. The reference's imports run first (596's asserts need `sys`), then the
    row's set-up code.

    Raises:
        ValueError: the asserts use nothing that the reference defines.
    """
    reference = _parsed(row["code"])
    code = "\n".join(_unix(line) for line in row["test_list"])
    setup = _unix(row.get("test_setup_code") or "")
    imports = [*map(_unix, row.get("test_imports") or []), *_imports(reference)]
    tree = _parsed(f"{setup}\n{code}")
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names = tuple(name for name in _defined(reference) if name in used)
    if not names:
        raise ValueError("test_list: the asserts use nothing that the reference defines")
    classes = {node.name for node in reference.body if isinstance(node, ast.ClassDef)}
    weak = bool(used & classes) or _hands_over_types(tree, set(names))
    return CodeTests(code, names, prelude="\n".join(part for part in (*imports, setup) if part), weak=weak)


def _parsed(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # references such as 16 write "\\w" outside raw strings
        return ast.parse(_unix(code))


def _unix(code: str) -> str:
    return code.replace("\r\n", "\n").strip("\n")


def _imports(tree: ast.Module) -> list[str]:
    return [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


def _defined(tree: ast.Module) -> list[str]:
    """Functions, classes and variables of the top level, each once, in order."""
    names: dict[str, None] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names[node.name] = None
        elif isinstance(node, ast.Assign):
            names.update(dict.fromkeys(target.id for target in node.targets if isinstance(target, ast.Name)))
    return list(names)


def _hands_over_types(tree: ast.Module, names: set[str]) -> bool:
    """Whether a call of the program gets a built-in type as an argument, such as `remove((4, 7.7), int)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(isinstance(value, ast.Name) and value.id in _TYPES - names for value in given):
                return True
    return False
