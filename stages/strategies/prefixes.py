"""What the strategies share: the prefixes of a problem's paths, and drawing and judging rollouts from them.

Equal prefixes of one problem are one prefix: their rollouts have the same seeds, so they would be the same rollouts.

    simulator = Simulator(engine, task, settings, tally)
    label = await simulator.label(problem, "40+32=72\\n")     # drawn once, however often it is asked for
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from evals.records import Path, Problem, Rollout, StepLabel
from evals.tasks.base import Task, split_of
from stages.counts import Count, Tally
from stages.engines.base import Completion, Draw, Engine, Request
from stages.runs.verdicts import Verdicts, write_verdict
from stages.seeds import seed_of
from stages.settings.simulate import SimulateSettings
from stages.strategies.stopping import Evidence, improbable

T = TypeVar("T")


@dataclass(slots=True)
class Ledger:
    """What is known of one problem's prefixes, by text, and how many draws that cost."""

    labels: dict[str, StepLabel] = field(default_factory=dict)
    trusted: set[str] = field(default_factory=set)
    """Prefixes that a path with a right answer runs through, where such paths are trusted."""
    evidence: dict[str, Evidence] = field(default_factory=dict)
    """Right and wrong paths that run through a prefix."""
    written: dict[str, list[str]] = field(default_factory=dict)
    """The texts of a prefix's rollouts, in draw order."""
    asked: dict[str, asyncio.Task[StepLabel]] = field(default_factory=dict)
    spent: int = 0


