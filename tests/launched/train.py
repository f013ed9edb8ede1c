"""Runs the training commands of a plan one after another, as one process of a launch that imports the libraries once.

    accelerate launch --config_file examples/accelerate/ddp.yaml --num_processes 2 tests/launched/train.py plan.json

    {"as_on_gpus": false, "commands": [{"line": ["sft", "lines.jsonl", ...], "stop_after": null, "kill_after": null}]}

Each process writes the exit codes into codes.RANK.json, and before that its number into pid.RANK. A command whose
second process is killed is the last one, and the program ends with its exit code.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from sipf_cli.main import app
from stages.training.model_folder import ModelFolder

RANK = os.environ.get("RANK", "0")


def as_on_gpus() -> None:
    """Let accelerate shard on a CPU as it does on GPUs: it takes the processes for those of as many GPUs."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    from stages.training import run

    torch.distributed.init_process_group("gloo")
    run.check_launch = lambda options: None
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_XPU)
    PartialState.set_device = lambda self: setattr(self, "device", torch.device("cpu"))


def without_compiling() -> None:
    """DeepSpeed would compile an operator for processes on one CPU for a minute."""
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def run_command(line: list[str], stop_after: int | None, kill_after: int | None) -> int:
    """The exit code of `sipf LINE`. When the main process has logged `stop_after` updates, it is sent SIGTERM; when it
    has logged `kill_after`, the second process is killed."""
    log = ModelFolder.log

    def stopping(folder: ModelFolder, logged: dict[str, Any]) -> None:
        log(folder, logged)
        if logged["step"] == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        if logged["step"] == kill_after:
            os.kill(int(Path("pid.1").read_text()), signal.SIGKILL)

    ModelFolder.log = stopping
    sys.argv = ["sipf", *line]
    try:
        app(prog_name="sipf")
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        ModelFolder.log = log
    return 0


def forget() -> None:
    """What a process of its own would not know: the shards of the run before."""
    gc.collect()
    if "deepspeed" in sys.modules:
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def main() -> None:
    """Run the plan."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    if plan["as_on_gpus"]:
        as_on_gpus()
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        without_compiling()
    Path(f"pid.{RANK}").write_text(str(os.getpid()))
    codes = []
    for command in plan["commands"]:
        codes.append(run_command(**command))
        if command["kill_after"] is not None:
            os._exit(codes[-1])
        forget()
    Path(f"codes.{RANK}.json").write_text(json.dumps(codes))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the threads of the group outlive the interpreter


if __name__ == "__main__":
    main()
