"""Adapters as people bring them: with tokens of their own, beside their base, with a base that has moved; and GGUF."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from evals.errors import ModelError, UsageError
from stages.models.loading import load_policy
from stages.models.naming import (
    adapter_base,
    at_commit,
    is_adapter,
    is_hub_name,
    model_fingerprint,
    named_base,
    resolve,
    with_base,
)
from tests.models import build_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: `tied` and `untied`."""
    folder = tmp_path_factory.mktemp("bases")
    for name in ("tied", "untied"):
        build_model(folder / name, "llama", tied=name == "tied")
    return folder


def adapter(base: Path, folder: Path, added: int = 0, **how: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Save an adapter, trained with so many added tokens; returns some ids, and the logits of PEFT's own model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    rows = model.get_input_embeddings().weight.shape[0]
    if added:
        tokenizer.add_tokens([f"<t{i}>" for i in range(added)])
        model.resize_token_embeddings(rows + added)
    wrapped = get_peft_model(
        model, LoraConfig(r=2, lora_alpha=8, task_type="CAUSAL_LM", init_lora_weights=False, **how)
    ).eval()
    for name, weight in wrapped.named_parameters():
        if "modules_to_save" in name:
            weight.data.add_(0.1 * torch.randn_like(weight))
    wrapped.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    ids = torch.tensor([[5, 6, 7, rows - 1 + added, 8]])
    with torch.no_grad():
        return ids, wrapped(ids).logits


@pytest.mark.filterwarnings("ignore")  # PEFT warns of tied embeddings, and of the size
@pytest.mark.parametrize(
    ("base", "how"),
    [
        ("untied", {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}),
        ("untied", {"target_modules": ["q_proj", "embed_tokens", "lm_head"]}),
        ("untied", {"target_modules": ["q_proj"]}),  # PEFT saves resized embeddings unasked
        ("tied", {"target_modules": ["q_proj"]}),
    ],
    ids=["saved whole", "with weights of their own", "saved unasked", "tied"],
)
def test_an_adapter_with_added_tokens_is_the_model_that_was_trained(
    tmp_path: Path, models: Path, base: str, how: dict[str, Any]
) -> None:
    ids, wanted = adapter(models / base, tmp_path / "a", added=3, **how)
    loaded = load_policy(str(tmp_path / "a"), "cpu", "float32")
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(ids).logits, wanted, rtol=1e-4, atol=1e-4)
    assert loaded.model.config.vocab_size == wanted.shape[-1]


def named(folder: Path, base: str) -> None:
    """Write another base into an adapter's configuration."""
    config = folder / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"base_model_name_or_path": base}))


@pytest.mark.parametrize(
    ("place", "base"),
    [
        ("a", "../m"), ("a", "./m"), ("a", "/gone/models/m"), ("m/a", "/gone/other"), ("m", "/gone/m"), ("m", "."),
    ],
    ids=["relative", "relative to its parent", "moved, beside", "inside", "in the same folder", "itself"],
)  # fmt: skip
def test_a_base_beside_its_adapter_is_found(tmp_path: Path, models: Path, place: str, base: str) -> None:
    shutil.copytree(models / "untied", tmp_path / "m")
    ids, wanted = adapter(models / "untied", tmp_path / place, target_modules=["q_proj"])
    named(tmp_path / place, base if base != "." else str(tmp_path / "m"))
    name = str(tmp_path / place)
    assert not is_adapter(adapter_base(name))
    assert model_fingerprint(name) == model_fingerprint(name)
    with torch.no_grad():
        torch.testing.assert_close(load_policy(name, "cpu", "float32").model(ids).logits, wanted, rtol=1e-4, atol=1e-4)


def test_an_adapter_on_a_base_whose_folder_holds_another_adapter_is_put_on_the_base_alone(
    tmp_path: Path, models: Path
) -> None:
    shutil.copytree(models / "untied", tmp_path / "m")
    adapter(models / "untied", tmp_path / "m", target_modules=["k_proj"])
    ids, wanted = adapter(models / "untied", tmp_path / "a", target_modules=["q_proj"])
    named(tmp_path / "a", str(tmp_path / "m"))
    name = str(tmp_path / "a")
    assert named_base(name) == str(tmp_path / "m"), "what an adapter trained on it names"
    with torch.no_grad():
        torch.testing.assert_close(load_policy(name, "cpu", "float32").model(ids).logits, wanted, rtol=1e-4, atol=1e-4)


def test_a_base_that_is_gone_is_named_by_base(tmp_path: Path, models: Path) -> None:
    adapter(models / "untied", tmp_path / "a", target_modules=["q_proj"])
    named(tmp_path / "a", "/gone/far/away")
    name = str(tmp_path / "a")
    with pytest.raises(ModelError, match="/gone/far/away is not there") as caught:
        model_fingerprint(name)
    assert "--base" in caught.value.advice
    first, second = (with_base(name, str(models / base)) for base in ("untied", "tied"))
    assert adapter_base(first) == str(models / "untied")
    assert is_adapter(first)
    assert not is_hub_name(first)
    assert at_commit(first) == first
    assert model_fingerprint(first) != model_fingerprint(second)
    assert load_policy(first, "cpu", "float32").name == first


def test_base_is_for_adapters(models: Path) -> None:
    with pytest.raises(UsageError, match="is no adapter"):
        with_base(str(models / "tied"), str(models / "untied"))


@pytest.mark.parametrize("file", [True, False])
def test_gguf_is_refused_with_the_conversion_named(tmp_path: Path, file: bool) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="GGUF") as caught:
        resolve(str(tmp_path / "m.gguf" if file else tmp_path))
    assert "gguf_file" in caught.value.advice
