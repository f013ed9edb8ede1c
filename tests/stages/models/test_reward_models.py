"""Reward models on backbones with and without a class of transformers' own, with and without the sigmoid."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from evals.errors import ModelError, UsageError
from stages.models.loading import quiet_libraries
from stages.scorers.hf import Scorer
from stages.scorers.opening import describe_scorer
from stages.settings.model import ScorerSettings
from stages.settings.training import TrainSettings
from stages.sft import run_sft
from stages.train_prm import run_train_prm
from stages.training.best import BestWeights
from stages.training.start import check_policy_start, check_reward_start
from tests.architectures import build
from tests.lines import labelled_problem

PROBLEMS = [labelled_problem(i) for i in range(4)]
PATHS = [(problem, path) for problem in PROBLEMS for path in problem.paths]
OPTIONS = TrainSettings(epochs=1, batch=4, lr=1e-2, warmup=0, device="cpu", dtype="float32", max_length=256)
LORA = dataclasses.replace(OPTIONS, lora=True, lora_dropout=0.0)
MERGED = dataclasses.replace(LORA, merge=True)


def train(model: str, out: Path, options: TrainSettings = OPTIONS, **more: Any) -> str:
    run_train_prm(PROBLEMS, model=model, out=str(out), options=options, held_out_share=0.2, **more)
    return str(out)


def scores(name: str) -> list[list[float]]:
    found = Scorer(name, ScorerSettings(device="cpu", dtype="float32")).score_paths(PATHS)
    assert None not in found
    return [steps or [] for steps in found]


def card(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(name) / "sipf.json").read_text())
    return found


def same(one: list[list[float]], other: list[list[float]]) -> bool:
    return all(a == pytest.approx(b, abs=1e-5) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def gemma3(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A backbone that transformers has no token-classification class for."""
    return build(tmp_path_factory.mktemp("gemma3"), "Gemma-3")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(tmp_path_factory.mktemp("llama"), "Llama")


@pytest.mark.parametrize(("backbone", "sigmoid"), [("llama", True), ("gemma3", False), ("gemma3", True)])
def test_full_adapter_and_merged_models_score_as_they_were_trained(
    tmp_path: Path, request: pytest.FixtureRequest, backbone: str, sigmoid: bool
) -> None:
    base: str = request.getfixturevalue(backbone)
    full = train(base, tmp_path / "full", sigmoid_head=sigmoid)
    adapter = train(base, tmp_path / "adapter", LORA, sigmoid_head=sigmoid)
    merged = train(base, tmp_path / "merged", MERGED, sigmoid_head=sigmoid)
    for name in (full, adapter, merged):
        made_by = {"llama": "transformers", "gemma3": "sipf"}[backbone]
        assert card(name)["head"] == {"class": made_by, "sigmoid": sigmoid}
        assert (card(name)["labels"], card(name)["outcome"]) == ("hard", False)
    assert same(scores(adapter), scores(merged))
    assert not same(scores(full), scores(merged))
    # the head on transformers' own backbone, read back without anything of this toolkit
    from transformers import AutoModel

    weights = load_file(Path(full) / "model.safetensors")
    alone = AutoModel.from_pretrained(full, dtype=torch.float32, attn_implementation="eager").eval()
    scorer = Scorer(full, ScorerSettings(device="cpu", dtype="float32"))
    for (problem, path), found in zip(PATHS, scores(full), strict=True):
        job: Any = scorer.job(problem, path)
        with torch.no_grad():
            hidden = alone(input_ids=torch.tensor([job.ids])).last_hidden_state[0, job.positions]
        hidden = hidden.sigmoid() if sigmoid else hidden
        logits = hidden @ weights["score.weight"].T + weights["score.bias"]
        assert found == pytest.approx(logits.softmax(-1)[:, 1].tolist(), abs=1e-5)


def test_a_folder_of_an_earlier_release_scores_as_before(tmp_path: Path, llama: str) -> None:
    name = train(llama, tmp_path / "prm")
    before = scores(name)
    told = card(name)
    del told["head"]
    (tmp_path / "prm" / "sipf.json").write_text(json.dumps(told))
    assert scores(name) == before
    assert "head" not in describe_scorer(name, ScorerSettings(device="cpu"))["trained_on"]


def test_a_reward_model_is_trained_on_with_the_head_it_has(tmp_path: Path, gemma3: str) -> None:
    first = train(gemma3, tmp_path / "first", LORA, sigmoid_head=True)
    again = train(first, tmp_path / "again", LORA, sigmoid_head=True)
    assert card(again)["head"] == card(first)["head"]
    with pytest.raises(UsageError, match="was trained with a sigmoid before its head") as caught:
        train(first, tmp_path / "other", LORA)
    assert caught.value.advice == "Add --sigmoid-head."


@pytest.mark.parametrize("options", [OPTIONS, LORA], ids=["full", "lora"])
def test_the_best_weights_of_a_head_of_our_own_are_those_of_a_run_that_ends_there(
    tmp_path: Path, gemma3: str, options: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = BestWeights.consider
    looks = {1.0: 2.0, 2.0: 1.0, 3.0: 3.0}
    monkeypatch.setattr(
        BestWeights, "consider", lambda self, of, step, _: original(self, of, step, looks[of.state.epoch])
    )
    steady = dataclasses.replace(options, schedule="constant")
    for name, more in (("best", {"epochs": 3, "keep": "best"}), ("short", {"epochs": 2}), ("last", {"epochs": 3})):
        how = dataclasses.replace(steady, **more)
        run_train_prm(PROBLEMS, model=gemma3, out=str(tmp_path / name), options=how, held_out_share=0.5)
    assert scores(str(tmp_path / "best")) == scores(str(tmp_path / "short")) != scores(str(tmp_path / "last"))


@pytest.mark.parametrize(("backbone", "sigmoid"), [("gemma3", False), ("llama", True)])
def test_vllm_refuses_a_head_that_it_does_not_know(
    tmp_path: Path, request: pytest.FixtureRequest, backbone: str, sigmoid: bool
) -> None:
    name = train(request.getfixturevalue(backbone), tmp_path / "prm", sigmoid_head=sigmoid)
    with pytest.raises(ModelError, match="vLLM cannot compute") as caught:
        describe_scorer(name, ScorerSettings(engine="vllm", device="cpu"))
    assert caught.value.advice == "Use --engine hf."


def test_what_cannot_be_trained_is_refused_before_anything_is_read(tmp_path: Path, llama: str) -> None:
    quiet_libraries()
    from transformers import T5Config

    T5Config(vocab_size=700, d_model=32, num_layers=2).save_pretrained(tmp_path)
    for run, said in ((run_sft, "no causal language model"), (run_train_prm, "there is no reward model on")):
        with pytest.raises(ModelError, match=said):
            run(PROBLEMS, model=str(tmp_path), out=str(tmp_path / "out"), options=OPTIONS)
    check_policy_start(llama, OPTIONS)
    check_reward_start(llama, OPTIONS, sigmoid=True)
