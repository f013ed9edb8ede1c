"""The published settings from `data` to `eval`, as they are but for 4-bit weights, bfloat16 and the amounts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sipf_cli.presets import PRESETS
from tests.models import build_model
from tests.sipf_cli.commands import SCRIPTED, read, write

HERE = ("--device", "cpu", "--dtype", "float32")
TRAINED = ("--no-load-in-4bit", *HERE, "--epochs", 1)
LIMITS = ("--check-cpu", 0.5, "--check-wall", 5)
PROGRAM = {
    "prompt": "Write total(xs), the sum of the numbers of a list.",
    "tests": ["assert total([1, 2]) == 3", "assert total([]) == 0"],
    "entry_point": "total",
    "solution": "def total(xs):\n    result = 0\n    for x in xs:\n        result = result + x\n    return result",
}


def manifest(file: Path) -> dict[str, Any]:
    beside = file / "manifest.json" if file.is_dir() else Path(f"{file}.manifest.json")
    found: dict[str, Any] = json.loads(beside.read_text())
    return found


def same(options: dict[str, Any], wanted: dict[str, Any], but: set[str]) -> None:
    """Every published setting has arrived, but those that the test turned down."""
    assert {name: options.get(name) for name in wanted.keys() - but} == {
        name: value for name, value in wanted.items() if name not in but
    }


def models_as_published(folder: Path, preset: str) -> None:
    """M0 is a whole model, from which the reward model's adapter begins; that and the policy's are adapters."""
    for command, name in (("sft", "m0"), ("train-prm", "prm"), ("orpo", "m1")):
        wanted = PRESETS[preset][command]
        options = manifest(folder / name)["options"]
        same(options, wanted, {"load_in_4bit", "dtype", "epochs", "beta", "max_prompt_length"})
        assert manifest(folder / name)["result"]["steps"] > 0
        assert (folder / name / "adapter_config.json").is_file() == (not wanted.get("merge", False))
    rank = {name: json.loads((folder / name / "adapter_config.json").read_text())["r"] for name in ("prm", "m1")}
    assert rank == {"prm": 16, "m1": 256}


def test_paper_runs_from_data_to_eval(tmp_path: Path, inside: Any, one_thread: None) -> None:
    paper = ("--preset", "paper")
    inside("data", "chain", "--split", "train", "-n", 12, "--seed", 3, "-o", "train.jsonl")
    inside("sft", "train.jsonl", "-m", "chain-base", *paper, *TRAINED, "-o", "m0")
    inside("sample", "train.jsonl", "-m", "m0", *paper, *HERE, "-n", 8, "--max-draws", 16, "-o", "paths.jsonl")
    inside("simulate", "paths.jsonl", "-m", "m0", *paper, *HERE, "--k", 2, "-o", "labels.jsonl")
    inside("train-prm", "labels.jsonl", "-m", "m0", *paper, *TRAINED, "-o", "prm")
    inside("score", "labels.jsonl", "-m", "prm", *HERE, "-o", "scored.jsonl")
    inside("pairs", "scored.jsonl", *paper, "--eta", 0, "-o", "pairs.jsonl")
    inside("orpo", "pairs.jsonl", "-m", "chain-base", *paper, *TRAINED, "-o", "m1")
    inside("eval", "train.jsonl", "-m", "m1", *paper, *HERE, "--max-tokens", 48, "-o", "eval.jsonl")

    models_as_published(tmp_path, "paper")
    sampled = manifest(tmp_path / "paths.jsonl")
    same(sampled["options"], PRESETS["paper"]["sample"], {"n", "max_draws"})
    assert sampled["options"]["time_cap"] is None
    assert "--time-cap" not in str(sampled["facts"]), "nothing depends on a clock"
    same(manifest(tmp_path / "labels.jsonl")["options"], PRESETS["paper"]["simulate"], {"k"})
    same(manifest(tmp_path / "eval.jsonl")["options"], PRESETS["paper"]["eval"], {"max_tokens"})
    assert len(read(tmp_path / "pairs.jsonl")) > 0
    assert all("paper" in path["match"] for line in read(tmp_path / "eval.jsonl") for path in line["paths"])


def test_paper_code_runs_from_data_to_eval(tmp_path: Path, inside: Any, one_thread: None) -> None:
    """The writer is scripted, so that right programs are among the wrong; what is trained is a tiny model."""
    base = build_model(tmp_path / "base", "llama")
    paper, writer = ("--preset", "paper-code"), (*SCRIPTED, *LIMITS)
    write(tmp_path / "own.jsonl", [PROGRAM] * 6)
    inside("data", "code", "--path", "own.jsonl", "-o", "train.jsonl")
    inside("sft", "train.jsonl", "-m", base, *paper, *TRAINED, "-o", "m0")
    inside("sample", "train.jsonl", *paper, *writer, "-n", 6, "--max-draws", 6, "-o", "paths.jsonl")
    inside("simulate", "paths.jsonl", *paper, *writer, "--k", 2, "-o", "labels.jsonl")
    inside("train-prm", "labels.jsonl", "-m", "m0", *paper, *TRAINED, "-o", "prm")
    inside("score", "labels.jsonl", "-m", "prm", *HERE, "-o", "scored.jsonl")
    inside("pairs", "scored.jsonl", *paper, "--eta", 0, "--any", "-o", "pairs.jsonl")
    inside("orpo", "pairs.jsonl", "-m", base, *paper, *TRAINED, "-o", "m1")
    inside("eval", "train.jsonl", "-m", "m1", *paper, *HERE, *LIMITS, "--max-tokens", 8, "-o", "eval.jsonl")

    models_as_published(tmp_path, "paper-code")
    same(manifest(tmp_path / "paths.jsonl")["options"], PRESETS["paper-code"]["sample"], {"n", "max_draws"})
    same(manifest(tmp_path / "labels.jsonl")["options"], PRESETS["paper-code"]["simulate"], {"k"})
    assert all(path["outcome"] for line in read(tmp_path / "eval.jsonl") for path in line["paths"])


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_looks_at_a_clock_and_prompts_are_as_long_as_published(preset: str) -> None:
    assert not [table for table in PRESETS[preset].values() if "time_cap" in table]
    assert PRESETS[preset]["orpo"]["max_prompt_length"] == 300
    assert set(PRESETS[preset]) == {"sft", "sample", "simulate", "train-prm", "score", "pairs", "orpo", "dpo", "eval"}


def test_an_adapter_of_another_kind_is_refused_with_a_way_that_works(tmp_path: Path, inside: Any) -> None:
    inside("data", "chain", "--split", "train", "-n", 4, "-o", "train.jsonl")
    inside("sample", "train.jsonl", *SCRIPTED, "-n", 2, "-o", "paths.jsonl")
    inside("simulate", "paths.jsonl", *SCRIPTED, "--k", 1, "-o", "labels.jsonl")
    lora = ("--lora", "--lora-r", 2, *TRAINED)
    inside("sft", "train.jsonl", "-m", "chain-base", *lora, "-o", "adapter")
    prm = ("train-prm", "labels.jsonl", "-m", "adapter", "--lora", *HERE, "--epochs", 1)
    for out, more in enumerate((("--load-in-4bit",), ("--load-in-4bit", "--merge"))):
        said = inside(*prm, *more, "-o", out, code=2).stderr
        assert "cannot be merged into 4-bit weights" in said
        assert "train it with --merge" in said
    assert "Add --merge" in inside(*prm, "-o", "x", code=2).stderr
    inside(*prm, "--merge", "--no-load-in-4bit", "-o", "prm")
    assert (tmp_path / "prm" / "model.safetensors").is_file(), "what the advice says works"
