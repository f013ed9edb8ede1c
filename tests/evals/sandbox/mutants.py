"""One deterministic mutation of a program: honest, and more often wrong than not.

mutant("def f(a):\\n    return a + 1", seed=0)     # "def f(a):\\n    return a - 1"
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable

_OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Div: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def mutant(program: str, seed: int) -> str:
    """The program with one operator, constant, condition or returned value changed."""
    tree = ast.parse(program)
    changes = [change for node in ast.walk(tree) if _in_code(node) for change in _changes(node)]
    if changes:
        random.Random(seed).choice(changes)()
    return ast.unparse(tree)


def _in_code(node: ast.AST) -> bool:
    return not (isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 20)


def _changes(node: ast.AST) -> list[Callable[[], None]]:
    changes: list[Callable[[], None]] = []
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        changes.append(lambda: setattr(node, "op", _OPERATORS[type(node.op)]()))
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OPERATORS:
        changes.append(lambda: node.ops.__setitem__(0, _OPERATORS[type(node.ops[0])]()))
    if isinstance(node, ast.Constant) and type(node.value) is int:
        changes.append(lambda: setattr(node, "value", node.value + 1))
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        changes.append(lambda: setattr(node, "value", not node.value))
    if isinstance(node, ast.If):
        changes.append(lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test)))
    if isinstance(node, ast.Return) and node.value is not None:
        changes.append(lambda: setattr(node, "value", ast.List([node.value], ast.Load())))
    return changes
