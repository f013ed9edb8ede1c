"""DPO: the loss against a float64 reference, and that the reference is the model that training starts from."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import logsigmoid

from evals.errors import UsageError
from stages.dpo import DpoCollator, dpo_trainer, run_dpo
from stages.models.loading import load_tokenizer
from stages.models.templates import make_prompter
from stages.settings.training import DpoSettings, TrainSettings
from stages.training.pair_rows import pair_rows
from tests.lines import pair
from tests.models import Family, build_model

PLAIN = {"plain": "Question: {question}\nAnswer:\n"}
OPTIONS = {"batch": 4, "device": "cpu", "dtype": "float32"}
Rows = list[dict[str, list[int]]]


def rows_of(name: str) -> Rows:
    """Pairs of different lengths; the last one's first completion token is given as a prefix."""
    rows, _ = pair_rows([pair(i) for i in (1, 40, 95, 990)], make_prompter(load_tokenizer(name), PLAIN), 500)
    asked = len(rows[-1]["prompt_input_ids"])
    rows[-1]["chosen_labels"][asked] = rows[-1]["rejected_labels"][asked] = -100
    return rows


def log_p(model: Any, row: dict[str, list[int]], side: str) -> torch.Tensor:
    """Log-probabilities of the side's own tokens, as many as there are."""
    ids, labels = row[f"{side}_input_ids"], row[f"{side}_labels"]
    scores = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
    return torch.stack([scores[i - 1, ids[i]] for i, label in enumerate(labels) if label != -100])


def published(policy: Any, start: Any, rows: Rows, beta: float, weight: float) -> torch.Tensor:
    """Rafailov et al., equation 7, a mean over the pairs; and the chosen tokens' mean NLL, weighed."""
    losses, chosen = [], []
    for row in rows:
        with torch.no_grad():
            before = [log_p(start, row, side).sum() for side in ("chosen", "rejected")]
        good, bad = (log_p(policy, row, side) for side in ("chosen", "rejected"))
        losses.append(-logsigmoid(beta * ((good.sum() - before[0]) - (bad.sum() - before[1]))))
        chosen.append(good)
    return torch.stack(losses).mean() - weight * torch.cat(chosen).mean()


def moved(model: Any) -> None:
    """Change every trainable weight a little, so that policy and reference are two models."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.03 * torch.randn(weight.shape, generator=generator))


@pytest.mark.parametrize(
    ("family", "tied", "lora", "weight"),
    [("llama", False, False, 0.0), ("qwen2", True, False, 0.7), ("gemma2", True, True, 1.0)],
)
def test_loss_and_gradients_equal_a_float64_reference(
    tmp_path: Path, family: Family, tied: bool, lora: bool, weight: float
) -> None:
    name = build_model(tmp_path / "m", family, tied=tied)
    rows = rows_of(name)
    options = TrainSettings(**OPTIONS, lora=lora, lora_dropout=0.0)
    trainer = dpo_trainer(rows, load_tokenizer(name), name, options, str(tmp_path / "c"), beta=0.3, sft_weight=weight)
    start = copy.deepcopy(trainer.model).double()
    moved(trainer.model)
    exact = copy.deepcopy(trainer.model).double()
    for model in (start, exact):  # TRL computes its losses inside a forward of its own
        inner = model.get_base_model() if lora else model
        vars(inner).pop("forward", None)
    batch = next(iter(trainer.get_train_dataloader()))
    assert not batch["attention_mask"].all(), "the batch must have padding in it"
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    expected = published(exact, start, rows, 0.3, weight)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    learned = [(ours, theirs) for ours, theirs in zip(trainer.model.parameters(), exact.parameters(), strict=True)]
    assert any(ours.grad is not None and ours.grad.abs().max() > 1e-3 for ours, _ in learned)
    for ours, theirs in learned:
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            assert torch.allclose(ours.grad.double(), theirs.grad, atol=1e-5)


def test_before_the_first_update_policy_and_reference_are_one(tmp_path: Path) -> None:
    """Also where an adapter is trained on: the reference is that adapter, not its base; and dropout is off."""
    base = build_model(tmp_path / "base", "llama")
    options = TrainSettings(**OPTIONS, lora=True, lora_dropout=0.5, epochs=2, lr=0.05, logging_steps=1)
    pairs = [pair(i) for i in range(8)]
    first = run_dpo(pairs, model=base, out=str(tmp_path / "m1"), options=options)
    assert first["result"]["loss"] != pytest.approx(math.log(2), abs=0.05), "it has learned"
    name = str(tmp_path / "m1")
    rows = rows_of(name)
    trainer = dpo_trainer(rows, load_tokenizer(name), name, options, str(tmp_path / "c"), beta=0.3)
    assert list(trainer.model.peft_config) == ["default"]
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.eval()
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(math.log(2), abs=1e-6)
    assert not (tmp_path / "m1" / "ref").exists()


def test_the_collator_marks_the_tokens_that_are_the_models_own(tmp_path: Path) -> None:
    rows = rows_of(build_model(tmp_path / "m", "llama"))
    batch = DpoCollator(0)(rows)
    assert batch["input_ids"].shape == batch["completion_mask"].shape == batch["attention_mask"].shape
    for i, side in enumerate(("chosen", "rejected")):
        for j, row in enumerate(rows):
            at = i * len(rows) + j
            length = int(batch["attention_mask"][at].sum())
            assert batch["input_ids"][at, :length].tolist() == row[f"{side}_input_ids"]
            assert batch["completion_mask"][at, :length].tolist() == [label != -100 for label in row[f"{side}_labels"]]
            assert not batch["completion_mask"][at, length:].any()


def test_pairs_left_out_are_counted_and_held_out_ones_measured(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base", "llama")
    pairs = [*({**pair(i), "problem": f"p{i}"} for i in range(20)), {**pair(1), "rejected": pair(1)["chosen"]}]
    made = run_dpo(pairs, model=base, out=str(tmp_path / "m"), options=TrainSettings(**OPTIONS), held_out_share=0.3)
    assert made["counts"]["chosen equals rejected"] == 1
    assert made["counts"]["pairs"] + made["counts"]["held-out pairs"] == 20
    assert {"chosen_logps", "rejected_logps", "accuracy", "margin", "held_out_loss"} <= made["result"].keys()


@pytest.mark.parametrize("wrong", [{"beta": 0.0}, {"sft_weight": -1.0}, {"held_out": 1.0}, {"beta": math.inf}])
def test_weights_that_make_no_sense_are_usage_errors(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        DpoSettings(**wrong)  # type: ignore[arg-type]  # any of the fields
