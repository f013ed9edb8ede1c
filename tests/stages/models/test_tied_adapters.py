"""An adapter on one of two embeddings that share a matrix: merged, saved and loaded it does what it does in PEFT."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.engines.vllm.start import _plain_rank
from stages.models.loading import load_policy
from tests.models import build_model

IDS = torch.arange(5, 45)[None]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_model(tmp_path_factory.mktemp("tied") / "m", "llama", tied=True)


def adapter(base: str, folder: Path, how: dict[str, Any]) -> torch.Tensor:
    """Save an adapter; returns the logits of PEFT's own model with it."""
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of exactly this
        torch.manual_seed(0)
        config = LoraConfig(r=2, lora_alpha=8, task_type="CAUSAL_LM", init_lora_weights=False, **how)
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
        for name, weight in model.named_parameters():
            if "modules_to_save" in name or "delta" in name:
                weight.data.add_(0.1 * torch.randn_like(weight))
        model.save_pretrained(str(folder), save_embedding_layers=False)
        fresh = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(folder)).eval()
        with torch.no_grad():
            return fresh(IDS).logits


@pytest.mark.parametrize(
    ("how", "tied", "plain"),
    [
        ({"target_modules": ["lm_head"]}, False, False),
        ({"target_modules": ["embed_tokens"]}, False, False),
        ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, False, False),
        ({"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, True, False),
        ({"target_modules": ["q_proj"], "trainable_token_indices": [7, 8, 9]}, False, False),
        ({"target_modules": ["q_proj"]}, True, True),
    ],
    ids=["head", "input", "head saved whole", "both as one", "some tokens", "neither"],
)
def test_a_merged_adapter_is_the_model_that_peft_applies(
    tmp_path: Path, base: str, how: dict[str, Any], tied: bool, plain: bool
) -> None:
    from transformers import AutoModelForCausalLM

    wanted = adapter(base, tmp_path / "a", how)
    model = load_policy(str(tmp_path / "a"), "cpu", "float32").model
    model.save_pretrained(tmp_path / "merged")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        before = AutoModelForCausalLM.from_pretrained(base)(IDS).logits
        found, loaded = model(IDS).logits, again(IDS).logits
    assert (before - wanted).abs().max() > 1e-3, "the adapter changes something"
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(loaded, wanted, rtol=1e-4, atol=1e-4)
    assert json.loads((tmp_path / "merged" / "config.json").read_text())["tie_word_embeddings"] is tied
    assert (_plain_rank(str(tmp_path / "a")) is not None) is plain, "vLLM would leave an embedding's part out"
