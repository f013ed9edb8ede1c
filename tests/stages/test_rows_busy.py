"""The rows of the hf engine while `simulate` labels a file, as the command runs it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.worlds import chain
from stages.counts import Tally
from stages.engines.hf.engine import HFEngine
from stages.engines.opening import OnDemandEngine
from stages.files.outputs import to_line
from stages.models.loading import Loaded, load_policy
from stages.runs.stage import line_run, run_stage
from stages.sample import Sampler
from stages.scorers.base import to_scores
from stages.settings.files import FileSettings
from stages.settings.model import EngineSettings
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings, TreeSettings
from stages.simulate import Simulation

ROWS, PROBLEMS, PATHS = 32, 120, 3
FEW = SimulateSettings(k=4, gold=False, tree=TreeSettings(searches=2))
WAYS: dict[str, dict[str, Any]] = {
    "brute": {"share": 0.3},
    "exact": {"share": 0.5},
    "first-error": {},
    "first-error, confidence": {"confidence": 0.9},
    "binary": {},
    "prm-guided": {},
    "prm-guided, walk_on": {"walk_on": True},
    "mcts": {},
}


class Silent:
    """Shows nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Counted(OnDemandEngine):
    """The engine of a run, whose loop can be looked at afterwards."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(EngineSettings(engine="hf", model="chain-base", device="cpu", dtype="float32"))
        self._engine = engine = HFEngine(loaded, rows=ROWS)
        self.loop = engine.loop


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load_policy("chain-base", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, loaded: Loaded) -> Path:
    """Sampled paths with scores."""
    engine, draws = HFEngine(loaded), random.Random(0)

    async def sampled() -> list[Any]:
        sampler = Sampler(engine, SampleSettings(n=PATHS))
        return await asyncio.gather(*[sampler(line, Tally()) for line in chain.problems("train", PROBLEMS, 7)])

    lines = [line for (line,) in asyncio.run(sampled())]
    for path in (path for line in lines for path in line.paths):
        path.scores = {"prm": to_scores([draws.random() for _ in path.steps])}
    file = tmp_path_factory.mktemp("busy") / "paths.jsonl"
    file.write_text("".join(f"{to_line(line)}\n" for line in lines))
    return file


@pytest.mark.parametrize("way", WAYS)
def test_every_strategy_keeps_the_rows_busy_from_the_first_problem_to_the_last(
    way: str, source: Path, loaded: Loaded, tmp_path: Path
) -> None:
    engine = Counted(loaded)
    strategy: Any = way.partition(",")[0]
    stage = Simulation(engine, replace(FEW, strategy=strategy, **WAYS[way]))
    summary = run_stage(line_run(stage, str(source), str(tmp_path / "out.jsonl"), FileSettings()), stage, Silent())
    assert summary.counts["problems labelled"] >= PROBLEMS // 5
    loop = engine.loop
    assert loop.row_steps / loop.steps >= 0.9 * ROWS, "averaged over all steps, the drain at the end included"
    assert summary.counts["rollout tokens"] >= 0.93 * loop.row_steps, "draws begun ahead and given up"
