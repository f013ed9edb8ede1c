"""What the labelling benchmarks share: a policy made when needed, sampled lines, and a stage run over them.

The policy is an embedded base after the demo's short fine-tuning on 72 problems of its world. benchmarks/world.py and
benchmarks/functions.py measure it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from evals.records import Problem
from evals.worlds import chain, functions
from stages.counts import Tally
from stages.engines.base import Engine
from stages.engines.hf.engine import HFEngine
from stages.models.loading import load_policy, quiet_libraries
from stages.sample import Sampler
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.settings.training import TrainSettings
from stages.sft import run_sft
from stages.simulate import Simulation
from stages.strategies.run_budget import RunBudget

Clock = Callable[[], float]

DEMO = TrainSettings(epochs=2, lr=5e-5, batch=16, group_by_length=True, device="cpu", dtype="float32")
WORLDS = {"chain": chain.problems, "functions": functions.problems}


def make_policy(folder: Path, world: str = "chain") -> str:
    """The folder of the fine-tuned policy of a world."""
    quiet_libraries()
    out = folder / "policy"
    run_sft(WORLDS[world]("train", 72, 100), model=f"{world}-base", out=str(out), options=DEMO)
    return str(out)


def open_policy(name: str) -> HFEngine:
    """The hf engine on that policy."""
    return HFEngine(load_policy(name, device="cpu", dtype="float32"))


def sampled(engine: Engine, problems: int, paths: int, seed: int = 7) -> list[Problem]:
    """Problems with sampled paths, as `sipf sample` writes them."""

    async def draw() -> list[Problem]:
        sampler = Sampler(engine, SampleSettings(n=paths))
        lines = await asyncio.gather(*[sampler(p, Tally()) for p in chain.problems("train", problems, seed)])
        return [line[0] for line in lines]

    return asyncio.run(draw())


def simulated(
    engine: Engine, lines: Sequence[Problem], settings: SimulateSettings, clock: Clock = time.perf_counter
) -> tuple[list[Problem], Tally, float]:
    """Labelled copies of the lines, the counts and the seconds it took by that clock."""
    stage, tally = Simulation(engine, settings, RunBudget(settings)), Tally()

    async def label() -> list[Problem]:
        copies = [line.model_copy(deep=True) for line in lines]
        return [line[0] for line in await asyncio.gather(*[stage(copy, tally) for copy in copies])]

    began = clock()
    labelled = asyncio.run(label())
    return labelled, tally, clock() - began


def one_line_a_path(lines: Sequence[Problem]) -> list[Problem]:
    """The same paths as separate problems, so that nothing is shared: brute force over every prefix. Only its cost is
    of interest, because the draws' seeds differ."""
    alone = []
    for line in lines:
        for path in line.paths:
            copy = line.model_copy(deep=True)
            copy.id, copy.paths = path.id, [path.model_copy(deep=True)]
            alone.append(copy)
    return alone
