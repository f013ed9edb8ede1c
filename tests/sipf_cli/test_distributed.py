"""Training by several processes, as `accelerate launch` and `torchrun` start them.

What they compute is tested on processes that are given a launcher's variables; the last test has the launcher itself.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.lines import labelled_problem, pair
from tests.models import build_model
from tests.sipf_cli.commands import PROGRAM, end, environment
from tests.sipf_cli.warm import begin, warm_program
from tests.small_disk import fill_then_enlarge

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone")


def begin_together(
    folder: Path, processes: int, line: list[str], *, alike: bool = True
) -> list[subprocess.Popen[bytes]]:
    """Start a command line by so many processes of one group; see `together`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    running = []
    for rank in range(processes):
        own = group | {"RANK": rank, "LOCAL_RANK": rank} if processes > 1 else {}
        env = environment(PYTHONPATH=str(ROOT), **{name: str(value) for name, value in own.items()})
        how: dict[str, Any] = {"cwd": folder, "env": env, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if alike or rank == 0:
            running.append(begin(line, **how))
        else:
            running.append(subprocess.Popen([*PROGRAM, *line[1:]], **how))
    return running


def together(folder: Path, processes: int, line: list[str], *, alike: bool = True) -> tuple[str, str]:
    """Run a command line by so many processes of one group: what the first of them printed, and what all said.

    Args:
        alike: forks of one process, which have texts in the same order in their sets; else only the first is.
    """
    running = begin_together(folder, processes, line, alike=alike)
    try:
        told = [[text.decode() for text in process.communicate(timeout=120)] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [process.returncode for process in running] == [0] * processes, told
    assert not any(out for out, _ in told[1:])
    return told[0][0], "".join(said for _, said in told)


@pytest.mark.parametrize(("command", "lines", "updates"), [("sft", 19, 3), ("train-prm", 16, 3)])
def test_two_processes_train_what_one_does_and_one_of_them_speaks(
    tmp_path: Path, command: str, lines: int, updates: int
) -> None:
    """The last step may have rows for a part of the processes, or for one of them alone (19 lines)."""
    base = build_model(tmp_path / "base", "llama")
    (tmp_path / "lines.jsonl").write_text("".join(f"{labelled_problem(i).to_json()}\n" for i in range(lines)))
    how = ["--epochs", "1", "--lr", "1e-3", "--device", "cpu", "--dtype", "float32", "--json", "-m", base]
    how += ["--held-out", "0.3"] if command == "train-prm" else []
    told = []
    for name, processes, batch in (("one", 1, "8"), ("two", 2, "4")):
        line = ["sipf", command, "lines.jsonl", "--batch", batch, *how, "-o", name]
        out, said = together(tmp_path, processes, line, alike=command != "sft")
        assert said.count(f"{updates}/{updates} updates") == 1
        told.append(json.loads(out))
    assert told[0]["counts"] == told[1]["counts"]
    assert told[1]["result"]["loss"] == pytest.approx(told[0]["result"]["loss"], rel=1e-4)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(one[key], two[key], atol=1e-6) for key in one)
    if command == "train-prm":
        measured = told[0]["eval"]
        assert measured["paths"] > 2
        assert told[1]["eval"] == pytest.approx(measured, abs=1e-4)


MEASURE = """
import json, sys
import torch
from accelerate import PartialState
from stages.models.reward import load_reward_model
from stages.train_prm import evaluate
from stages.training.step_rows import StepRow

state = PartialState(cpu=True)
rows = [StepRow(str(i), list(range(3, 9 + 7 * i)), [4, 5], [1.0, float(i % 2)]) for i in range(7)]
torch.manual_seed(0)
model = load_reward_model(sys.argv[1], "cpu", "float32", sigmoid=False, new_head=True)
if state.num_processes > 1:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (2,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert all(weight.to_local().numel() < weight.numel() for weight in model.parameters())
figures = evaluate(model, rows, 0, batch_tokens=32)
print(json.dumps(figures)) if state.is_main_process else None
"""


def test_a_sharded_reward_model_is_measured_by_all_processes_together(tmp_path: Path) -> None:
    """One process alone would wait for the others' weights for ever. The seven batches are not shared evenly."""
    base = build_model(tmp_path / "base", "llama")
    (tmp_path / "measure.py").write_text(MEASURE)
    told = [json.loads(together(tmp_path, processes, ["measure.py", base])[0]) for processes in (1, 2)]
    assert told[0] == pytest.approx(told[1], abs=1e-6)


STOP_AFTER = """
import os, signal, sys
from evals.errors import Interrupted
from evals.records import Problem
from stages.files.interrupts import StopFlag
from stages.settings.training import TrainSettings
from stages.sft import run_sft

base, out, accumulation, last = sys.argv[1:]
problems = [Problem.model_validate_json(line) for line in open("lines.jsonl")]
options = TrainSettings(epochs=3, batch=2, accumulation=int(accumulation), lr=1e-3, logging_steps=1, device="cpu")
flag = StopFlag()
log = lambda line: flag.request(signal.SIGTERM) if line["step"] == int(last) else None
told = "done"
try:
    run_sft(problems, model=base, out=out, options=options, stop=flag, log=log)
except Interrupted as error:
    told = str(error)
print(told) if os.environ["RANK"] == "0" else None
"""


@pytest.mark.parametrize(("accumulation", "total", "stops"), [(1, 15, (7, 11)), (2, 9, (4,))])
def test_two_processes_that_resume_in_the_middle_of_an_epoch_read_that_epochs_order(
    tmp_path: Path, accumulation: int, total: int, stops: tuple[int, ...]
) -> None:
    """Three epochs of five updates (or of three, the last of them one batch), stopped in the second and the third."""
    base = build_model(tmp_path / "base", "llama")
    (tmp_path / "lines.jsonl").write_text("".join(f"{labelled_problem(i).to_json()}\n" for i in range(20)))
    (tmp_path / "stop.py").write_text(STOP_AFTER)
    for name, ends in (("whole", [0]), ("resumed", [*stops, 0])):
        for last in ends:
            out, _ = together(tmp_path, 2, ["stop.py", base, name, str(accumulation), str(last)])
            assert out == ("stopped by SIGTERM\n" if last else "done\n")
            if last:  # the flag is looked at before a step is logged
                assert (tmp_path / f"{name}.part" / "checkpoints" / f"checkpoint-{last + 1}" / "complete").is_file()
    assert json.loads((tmp_path / "resumed" / "manifest.json").read_text())["result"]["steps"] == total
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "resumed"))
    assert all(whole[name].equal(resumed[name]) for name in whole)


