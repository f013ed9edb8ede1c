"""The budget of a whole run (`--run-budget`): which problems it still covers, decided in input order.

    run_budget = RunBudget(settings)
    run_budget.check(problem)       # at every line, as it is read: reserves the most that the problem may draw
    run_budget.covers(problem)      # when its turn comes

A problem reserves min(--budget, k draws for each of its distinct prefixes, and with --root k for the question itself),
whatever it draws in the end. So the run
never exceeds its budget, and which problems are labelled depends on the input alone: not on timing, shards or resumed
runs. The price is that a frugal strategy leaves part of the budget unspent; a `--budget` that fits it wastes less.
"""

from __future__ import annotations

from evals.records import Problem
from evals.tasks import task_of
from stages.seeds import in_share
from stages.settings.simulate import SimulateSettings
from stages.strategies.prefixes import prefixes, to_label


def most_draws(problem: Problem, settings: SimulateSettings) -> int:
    """The most that a problem may draw; with mcts, which has no bound of its own, its budget."""
    if not in_share(problem.id, settings.share, settings.seed):
        return 0
    if settings.strategy == "mcts" and settings.budget is not None:
        return settings.budget
    new = to_label(problem, settings)
    most = settings.k * (len(prefixes(task_of(problem), new).places) + (settings.root and problem.root is None))
    return most if settings.budget is None else min(most, settings.budget)


class RunBudget:
    """What is left of a run's budget as its lines are read. Without a budget every problem is covered."""

    def __init__(self, settings: SimulateSettings) -> None:
        self.settings = settings
        self.left = settings.run_budget
        self._covered: set[str] = set()
        """Ids of the problems that are covered; at most as many as the budget has draws."""

    def check(self, problem: Problem) -> None:
        """Reserve draws for a problem. The first that is not covered ends the budget for those after it."""
        if self.left is None or problem.id in self._covered:
            return
        most = most_draws(problem, self.settings)
        if most > self.left:
            self.left = 0
        elif most:
            self.left -= most
            self._covered.add(problem.id)

    def covers(self, problem: Problem) -> bool:
        """Whether a problem may be labelled. Those that draw nothing always may."""
        if self.settings.run_budget is None or problem.id in self._covered:
            return True
        return most_draws(problem, self.settings) == 0
