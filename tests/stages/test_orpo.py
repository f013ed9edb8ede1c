"""ORPO: the loss against a float64 reference, and which pairs are trained on."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from evals.errors import DataError
from stages.models.loading import load_tokenizer
from stages.models.templates import make_prompter
from stages.orpo import orpo_rows, orpo_trainer, read_pairs
from stages.settings.training import TrainSettings
from tests.lines import pair
from tests.models import Family, build_model, build_tokenizer

PLAIN = {"plain": "Question: {question}\nAnswer:\n"}


def reference(model: Any, rows: list[dict[str, list[int]]], beta: float) -> torch.Tensor:
    """L = NLL(prompt + chosen, mean over the batch's tokens) - beta * mean log sigmoid(log odds ratio), in float64."""

    def log_p(ids: list[int]) -> torch.Tensor:
        logits = model(torch.tensor([ids])).logits[0, :-1]
        return torch.log_softmax(logits, -1)[range(len(ids) - 1), ids[1:]]

    def log_odds(row: dict[str, list[int]], side: str) -> torch.Tensor:
        asked = len(row["prompt_input_ids"])
        mean = log_p(row[f"{side}_input_ids"])[asked - 1 :].mean()
        return mean - torch.log(1 - torch.exp(mean))

    nll = -torch.cat([log_p(row["chosen_input_ids"]) for row in rows]).mean()
    ratios = torch.stack([log_odds(row, "chosen") - log_odds(row, "rejected") for row in rows])
    return nll - beta * torch.nn.functional.logsigmoid(ratios).mean()


@pytest.mark.parametrize(("family", "tied"), [("llama", False), ("qwen2", True), ("gemma2", True)])
def test_loss_and_gradients_equal_a_float64_reference(tmp_path: Path, family: Family, tied: bool) -> None:
    name = build_model(tmp_path / "m", family, tied=tied)
    tokenizer = load_tokenizer(name)
    rows, _ = orpo_rows([pair(i) for i in (1, 40, 95, 990)], make_prompter(tokenizer, PLAIN), 500)
    options = TrainSettings(batch=4, device="cpu", dtype="float32")
    trainer = orpo_trainer(rows, tokenizer, name, options, str(tmp_path / "c"), beta=0.3)
    exact = copy.deepcopy(trainer.model).double()
    batch = next(iter(trainer.get_train_dataloader()))
    assert not batch["chosen_attention_mask"].all(), "the batch must have padding in it"
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    expected = reference(exact, rows, beta=0.3)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    for (name_, ours), theirs in zip(trainer.model.named_parameters(), exact.parameters(), strict=True):
        assert ours.grad is not None, name_
        assert torch.allclose(ours.grad.double(), theirs.grad, atol=1e-5), name_


def test_pairs_that_teach_nothing_or_do_not_fit_are_counted_by_reason() -> None:
    prompter = make_prompter(build_tokenizer(), PLAIN)
    good = pair(1)
    lines = [
        good,
        {**good, "chosen": " \n"},
        {**good, "rejected": good["chosen"]},
        {**good, "question": "word " * 200},
        {**good, "rejected": "1+1=2\n" * 100},
    ]
    rows, counts = orpo_rows(lines, prompter, max_length=400, max_prompt_length=200)
    assert len(rows) == 1
    assert counts == {
        "pairs": 1,
        "empty completion": 1,
        "chosen equals rejected": 1,
        "prompt too long": 1,
        "too long": 1,
    }


def test_a_completion_ends_with_eos_unless_it_was_cut_off() -> None:
    tokenizer = build_tokenizer()
    (row,), _ = orpo_rows([{**pair(1), "rejected_finish": "length"}], make_prompter(tokenizer, PLAIN), 500)
    assert row["chosen_input_ids"][-1] == tokenizer.eos_token_id
    assert row["rejected_input_ids"][-1] != tokenizer.eos_token_id


def test_pairs_from_elsewhere_bring_their_prompt_as_text_or_messages() -> None:
    tokenizer = build_tokenizer(chat=True)
    prompter = make_prompter(tokenizer, PLAIN)
    ask = [{"role": "user", "content": "How many?"}]
    lines = [
        {"prompt": "How many?\n", "chosen": "72", "rejected": "8"},
        {"prompt": ask, "chosen": [{"role": "assistant", "content": "72"}], "rejected": "8"},
    ]
    rows, _ = orpo_rows(lines, prompter, 500)
    shown = [tokenizer.decode(row["chosen_input_ids"]) for row in rows]
    assert shown == ["<bos>How many?\n72<eos>", "<bos><|user|>\nHow many?\n<|assistant|>\n72<eos>"]


@pytest.mark.parametrize(("field", "value"), [("chosen", 3), ("rejected", None), ("prompt", 7), ("prompt", "")])
def test_a_field_that_is_no_text_is_named_with_its_line(field: str, value: Any) -> None:
    line = {"prompt": "How many?\n", "chosen": "72", "rejected": "8", field: value}
    with pytest.raises(DataError, match=f"line 1: {field}: "):
        orpo_rows([line], make_prompter(build_tokenizer(), PLAIN), 500)


def test_bad_lines_of_pairs_are_reported_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    lines = [json.dumps(pair(1)), "{", "[1]", '{"chosen": "a", "rejected": "b"}', '{"prompt": "p", "chosen": 1}']
    lines.append(json.dumps({**pair(2), "task": "cooking"}))
    file.write_text("\n".join(lines) + "\n")
    rows, bad = read_pairs(str(file))
    assert rows == [pair(1)]
    said = [str(error).removeprefix(str(file)) for error in bad]
    starts = [":2: not a line of JSON", ":3: a line must be", ":4: prompt: ", ":5: chosen: ", ":6: task: "]
    assert len(said) == len(starts)
    assert all(line.startswith(start) for line, start in zip(said, starts, strict=True)), said
    with pytest.raises(DataError, match=":2: "):
        read_pairs(str(file), strict=True)
