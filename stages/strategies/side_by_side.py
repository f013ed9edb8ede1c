"""The searches of a problem's paths, side by side where none can tell another what it does not know yet.

    path 0:  A  B  C  D        is searched at once
    path 1:  A  B  X  Y        is searched once path 0 draws neither A nor B any more

A search begins by reading what earlier ones have shown of its own steps, and draws only what that leaves open. Paths
share steps at their start alone, so a search need not wait until those before it have ended: only until the first step
that each of them may still draw lies behind the steps that the two share. The same prefixes are drawn as by one search
after the other, but a problem has several requests under way and takes less time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stages.strategies.prefixes import Simulator

Progress = Callable[[int], None]
"""A search says which step of its path is the first that it may still draw; the number must not decrease."""
Search = Callable[[int, Progress], Awaitable[None]]
"""The search of the path of this number, which reads what others have shown before it reports progress."""


async def side_by_side(simulator: Simulator, rows: list[list[str]], search: Search) -> None:
    """Search every path, each as soon as what it begins with is known; one after the other under a budget.

    Args:
        rows: the prefixes of each path.
    """
    first = [0] * len(rows)
    moved = asyncio.Event()

    async def one(path: int) -> None:
        needed = [(earlier, _shared(rows[earlier], rows[path])) for earlier in range(path)]
        while any(first[earlier] < steps for earlier, steps in needed):
            moved.clear()
            await moved.wait()

        def progress(step: int) -> None:
            first[path] = step
            moved.set()

        await search(path, progress)
        progress(len(rows[path]))

    await simulator.together(one(path) for path in range(len(rows)))


def _shared(row: list[str], other: list[str]) -> int:
    """Steps of a path up to the last one whose prefix the other path has as well."""
    texts = set(other)
    return max((step + 1 for step, prefix in enumerate(row) if prefix in texts), default=0)
