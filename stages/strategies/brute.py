"""All `k` rollouts of every prefix: Math-Shepherd's estimation (arXiv 2312.08935) and the paper's step label."""

from __future__ import annotations

from evals.records import Problem
from stages.strategies.inference import survey, write_labels
from stages.strategies.prefixes import Simulator, label_prefixes


async def brute(simulator: Simulator, problem: Problem) -> None:
    """Label every step by all `k` draws. Gives hard and soft labels."""
    found = survey(simulator, problem)
    await label_prefixes(simulator, problem, found, until_settled=False)
    write_labels(simulator.ledger, found, simulator.settings)
