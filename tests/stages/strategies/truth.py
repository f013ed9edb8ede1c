"""Problems whose rollouts are known beforehand: draw i of a prefix is right where its pattern says so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from evals.records import Problem
from evals.tasks import task_of
from stages.counts import Tally
from stages.engines.base import Draw, Request
from stages.engines.scripted.engine import ScriptedEngine
from stages.seeds import seed_of
from stages.settings.simulate import SimulateSettings
from stages.strategies import strategy
from stages.strategies.prefixes import Simulator
from tests.stages.fakes import Written, chain_problem, path

GOLD = ("40-15=25", "25*3=75", "75+1=76")
PREFIXES = ["\n".join(GOLD[: j + 1]) + "\n" for j in range(3)]
LONG = tuple(f"{i}+1={i + 1}" for i in range(8))


def label(how: str, problem: Problem, engine: Written | ScriptedEngine, /, **options: Any) -> tuple[Problem, Tally]:
    """A copy of the problem, labelled by the strategy of that name, and what was counted."""
    problem, tally = problem.model_copy(deep=True), Tally()
    simulator = Simulator(engine, task_of(problem), SimulateSettings(strategy=how, **options), tally)
    asyncio.run(go(simulator, problem))
    return problem, tally


async def go(simulator: Simulator, problem: Problem) -> None:
    await strategy(simulator.settings.strategy)(simulator, problem)


def pattern_engine(patterns: Mapping[str, Sequence[bool]], seed: int = 0) -> Written:
    """Draw i of a prefix is right where its pattern says so."""
    hits = {
        (prefix, seed_of("simulate", "c", seed, [prefix, i])): hit
        for prefix, pattern in patterns.items()
        for i, hit in enumerate(pattern)
    }

    def write(request: Request, draw: Draw) -> str:
        return f"The answer is {76 if hits[request.prefix, draw.seed] else 75}"

    return Written(write)


def long_problem(lives: int, steps: int = 8, *, right: bool = False, k: int = 4) -> tuple[Problem, Written]:
    """A problem with one path of so many steps, of which the first `lives` are live (their second draw is right)."""
    rows = LONG[:steps]
    problem = chain_problem(paths=[path(0, *rows, answer="76" if right else "75", correct=right)])
    return problem, pattern_engine({prefix_of(rows, j): [j < lives and i == 1 for i in range(k)] for j in range(steps)})


def prefix_of(steps: Sequence[str], last: int) -> str:
    """The text up to and including a step."""
    return "\n".join(steps[: last + 1]) + "\n"


def kinds(problem: Problem, number: int = 0) -> list[tuple[str, bool | None]]:
    """How each step of a path got its label, and the label."""
    return [(one.kind, one.hard) for one in problem.paths[number].labels or []]


def drawn(engine: Written) -> list[str]:
    """The prefixes that were rolled out, each by its last step, in the order they were asked for."""
    return [request.prefix.splitlines()[-1] for request in engine.asked]