@dataclass(frozen=True)
class Simulator:
    """Rolls out the prefixes of one problem with an engine, and keeps what is known of them."""

    engine: Engine
    task: Task
    settings: SimulateSettings
    tally: Tally
    ledger: Ledger = field(default_factory=Ledger)
    verdicts: Verdicts = field(default_factory=Verdicts, kw_only=True)

    async def label(self, problem: Problem, prefix: str, *, until_settled: bool = True) -> StepLabel:
        """The label of a prefix, drawn when it is first asked for."""
        if prefix not in self.ledger.asked:
            drawing = self.draw(problem, prefix, until_settled=until_settled)
            self.ledger.asked[prefix] = asyncio.ensure_future(drawing)
        return await self.ledger.asked[prefix]

    async def live(self, problem: Problem, prefix: str) -> bool | None:
        """Whether a prefix is right: trusted, or by as many draws as that takes; None if the budget ends first."""
        if prefix in self.ledger.trusted:
            return True
        return (await self.label(problem, prefix)).hard

    async def draw(self, problem: Problem, prefix: str, *, until_settled: bool) -> StepLabel:
        """Roll out a prefix up to `k` times, in draw order.

        Args:
            problem: whose prefix it is.
            prefix: text up to and including the step, with the newline after it.
            until_settled: stop as soon as the draws made decide the hard label, or, with `confidence`, once a
                different one has become improbable; else make all `k`, unless the problem's budget ends first.

        Returns:
            The label; its rollouts are the first `draws` of the `k`, whatever the strategy.
        """
        settings = self.settings
        evidence = self.ledger.evidence.get(prefix, (0, 0))

        def enough(hits: int, draws: int) -> bool:
            return until_settled and (self.settled(hits, draws) or improbable(settings, evidence, hits, draws))

        rollouts = await self.roll(problem, prefix, range(self._allowed()), eager=not until_settled, enough=enough)
        hits, draws = sum(rollout.correct for rollout in rollouts), len(rollouts)
        self.ledger.spent += draws
        self.tally.count(Count.ROLLOUTS, draws)
        self.tally.count(Count.ROLLOUT_TOKENS, sum(rollout.tokens for rollout in rollouts))
        self.tally.count("prefixes rolled out", draws > 0)
        label = StepLabel(
            k=settings.k, delta=settings.delta, draws=draws, hits=hits, settled=self.settled(hits, draws),
            rollouts=rollouts,
        )  # fmt: skip
        if not label.settled and draws and enough(hits, draws):
            label.inferred = "early-stop"
        self.ledger.labels[prefix] = label
        return label

    async def roll(
        self,
        problem: Problem,
        prefix: str,
        numbers: range,
        *,
        eager: bool,
        enough: Callable[[int, int], bool] = lambda hits, draws: False,
    ) -> list[Rollout]:
        """The draws of these numbers, until `enough(hits, draws made)`."""
        settings = self.settings
        if not numbers or enough(0, 0):
            return []
        draws = tuple(self._draw(problem, prefix, i) for i in numbers)
        most = settings.max_tokens or self.task.max_tokens
        request = Request(problem, draws, prefix, settings.top_p, most, self.task.stop, eager=eager)
        rollouts: list[Rollout] = []
        hits = 0
        async with aclosing(self.engine.stream(request)) as stream:
            async for completion in stream:
                rollouts.append(await self._judge(problem, prefix, completion))
                self.ledger.written.setdefault(prefix, []).append(completion.text)
                hits += rollouts[-1].correct
                if enough(hits, len(rollouts)):
                    break
        return rollouts

    def settled(self, hits: int, draws: int) -> bool:
        """True when no further draw of the `k` can change the hard label."""
        k, delta = self.settings.k, self.settings.delta
        return hits > delta or hits + (k - draws) <= delta

    async def together(self, work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
        """Run all of it concurrently; under a budget one after the other."""
        return await together(work, one_by_one=self.one_by_one)

    @property
    def one_by_one(self) -> bool:
        """Whether draws must follow each other, so that what a budget still covers does not depend on timing."""
        return self.settings.budget is not None

    def _allowed(self) -> int:
        k, budget = self.settings.k, self.settings.budget
        return k if budget is None else max(0, min(k, budget - self.ledger.spent))

    def _draw(self, problem: Problem, prefix: str, number: int) -> Draw:
        settings = self.settings
        seed = seed_of("simulate", problem.id, settings.seed, [prefix, number])
        low, high = settings.temperature
        return Draw(seed, low if low == high else random.Random(seed).uniform(low, high))

    async def _judge(self, problem: Problem, prefix: str, completion: Completion) -> Rollout:
        settings = self.settings
        verdict = await self.verdicts.of(
            self.task, problem, completion.text, prefix=prefix, rule=settings.answer_rule, tally=self.tally
        )
        if completion.finish == "length" and verdict.correct and not settings.count_unfinished:
            verdict = replace(verdict, correct=False)
            self.tally.count("rollouts that would be right, but were cut off")
        rollout = Rollout(correct=verdict.correct, seed=completion.seed, tokens=completion.tokens)
        write_verdict(verdict, rollout)
        if completion.finish == "length":
            rollout.finish = "length"
        if settings.keep_text:
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
    rows: list[list[str]] = field(default_factory=list)
    """The prefixes of each path, one per step."""


def to_label(problem: Problem, settings: SimulateSettings) -> list[Path]:
    """The paths that are to be labelled: those without labels, with `only_right` those with a right answer."""
    new = [path for path in problem.paths if path.labels is None]
    return [path for path in new if path.correct] if settings.only_right else new


def prefixes(task: Task, paths: list[Path]) -> Prefixes:
    """Collect the prefixes of every step of the paths."""
    found = Prefixes(paths)
    for number, path in enumerate(paths):
        split = split_of(task, path)
        found.rows.append([split.prefix(path.text, step) for step in range(len(path.steps))])
        for step, prefix in enumerate(found.rows[-1]):
            found.places.setdefault(prefix, []).append((number, step))
    return found


async def label_prefixes(simulator: Simulator, problem: Problem, found: Prefixes, *, until_settled: bool) -> None:
    """Roll out every distinct prefix, all at once (one after the other under a budget)."""
    await simulator.together(
        simulator.label(problem, text, until_settled=until_settled)
        for text in found.places
        if text not in simulator.ledger.trusted
    )


async def together(work: Iterable[Coroutine[Any, Any, T]], *, one_by_one: bool = False) -> list[T]:
    """Run all of it concurrently, or one after the other. When one fails, the rest are cancelled."""
    if one_by_one:
        return [await part for part in work]
    tasks = [asyncio.ensure_future(part) for part in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
