"""ORPO: the loss against a float64 reference, and which pairs are trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from evals.errors import DataError, UsageError
from stages.models.loading import load_tokenizer
from stages.models.templates import make_prompter
from stages.orpo import orpo_trainer, run_orpo
from stages.settings.training import OrpoSettings, TrainSettings
from stages.training import token_scores
from stages.training.pair_rows import pair_rows, read_pairs
from tests.lines import pair
from tests.models import Family, build_model, build_tokenizer

PLAIN = {"plain": "Question: {question}\nAnswer:\n"}


def reference(model: Any, rows: list[dict[str, list[int]]], beta: float) -> torch.Tensor:
    """L = NLL(prompt + chosen, mean over the tokens) - beta * mean log sigmoid(log odds ratio), row by row."""

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


def rows_of(name: str, numbers: tuple[int, ...] = (1, 40, 95, 990)) -> list[dict[str, list[int]]]:
    return pair_rows([pair(i) for i in numbers], make_prompter(load_tokenizer(name), PLAIN), 500)[0]


def exact_trainer(name: str, rows: list[dict[str, list[int]]], **how: Any) -> Any:
    """Our trainer, in float64; options by name, the loss's own among them."""
    own = {key: how.pop(key) for key in ("beta", "sft_weight", "nll") if key in how}
    options = TrainSettings(device="cpu", dtype="float32", **{"batch": 4, **how})
    trainer = orpo_trainer(rows, load_tokenizer(name), name, options, f"{name}-trained", **{"beta": 0.3, **own})
    trainer.model.double()
    return trainer


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def step(trainer: Any) -> tuple[float, dict[str, float]]:
    """Loss of the first step, its gradients left in the model, and what is logged of it."""
    trainer.model.zero_grad()
    batch = next(iter(trainer.get_train_dataloader()))
    counts = trainer.get_batch_samples(iter([batch]), 1, batch["labels"].device)[1]
    loss = trainer.compute_loss(trainer.model, batch, num_items_in_batch=counts)
    loss.backward()
    logs: dict[str, float] = {"loss": 0.0}
    trainer.log(logs)
    return loss.item(), logs


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_scores, "CHUNK", 1)
    monkeypatch.setattr(token_scores, "LEAST_TOKENS", 16)


@pytest.fixture
def all_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL rounds to float32 in between. (So do the models' norms, but alike where both sides compute the same rows.)"""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


@pytest.mark.parametrize(("family", "tied"), [("llama", False), ("qwen2", True), ("gemma2", True)])
def test_loss_and_gradients_equal_a_float64_reference(tmp_path: Path, family: Family, tied: bool) -> None:
    name = build_model(tmp_path / "m", family, tied=tied)
    rows = rows_of(name)
    trainer = exact_trainer(name, rows)
    loss, _ = step(trainer)
    learnt = {name: grad.clone() for name, grad in gradients(trainer.model).items()}
    trainer.model.zero_grad()
    expected = reference(trainer.model, rows, beta=0.3)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-7)
    assert learnt.keys() == dict(trainer.model.named_parameters()).keys()
    for name_, theirs in gradients(trainer.model).items():
        assert torch.allclose(learnt[name_], theirs, atol=1e-6), name_


