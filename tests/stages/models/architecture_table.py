"""Walk tiny models of every architecture through the stages, and write docs/architectures.md from what happens.

python -m tests.stages.models.architecture_table
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evals.errors import SipfError
from stages.engines.opening import open_engine
from stages.eval import Evaluation
from stages.models.reward import OURS, describe_head
from stages.orpo import run_orpo
from stages.sample import Sampler
from stages.scorers.hf import Scorer
from stages.settings.evaluation import EvalSettings
from stages.settings.model import EngineSettings, ScorerSettings
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.settings.training import TrainSettings
from stages.simulate import Simulation
from stages.train_prm import run_train_prm
from tests.architectures import CONFIGS, REFUSED, build
from tests.lines import labelled_problem, pair
from tests.stages.fakes import work

PAGE = Path(__file__).parents[3] / "docs" / "architectures.md"
MARK = "<!-- written by python -m tests.stages.models.architecture_table -->\n"
STAGES = ("sample", "simulate", "train-prm", "score", "orpo", "eval")
OPTIONS = TrainSettings(epochs=1, batch=4, device="cpu", dtype="float32", max_length=256)


def walk(name: str, folder: Path) -> dict[str, str]:
    """What each stage does with a tiny model of the architecture: "ok", or the message of its refusal."""
    model, prm = build(folder / "model", name), str(folder / "prm")
    written = SampleSettings(n=1, max_tokens=4, keep_unfinished=True, keep_false_equations=True)

    def engine() -> Any:
        return open_engine(EngineSettings(model=model, device="cpu", dtype="float32"))

    def train_prm() -> None:
        problems = [labelled_problem(i) for i in range(4)]
        run_train_prm(problems, model=model, out=prm, options=OPTIONS, held_out_share=0)

    def score() -> None:
        problem = labelled_problem(0)
        found = Scorer(prm, ScorerSettings(device="cpu")).score_paths([(problem, path) for path in problem.paths])
        assert [len(steps or []) for steps in found] == [1, 2]

    doing: dict[str, Callable[[], object]] = {
        "sample": lambda: work(Sampler(engine(), written), labelled_problem(0)),
        "simulate": lambda: work(Simulation(engine(), SimulateSettings(k=1, max_tokens=4)), labelled_problem(0)),
        "train-prm": train_prm,
        "score": score,
        "orpo": lambda: run_orpo([pair(i) for i in range(2)], model=model, out=str(folder / "m1"), options=OPTIONS),
        "eval": lambda: work(Evaluation(engine(), EvalSettings(max_tokens=4)), labelled_problem(0)),
    }
    return {stage: outcome(doing[stage], model) for stage in STAGES} | {"head": describe_head(model, False)["class"]}


def outcome(do: Callable[[], object], model: str) -> str:
    """ "ok", or the one line of an expected error, without the model's folder."""
    try:
        do()
    except SipfError as error:
        return error.message.replace(model, "MODEL")
    return "ok"


def table(found: dict[str, dict[str, str]]) -> str:
    """The table, and below it what the refusals say."""
    lines = [
        "| architecture | " + " | ".join(STAGES) + " | head of its reward model |",
        "|---" * (len(STAGES) + 2) + "|",
    ]
    said: dict[str, list[str]] = {}
    for name, stages in found.items():
        cells = ["ok" if stages[stage] == "ok" else "refused" for stage in STAGES]
        head = "ours" if stages["head"] == OURS else "transformers'"
        lines.append(f"| {name} | {' | '.join(cells)} | {head} |")
        for stage in STAGES:
            if stages[stage] != "ok" and stages[stage] not in said.setdefault(name, []):
                said[name].append(stages[stage])
    refusals = [f"- {name}: `{message}`" for name, messages in said.items() for message in messages]
    return "\n".join(lines) + "\n\nWhat the refusals say:\n\n" + "\n".join(refusals) + "\n"


def walk_all() -> dict[str, dict[str, str]]:
    """`walk` for every architecture."""
    with tempfile.TemporaryDirectory() as folder:
        return {name: walk(name, Path(folder) / str(i)) for i, name in enumerate(CONFIGS | REFUSED)}


if __name__ == "__main__":
    above = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(f"{above}{MARK}\n{table(walk_all())}", encoding="utf-8")
