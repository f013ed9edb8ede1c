"""Training by several processes, as `accelerate launch` and `torchrun` start them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.models import build_model

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from stages.sft import run_sft
from stages.training import TrainOptions
from tests.lines import labelled_problem

options = TrainOptions(epochs=1, batch=int(sys.argv[2]), lr=1e-3, device="cpu", dtype="float32", logging_steps=1)
problems = [labelled_problem(i) for i in range(16)]
run_sft(problems, model=sys.argv[3], out=sys.argv[4], options=options, log=lambda line: print(line["step"]))
"""


def test_two_processes_train_what_one_does_and_one_of_them_speaks(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base", "llama")
    (tmp_path / "train.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    spoken = []
    for name, start, batch in (("one", [sys.executable], "8"), ("two", launch, "4")):
        command = [*start, str(tmp_path / "train.py"), str(ROOT), batch, base, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        spoken.append(done.stdout.split())
    assert spoken == [["1", "2"], ["1", "2"]]
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(one[key], two[key], atol=1e-6) for key in one)
