"""What pairs from forks need: rollouts of the bare question, and the texts of right rollouts where wrong paths leave.

    A wrong path:    40-15=25 | 25*2=50 ...          its first wrong step is the second, so it forks behind the first
    a right rollout: 40-15=25 | 25*3=75 ...          of the first step's prefix: this text is kept

Self-Explore (arXiv 2404.10346) makes such pairs. A path whose first step is wrong forks at the question itself, whose
label is kept once per problem (`root`). At most `keep_forks` texts are kept per wrong path, and as many of the question
(a path of a later round may fork there): the first in draw order, so that they depend on the seed alone. No rollout is
made for them.
"""

from __future__ import annotations

from evals.records import Path, Problem, StepLabel
from stages.strategies.cost import count_root
from stages.strategies.prefixes import Simulator, prefixes

ROOT = ""
"""The prefix that the bare question is."""


async def roll_root(simulator: Simulator, problem: Problem) -> StepLabel:
    """The label of the bare question: all draws where the strategy makes all, else as many as its verdict takes.

    Under a budget it gets what the paths have left.
    """
    right = sum(path.correct is True for path in problem.paths if path.source == "sample")
    wrong = sum(path.correct is False for path in problem.paths if path.source == "sample")
    simulator.ledger.evidence[ROOT] = right, wrong
    whole = simulator.settings.strategy in ("brute", "mcts")
    root = await simulator.label(problem, ROOT, until_settled=not whole)
    count_root(root, simulator.tally)
    return _with_texts(simulator, root, ROOT)


def fork_of(path: Path) -> int | None:
    """The first wrong step of a wrong path, if all steps before it are right; None: the labels show no such step."""
    if path.correct is not False:
        return None
    for step, label in enumerate(path.labels or []):
        if label.hard is not True:
            return step if label.hard is False else None
    return None


def keep_forks(simulator: Simulator, problem: Problem, paths: list[Path]) -> None:
    """Keep the texts of right rollouts where these paths fork, on the path's own label of the step before."""
    tally = simulator.tally
    for path, row in zip(paths, prefixes(simulator.task, paths).rows, strict=True):
        step = fork_of(path)
        if step is None:
            continue
        tally.count("wrong paths that fork")
        if step > 0 and path.labels is not None:
            path.labels[step - 1] = _with_texts(simulator, path.labels[step - 1], row[step - 1])
        before = problem.root if step == 0 else (path.labels or [])[step - 1]
        kept = any(one.correct and one.text is not None for one in before.rollouts) if before else False
        tally.count("wrong paths that fork, with a right rollout kept", kept)


def _with_texts(simulator: Simulator, label: StepLabel, prefix: str) -> StepLabel:
    """A copy of the label whose first right rollouts have their texts; the same for every path that asks."""
    rollouts, kept = list(label.rollouts), 0
    # An earlier run's rollouts have what it kept: nothing is written for them here.
    for number, text in enumerate(simulator.ledger.written.get(prefix, [])[: len(rollouts)]):
        if rollouts[number].correct and kept < simulator.settings.keep_forks:
            kept += 1
            rollouts[number] = rollouts[number].model_copy(update={"text": text})
    return label.model_copy(update={"rollouts": rollouts})
