"""The joined decode step against the model's own code, and which models it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.cache_utils import DynamicCache

from stages.engines.hf.opening import describe
from stages.engines.hf.slots import SlotCache
from stages.engines.hf.steps import JoinedStep, ModelStep, Step, can_be_joined, step_of
from stages.models.architectures import company_matters, read_config
from stages.models.loading import load_policy
from stages.settings.model import EngineSettings
from tests.architectures import CONFIGS, build

PLAIN: dict[str, dict[str, Any]] = {"Mistral": {"sliding_window": None}}
WITH_BIAS = {"attention_bias": True, "mlp_bias": True}
SCALED = {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
                              "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}  # fmt: skip
SHARED = {"num_key_value_heads": 1}
EVERY = {"num_key_value_heads": 4}
JOINED: list[tuple[str, dict[str, Any]]] = [
    ("Llama", {}), ("Llama", WITH_BIAS), ("Llama", SCALED), ("Llama", SHARED), ("Llama", EVERY),
    ("Llama", {"tie_word_embeddings": True}), ("Mistral", PLAIN["Mistral"]), ("Qwen2", {}), ("Qwen3", {}),
    ("Gemma", {}), ("Gemma", SHARED),
]  # fmt: skip
LENGTHS = (5, 1, 9)
"""Tokens of each row's prefix."""


def model_of(folder: Path, name: str, dtype: str = "float32", **more: Any) -> Any:
    return load_policy(build(folder, name, **more), "cpu", dtype).model.eval()


@torch.inference_mode()
def written(model: Any, step: Step, tokens: int = 6) -> torch.Tensor:
    """Logits of several steps of rows that stand at different columns, (tokens, rows, vocabulary)."""
    cache, generator = SlotCache(model.config.num_hidden_layers), torch.Generator().manual_seed(1)
    prefix = torch.randint(3, 700, (len(LENGTHS), max(LENGTHS)), generator=generator)
    computed = DynamicCache()
    model(prefix, past_key_values=computed, use_cache=True)
    cache.allocate(computed, len(LENGTHS) + 2, max(LENGTHS) + tokens + 3)
    cache.fill([0, 1, 2], computed, [0, 1, 2])
    position, found = torch.tensor(LENGTHS), []
    for _ in range(tokens):
        last = torch.randint(3, 700, (len(LENGTHS),), generator=generator)
        found.append(step(last, position, int(position.max()) + 1, cache))
        position = position + 1
    return torch.stack(found)


@pytest.mark.parametrize(("name", "more"), JOINED)
def test_the_joined_step_computes_what_the_models_own_code_does(
    tmp_path: Path, name: str, more: dict[str, Any]
) -> None:
    model = model_of(tmp_path, name, **more)
    expected = written(model, ModelStep(model))
    joined = step_of(model)
    assert isinstance(joined, JoinedStep)
    found = written(model, joined)
    assert float((found - expected).abs().max() / expected.std()) < 1e-5
    assert float((found - expected.roll(1, 1)).abs().max() / expected.std()) > 0.1, "the test must be able to fail"
    torch.testing.assert_close(written(model, ModelStep(model)), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["Llama", "Qwen3", "Gemma"])
def test_half_precision_is_as_close_to_full_as_the_models_own_code(tmp_path: Path, name: str) -> None:
    whole = model_of(tmp_path / "float32", name)
    expected = written(whole, ModelStep(whole))
    half = model_of(tmp_path / "bfloat16", name, "bfloat16")
    theirs, ours = (written(half, step).float() for step in (ModelStep(half), step_of(half)))
    assert (ours - expected).abs().mean() < 1.2 * (theirs - expected).abs().mean()


@pytest.mark.parametrize(
    ("name", "more"),
    [("Mistral", {}), *[(name, {}) for name in CONFIGS if name not in ("Llama", "Mistral", "Qwen2", "Qwen3", "Gemma")]],
)
def test_other_architectures_go_through_their_own_code(tmp_path: Path, name: str, more: dict[str, Any]) -> None:
    assert isinstance(step_of(model_of(tmp_path, name, **more)), ModelStep)


def test_rotary_positions_that_depend_on_the_length_go_through_the_models_own_code(tmp_path: Path) -> None:
    dynamic = {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}
    assert not can_be_joined(model_of(tmp_path, "Llama", **dynamic))


@pytest.mark.parametrize(
    ("name", "more", "matters"),
    [
        ("Llama", {}, False), ("Llama", SCALED, False), ("Gemma-3 with images", {}, False), ("GPT-OSS", {}, True),
        ("Llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, True),
    ],
)  # fmt: skip
def test_experts_and_positions_that_follow_the_longest_text_depend_on_company(
    tmp_path: Path, name: str, more: dict[str, Any], matters: bool
) -> None:
    model = build(tmp_path, name, **more)
    assert company_matters(read_config(model)) is matters
    told = describe(EngineSettings(model=model, device="cpu", dtype="float32"))["same whatever the batch"]
    assert told == ("not guaranteed" if matters else "yes")


def test_layers_with_more_than_their_weights_go_through_the_models_own_code(tmp_path: Path) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model = model_of(tmp_path, "Llama")
    assert can_be_joined(model)
    inject_adapter_in_model(LoraConfig(target_modules=["v_proj"]), model)
    assert not can_be_joined(model)


def test_what_is_joined_takes_no_more_memory_and_is_saved_as_it_was(tmp_path: Path) -> None:
    model = model_of(tmp_path, "Qwen2")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    step = step_of(model)
    assert isinstance(step, JoinedStep)
    layer = model.model.layers[1]
    for parts in (
        (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj),
        (layer.mlp.gate_proj, layer.mlp.up_proj),
    ):
        stores = {part.weight.untyped_storage().data_ptr() for part in parts}
        assert len(stores) == 1, "one tensor for all"
        assert parts[0].weight.untyped_storage().nbytes() == sum(part.weight.nbytes for part in parts)
    model.save_pretrained(tmp_path / "saved")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").state_dict()
    assert saved.keys() == before.keys()
    assert all(torch.equal(saved[name], before[name]) for name in before)
