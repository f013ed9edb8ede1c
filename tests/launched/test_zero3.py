"""`accelerate launch` with `examples/accelerate/zero3.yaml`, DeepSpeed's ZeRO-3: `make test-deepspeed`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.launched.plans import (
    CONFIGURATIONS,
    DRIVER,
    ROOT,
    TRAINERS,
    assert_learnt_alike,
    assert_same_weights,
    command,
    exit_codes,
    write_plan,
)
from tests.sipf_cli.commands import environment


def test_zero3_learns_what_one_process_does_and_resumes(here: Path) -> None:
    plan = write_plan(
        here,
        [
            *(command(name, 4, f"two-{name}") for name in TRAINERS),
            command("sft", 4, "again", stop_after=10),
            command("sft", 4, "again"),
            command("sft", 4, "merged", "--lora", "--merge", "--epochs", "1"),
            command("sft", 4, "rounded", "--dtype", "bfloat16"),
        ],
    )
    line = ["bash", str(CONFIGURATIONS / "train.sh"), "zero3", "2", "--script", str(DRIVER), plan]
    path = os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])
    done = subprocess.run(line, cwd=here, env=environment(PYTHONPATH=path), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        assert exit_codes(here, rank) == [0, 0, 0, 0, 75, 0, 0, 2], done.stderr
    for name in TRAINERS:
        assert_learnt_alike(here / f"one-{name}", here / f"two-{name}", "DeepSpeed ZeRO-3")
    assert_same_weights(here / "two-sft", here / "again")
    assert (here / "merged" / "model.safetensors").is_file()
    assert "sipf: DeepSpeed does not compute in bfloat16 on a CPU\n" in done.stderr
