"""No file of a model's folder runs code, and nothing pickled in it is opened."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from evals.errors import ModelError
from stages.models.loading import load_policy, load_tokenizer, load_weights
from stages.models.reward import load_reward_model
from tests.code_that_runs import Mark, edit
from tests.models import build_model

AUTO_MAP = {
    "AutoConfig": "configuration_odd.Odd",
    "AutoModel": "modeling_odd.Odd",
    "AutoModelForCausalLM": "modeling_odd.Odd",
    "AutoModelForSequenceClassification": "modeling_odd.Odd",
    "AutoModelForTokenClassification": "modeling_odd.Odd",
    "AutoProcessor": "processing_odd.Odd",
    "AutoTokenizer": ["tokenization_odd.Odd", "tokenization_odd.Odd"],
}
PICKLED = (
    "pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "adapter_model.bin",
    "model.pt", "vocab.pkl", "tokenizer.pkl", "spiece.model.pkl",
)  # fmt: skip
LOADERS: dict[str, Callable[[str], Any]] = {
    "policy": load_policy,
    "tokenizer": load_tokenizer,
    "token classification": lambda name: load_weights(
        name, "AutoModelForTokenClassification", "cpu", "float32", fresh=("score",)
    ),
    "sequence classification": lambda name: load_weights(
        name, "AutoModelForSequenceClassification", "cpu", "float32", fresh=("score",)
    ),
    "reward model": lambda name: load_reward_model(name, "cpu", "float32", sigmoid=False, new_head=True),
}


@pytest.fixture
def mark(tmp_path: Path) -> Mark:
    return Mark(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, mark: Mark) -> Path:
    """A model whose folder is full of code, and of pickles that run some."""
    folder = Path(build_model(tmp_path / "m", "llama", chat=True))
    for name in ("configuration", "modeling", "tokenization", "processing", "image_processing"):
        (folder / f"{name}_odd.py").write_text(f"{mark.source}class Odd: pass\n")
    (folder / "custom_generate").mkdir()
    for place in (folder / "custom_generate", folder):
        (place / "generate.py").write_text(f"{mark.source}def generate(*a, **k): pass\n")
    for name in PICKLED:
        (folder / name).write_bytes(mark.pickled())
    for name in ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
        edit(folder / name, auto_map=AUTO_MAP)
    edit(folder / "generation_config.json", custom_generate="custom_generate")
    edit(folder / "pytorch_model.bin.index.json", weight_map={"lm_head.weight": "pytorch_model.bin"})
    return folder


def adapter(folder: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    loaded = load_policy(str(folder))
    made = folder.parent / "a"
    get_peft_model(loaded.model, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])).save_pretrained(made)
    edit(made / "adapter_config.json", base_model_name_or_path=str(folder))
    return made


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("kind", LOADERS)
def test_code_in_a_folder_does_not_run(
    folder: Path, mark: Mark, kind: str, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known model type is loaded as transformers knows it; an unknown one is refused, and nobody is asked."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    if not known:
        edit(folder / "config.json", model_type="odd")
        edit(folder / "tokenizer_config.json", tokenizer_class="Odd")
        with pytest.raises(ModelError) as caught:
            LOADERS[kind](str(folder))
        assert "--trust-remote-code" in caught.value.advice
    else:
        LOADERS[kind](str(folder))
    assert not mark.left


def test_code_in_a_folder_runs_where_it_is_trusted(folder: Path, mark: Mark) -> None:
    """So the mark of the other tests would be seen."""
    edit(folder / "config.json", model_type="odd")
    with pytest.raises(Exception):  # noqa: B017, PT011  # what an unfit class raises is the library's business
        load_policy(str(folder), trust_remote_code=True)
    assert mark.left


INDEX = "model.safetensors.index.json"
HOSTILE: dict[str, Callable[[Path], object]] = {
    "pickled weights alone": lambda folder: (folder / "model.safetensors").unlink(),
    "an index of pickled weights": lambda folder: (
        (folder / "model.safetensors").unlink(),
        edit(folder / INDEX, metadata={}, weight_map={"lm_head.weight": "pytorch_model.bin"}),
    ),
    "an index of another folder": lambda folder: (
        (folder / "model.safetensors").unlink(),
        edit(folder / INDEX, metadata={}, weight_map={"lm_head.weight": "../x/model.safetensors"}),
    ),
    "pickled weights by another name": lambda folder: os.replace(
        folder / "pytorch_model.bin", folder / "model.safetensors"
    ),
    "weights named by the configuration": lambda folder: (
        (folder / "model.safetensors").unlink(),
        edit(folder / "config.json", transformers_weights="pytorch_model.bin"),
    ),
    "attention from the hub": lambda folder: edit(folder / "config.json", attn_implementation="odd/attention"),
    "experts from the hub": lambda folder: edit(
        folder / "config.json", text_config={"experts_implementation": {"": "odd/experts@main"}}
    ),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_weights_that_are_no_safetensors_are_not_opened(
    folder: Path, mark: Mark, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(torch, "load", lambda *a, **k: opened.append(a))
    HOSTILE[how](folder)
    with pytest.raises(ModelError):
        load_policy(str(folder))
    assert not mark.left
    assert not opened


ADAPTERS: dict[str, Callable[[Path, Path], object]] = {
    "pickled weights": lambda made, folder: os.replace(
        folder / "adapter_model.bin", made / "adapter_model.bin"
    ) or (made / "adapter_model.safetensors").unlink(),
    "a module for Megatron": lambda made, folder: edit(
        made / "adapter_config.json", megatron_config={"a": 1}, megatron_core="modeling_odd"
    ),
    "a file to begin from": lambda made, folder: edit(
        made / "adapter_config.json", peft_type="MULTITASK_PROMPT_TUNING", num_virtual_tokens=1,
        prompt_tuning_init="EXACT_SOURCE_TASK", prompt_tuning_init_state_dict_path=str(folder / "model.pt"),
    ),
    "a kind that is a module": lambda made, folder: edit(made / "adapter_config.json", peft_type="modeling_odd.Odd"),
}  # fmt: skip


@pytest.mark.parametrize("how", ADAPTERS)
def test_an_adapter_opens_and_imports_nothing_else(
    folder: Path, mark: Mark, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = adapter(folder)
    opened: list[object] = []
    monkeypatch.setattr(torch, "load", lambda *a, **k: opened.append(a))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    ADAPTERS[how](made, folder)
    with pytest.raises(ModelError):
        load_policy(str(made))
    assert not mark.left
    assert not opened


def test_an_adapter_names_no_library_to_import(folder: Path, mark: Mark, monkeypatch: pytest.MonkeyPatch) -> None:
    made = adapter(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    auto = {"base_model_class": "Odd", "parent_library": "modeling_odd"}
    edit(made / "adapter_config.json", auto_mapping=auto, task_type=None)
    load_policy(str(made))
    assert not mark.left


def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.models.naming.snapshot", lambda *a, **k: pytest.fail("asked the hub"))
    for name in ("./m", "../m", "/m", "~/m", "a/b/c", "./owner/model"):
        with pytest.raises(ModelError, match="no model folder"):
            load_policy(name)


def test_a_configuration_that_is_no_object_is_one_line(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps([1]))
    with pytest.raises(ModelError):
        load_policy(str(folder))
