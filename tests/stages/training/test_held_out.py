"""What is measured on held-out problems while a model trains, and the weights that are kept because of it."""

from __future__ import annotations

import dataclasses
import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from evals.errors import Interrupted, UsageError
from evals.tasks import task_of
from stages.files.interrupts import StopFlag
from stages.models.loading import load_tokenizer, load_weights
from stages.models.templates import make_prompter
from stages.seeds import held_out
from stages.settings.labels import LabelKind
from stages.settings.training import TrainSettings
from stages.sft import run_sft
from stages.train_prm import StepCollator, run_train_prm, step_loss
from stages.training.best import BestWeights
from stages.training.sft_rows import sft_rows
from stages.training.step_rows import step_rows
from tests.lines import labelled_problem
from tests.models import build_model, build_tokenizer
from tests.stages.training.test_interrupted_training import at
from tests.stages.training.test_training import PAIRS, PROBLEMS, RUNS, Run, same, stop_after

SHARE = 0.3
HELD = [problem for problem in PROBLEMS if held_out(problem.id, 42, SHARE)]
# 16 problems or so are trained on: 4 updates per epoch
OPTIONS = TrainSettings(epochs=3, batch=4, lr=1e-3, save_steps=3, logging_steps=2, device="cpu")
# Weights that do not depend on how many epochs follow.
STEADY = dataclasses.replace(OPTIONS, epochs=6, lr=0.02, schedule="constant", warmup=0, logging_steps=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_model(tmp_path_factory.mktemp("base") / "base", "llama", tied=True)


def history(model: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (model / "history.jsonl").read_text().splitlines()]
    return [{name: line[name] for name in line if name != "seconds"} for line in lines]


def measured(model: Path) -> list[dict[str, Any]]:
    return [line for line in history(model) if "held_out_loss" in line]


@RUNS
def test_held_out_figures_are_written_after_each_epoch_and_at_the_end(tmp_path: Path, base: str, run: Run) -> None:
    options = dataclasses.replace(OPTIONS, epochs=2.5)
    made = run(model=base, out=str(tmp_path / "m"), options=options, held_out_share=SHARE)
    lines = measured(tmp_path / "m")
    updates = made["result"]["steps"]
    per_epoch = updates / 2.5
    assert [line["step"] for line in lines] == [round(per_epoch), round(2 * per_epoch), updates]
    assert [line["epoch"] for line in lines][:2] == [1.0, 2.0]
    assert made["result"]["held_out_loss"] == lines[-1]["held_out_loss"] > 0
    trained = [line for line in history(tmp_path / "m") if "loss" in line]
    assert {"epoch", "loss", "learning_rate", "grad_norm"} <= trained[0].keys()
    if "chosen_logps" in trained[0]:
        assert {"held_out_chosen_logps", "held_out_rejected_logps", "held_out_log_odds_ratio"} <= lines[0].keys()
    assert not [name for line in lines for name in line if "runtime" in name or "per_second" in name]


def test_nothing_is_held_out_of_sft_and_orpo_unless_asked_for(tmp_path: Path, base: str) -> None:
    made = run_sft(PROBLEMS, model=base, out=str(tmp_path / "m"), options=dataclasses.replace(OPTIONS, epochs=1))
    assert made["counts"] == {"rows": len(PROBLEMS)}
    assert not measured(tmp_path / "m")
    assert "held_out_loss" not in made["result"]


@RUNS
def test_measuring_changes_nothing_about_what_is_learnt(
    tmp_path: Path, base: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(OPTIONS, lora=True, lora_dropout=0.3, epochs=2)
    run(model=base, out=str(tmp_path / "watched"), options=options, held_out_share=SHARE)
    with monkeypatch.context() as patch:
        patch.setattr("stages.training.watch.Watch._ends_an_epoch", lambda *_: False)
        run(model=base, out=str(tmp_path / "alone"), options=options, held_out_share=SHARE)
    assert same(tmp_path / "watched", tmp_path / "alone")
    assert [line for line in history(tmp_path / "watched") if "loss" in line] == history(tmp_path / "alone")


def test_the_held_out_loss_of_sft_is_that_of_its_held_out_rows(tmp_path: Path, base: str) -> None:
    options = dataclasses.replace(OPTIONS, batch=len(PROBLEMS), epochs=1, dtype="float32")
    made = run_sft(PROBLEMS, model=base, out=str(tmp_path / "m"), options=options, held_out_share=SHARE)
    assert made["counts"] == {"rows": len(PROBLEMS) - len(HELD), "held-out rows": len(HELD)}
    model = load_weights(str(tmp_path / "m"), "AutoModelForCausalLM", "cpu", "float32").eval()
    tokenizer = load_tokenizer(str(tmp_path / "m"))
    card = json.loads((tmp_path / "m" / "sipf.json").read_text())
    prompter = make_prompter(tokenizer, task_of(HELD[0]).templates, "auto", card["template"])
    rows, _ = sft_rows(HELD, prompter, options.max_length)
    terms = []
    for row in rows:
        log_p = torch.log_softmax(model(torch.tensor([row["input_ids"]])).logits[0, :-1], -1)
        terms += [-log_p[i, label] for i, label in enumerate(row["labels"][1:]) if label != -100]
    assert made["result"]["held_out_loss"] == pytest.approx(torch.stack(terms).mean().item(), abs=1e-4)


def test_the_held_out_loss_of_a_reward_model_is_that_of_its_held_out_rows(tmp_path: Path, base: str) -> None:
    options = dataclasses.replace(OPTIONS, batch=2 * len(PROBLEMS), epochs=1, dtype="float32", template="plain")
    made = run_train_prm(PROBLEMS, model=base, out=str(tmp_path / "m"), options=options, held_out_share=SHARE)
    tokenizer = load_tokenizer(str(tmp_path / "m"))
    model = load_weights(str(tmp_path / "m"), "AutoModelForTokenClassification", "cpu", "float32", num_labels=2).eval()
    prompter = make_prompter(tokenizer, task_of(HELD[0]).templates, "plain", None)
    rows, _ = step_rows(HELD, prompter, LabelKind("hard"), options.max_length)
    batch = StepCollator(tokenizer.pad_token_id)(
        [{"input_ids": row.ids, "positions": row.positions, "targets": row.targets} for row in rows]
    )
    labels = batch.pop("labels")
    assert made["result"]["held_out_loss"] == pytest.approx(step_loss(model(**batch).logits, labels).item(), abs=1e-4)


def second_epoch_is_best(patch: pytest.MonkeyPatch) -> None:
    """Let the held-out loss look as if it fell up to the second epoch and rose from there."""
    original = BestWeights.consider

    def consider(self: BestWeights, trainer: Any, step: int, _: float) -> None:
        original(self, trainer, step, abs(trainer.state.epoch - 2))

    patch.setattr(BestWeights, "consider", consider)


@RUNS
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_the_best_weights_are_those_of_a_run_that_ends_there(
    tmp_path: Path, base: str, run: Run, lora: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_epoch_is_best(monkeypatch)
    options = dataclasses.replace(STEADY, epochs=3, lora=lora, keep="best")
    made = run(model=base, out=str(tmp_path / "best"), options=options, held_out_share=SHARE)
    assert made["result"]["kept_step"] == measured(tmp_path / "best")[1]["step"] < made["result"]["steps"]
    assert not (tmp_path / "best" / "best").exists()
    shorter = dataclasses.replace(STEADY, epochs=2, lora=lora)
    run(model=base, out=str(tmp_path / "short"), options=shorter, held_out_share=SHARE)
    assert same(tmp_path / "best", tmp_path / "short")


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_a_run_that_is_stopped_anywhere_remembers_the_best(
    tmp_path: Path, base: str, lora: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(STEADY, epochs=3, keep="best", lora=lora)
    second_epoch_is_best(monkeypatch)
    run_sft(PROBLEMS, model=base, out=str(tmp_path / "whole"), options=options, held_out_share=SHARE)
    updates = history(tmp_path / "whole")[-1]["steps"]
    for step in range(1, updates, 3):
        more = {**stop_after(step), "model": base, "options": options, "held_out_share": SHARE}
        with pytest.raises(Interrupted):
            run_sft(PROBLEMS, out=str(tmp_path / "torn"), **more)
    run_sft(PROBLEMS, model=base, out=str(tmp_path / "torn"), options=options, held_out_share=SHARE)
    assert same(tmp_path / "whole", tmp_path / "torn")
    assert history(tmp_path / "whole") == history(tmp_path / "torn")


@RUNS
def test_a_run_that_is_stopped_while_it_measures_measures_later(
    tmp_path: Path, base: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(STEADY, keep="best", batch=2, epochs=2)
    more: dict[str, Any] = {"model": base, "options": options, "held_out_share": SHARE}
    run(out=str(tmp_path / "whole"), **more)
    place = "stages.training.watch.Watch.on_prediction_step"
    for call in (1, 2, 5):  # in the first measurement, again as it is made up for, and in the next one
        flag = StopFlag()
        with monkeypatch.context() as patch:
            at(patch, place, partial(flag.request, signal.SIGTERM), call)
            with pytest.raises(Interrupted):
                run(out=str(tmp_path / "torn"), stop=flag, **more)
    run(out=str(tmp_path / "torn"), **more)
    assert same(tmp_path / "whole", tmp_path / "torn")
    assert history(tmp_path / "whole") == history(tmp_path / "torn")


def test_a_kill_while_the_best_weights_are_kept_leaves_nothing_that_counts(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dataclasses.replace(STEADY, keep="best", epochs=3, save_steps=100)
    more: dict[str, Any] = {"model": base, "options": options, "held_out_share": SHARE}
    run_sft(PROBLEMS, out=str(tmp_path / "whole"), **more)

    def killed() -> None:
        raise KeyboardInterrupt

    for place in ("stages.training.best.save_manifest", "stages.training.model_folder.ModelFolder.log"):
        with monkeypatch.context() as patch:
            at(patch, place, killed, 1 if "best" in place else 5)
            with pytest.raises(KeyboardInterrupt):
                run_sft(PROBLEMS, out=str(tmp_path / "torn"), **more)
    run_sft(PROBLEMS, out=str(tmp_path / "torn"), **more)
    assert same(tmp_path / "whole", tmp_path / "torn")
    assert history(tmp_path / "whole") == history(tmp_path / "torn")


@RUNS
def test_keeping_the_best_needs_something_to_measure_it_on(tmp_path: Path, base: str, run: Run) -> None:
    options = dataclasses.replace(OPTIONS, keep="best")
    with pytest.raises(UsageError, match="--keep best needs held-out problems") as caught:
        run(model=base, out=str(tmp_path / "m"), options=options, held_out_share=0)
    assert "--held-out" in caught.value.advice
    assert not list(tmp_path.iterdir())


def test_pairs_of_a_problem_are_held_out_together(tmp_path: Path, base: str) -> None:
    from stages.orpo import run_orpo
    from stages.training.pair_rows import problem_of

    pairs = [{**pair, "problem": f"p{i % 10}"} for i, pair in enumerate(PAIRS)]
    held = [pair for pair in pairs if held_out(pair["problem"], 42, SHARE)]
    made = run_orpo(
        pairs, model=base, out=str(tmp_path / "m"), options=dataclasses.replace(OPTIONS, epochs=1), held_out_share=SHARE
    )
    assert made["counts"]["held-out pairs"] == len(held)
    assert made["counts"]["pairs"] == len(pairs) - len(held)
    assert 0 < len(held) < len(pairs)
    assert problem_of({"prompt": "a", "chosen": "", "rejected": ""}) == "a"
    assert problem_of({"prompt": [{"role": "user", "content": "a"}]}) == '[{"role": "user", "content": "a"}]'


def test_the_loss_may_be_on_everything(tmp_path: Path, base: str) -> None:
    prompter = make_prompter(build_tokenizer(), {"plain": "Question: {question}\nAnswer:\n"})
    (row,), _ = sft_rows([labelled_problem(1)], prompter, 500, "all")
    (usual,), _ = sft_rows([labelled_problem(1)], prompter, 500)
    assert row["labels"] == row["input_ids"] == usual["input_ids"]
    assert -100 in usual["labels"]
    options = dataclasses.replace(OPTIONS, epochs=1)
    for loss in ("completion", "all"):
        run_sft(PROBLEMS, model=base, out=str(tmp_path / loss), options=options, loss=loss)
    assert not same(tmp_path / "completion", tmp_path / "all")
    with pytest.raises(UsageError, match="loss"):
        run_sft(PROBLEMS, model=base, out=str(tmp_path / "all"), options=options)


@pytest.mark.parametrize("tool", ["tensorboard", "wandb", "trackio"])
def test_a_tool_that_is_not_installed_is_named_before_anything_is_loaded(
    tmp_path: Path, base: str, tool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.runs.tracking.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=f"the package {tool} is not installed") as caught:
        run_sft(PROBLEMS, model=base, out=str(tmp_path / "m"), options=dataclasses.replace(OPTIONS, log_to=tool))
    assert caught.value.exit_code == 2
    assert f"pip install {tool}" in caught.value.advice
    assert not list(tmp_path.iterdir())


WRITER = """
import pathlib

class SummaryWriter:
    def __init__(self, log_dir):
        self.file = pathlib.Path(log_dir) / "events.txt"
        self.file.parent.mkdir(parents=True, exist_ok=True)

    def add_scalar(self, name, value, step):
        with self.file.open("a") as file:
            file.write(f"{step} {name} {value}\\n")

    def add_text(self, *_): ...
    def flush(self): ...
    def close(self): ...
"""


def test_tensorboard_gets_what_the_history_holds_and_its_files_come_with_the_model(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorboardX").mkdir()
    (tmp_path / "tensorboardX" / "__init__.py").write_text(WRITER)
    monkeypatch.syspath_prepend(tmp_path)
    options = dataclasses.replace(OPTIONS, epochs=1, log_to="tensorboard")
    run_sft(PROBLEMS, model=base, out=str(tmp_path / "m"), options=options, held_out_share=SHARE)
    lines = [line.split() for line in (tmp_path / "m" / "tensorboard" / "events.txt").read_text().splitlines()]
    told = {(int(step), name): float(value) for step, name, value in lines}
    for line in history(tmp_path / "m"):
        name = "loss" if "loss" in line else "held_out_loss"
        assert told[line["step"], {"loss": "train/loss", "held_out_loss": "eval/loss"}[name]] == line[name]
    plain = dataclasses.replace(options, log_to="none")
    again = run_sft(PROBLEMS, model=base, out=str(tmp_path / "m"), options=plain, held_out_share=SHARE)
    assert again["already complete"], "where it is logged to changes nothing about the model"
