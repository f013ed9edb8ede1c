"""How `simulate` labels the steps of one problem: one module a strategy, chosen by name.

label = strategy("exact")
await label(simulator, problem)          # fills in path.labels of every path that is to be labelled
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from evals.errors import UsageError
from evals.records import Problem
from stages.strategies.brute import brute
from stages.strategies.exact import exact
from stages.strategies.prefixes import Simulator

Strategy = Callable[[Simulator, Problem], Awaitable[None]]

STRATEGIES: dict[str, Strategy] = {"exact": exact, "brute": brute}


def strategy(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in STRATEGIES:
        raise UsageError(f"there is no strategy {name!r}", f"Choose one of {', '.join(STRATEGIES)}.")
    return STRATEGIES[name]
