"""Every stage on random-weight models of the usual families: the files chain, and all stages see the same prompt."""

from __future__ import annotations

import asyncio
import functools
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evals.records import Problem
from evals.tasks import check_paths, check_problem
from evals.worlds import chain
from stages.engines.opening import open_engine
from stages.eval import Evaluation
from stages.files.interrupts import StopFlag
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.joins.results import read_results
from stages.models.loading import load_tokenizer
from stages.orpo import run_orpo
from stages.pairs import write_pairs
from stages.runs.record import LineRun, Summary
from stages.runs.runner import run_lines
from stages.runs.scheduler import Quiet
from stages.sample import Sampler
from stages.score import Scoring
from stages.scorers.hf import Scorer
from stages.settings.evaluation import EvalSettings
from stages.settings.model import EngineSettings, ScorerSettings
from stages.settings.pairs import PairSettings
from stages.settings.sample import SampleSettings
from stages.settings.score import ScoreSettings
from stages.settings.simulate import SimulateSettings
from stages.settings.training import TrainSettings
from stages.sft import run_sft
from stages.simulate import Simulation
from stages.train_prm import run_train_prm
from stages.training.pair_batches import TRIED
from stages.training.pair_rows import read_pairs
from stages.training.step_rows import read_examples
from tests.models import Family, build_model

# Pairwise: each family with and without each of tied heads, a BOS of its own, and a chat template.
COMBINATIONS: list[tuple[Family, bool, bool, bool]] = [
    ("llama", False, True, False),
    ("llama", True, False, True),
    ("qwen2", True, False, False),
    ("qwen2", False, True, True),
    ("gemma2", True, True, True),
    ("gemma2", False, False, False),
]
CLASSES = {"llama": "Llama", "qwen2": "Qwen2", "gemma2": "Gemma2"}
Seen = dict[str, list[list[int]]]
TRIAL = list(range(8))
"""What `stages.training.token_scores` tries a model out with, before it trains."""


def watch(monkeypatch: pytest.MonkeyPatch, family: Family, seen: Seen) -> Callable[[str], None]:
    """Record the token ids of every row that a model of the family is given, under the stage that is named."""
    import transformers

    stage = ["none"]
    model = getattr(transformers, f"{CLASSES[family]}Model")  # under the heads of policy and reward model alike
    forward = model.forward

    @functools.wraps(forward)
    def recording(self: Any, *args: Any, **kwargs: Any) -> Any:
        ids: Any = kwargs.get("input_ids", args[0] if args else None)
        mask: Any = kwargs.get("attention_mask")
        if ids.shape[1] > 1:
            if mask is None:
                rows = ids.tolist()
            elif mask.dim() == 4:
                lines = zip(ids, mask[:, 0], kwargs["position_ids"], strict=True)
                rows = [row for line in lines for row in branches(*line)]
            else:
                rows = [r[m].tolist() for r, m in zip(ids, mask.bool(), strict=True)]
            seen[stage[0]] += [row for row in rows if len(row) > 1 and row not in (TRIAL, *TRIED)]
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(model, "forward", recording)

    def name(text: str) -> None:
        stage[0] = text

    return name


def branches(ids: Any, mask: Any, positions: Any) -> list[list[int]]:
    """What each token sees that no other token sees, from a line of (tokens), its mask and its positions. Padding
    may be the token that ends a text, so it is told by its position, 0."""
    last = [at for at in range(len(ids)) if not mask[at + 1 :, at].any() and (at == 0 or positions[at] > 0)]
    return [ids[mask[at]].tolist() for at in last]


def lines(stage: str, source: Path, output: Path, opened: Any, work: Any, check: Any = check_problem) -> Summary:
    """One stage over a file, as the command runs it."""

    async def go() -> Summary:
        try:
            run = LineRun(stage, str(source), str(output), {}, {})
            return await run_lines(
                run, work, hungry=opened.hungry, reporter=Quiet(), flag=StopFlag(), usage=opened.spent, check=check
            )
        finally:
            await opened.close()

    summary = asyncio.run(go())
    assert (summary.complete, summary.bad, summary.failed) == (True, 0, 0)
    return summary


def read(source: Path) -> list[Problem]:
    return list(read_problems(str(source), BadLines(strict=True)))


