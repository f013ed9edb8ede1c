"""What the tests of launches share: the commands that are trained, and what each must come to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.lines import labelled_problem, pair
from tests.models import build_model
from tests.sipf_cli.commands import read

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATIONS = ROOT / "examples" / "accelerate"
DRIVER = ROOT / "tests" / "launched" / "train.py"
COMMON = ["--lr", "1e-3", "--logging-steps", "1", "--device", "cpu", "--dtype", "float32"]
TRAINERS = {
    "sft": ["sft", "lines.jsonl", "-m", "base", "--epochs", "7"],
    "train-prm": ["train-prm", "lines.jsonl", "-m", "base", "--held-out", "0.3", "--epochs", "7"],
    "orpo": ["orpo", "pairs.jsonl", "--model", "base", "--epochs", "7"],
    "dpo": ["dpo", "even.jsonl", "--model", "base", "--epochs", "10"],
}
"""At least 20 updates each; of 19 rows, so that the last batches are uneven, except for TRL's DPO: it takes the mean of
each batch, and accelerate fills the last one up with rows that were read before."""


def write_inputs(folder: Path) -> None:
    """A small model, problems and pairs of different lengths."""
    build_model(folder / "base", "llama")
    (folder / "lines.jsonl").write_text("".join(f"{labelled_problem(i).to_json()}\n" for i in range(19)))
    pairs = [pair(i) for i in range(19)]
    for number, one in enumerate(pairs):
        one["chosen"] = "1+1=2\n" * (number % 5) + one["chosen"]
    for name, some in (("pairs", pairs), ("even", pairs[:16])):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in some))


def command(
    name: str, batch: int, out: str, *more: str, stop_after: int | None = None, kill_after: int | None = None
) -> dict[str, Any]:
    """One entry of a plan: a trainer, or "sft" with further options."""
    line = [*TRAINERS[name], *COMMON, "--batch", str(batch), *more, "-o", out]
    return {"line": line, "stop_after": stop_after, "kill_after": kill_after}


def write_plan(folder: Path, commands: Iterable[dict[str, Any]], *, as_on_gpus: bool = False) -> str:
    """The plan's file, inside `folder`."""
    (folder / "plan.json").write_text(json.dumps({"as_on_gpus": as_on_gpus, "commands": list(commands)}))
    return "plan.json"


def exit_codes(folder: Path, rank: int = 0) -> list[int]:
    codes: list[int] = json.loads((folder / f"codes.{rank}.json").read_text())
    return codes


def manifest(model: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((model / "manifest.json").read_text())
    return found


def assert_learnt_alike(one: Path, several: Path, wrapper: str) -> None:
    """Both runs had the same losses in every update; the second had two processes, wrapped in this."""
    made = manifest(several)
    assert (made["processes"], made["wrapped in"]) == (2, wrapper)
    assert "wrapped in" not in manifest(one)
    losses, others = (
        [line["loss"] for line in read(model / "history.jsonl") if "loss" in line] for model in (one, several)
    )
    assert len(losses) >= 20
    assert others == pytest.approx(losses, rel=1e-5, abs=1e-5)
    assert_same_weights(one, several, 1e-5)
    if "eval" in made:
        assert made["eval"] == pytest.approx(manifest(one)["eval"], abs=1e-4)


def assert_same_weights(one: Path, other: Path, tolerance: float = 0.0) -> None:
    weights, others = (load_file(model / "model.safetensors") for model in (one, other))
    assert weights.keys() == others.keys()
    assert all(torch.allclose(weights[name], others[name], rtol=0, atol=tolerance) for name in weights)
