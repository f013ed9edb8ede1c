"""All `k` rollouts of every prefix: Math-Shepherd's estimation (arXiv 2312.08935) and the paper's step label."""

from __future__ import annotations

from evals.records import Problem
from stages.strategies.prefixes import Simulator, label_prefixes


async def brute(simulator: Simulator, problem: Problem) -> None:
    """Label every step by all `k` draws. Gives hard and soft labels."""
    await label_prefixes(simulator, problem, until_settled=False)
