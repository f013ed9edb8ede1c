"""A reward model's guess of the first error, checked by rollouts at the two prefixes around it.

SAPO (arXiv 2601.20312) takes the step at which a PRM's scores fall most as the first wrong one and rolls out only
there: if the prefix before it is live and the one with it is dead, the guess is confirmed, and every other step of the
path follows from these two. If not, the steps on the far side stay undecided, unless `walk_on` continues from there,
step by step, until the first error is found: to the left of a dead prefix, to the right of a live one.

The scores are those that `sipf score` wrote on the line under `name`. The fall at the first step is counted from 1.
A path with a right answer is guessed to have no error: its last step is rolled out (nothing, with `--trust-correct`).
What one path of a problem has shown of steps that another shares is not drawn again.
"""

from __future__ import annotations

from evals.records import Path, Problem
from stages.strategies.inference import bounds, survey, write_labels
from stages.strategies.prefixes import Simulator
from stages.strategies.side_by_side import Progress, side_by_side


async def prm_guided(simulator: Simulator, problem: Problem) -> None:
    """Roll every path out around the first error that its scores suggest; label the other steps by inference."""
    found = survey(simulator, problem)

    async def check(number: int, progress: Progress) -> None:
        row = found.rows[number]
        if row:
            await _check(simulator, problem, row, guess(found.paths[number], simulator.settings.name), progress)

    await side_by_side(simulator, found.rows, check)
    write_labels(simulator.ledger, found, simulator.settings)


def guess(path: Path, name: str) -> int:
    """The step at which the scores of that name fall most, the earliest of several; the number of steps if the answer
    is right. The path has scores: `stages.simulate.check_scores` has checked that."""
    if path.correct or path.scores is None:
        return len(path.steps)
    scores = path.scores[name].steps
    falls = [before - after for before, after in zip([1.0, *scores], scores, strict=False)]
    return max(range(len(falls)), key=lambda step: (falls[step], -step))


async def _check(simulator: Simulator, problem: Problem, row: list[str], guessed: int, progress: Progress) -> None:
    """Roll out the prefix before the guess and the one with it; with `walk_on`, continue if they are not as guessed."""
    walk_on = simulator.settings.walk_on
    least, most = bounds(simulator.ledger, row, len(row))
    dead = min(max(guessed, least + 1), most)
    while 0 < dead < len(row) and row[dead - 1] == row[dead]:  # steps of one chunk share its prefix
        dead -= 1
    live = dead - 1
    progress(0 if walk_on else max(0, live))
    if live >= 0 and not await simulator.live(problem, row[live]):
        while walk_on and live > 0 and await simulator.live(problem, row[live - 1]) is False:
            live -= 1
        return
    progress(dead)
    while dead < len(row) and await simulator.live(problem, row[dead]) and walk_on:
        dead += 1
        progress(dead)
