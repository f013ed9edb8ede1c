"""What the strategies share: the prefixes of a problem's paths, and drawing and judging rollouts from them.

Equal prefixes of one problem are one prefix: their rollouts have the same seeds, so they would be the same rollouts.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import dataclass, field

from evals.errors import UsageError
from evals.records import Path, Problem, Rollout, StepLabel
from evals.tasks.base import Task, split_of
from stages.engines.base import Completion, Draw, Engine, Request, seed_of
from stages.judging import judge, write_verdict
from stages.runner import Tally


@dataclass(frozen=True, slots=True)
class SimulateSettings:
    """How steps are labelled.

    A step is right if more than `delta` of its `k` rollouts reach the answer. Each draw's temperature lies in
    [low, high] and is decided by the draw's seed (the paper draws at random temperature without giving the range).

    Raises:
        UsageError: no number of hits would make a step right.
    """

    strategy: str = "exact"
    k: int = 8
    delta: int = 0
    temperature_low: float = 1.0
    temperature_high: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    share: float = 1.0
    gold: bool = True
    keep_text: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.delta >= self.k:
            raise UsageError(
                f"with --delta {self.delta} and --k {self.k} no step could be right", "Give a --delta below --k."
            )


@dataclass(frozen=True)
class Simulator:
    """An engine that rolls prefixes out, and how."""

    engine: Engine
    task: Task
    settings: SimulateSettings
    tally: Tally

    async def draw(self, problem: Problem, prefix: str, *, until_settled: bool) -> StepLabel:
        """Roll a prefix out up to `k` times, in draw order.

        Args:
            problem: whose prefix it is.
            prefix: text up to and including the step, with the newline after it.
            until_settled: stop as soon as the draws made decide the hard label; else make all `k`.

        Returns:
            The label; its rollouts are the first `draws` of the `k`, whatever the strategy.
        """
        settings = self.settings
        draws = tuple(self._draw(problem, prefix, i) for i in range(settings.k))
        most = settings.max_tokens or self.task.max_tokens
        request = Request(problem, draws, prefix, settings.top_p, most, self.task.stop, eager=not until_settled)
        rollouts: list[Rollout] = []
        hits = 0
        async with aclosing(self.engine.stream(request)) as stream:
            async for completion in stream:
                rollouts.append(await self._judge(problem, prefix, completion))
                hits += rollouts[-1].correct
                if until_settled and self.settled(hits, len(rollouts)):
                    break
        self.tally.count("rollouts", len(rollouts))
        self.tally.count("rollout tokens", sum(rollout.tokens for rollout in rollouts))
        self.tally.count("prefixes rolled out")
        self.tally.count("brute rollouts, unique prefixes", settings.k)
        self.tally.count("brute tokens, unique prefixes", brute_tokens(rollouts, settings.k))
        return StepLabel(
            k=settings.k, delta=settings.delta, draws=len(rollouts), hits=hits,
            settled=self.settled(hits, len(rollouts)), rollouts=rollouts,
        )  # fmt: skip

    def settled(self, hits: int, draws: int) -> bool:
        """True when no further draw of the `k` can change the hard label."""
        k, delta = self.settings.k, self.settings.delta
        return hits > delta or hits + (k - draws) <= delta

    def _draw(self, problem: Problem, prefix: str, number: int) -> Draw:
        settings = self.settings
        seed = seed_of("simulate", problem.id, settings.seed, [prefix, number])
        low, high = settings.temperature_low, settings.temperature_high
        return Draw(seed, low if low == high else random.Random(seed).uniform(low, high))

    async def _judge(self, problem: Problem, prefix: str, completion: Completion) -> Rollout:
        verdict = await judge(self.task, problem, completion.text, prefix=prefix, tally=self.tally)
        rollout = Rollout(correct=verdict.correct, seed=completion.seed, tokens=completion.tokens)
        write_verdict(verdict, rollout)
        if self.settings.keep_text:
            rollout.text = completion.text
        return rollout


def brute_tokens(rollouts: list[Rollout], k: int) -> int:
    """Tokens that all `k` draws of a prefix take, estimated from the mean of those made."""
    return round(k * sum(rollout.tokens for rollout in rollouts) / max(1, len(rollouts)))


@dataclass(slots=True)
class Prefixes:
    """The distinct prefixes of the paths to be labelled, in order of first use, and where each one belongs."""

    paths: list[Path]
    places: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Prefix text -> (path number, step number) of every step it stands for."""

    def give(self, labels: dict[str, StepLabel]) -> None:
        """Write each prefix's label to every step it stands for."""
        rows: list[list[StepLabel | None]] = [[None] * len(path.steps) for path in self.paths]
        for prefix, places in self.places.items():
            for path, step in places:
                rows[path][step] = labels[prefix].model_copy()
        for path_record, row in zip(self.paths, rows, strict=True):
            path_record.labels = [label for label in row if label is not None]


async def label_prefixes(simulator: Simulator, problem: Problem, *, until_settled: bool) -> None:
    """Roll every distinct prefix of the unlabelled paths out, all at once, and write the labels."""
    found = prefixes(simulator.task, [path for path in problem.paths if path.labels is None])
    labels = await asyncio.gather(
        *[simulator.draw(problem, text, until_settled=until_settled) for text in found.places]
    )
    found.give(dict(zip(found.places, labels, strict=True)))


def prefixes(task: Task, paths: list[Path]) -> Prefixes:
    """Collect the prefixes of every step of the paths."""
    found = Prefixes(paths)
    for number, path in enumerate(paths):
        split = split_of(task, path)
        for step in range(len(path.steps)):
            found.places.setdefault(split.prefix(path.text, step), []).append((number, step))
    return found
