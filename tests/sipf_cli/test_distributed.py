"""Training by several processes, as `accelerate launch` and `torchrun` start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.lines import labelled_problem
from tests.models import build_model
from tests.small_disk import fill_then_enlarge

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone")


@pytest.mark.parametrize(("command", "lines", "updates"), [("sft", 19, 3), ("train-prm", 11, 3)])
def test_two_processes_train_what_one_does_and_one_of_them_speaks(
    tmp_path: Path, command: str, lines: int, updates: int
) -> None:
    """The last step may have rows for a part of the processes, or for one of them alone (19 lines)."""
    base = build_model(tmp_path / "base", "llama")
    (tmp_path / "lines.jsonl").write_text("".join(f"{labelled_problem(i).to_json()}\n" for i in range(lines)))
    how = ["--epochs", "1", "--lr", "1e-3", "--device", "cpu", "--dtype", "float32", "--json", "-m", base]
    how += ["--held-out", "0"] if command == "train-prm" else []
    told = []
    for name, launch, batch in (("one", (), "8"), ("two", LAUNCH, "4")):
        done = subprocess.run(
            [sys.executable, *launch, "-m", "sipf_cli", command, "lines.jsonl", "--batch", batch, *how, "-o", name],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr.count(f"{updates}/{updates} updates") == 1
        told.append(json.loads(done.stdout))
    assert told[0]["counts"] == told[1]["counts"]
    assert told[1]["result"]["loss"] == pytest.approx(told[0]["result"]["loss"], rel=1e-4)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(one[key], two[key], atol=1e-6) for key in one)


def test_a_full_disk_ends_every_process_and_the_same_command_resumes(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base", "llama")
    (tmp_path / "lines.jsonl").write_text("".join(f"{labelled_problem(i).to_json()}\n" for i in range(16)))
    how = ("--epochs", "1", "--batch", "4", "--device", "cpu", "--dtype", "float32", "-o", "small/model")
    line = [sys.executable, *LAUNCH, "-m", "sipf_cli", "sft", "lines.jsonl", "-m", base, *how]
    told = fill_then_enlarge(
        tmp_path / "small", 512, line, {**os.environ, "PYTHONPATH": str(ROOT)}, output="model", seconds=120
    )
    code, said = told.full
    assert code != 0
    assert "No space left on device" in said
    assert "exitcode  : 75" in said
    assert "stages/training" not in said, "no process shows a traceback but the launcher"
    assert told.again[0] == 0, told.again[1]
    assert json.loads((told.kept / "manifest.json").read_text())["result"]["steps"] == 2
