"""The strategies know a task by its protocol alone: a task whose steps are chunks of code, indented and uneven."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from evals.datasets import code_file
from evals.records import Path, Problem
from evals.rules import AnswerRule
from evals.split import Split
from evals.tasks import check_paths
from evals.tasks.base import AnswerReader, Verdict
from stages.counts import Tally
from stages.engines.base import Draw, Request
from stages.engines.scripted.engine import ScriptedEngine
from stages.sample import Sampler
from stages.seeds import seed_of
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings, TreeSettings
from stages.simulate import Simulation
from stages.strategies.prefixes import Simulator
from tests.stages.fakes import Written, work
from tests.stages.strategies.truth import go

PROGRAM = "def f(x):\n    y = x + 1\n\n    z = y * 2\n    z += 3\n\n    if z:\n        z = 0\n\n    return z\n"


@dataclass(frozen=True)
class Chunks(AnswerReader):
    """A step is a chunk of lines up to a blank one; a program is right if it returns 7."""

    name: str = "chunks"
    templates: Mapping[str, str] = field(default_factory=lambda: {"plain": "{question}"})
    max_tokens: int = 64
    stop: tuple[str, ...] = ()

    def check(self, problem: Problem) -> None:
        pass

    def question(self, problem: Problem) -> str:
        return problem.question

    def gold_text(self, problem: Problem) -> str | None:
        return None

    def split(self, text: str) -> Split:
        steps, ends, at = [], [], 0
        for chunk in text.split("\n\n"):
            at += len(chunk)
            if chunk.strip():
                steps.append(chunk.strip("\n"))
                ends.append(at - len(chunk) + len(chunk.rstrip("\n")))
            at += 2
        return Split(steps, ends)

    def judge(self, problem: Problem, text: str, rule: AnswerRule = "robust") -> Verdict:
        right = text.rstrip().endswith("return 7")
        return Verdict("passed" if right else "wrong", right)

    def check_rule(self, problem: Problem, rule: AnswerRule) -> None:
        pass

    def signature(self, text: str) -> str:
        return text

    def false_equation(self, text: str) -> str | None:
        return None


@pytest.mark.parametrize("name", ["brute", "exact", "first-error", "binary", "mcts", "prm-guided"])
def test_every_strategy_labels_steps_that_are_chunks_of_code(name: str) -> None:
    task = Chunks()
    split = task.split(PROGRAM)
    assert len(split.steps) == 4
    live = {split.prefix(PROGRAM, step) for step in range(2)}

    def write(request: Request, draw: Draw) -> str:
        number = next(i for i in range(3) if draw.seed == seed_of("simulate", "c", 0, [request.prefix, i]))
        return f"\n    w = {number}\n\n    return {7 if request.prefix in live and number == 1 else 0}\n"

    scores = {"prm": {"steps": [0.9, 0.9, 0.1, 0.1], "mean": 0.5, "min": 0.1, "product": 0.0, "last": 0.1}}
    problem = Problem(id="c", task="chunks", question="?", paths=[
        Path.model_validate({"id": "c#0", "text": PROGRAM, "steps": split.steps, "correct": False, "scores": scores})
    ])  # fmt: skip
    settings = SimulateSettings(strategy=name, k=3, tree=TreeSettings(searches=3))
    engine = Written(write)
    asyncio.run(go(Simulator(engine, task, settings, Tally()), problem))
    assert [label.hard for label in problem.paths[0].labels or []] == [True, True, False, False]
    assert all(PROGRAM.startswith(request.prefix[:-1]) or name == "mcts" for request in engine.asked)
    for path in problem.paths:
        assert task.split(path.text).steps == path.steps
        assert len(path.labels or []) == len(path.steps)


CODE = "def total(xs):\n    result = 0\n    for x in xs:\n        result = result + x\n    return result"


@pytest.mark.parametrize("name", ["exact", "first-error", "binary", "mcts"])
def test_every_strategy_labels_programs_that_are_really_run(name: str) -> None:
    row = {"prompt": "Write total(xs).", "tests": ["assert total([1, 2]) == 3"], "entry_point": "total"}
    problem = code_file.problem({**row, "solution": CODE}, "p/0")
    drawn, _ = work(Sampler(ScriptedEngine("gold:0.3"), SampleSettings(n=5)), problem)
    settings = SimulateSettings(strategy=name, k=2, audit=1.0, tree=TreeSettings(searches=5))
    labelled, counts = work(Simulation(ScriptedEngine("gold:1.0"), settings), drawn)
    assert counts["audit: steps"] == counts["audit: steps alike"] > 10
    assert counts["audit: first errors"] == counts["audit: first errors alike"] > 2
    assert counts["outcome: passed"] + counts.get("outcome: wrong", 0) <= counts["rollouts"] + 1
    check_paths(labelled)
    if name == "mcts":
        tree = [path for path in labelled.paths if path.source == "tree"]
        assert tree
        assert all(path.outcome is not None and (path.outcome == "passed") is path.correct for path in tree)
