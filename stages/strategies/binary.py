"""OmegaPRM's binary search (arXiv 2406.06592, section 3.2): the first wrong step in about log2(m) prefixes, not m.

A path with a wrong answer is dead at its end. Its middle prefix is rolled out: if a rollout succeeds, the first wrong
step comes after it, else at or before it. What is not drawn is inferred, so a path that is live again after a dead step
(a violation of monotonicity) may get a different first error than with `brute`; `--audit` counts those.

The paper draws all `k` rollouts of a prefix; here they stop as soon as the hard label is decided. A path with a right
answer, which the paper does not search, is searched only if its last step turns out dead (never, with
`--trust-correct`). What one path of a problem has shown of steps that another shares is not drawn again.
"""

from __future__ import annotations

from evals.records import Problem
from stages.strategies.inference import bounds, survey, write_labels
from stages.strategies.prefixes import Simulator
from stages.strategies.side_by_side import Progress, side_by_side


async def binary(simulator: Simulator, problem: Problem) -> None:
    """Find the first wrong step of every path by binary search; label the other steps by inference."""
    found = survey(simulator, problem)

    async def search(number: int, progress: Progress) -> None:
        path, row = found.paths[number], found.rows[number]
        if not path.correct or not row or await simulator.live(problem, row[-1]) is False:
            await bisect(simulator, problem, row, len(row) - bool(path.correct), progress)

    await side_by_side(simulator, found.rows, search)
    write_labels(simulator.ledger, found, simulator.settings)


async def bisect(simulator: Simulator, problem: Problem, row: list[str], end: int, progress: Progress) -> None:
    """Search a path whose step `end` is known to be wrong (if `end` is its length: whose answer is)."""
    live, dead = bounds(simulator.ledger, row, end)
    while dead - live > 1:
        progress(live + 1)
        middle = (live + dead) // 2
        flag = await simulator.live(problem, row[middle])
        if flag is None:  # the budget is used up
            return
        live, dead = (middle, dead) if flag else (live, middle)
