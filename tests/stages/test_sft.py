"""SFT: the loss in chunks is TRL's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stages.models.loading import load_tokenizer
from stages.models.templates import make_prompter
from stages.settings.training import TrainSettings
from stages.sft import sft_trainer
from stages.training import token_scores
from stages.training.sft_rows import sft_rows
from tests.lines import labelled_problem
from tests.models import Family, build_model

PLAIN = {"plain": "Question: {question}\nAnswer:\n"}


@pytest.mark.parametrize(
    ("family", "loss", "more"),
    [("llama", "completion", {}), ("gemma2", "all", {}), ("llama", "all", {"lora": True, "packing": True})],
)
def test_loss_gradients_and_figures_are_those_of_trl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: Family, loss: str, more: dict[str, Any]
) -> None:
    from trl.trainer.sft_trainer import SFTTrainer

    monkeypatch.setattr(token_scores, "CHUNK", 1)
    monkeypatch.setattr(token_scores, "LEAST_TOKENS", 16)
    name = build_model(tmp_path / "m", family)
    tokenizer = load_tokenizer(name)
    problems = [labelled_problem(i) for i in (1, 40, 95, 990)]
    rows, _ = sft_rows(problems, make_prompter(tokenizer, PLAIN), 500, loss)
    options = TrainSettings(batch=4, device="cpu", dtype="float32", lora_dropout=0.0, **more)
    trainer = sft_trainer(rows, tokenizer, name, options, str(tmp_path / "c"))
    found = []
    whole = SFTTrainer.compute_loss
    monkeypatch.setattr(SFTTrainer, "compute_loss", None)  # ours must not lean on it
    for compute in (trainer.compute_loss, lambda *given, **how: whole(trainer, *given, **how)):
        trainer.model.zero_grad()
        batch = next(iter(trainer.get_train_dataloader()))
        value = compute(trainer.model, batch, num_items_in_batch=torch.tensor(77))
        value.backward()
        gradients = {n: w.grad.clone() for n, w in trainer.model.named_parameters() if w.grad is not None}
        found.append(
            (value.item(), gradients, {key: figures[-1] for key, figures in trainer._metrics["train"].items()})
        )
        trainer._total_train_tokens = 0
    (ours, learnt, figures), (theirs, expected, their_figures) = found
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)  # some processors sum in another order
    assert figures == pytest.approx(their_figures, abs=1e-5)
    assert learnt.keys() == expected.keys()
    for key, gradient in expected.items():
        assert torch.allclose(learnt[key], gradient, atol=1e-6), key
