"""`examples/accelerate/train.sh`: what it hands to accelerate, and its exit codes, with a stand-in for `accelerate`.

`tests/launched/` runs the same script with the launcher itself.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import PAGES, blocks, commands
from tests.sipf_cli.commands import environment

ROOT = Path(__file__).resolve().parents[2]
ACCELERATE = ROOT / "examples" / "accelerate"
# As accelerate ends: with 1, after lines that name the exit codes of the processes.
STAND_IN = """
import json, os, signal, sys, time
with open("launched", "a") as file:
    print(json.dumps(sys.argv[1:]), file=file, flush=True)
def stopped(number, frame):
    print("torch.distributed.elastic.multiprocessing.api.SignalException: Process 7 got signal: 15", file=sys.stderr)
    sys.exit(1)
signal.signal(signal.SIGTERM, stopped)
codes = json.loads(os.environ.get("CODES", "[]"))
if os.environ.get("SLOW"):
    time.sleep(60)
for rank, code in enumerate(codes):
    print(f"  rank      : {rank} (local_rank: {rank})\\n  exitcode  : {code} (pid: 7)", file=sys.stderr)
sys.exit(bool(codes))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the examples, and the stand-in beside it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "accelerate").write_text(f"#!{sys.executable}\n{STAND_IN}")
    (tmp_path / "bin" / "accelerate").chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def begin(place: Path, typed: str, **variables: str) -> subprocess.Popen[str]:
    env = environment(PATH=f"{place.parent / 'bin'}:{os.environ['PATH']}", **variables)
    return subprocess.Popen(["bash", "-c", f"exec {typed}"], cwd=place, env=env, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    said = process.communicate(timeout=60)[1]
    return process.returncode, said


def launched(place: Path) -> list[list[str]]:
    return [json.loads(line) for line in (place / "launched").read_text().splitlines()]


def test_the_launches_of_the_page_hand_on_the_command_and_a_configuration(place: Path) -> None:
    page = next(page for page in PAGES if page.name == "clusters.md")
    typed = [one.typed for block in blocks(page) if block.note == "setup" for one in commands(block)]
    lines = [line for line in typed if "examples/accelerate/" in line]
    assert len(lines) == 3
    for line in lines:
        code, said = end(begin(place, line))
        assert code == 0, said
        words = shlex.split(line)
        told = launched(place)[-1]
        assert told[:5] == [
            "launch", "--config_file", f"{place}/examples/accelerate/{words[2]}.yaml", "--num_processes", words[3],
        ]  # fmt: skip
        assert told[told.index("-m") :] == ["-m", "sipf_cli", *words[4:]]


@pytest.mark.parametrize(
    ("codes", "code"),
    [([75, 75], 75), ([-9, 75], 75), ([75, -15], 75), ([2, 2], 2), ([-15, 3], 3), ([-9, -9], 1)],
    ids=["stopped", "one was killed", "the other was ended", "usage", "bad data on one", "all were killed"],
)
def test_it_ends_with_the_exit_code_of_the_command(place: Path, codes: list[int], code: int) -> None:
    line = "bash examples/accelerate/train.sh ddp 2 sft problems.jsonl --model m0 -o m1"
    assert end(begin(place, line, CODES=json.dumps(codes)))[0] == code


@pytest.mark.parametrize("sort", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_reaches_the_launcher_and_the_line_can_be_run_again(place: Path, sort: signal.Signals) -> None:
    line = "bash examples/accelerate/train.sh ddp 2 sft problems.jsonl --model m0 -o m1"
    process = begin(place, line, SLOW="yes")
    while process.poll() is None and not (place / "launched").exists():
        time.sleep(0.01)
    time.sleep(0.2)  # the launcher listens, as it does from its first moments
    process.send_signal(sort)
    assert end(process)[0] == 75


def test_several_machines_are_told_where_the_first_one_is(place: Path) -> None:
    line = "bash examples/accelerate/train.sh fsdp2 16 sft problems.jsonl --model m0 -o m1"
    machines = {"NODES": "2", "SLURM_NODEID": "1", "HEAD": "10.0.0.1", "PORT": "20017"}
    assert end(begin(place, line, **machines))[0] == 0
    (told,) = launched(place)
    for name, value in {
        "--num_machines": "2", "--machine_rank": "1", "--main_process_ip": "10.0.0.1", "--main_process_port": "20017",
    }.items():  # fmt: skip
        assert told[told.index(name) + 1] == value
    assert "the address of machine 0" in end(begin(place, line, NODES="2"))[1]
    assert end(begin(place, "bash examples/accelerate/train.sh fsdp 2 sft"))[0] == 2


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "zero3"])
def test_accelerate_knows_every_key_of_the_configurations(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    file = ACCELERATE / f"{name}.yaml"
    told = load_config_from_file(str(file))  # raises for a key that it does not know
    assert told.num_processes == yaml.safe_load(file.read_text())["num_processes"] == 8
    assert told.mixed_precision == "no"
