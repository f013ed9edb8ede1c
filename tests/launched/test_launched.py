"""`accelerate launch` with the configurations of `examples/accelerate/`: DDP, FSDP2 and DeepSpeed's ZeRO-3."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

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
from tests.sipf_cli.commands import end, environment
from tests.sipf_cli.test_distributed import begin_together, together
from tests.sipf_cli.warm import warm_program

DEEPSPEED = ROOT / ".deepspeed"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
"""With the `accelerate` of this environment first."""


@pytest.fixture
def fsdp2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that accelerate's launcher sets for `fsdp2.yaml`, for the processes that a test starts itself."""
    given = ["--config_file", str(CONFIGURATIONS / "fsdp2.yaml"), "--num_processes", "2", "-m", "sipf_cli"]
    before = dict(os.environ)
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args(given))
    told = prepare_multi_gpu_env(arguments)
    for name in told.keys() - before.keys():
        if name.startswith(("ACCELERATE_", "FSDP_")):
            monkeypatch.setenv(name, told[name])
    assert told["ACCELERATE_USE_FSDP"] == "true"


def test_ddp_learns_what_one_process_does(here: Path) -> None:
    """Losses of 20 updates within 1e-5, with uneven last batches, for all four trainers."""
    plan = write_plan(here, [command(name, 4, f"two-{name}") for name in TRAINERS])
    line = ["bash", str(CONFIGURATIONS / "train.sh"), "ddp", "2", "--program", *warm_program(), str(DRIVER), plan]
    done = subprocess.run(
        line, cwd=here, env=environment(PYTHONPATH=str(ROOT), PATH=PATH), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        assert exit_codes(here, rank) == [0] * len(TRAINERS), done.stderr
    for name in TRAINERS:
        assert_learnt_alike(here / f"one-{name}", here / f"two-{name}", "DDP")


def test_fsdp2_learns_what_one_process_does_and_resumes(here: Path, fsdp2: None) -> None:
    """Whole runs of all four trainers under `fully_shard`, on a CPU that accelerate is told to take for GPUs."""
    plan = write_plan(
        here,
        [
            *(command(name, 4, f"two-{name}") for name in TRAINERS),
            command("sft", 4, "again", stop_after=10),
            command("sft", 4, "again"),
            command("sft", 4, "merged", "--lora", "--merge", "--epochs", "1"),
        ],
        as_on_gpus=True,
    )
    _, said = together(here, 2, [str(DRIVER), plan])
    for rank in (0, 1):
        assert exit_codes(here, rank) == [0, 0, 0, 0, 75, 0, 0], said
    for name in TRAINERS:
        assert_learnt_alike(here / f"one-{name}", here / f"two-{name}", "FSDP2")
    assert_same_weights(here / "two-sft", here / "again")
    assert (here / "merged" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("as_on_gpus", "said"),
    [
        (False, "asked for FSDP, and would train with DDP on a CPU"),
        (True, "asked for FSDP, and wraps the model in DDP"),
    ],
    ids=["on a CPU", "whatever the reason"],
)
def test_a_launch_that_asks_for_fsdp_and_gets_something_else_is_refused(
    here: Path, fsdp2: None, as_on_gpus: bool, said: str
) -> None:
    driver = DRIVER
    if as_on_gpus:  # all but what makes accelerate shard
        driver = here / "train.py"
        text = DRIVER.read_text().replace("DistributedType.MULTI_XPU", "DistributedType.MULTI_CPU")
        driver.write_text(text)
    plan = write_plan(here, [command("sft", 4, "two")], as_on_gpus=as_on_gpus)
    _, told = together(here, 2, [str(driver), plan])
    assert exit_codes(here, 0) == exit_codes(here, 1) == [2]
    assert told.count(f"sipf: accelerate was {said}\n") == 2, told
    assert "Traceback" not in told
    assert not (here / "two").exists()


def zero3(here: Path, plan: str) -> subprocess.CompletedProcess[str]:
    """Run the plan by two processes with DeepSpeed."""
    line = ["bash", str(CONFIGURATIONS / "train.sh"), "zero3", "2", "--program", sys.executable, str(DRIVER), plan]
    env = environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(DEEPSPEED)]), PATH=PATH)
    return subprocess.run(line, cwd=here, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(not DEEPSPEED.exists(), reason="DeepSpeed is not there (make setup-deepspeed)")
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
    done = zero3(here, plan)
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        assert exit_codes(here, rank) == [0, 0, 0, 0, 75, 0, 0, 2], done.stderr
    for name in TRAINERS:
        assert_learnt_alike(here / f"one-{name}", here / f"two-{name}", "DeepSpeed ZeRO-3")
    assert_same_weights(here / "two-sft", here / "again")
    assert (here / "merged" / "model.safetensors").is_file()
    assert "sipf: DeepSpeed does not compute in bfloat16 on a CPU\n" in done.stderr


def test_a_killed_process_ends_the_other_under_fsdp2_and_the_same_command_resumes(here: Path, fsdp2: None) -> None:
    plan = write_plan(here, [command("sft", 4, "two", "--save-steps", "4", kill_after=10)], as_on_gpus=True)
    speaking, killed = begin_together(here, 2, [str(DRIVER), plan])
    code, said = end(speaking)
    killed.communicate()
    assert (killed.returncode, code) == (-9, 75), said
    assert "sipf: another process of this run has ended\n" in said
    together(here, 2, [str(DRIVER), write_plan(here, [command("sft", 4, "two", "--save-steps", "4")], as_on_gpus=True)])
    assert_learnt_alike(here / "one-sft", here / "two", "FSDP2")


@pytest.mark.skipif(not DEEPSPEED.exists(), reason="DeepSpeed is not there (make setup-deepspeed)")
def test_a_killed_process_ends_the_other_under_zero3_and_the_same_command_resumes(here: Path) -> None:
    first = zero3(here, write_plan(here, [command("sft", 4, "two", "--save-steps", "4", kill_after=10)]))
    assert first.returncode == 75, first.stderr
    assert not (here / "two").exists()
    again = zero3(here, write_plan(here, [command("sft", 4, "two", "--save-steps", "4")]))
    assert again.returncode == 0, again.stderr
    assert_learnt_alike(here / "one-sft", here / "two", "DeepSpeed ZeRO-3")
