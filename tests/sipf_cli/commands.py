"""What the end-to-end tests share: the installed program, its environment, and small things to do with lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from tests.sipf_cli.warm import begin

PROGRAM = [str(Path(sys.executable).with_name("sipf"))]
if not Path(PROGRAM[0]).exists():
    PROGRAM = [sys.executable, "-m", "sipf_cli"]
SCRIPTED = ("--engine", "scripted", "--script", "gold:0.4")
ON_CPU = ("--device", "cpu", "--dtype", "float32")
"""The promise of equal bytes is for fp32 on one device."""


def environment(**more: str) -> dict[str, str]:
    """The variables a command gets: one thread, no network, no SIPF_* variable of the machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIPF_", "SLURM_"))}
    return kept | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "100"} | more


def start(folder: Path, *arguments: object, cold: bool = True, **how: Any) -> subprocess.Popen[bytes]:
    """Start `sipf ARGUMENTS` in a folder; `how` goes to Popen.

    Args:
        cold: the program itself, else one of `tests.sipf_cli.warm`.
    """
    given: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": environment(), **how}
    if cold:
        return subprocess.Popen([*PROGRAM, *map(str, arguments)], cwd=folder, **given)
    return begin(["sipf", *arguments], cwd=folder, **given)


def run(
    folder: Path, *arguments: object, code: int = 0, cold: bool = False, **how: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run `sipf ARGUMENTS` in a folder to its end, which must be `code`; see `start`."""
    given: dict[str, Any] = {"stdout": subprocess.PIPE, **how}
    told, timeout = given.pop("input", None), given.pop("timeout", 120)
    if told is not None:
        given["stdin"] = subprocess.PIPE
    with start(folder, *arguments, cold=cold, **given) as process:
        try:
            out, err = process.communicate(told, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    assert process.returncode == code, (err or b"").decode()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def end(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Wait for a process; its exit code and what it said on stderr.

    No test states how soon that is, since other work may keep the machine busy. One that never ends is killed, which
    fails the test.
    """
    try:
        said = process.communicate(timeout=120)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, (said or b"").decode()


def hold(process: subprocess.Popen[bytes]) -> None:
    """Halt a process where it stands, so that its files stay as they are until `release`."""
    process.send_signal(signal.SIGSTOP)
    while process.poll() is None and psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)


def release(process: subprocess.Popen[bytes], sort: signal.Signals) -> None:
    """Let a process that was held go on with a signal, which is the first that it hears of."""
    process.send_signal(sort)
    process.send_signal(signal.SIGCONT)


def finished(part: Path) -> int:
    """How many problems are in the journal of a run, OUT.part."""
    lines = part.read_bytes().splitlines() if part.exists() else []
    return sum(line[:1].isdigit() for line in lines)


def wait_until_it_listens(process: subprocess.Popen[bytes]) -> None:
    """Until the program has taken over SIGTERM, which before that ends it as it ends any process."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None and status.exists():  # where there is no /proc, the signal may come too early
        (caught,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt:")]
        if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)


def wait_for(path: Path, size: int, process: subprocess.Popen[bytes]) -> None:
    """Until a file has grown to so many bytes, or the process is over."""
    while process.poll() is None and (not path.exists() or path.stat().st_size < size):
        time.sleep(0.001)


def read(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of lines."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write(path: Path, rows: Iterable[Mapping[str, Any] | str]) -> Path:
    """Write objects (or texts as they are) as lines."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
