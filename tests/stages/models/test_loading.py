"""Finding, loading and naming models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from evals.errors import ModelError
from stages.models.loading import load_policy, load_tokenizer
from stages.models.naming import model_fingerprint
from tests.models import build_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_model(tmp_path / "m", "llama")
    return tmp_path / "m"


def test_a_policy_loads_with_tokenizer_device_and_fingerprint(folder: Path) -> None:
    loaded = load_policy(str(folder), device="cpu")
    assert (loaded.device, loaded.dtype, loaded.template_recorded) == ("cpu", "float32", None)
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id, "no token is added to pad with"
    assert not loaded.model.training
    assert loaded.model.get_input_embeddings().num_embeddings == len(loaded.tokenizer)


def test_a_missing_folder_is_one_line_with_advice(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model folder") as caught:
        load_policy(str(tmp_path / "nowhere"))
    assert caught.value.advice


def test_pickled_weights_are_not_read(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError) as caught:
        load_policy(str(folder))
    assert "safetensors" in caught.value.advice


def test_weights_that_are_missing_are_never_made_up(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="would be random"):
        load_policy(str(folder))


def test_torn_weights_and_a_missing_configuration_are_model_errors(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="cannot load"):
        load_policy(str(folder))
    (folder / "model.safetensors").write_bytes(whole)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError) as caught:
        load_policy(str(folder))
    assert "config.json" in caught.value.advice


def test_a_tokenizer_without_end_of_text_is_refused(folder: Path) -> None:
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    del config["eos_token"]
    file.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="no EOS"):
        load_tokenizer(str(folder))


def test_four_bit_says_what_is_missing(folder: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(ModelError, match="bitsandbytes"):
        load_policy(str(folder), load_in_4bit=True)


def test_the_fingerprint_follows_weights_and_tokenizer_and_nothing_else(folder: Path) -> None:
    before = model_fingerprint(str(folder))
    (folder / "history.jsonl").write_text("{}\n")
    assert model_fingerprint(str(folder)) == before
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][0, 0] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    changed = model_fingerprint(str(folder))
    (folder / "tokenizer_config.json").write_text("{}")
    assert len({before, changed, model_fingerprint(str(folder))}) == 3