@pytest.mark.parametrize(("family", "lora", "shared", "close"), [
    ("llama", False, False, 1e-10), ("gemma2", True, False, 1e-10), ("llama", False, True, 1e-7),
    ("gemma2", True, True, 1e-7),
])  # fmt: skip
@pytest.mark.usefixtures("all_in_float64")
def test_loss_gradients_and_figures_are_those_of_trl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: Family, lora: bool, shared: bool, close: float
) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from datasets import Dataset
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    class Theirs(ORPOTrainer):  # type: ignore[misc]  # TRL is untyped
        @staticmethod
        def tokenize_row(feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
            return {"prompt_input_ids": feature["prompt_input_ids"]}

    name = build_model(tmp_path / "m", family)
    rows = rows_of(name)
    trainer = exact_trainer(name, rows, lora=lora, lora_dropout=0.0)
    assert trainer.data_collator.shared
    trainer.data_collator = replace(trainer.data_collator, shared=shared)
    loss, logs = step(trainer)
    learnt = {name: grad.clone() for name, grad in gradients(trainer.model).items()}
    trainer.model.zero_grad()
    text = {"prompt": "", "chosen": "", "rejected": ""}
    how = {"beta": 0.3, "max_length": 500, "use_cpu": True, "report_to": "none", "bf16": False}
    theirs = Theirs(
        model=trainer.model,
        args=ORPOConfig(output_dir=str(tmp_path / "theirs"), **how),
        train_dataset=Dataset.from_list([{**text, **row} for row in rows]),
        processing_class=load_tokenizer(name),
    )
    batch = theirs.data_collator([theirs.train_dataset[i] for i in range(len(rows))])
    assert not batch["chosen_attention_mask"].all(), "the batch must have padding in it"
    expected, figures = theirs.get_batch_loss_metrics(trainer.model, batch)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=close)
    assert gradients(trainer.model).keys() == learnt.keys()
    for name_, grad in gradients(trainer.model).items():
        assert torch.allclose(learnt[name_], grad, atol=close), name_
    assert figures.keys() <= logs.keys()
    same = {key: value for key, value in figures.items() if not key.startswith("logits/")}  # padding is in theirs
    assert {key: logs[key] for key in same} == pytest.approx(same, abs=1e-6)


def learnt_of(name: str, rows: list[dict[str, list[int]]], **how: Any) -> tuple[float, dict[str, torch.Tensor]]:
    trainer = exact_trainer(name, rows, **how)
    loss, _ = step(trainer)
    return loss, gradients(trainer.model)


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)


def test_the_terms_of_the_loss_are_weighed_as_asked(tmp_path: Path) -> None:
    name = build_model(tmp_path / "m", "llama")
    rows = rows_of(name)
    both, odds, nll = (
        learnt_of(name, rows, beta=beta, sft_weight=weight) for beta, weight in ((0.3, 2.0), (0.3, 0.0), (0.0, 1.0))
    )
    assert both[0] == pytest.approx(odds[0] + 2 * nll[0])
    assert same(both[1], {key: odds[1][key] + 2 * nll[1][key] for key in both[1]})
    assert odds[0] > 0


@pytest.mark.parametrize("nll", ["completion", "all"])
def test_with_a_beta_of_0_it_is_sft_on_the_chosen_text(tmp_path: Path, nll: Any) -> None:
    name = build_model(tmp_path / "m", "llama")
    rows = rows_of(name)
    loss, learnt = learnt_of(name, rows, beta=0.0, nll=nll)
    other = learnt_of(name, [{**row, "rejected_labels": [*row["rejected_labels"][:-1], -100]} for row in rows],
                      beta=0.0, nll=nll)  # fmt: skip
    assert same(learnt, other[1]), "the rejected text must not matter"
    model = exact_trainer(name, rows).model
    losses = []
    for row in rows:
        logits = model(torch.tensor([row["chosen_input_ids"]])).logits[0, :-1]
        targets = torch.tensor(row["chosen_labels" if nll == "completion" else "chosen_input_ids"][1:])
        losses.append(torch.nn.functional.cross_entropy(logits, targets, reduction="none")[targets != -100])
    expected = torch.cat(losses).mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-7)
    assert same(learnt, gradients(model))


def test_an_infinite_ratio_is_no_matter_with_a_beta_of_0_and_finite_without() -> None:
    from stages.training.odds_ratio import _log_odds

    certain = torch.tensor([0.0, -1e-9, -200.0], requires_grad=True)
    odds = _log_odds(certain)
    odds.sum().backward()
    assert certain.grad is not None
    assert torch.isfinite(odds).all()
    assert torch.isfinite(certain.grad).all()


