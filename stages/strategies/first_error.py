"""Each path is walked from the left to its first wrong step; the steps after it are wrong without a draw.

SCAN (arXiv 2509.16548) labels its data this way: paths with a right answer need no rollouts (here:
`--trust-correct`), those with a wrong one are rolled out step by step up to the first prefix that has no successful
rollout. Per path it draws one dead prefix in full; each live prefix before it stops at its first success. The first
errors are those of `brute`, because the draws are; with `--trust-correct` or `--confidence` they may differ.
"""

from __future__ import annotations

from evals.records import Problem
from stages.strategies.inference import survey, write_labels
from stages.strategies.prefixes import Simulator


async def first_error(simulator: Simulator, problem: Problem) -> None:
    """Label the steps of every path up to its first wrong one by draws, the rest by inference."""

    async def walk(row: list[str]) -> None:
        for prefix in row:
            if not await simulator.live(problem, prefix):
                break

    found = survey(simulator, problem)
    await simulator.together(walk(row) for row in found.rows)
    write_labels(simulator.ledger, found, simulator.settings)
