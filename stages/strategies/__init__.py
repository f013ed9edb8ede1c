"""How `simulate` labels the steps of one problem: one module per strategy, chosen by name.

label = strategy("exact")
await label(simulator, problem)          # fills in path.labels of every path that is to be labelled
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from evals.errors import UsageError
from evals.records import Problem
from stages.strategies.binary import binary
from stages.strategies.brute import brute
from stages.strategies.exact import exact
from stages.strategies.first_error import first_error
from stages.strategies.mcts import mcts
from stages.strategies.prefixes import Simulator
from stages.strategies.prm_guided import prm_guided

Strategy = Callable[[Simulator, Problem], Awaitable[None]]

STRATEGIES: dict[str, Strategy] = {
    "exact": exact,
    "brute": brute,
    "first-error": first_error,
    "binary": binary,
    "mcts": mcts,
    "prm-guided": prm_guided,
}


def strategy(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in STRATEGIES:
        raise UsageError(f"there is no strategy {name!r}", f"Choose one of {', '.join(STRATEGIES)}.")
    return STRATEGIES[name]