@pytest.mark.parametrize("nll", ["completion", "all"])
def test_a_prefix_is_context_and_is_not_learnt(tmp_path: Path, nll: Any) -> None:
    name = build_model(tmp_path / "m", "llama")
    tokenizer = load_tokenizer(name)
    prompter = make_prompter(tokenizer, PLAIN)
    line = {**pair(1), "chosen": "1+1=2\n4+5=9\nThe answer is 9", "rejected": "1+1=2\n4+5=8\nThe answer is 8"}
    (plain,), _ = pair_rows([line], prompter, 500)
    fork = {**line, **{side: line[side].removeprefix("1+1=2\n") for side in ("chosen", "rejected")}}
    (row,), counts = pair_rows([{**fork, "prefix": "1+1=2\n"}], prompter, 500)
    assert counts["pairs"] == 1
    labels = ("chosen_labels", "rejected_labels")
    assert {key: value for key, value in row.items() if key not in labels} == {
        key: value for key, value in plain.items() if key not in labels
    }
    for side, text in (("chosen", "4+5=9\nThe answer is 9<eos>"), ("rejected", "4+5=8\nThe answer is 8<eos>")):
        assert tokenizer.decode([label for label in row[f"{side}_labels"] if label != -100]) == text
    trainer = exact_trainer(name, [row], nll=nll)
    step(trainer)
    batch = next(iter(trainer.get_train_dataloader()))
    seen = batch["input_ids"].flatten()[batch["nll"][0]].tolist()
    asked = "" if nll == "completion" else tokenizer.decode(row["prompt_input_ids"][1:])
    assert tokenizer.decode(seen) == f"{asked}4+5=9\nThe answer is 9<eos>"


def test_a_prefix_that_is_no_text_is_named_with_its_line(tmp_path: Path) -> None:
    line, said = {**pair(1), "prefix": 3}, "prefix: must be text"
    with pytest.raises(DataError, match=f"line 1: {said}"):
        pair_rows([line], make_prompter(build_tokenizer(), PLAIN), 500)
    (tmp_path / "pairs.jsonl").write_text(f"{json.dumps(pair(1))}\n{json.dumps(line)}\n")
    assert f":2: {said}" in str(read_pairs(str(tmp_path / "pairs.jsonl"))[1][0])


def test_a_completion_with_nothing_behind_its_prefix_is_counted_as_empty() -> None:
    line = {**pair(1), "chosen": "4+5=9", "rejected": "\n", "prefix": "1+1=2\n"}
    assert pair_rows([line], make_prompter(build_tokenizer(), PLAIN), 500)[1] == {"pairs": 0, "empty completion": 1}


def test_terms_that_weigh_nothing_are_a_usage_error() -> None:
    for wrong in ({"beta": 0.0, "sft_weight": 0.0}, {"sft_weight": -1.0}, {"sft_weight": float("inf")}):
        with pytest.raises(UsageError):
            OrpoSettings(**wrong)


def test_only_what_differs_from_the_default_is_part_of_a_runs_identity(tmp_path: Path) -> None:
    name = build_model(tmp_path / "m", "llama")
    options = TrainSettings(epochs=1, batch=4, device="cpu", dtype="float32")
    pairs = [pair(i) for i in range(4)]
    plain = run_orpo(pairs, model=name, out=str(tmp_path / "plain"), options=options)
    assert {"sft_weight", "nll"}.isdisjoint(plain["identity"]["options"])
    other = run_orpo(pairs, model=name, out=str(tmp_path / "other"), options=options, nll="completion", sft_weight=0.5)
    assert {"sft_weight": 0.5, "nll": "completion"}.items() <= other["identity"]["options"].items()


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
    rows, counts = pair_rows(lines, prompter, max_length=400, max_prompt_length=200)
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
    (row,), _ = pair_rows([{**pair(1), "rejected_finish": "length"}], make_prompter(tokenizer, PLAIN), 500)
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
    rows, _ = pair_rows(lines, prompter, 500)
    shown = [tokenizer.decode(row["chosen_input_ids"]) for row in rows]
    assert shown == ["<bos>How many?\n72<eos>", "<bos><|user|>\nHow many?\n<|assistant|>\n72<eos>"]


@pytest.mark.parametrize(("field", "value"), [("chosen", 3), ("rejected", None), ("prompt", 7), ("prompt", "")])
def test_a_field_that_is_no_text_is_named_with_its_line(field: str, value: Any) -> None:
    line = {"prompt": "How many?\n", "chosen": "72", "rejected": "8", field: value}
    with pytest.raises(DataError, match=f"line 1: {field}: "):
        pair_rows([line], make_prompter(build_tokenizer(), PLAIN), 500)


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
