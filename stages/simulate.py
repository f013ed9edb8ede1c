"""simulate: label the steps of sampled paths by rolling their prefixes out (step 2 of the loop).

    path.steps = ["40+32=72", ...]  ->  path.labels = [{"k": 8, "delta": 0, "draws": 1, "hits": 1, ...}, ...]

How is a strategy's business (stages/strategies/); this module chooses the problems, adds the gold paths and counts what
was spent against brute force.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from evals.errors import DataError
from evals.records import Path, Problem, StepLabel
from evals.tasks import task_of
from evals.tasks.base import Task, split_of
from stages.engines.base import Engine
from stages.judging import judge, write_verdict
from stages.runner import Tally
from stages.strategies import strategy
from stages.strategies.prefixes import SimulateSettings, Simulator, brute_tokens


@dataclass(frozen=True)
class Simulation:
    """Labels one problem at a time; many may be under way."""

    engine: Engine
    settings: SimulateSettings

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """Label the problem's unlabelled paths, if it belongs to the share."""
        if not in_share(problem.id, self.settings.share, self.settings.seed):
            tally.count("problems outside the share")
            return [problem]
        new = [path for path in problem.paths if path.labels is None]
        await strategy(self.settings.strategy)(Simulator(self.engine, task_of(problem), self.settings, tally), problem)
        tally.count("problems labelled")
        self._count(new, tally)
        if self.settings.gold:
            await self._add_gold(problem, tally)
        return [problem]

    def _count(self, paths: list[Path], tally: Tally) -> None:
        labels = [label for path in paths for label in path.labels or []]
        tally.count("paths labelled", len(paths))
        tally.count("steps labelled", len(labels))
        tally.count("right steps", sum(label.hard is True for label in labels))
        tally.count("brute rollouts, every prefix", len(labels) * self.settings.k)
        tally.count("brute tokens, every prefix", sum(brute_tokens(label.rollouts, label.k) for label in labels))

    async def _add_gold(self, problem: Problem, tally: Tally) -> None:
        """The gold solution as an all-positive path; not a program that fails its own tests."""
        task = task_of(problem)
        text = task.gold_text(problem)
        if text is None:
            tally.count("problems without a gold solution")
            return
        identity = f"{problem.id}#gold"
        if any(path.id == identity for path in problem.paths):
            return
        verdict = await judge(task, problem, text)
        if verdict.outcome is not None and not verdict.correct:
            tally.count(f"gold solutions left out: {verdict.outcome}")
            return
        steps = task.split(text).steps
        label = StepLabel(k=self.settings.k, delta=self.settings.delta, draws=0, hits=0, settled=True, gold=True)
        path = Path(id=identity, source="gold", text=text, steps=steps)
        write_verdict(verdict, path)
        path.labels = [label.model_copy() for _ in steps]
        problem.paths = [*problem.paths, path]
        tally.count("gold paths")


def cost_report(counts: Mapping[str, int]) -> dict[str, float]:
    """What was spent as a share of brute force over unique prefixes and over every prefix.

    Completions are counted; the tokens of draws that were not made are estimated from their prefix's other draws.
    """
    report = {}
    for what, spent in (("rollouts", "rollouts"), ("tokens", "rollout tokens")):
        for kind in ("unique prefixes", "every prefix"):
            brute = counts.get(f"brute {what}, {kind}", 0)
            if brute:
                report[f"{what} against brute, {kind}"] = counts.get(spent, 0) / brute
    return report


def in_share(problem_id: str, share: float, seed: int) -> bool:
    """Whether a problem belongs to the share of problems that is simulated: by a hash of its id and the seed."""
    digest = hashlib.blake2b(f"{seed}/{problem_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def check_paths(problem: Problem) -> None:
    """Refuse a problem that its task cannot judge, and what `check_steps` refuses."""
    task_of(problem).check(problem)
    check_steps(problem)


def check_steps(problem: Problem) -> None:
    """Refuse paths whose `steps` are not the steps of their `text`.

    Raises:
        DataError: `paths.N.steps: ...`.
    """
    task: Task = task_of(problem)
    for number, path in enumerate(problem.paths):
        try:
            split_of(task, path)
        except DataError as error:
            raise DataError(f"paths.{number}.{error.message}", error.advice) from error
