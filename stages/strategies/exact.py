"""The labels of `brute` for less: a step's draws stop as soon as its hard label is decided.

With delta = 0 that is the first success, so a step with success rate p takes (1 - (1 - p)^K) / p draws instead of K.
Every draw has the seed it would have under `brute`, so the hard labels are identical (unless `--confidence` gives some
up). There are no soft labels.
"""

from __future__ import annotations

from evals.records import Problem
from stages.strategies.inference import survey, write_labels
from stages.strategies.prefixes import Simulator, label_prefixes


async def exact(simulator: Simulator, problem: Problem) -> None:
    """Label every step by as many draws, in draw order, as its hard label needs."""
    found = survey(simulator, problem)
    await label_prefixes(simulator, problem, found, until_settled=True)
    write_labels(simulator.ledger, found, simulator.settings)
