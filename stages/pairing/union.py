"""The pairs of several rules together, each pair once, all of them or drawn in shares.

together([["a", "b", "c"], ["d"]], [0.5, 0.5])       # one of the first rule, one of the second
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def each_once(made: Sequence[Sequence[T]], same: Callable[[T], object]) -> list[list[T]]:
    """Each rule's pairs without those that a rule before it has made."""
    seen: set[object] = set()
    left = []
    for pairs in made:
        left.append([pair for pair in pairs if same(pair) not in seen])
        seen |= {same(pair) for pair in pairs}
    return left


def in_shares(sizes: Sequence[int], shares: Sequence[float], most: int | None = None) -> list[int]:
    """How many pairs of each rule to take, so that they stand in these shares and as many as possible are taken.

    Args:
        sizes: how many each rule has.
        shares: numbers above 0, as large in proportion to each other as the parts are to be.
        most: at most so many in all.

    Returns:
        Their number by rule: what the shares make of the total, rounded so that the total stays what it is.
    """
    whole = sum(shares)
    parts = [share / whole for share in shares]
    total = min(math.floor(size / part + 1e-9) for size, part in zip(sizes, parts, strict=True))
    total = total if most is None else min(total, most)
    taken = [math.floor(total * part + 1e-9) for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda i: taken[i] - total * parts[i])
    for i in by_remainder[: total - sum(taken)]:
        taken[i] += 1
    return taken
