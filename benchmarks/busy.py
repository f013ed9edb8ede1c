"""How many of the hf engine's rows work in `simulate`, for every strategy, as the command runs it.

    OMP_NUM_THREADS=1 python benchmarks/busy.py [--before OTHER_TREE] [--problems 400] [--paths 4] [--rows 256]
                                                [--only exact first-error] [--repeats 1]

Every strategy labels the same file through the real runner (`stages.runs.stage.run_stage`): lines are read, admitted,
journalled and written in order. Prints a markdown table; with `--before` another checkout of this repository labels the
same file as well, in turn, and each figure is followed by that tree's, and rates by the ratio of the two.

    busy        rows at work in a decode step, averaged over all steps, as a share of the engine's rows
    used        tokens on the lines as a share of what the rows could have written: `busy` without what was in vain
    fed         `busy` up to the last step in which every row had work: what follows is the drain, in which neither a
                problem nor a request is left to fill a row
    steps       decode steps
    tokens      those of the rollouts on the lines
    unused      tokens that rows wrote besides: of draws that were begun ahead and were not needed
    cancelled   those of them whose draw was given up half-way (`cancelled_tokens` of the manifest)
    tokens/s, labelled/s    tokens and labelled steps per second of the process's CPU time

Counts of steps and rows do not depend on the machine. The scores of `prm-guided` are the truth of the world with a
tenth of the steps turned over.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from policy import sampled
from strategies import strategies

from evals.records import Problem
from evals.worlds.truth import true_steps
from stages.engines.hf.engine import HFEngine
from stages.engines.opening import OnDemandEngine
from stages.files.outputs import to_line
from stages.models.loading import Loaded, load_policy, quiet_libraries
from stages.runs.stage import line_run, run_stage
from stages.scorers.base import to_scores
from stages.settings.files import FileSettings
from stages.settings.model import EngineSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from stages.strategies.run_budget import RunBudget

MODEL = "chain-base"
K = 8
COLUMNS = {
    "busy": ".3f", "used": ".3f", "fed": ".3f", "steps": ",.0f", "tokens": ",.0f", "unused": ",.0f",
    "cancelled": ",.0f", "tokens/s": ",.0f", "labelled/s": ",.1f",
}  # fmt: skip
"""The table's columns and their formats."""
RATIOS = ("steps", "tokens/s", "labelled/s")
ROOT = Path(__file__).resolve().parent.parent


class Watched(OnDemandEngine):
    """The engine, with a look at its rows after every decode step."""

    def __init__(self, loaded: Loaded, rows: int | None) -> None:
        super().__init__(EngineSettings(engine="hf", model=MODEL, device="cpu", dtype="float32"))
        self.loop = (inner := HFEngine(loaded, rows=rows)).loop
        self.live: list[int] = []
        """Rows of each decode step."""
        self._engine, self._step = inner, self.loop.step
        self.loop.step = self._watched  # type: ignore[method-assign]  # watched in place: the engine calls its own loop

    def _watched(self) -> bool:
        before = self.loop.row_steps
        busy = self._step()
        if self.loop.row_steps > before:
            self.live.append(self.loop.row_steps - before)
        return busy


class Silent:
    """A display that shows nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def measured(loaded: Loaded, rows: int | None, settings: SimulateSettings, source: Path) -> dict[str, Any]:
    """What one run of `simulate` did; rates are left to the table."""
    engine = Watched(loaded, rows)
    stage = Simulation(engine, settings, RunBudget(settings))
    output = source.with_suffix(".out.jsonl")
    for left in source.parent.glob(f"{output.name}*"):
        left.unlink()
    begun = time.process_time()
    summary = run_stage(line_run(stage, str(source), str(output), FileSettings(overwrite=True)), stage, Silent())
    seconds = time.process_time() - begun
    live, most = engine.live, engine.loop.max_rows
    fed = max((step + 1 for step, rows in enumerate(live) if rows == most), default=len(live))
    tokens = summary.counts["rollout tokens"]
    return {
        "busy": statistics.mean(live) / most,
        "used": tokens / len(live) / most,
        "fed": statistics.mean(live[:fed]) / most,
        "steps": len(live),
        "tokens": tokens,
        "unused": sum(live) - tokens,
        "cancelled": engine.loop.usage.cancelled_tokens,
        "tokens/s": tokens / seconds,
        "labelled/s": summary.counts["steps labelled"] / seconds,
        "sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
    }


def side(tree: Path, source: Path, name: str, rows: int | None) -> dict[str, Any]:
    """Run one strategy in its own process, with the code of that tree."""
    words = ["--source", source, "--measure", name, *(["--rows", rows] if rows else [])]
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve()), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, __file__, *map(str, words)], env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def cells(runs: list[list[dict[str, Any]]]) -> list[str]:
    """The figures of one strategy; `runs` are those of this tree, and of the other one if there is one."""
    shown = []
    for name, form in COLUMNS.items():
        values = [statistics.median(run[name] for run in of_a_tree) for of_a_tree in runs]
        text = " / ".join(format(value, form) for value in values)
        ratio = f" ({values[0] / values[1]:.2f})" if name in RATIOS and len(values) > 1 else ""
        shown.append(text + ratio)
    same = {run["sha256"] for of_a_tree in runs for run in of_a_tree}
    return [*shown, "the same" if len(same) == 1 else "DIFFER"]


def make_lines(source: Path, problems: int, paths: int) -> None:
    """The file that every side labels: sampled paths with scores."""
    lines = sampled(HFEngine(load_policy(MODEL, device="cpu", dtype="float32")), problems, paths)
    noise = random.Random(0)
    for line in lines:
        _score(line, noise)
    source.write_text("".join(f"{to_line(line)}\n" for line in lines), encoding="utf-8")


def _score(line: Problem, noise: random.Random) -> None:
    for path in line.paths:
        world = true_steps((line.model_extra or {})["world"], path.steps)
        path.scores = {"prm": to_scores([0.9 if (noise.random() < 0.1) != right else 0.1 for right in world])}


def main() -> None:
    """Make the file, run every strategy on all sides in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = list(strategies(K))
    parser.add_argument("--before", type=Path, help="another checkout, measured as well")
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--paths", type=int, default=4)
    parser.add_argument("--rows", type=int, help="rows of the engine; by default its own choice")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each strategy; CPU seconds are their median")
    parser.add_argument("--only", nargs="*", default=every, choices=every, metavar="STRATEGY")
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    quiet_libraries()
    if given.measure:
        loaded = load_policy(MODEL, device="cpu", dtype="float32")
        print(json.dumps(measured(loaded, given.rows, strategies(K)[given.measure], given.source)))
        return
    trees = [ROOT, *([given.before] if given.before else [])]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "paths.jsonl"
        make_lines(source, given.problems, given.paths)
        print(
            f"{given.problems} problems of {given.paths} paths, K = {K}" + (", after / before" if given.before else "")
        )
        head = ("strategy", *COLUMNS, "lines")
        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
        for name in given.only:
            runs: list[list[dict[str, Any]]] = [[] for _ in trees]
            for _ in range(given.repeats):
                for number, tree in enumerate(trees):
                    runs[number].append(side(tree, source, name, given.rows))
            print(f"| `{name}` | {' | '.join(cells(runs))} |", flush=True)


if __name__ == "__main__":
    main()