def test_orpo_learns_the_same_however_a_step_is_cut_into_batches(tmp_path: Path) -> None:
    """Pairs of different lengths; the last step of an epoch has three of them, for one of two processes and a bit."""
    base = build_model(tmp_path / "base", "llama")
    lines = [pair(i) for i in range(19)]
    for number, line in enumerate(lines):
        line["chosen"] = "1+1=2\n" * (number % 5) + line["chosen"]
    (tmp_path / "pairs.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    how = ["--epochs", "7", "--lr", "1e-3", "--logging-steps", "1", "--device", "cpu", "--dtype", "float32", "-m", base]
    histories = []
    for name, processes, batch in (("one", 1, ("8",)), ("two", 2, ("2", "--accumulation", "2"))):
        together(tmp_path, processes, ["sipf", "orpo", "pairs.jsonl", "--batch", *batch, *how, "-o", name])
        history = [json.loads(line) for line in (tmp_path / name / "history.jsonl").read_text().splitlines()]
        # An epoch's share is told in batches.
        histories.append([{k: v for k, v in line.items() if k not in ("seconds", "epoch")} for line in history])
    assert len(histories[0]) == 21
    for one, two in zip(*histories, strict=True):
        assert two == pytest.approx(one, rel=1e-5, abs=1e-5), one["step"]


def test_a_killed_process_ends_the_other_and_the_same_command_resumes(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base", "llama")
    (tmp_path / "lines.jsonl").write_text("".join(f"{labelled_problem(i).to_json()}\n" for i in range(20)))
    how = ["--epochs", "9", "--save-steps", "2", "--batch", "2", "--lr", "1e-3", "--device", "cpu"]
    line = ["sipf", "sft", "lines.jsonl", "-m", base, *how, "-o"]
    together(tmp_path, 2, [*line, "whole"])
    speaking, killed = begin_together(tmp_path, 2, [*line, "again"])
    checkpoints = tmp_path / "again.part" / "checkpoints"
    while killed.poll() is None and not (checkpoints / "checkpoint-8" / "complete").exists():
        time.sleep(0.001)
    killed.kill()
    killed.communicate()
    code, said = end(speaking)
    assert (killed.returncode, code) == (-9, 75), said
    assert "sipf: another process of this run has ended\n" in said
    assert "Traceback" not in said
    together(tmp_path, 2, [*line, "again"])
    whole, again = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "again"))
    assert all(whole[name].equal(again[name]) for name in whole)


def test_processes_of_another_number_do_not_resume_a_run(tmp_path: Path) -> None:
    """A batch is that of one process: with more of them an update would be another."""
    base = build_model(tmp_path / "base", "llama")
    (tmp_path / "lines.jsonl").write_text("".join(f"{labelled_problem(i).to_json()}\n" for i in range(8)))
    line = ["sipf", "sft", "lines.jsonl", "-m", base, "--epochs", "1", "--batch", "2", "--device", "cpu", "-o", "model"]
    together(tmp_path, 2, line)
    (alone,) = begin_together(tmp_path, 1, line)
    code, said = end(alone)
    assert code == 2
    assert "sipf: model is complete, but was made otherwise: processes was 2 and is now null" in said


def test_a_full_disk_ends_every_process_and_the_same_command_resumes(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base", "llama")
    (tmp_path / "lines.jsonl").write_text("".join(f"{labelled_problem(i).to_json()}\n" for i in range(16)))
    how = ("--epochs", "1", "--batch", "4", "--device", "cpu", "--dtype", "float32", "-o", "small/model")
    line = [sys.executable, *LAUNCH, "--no-python", *warm_program(), "sft", "lines.jsonl", "-m", base, *how]
    told = fill_then_enlarge(
        tmp_path / "small", 512, line, environment(PYTHONPATH=str(ROOT)), output="model", seconds=120
    )
    code, said = told.full
    assert code != 0
    assert "No space left on device" in said
    assert "exitcode  : 75" in said
    assert "stages/training" not in said, "no process shows a traceback but the launcher"
    assert told.again[0] == 0, told.again[1]
    assert json.loads((told.kept / "manifest.json").read_text())["result"]["steps"] == 2