def prompt_ids(name: str, problem: Problem, chat: bool) -> list[int]:
    """The prompt as the tokenizer itself makes it."""
    tokenizer = load_tokenizer(name)
    if chat:
        messages = [{"role": "user", "content": problem.question}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    return list(tokenizer(f"Question: {problem.question}\nAnswer:\n")["input_ids"])


@pytest.mark.parametrize(("family", "tied", "bos", "chat"), COMBINATIONS)
def test_the_loop_runs_and_every_stage_sees_the_same_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: Family, tied: bool, bos: bool, chat: bool
) -> None:
    seen: Seen = defaultdict(list)
    now = watch(monkeypatch, family, seen)
    base = build_model(tmp_path / "base", family, tied=tied, bos=bos, chat=chat)
    problems = list(chain.problems("train", 5, 0))
    files = {name: tmp_path / f"{name}.jsonl" for name in ("problems", "paths", "labels", "scored", "pairs", "eval")}
    files["problems"].write_text("".join(problem.to_json() + "\n" for problem in problems))
    options = TrainSettings(epochs=24, lr=5e-3, batch=5, device="cpu", warmup=0.0)

    now("sft")
    made = run_sft(read(files["problems"]), model=base, out=str(tmp_path / "m0"), options=options)
    assert made["counts"]["rows"] == 5
    policy = str(tmp_path / "m0")

    def engine(model: str) -> Any:
        return open_engine(EngineSettings(model=model, device="cpu"))

    now("sample")
    writer = engine(policy)
    settings = SampleSettings(n=12, temperature=0.9, max_tokens=40, keep_unfinished=True, keep_false_equations=True)
    drawn = lines("sample", files["problems"], files["paths"], writer, Sampler(writer, settings))
    assert drawn.counts["drawn"] == 60
    assert drawn.counts["kept"] >= 10, drawn.counts

    now("simulate")
    writer = engine(policy)
    simulation = Simulation(writer, SimulateSettings(k=2, max_tokens=24))
    labelled = lines("simulate", files["paths"], files["labels"], writer, simulation, check_paths)
    assert labelled.counts["steps labelled"] >= labelled.counts["paths labelled"] == drawn.counts["kept"]
    assert labelled.counts["gold paths"] == 5

    now("train-prm")
    examples, bad = read_examples(str(files["labels"]))
    assert not bad
    one_epoch = TrainSettings(epochs=1, lr=1e-3, batch=8, device="cpu")
    made = run_train_prm(examples, model=policy, out=str(tmp_path / "prm"), options=one_epoch, held_out_share=0.3)
    assert made["counts"]["paths"] == drawn.counts["kept"] + 5

    now("score")
    scorer = Scorer(str(tmp_path / "prm"), ScorerSettings(device="cpu"))
    scoring = Scoring(scorer, ScoreSettings(name="prm0"))
    scored = lines("score", files["labels"], files["scored"], scorer, scoring)
    assert scored.counts["paths scored"] == drawn.counts["kept"] + 5
    for path in (path for problem in read(files["scored"]) for path in problem.paths):
        assert path.scores is not None
        assert len(path.scores["prm0"].steps) == len(path.steps)

    template = "chat" if chat else "auto"
    chosen = PairSettings(name="prm0", eta=0.0, chosen_correct=False, max_per_problem=6, template=template)
    summary = write_pairs(str(files["scored"]), str(files["pairs"]), chosen, BadLines())
    assert summary["counts"]["pairs"] >= 8

    now("orpo")
    pairs, bad = read_pairs(str(files["pairs"]))
    assert not bad
    made = run_orpo(pairs, model=policy, out=str(tmp_path / "m1"), options=one_epoch)
    assert made["counts"]["pairs"] == summary["counts"]["pairs"]

    now("eval")
    writer = engine(str(tmp_path / "m1"))
    lines("eval", files["problems"], files["eval"], writer, Evaluation(writer, EvalSettings(max_tokens=40)))
    assert read_results(str(files["eval"])).as_dict()["n"] == 5

    prompts = {problem.id: prompt_ids(base, problem, chat) for problem in problems}
    tokenizer = load_tokenizer(base)
    first = {ids[0] for ids in prompts.values()}
    assert (first == {tokenizer.bos_token_id}) is (bos or (chat and tokenizer.bos_token is not None))
    assert set(seen) == {"sft", "sample", "simulate", "train-prm", "score", "orpo", "eval"}
    for stage, rows in seen.items():
        # The decode loop prefills all of the prompt but its last token.
        short = 1 if stage in ("sample", "eval") else 0
        found = set()
        for row in rows:
            beginning = [name for name, ids in prompts.items() if row[: len(ids) - short] == ids[: len(ids) - short]]
            assert beginning, (stage, tokenizer.decode(row))
            found.update(beginning)
        if stage != "orpo":
            assert found == set(prompts), stage
