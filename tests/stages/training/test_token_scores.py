"""Log-probabilities in chunks: those of the logits, whatever an architecture does to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.models.loading import load_weights, quiet_libraries
from stages.training import token_scores
from stages.training.targets import IGNORED
from stages.training.token_scores import score_tokens
from tests.architectures import CONFIGS, configure
from tests.models import build_model

IDS = torch.tensor([[1, 40, 41, 300, 5, 2], [1, 77, 250, 2, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
TARGETS = torch.tensor([[1, IGNORED, 41, 300, 5, 2], [IGNORED, IGNORED, 250, 2, IGNORED, IGNORED]])
# Configuration class, and what of it changes the logits.
MORE = {
    "Cohere": ("CohereConfig", {"logit_scale": 0.25, "pad_token_id": 0}),
    "Granite": ("GraniteConfig", {"logits_scaling": 4.0, "pad_token_id": 0}),
    "GPT-2": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
}


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_scores, "CHUNK", 1)
    monkeypatch.setattr(token_scores, "LEAST_TOKENS", 2)


def tiny(name: str) -> Any:
    quiet_libraries()
    import transformers

    if name in MORE:
        kind, own = MORE[name]
        config = getattr(transformers, kind)(**{"vocab_size": 700, "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, **own})  # fmt: skip
    else:
        config = configure(name)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model.eval() if name == "GPT-OSS" else model.double().eval()  # its experts have no product of float64


def scored(model: Any, use: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What `use` gives, and its gradients when each number counts differently."""
    model.zero_grad()
    values = use()
    (values * torch.arange(1.0, values.numel() + 1).view_as(values)).sum().backward()
    learnt = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    return values.detach(), learnt


def of_logits(model: Any) -> torch.Tensor:
    logits = model(input_ids=IDS, attention_mask=MASK).logits[:, :-1]
    found = torch.log_softmax(logits, -1).gather(-1, TARGETS[:, 1:, None].clamp(min=0))[..., 0]
    return torch.nn.functional.pad(found.masked_fill(TARGETS[:, 1:] == IGNORED, 0.0), (1, 0))


def assert_scores_are_right(model: Any) -> None:
    expected, theirs = scored(model, lambda: of_logits(model))
    found, ours = scored(model, lambda: model(input_ids=IDS, attention_mask=MASK, targets=TARGETS).log_probs)
    assert torch.allclose(found, expected, atol=1e-6), "architectures round to float32 in between"
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert torch.allclose(ours[name], gradient, atol=1e-5 * (1 + gradient.abs().max())), name


@pytest.mark.parametrize("name", [*CONFIGS, *MORE])
def test_scores_and_gradients_are_those_of_the_logits_of_every_architecture(name: str) -> None:
    model = tiny(name)
    assert score_tokens(model)
    assert_scores_are_right(model)


def test_an_output_layer_with_an_adapter_is_used_with_it(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model = tiny("Llama")
    model = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj", "lm_head"], init_lora_weights=False))
    assert not score_tokens(model)
    assert_scores_are_right(model.double())


def test_an_architecture_that_does_something_unknown_to_its_logits_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("Llama")
    whole = type(model).forward

    def sharper(self: Any, *given: Any, **more: Any) -> Any:
        out = whole(self, *given, **more)
        out.logits = out.logits * 1.01
        return out

    monkeypatch.setattr(type(model), "forward", sharper)
    assert not score_tokens(model)
    assert_scores_are_right(model)


def test_a_router_loss_that_the_configuration_asks_for_is_the_models_own() -> None:
    model = tiny("GPT-OSS")
    model.config.output_router_logits = True
    assert not score_tokens(model)
    scores = model(input_ids=IDS, attention_mask=MASK, targets=TARGETS)
    own = model(input_ids=IDS, attention_mask=MASK, output_router_logits=True)
    assert float(own.aux_loss.detach()) > 0
    assert float(scores.aux_loss.detach()) == pytest.approx(float(own.aux_loss.detach()))


def test_a_batch_without_any_target_gives_gradients_of_zero() -> None:
    model = tiny("Llama")
    score_tokens(model)
    nothing = torch.full_like(TARGETS, IGNORED)
    _, learnt = scored(model, lambda: model(input_ids=IDS, attention_mask=MASK, targets=nothing).log_probs)
    assert learnt.keys() == dict(model.named_parameters()).keys(), "several processes wait for each gradient"
    assert not any(gradient.any() for gradient in learnt.values())


def test_bfloat16_is_rounded_where_the_output_layer_rounds(tmp_path: Path) -> None:
    model = load_weights(build_model(tmp_path / "m", "gemma2", tied=True), "AutoModelForCausalLM", "cpu", "float32")
    score_tokens(model)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(input_ids=IDS, attention_mask=MASK, targets=TARGETS).log_probs
        expected = of_logits(model)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected.float(), atol=0.05)
    exact = model(input_ids=IDS, attention_mask=MASK, targets=TARGETS).log_probs
    assert not torch.equal(found, exact), "it was not computed in bfloat16"


def test_figures_are_those_of_the_logits() -> None:
    model, named = tiny("Gemma-2"), ("mean_logits", "entropy", "top1")
    score_tokens(model, named)
    logits = model(input_ids=IDS, attention_mask=MASK).logits.detach()
    targets = TARGETS.clone()
    targets[0, 2] = logits[0, 1].argmax()
    scores = model(input_ids=IDS, attention_mask=MASK, targets=targets)
    log_p, wanted = torch.log_softmax(logits[:, :-1], -1), targets[:, 1:] != IGNORED
    expected = {
        "mean_logits": logits[:, :-1].mean(-1),
        "entropy": -(log_p.exp() * log_p).sum(-1),
        "top1": (logits[:, :-1].argmax(-1) == targets[:, 1:]).double(),
    }
    assert scores.top1.sum() >= 1
    for name in named:
        assert torch.allclose(scores[name][:, 1:], expected[name].masked_fill(~wanted, 0.0), atol=1e-6), name
    assert not any(scores[name].requires_grad for name in named)


def test_a_copy_of_a_model_computes_with_its_own_weights() -> None:
    import copy

    model = tiny("Llama")
    score_tokens(model)
    other = copy.deepcopy(model)
    before = other(input_ids=IDS, attention_mask=MASK, targets=TARGETS).log_probs
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert torch.equal(other(input_ids=IDS, attention_mask=MASK, targets=TARGETS).log_probs, before)
    assert of_logits(other).any()
