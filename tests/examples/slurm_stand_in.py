#!/usr/bin/env python3
"""Stands in for Slurm's commands where there is none: linked to as `sbatch`, `scontrol` and `srun`.

`sbatch` notes a job in the folder $STAND_IN_SLURM, `run_queue` in the test runs what is noted, as a controller would:
array tasks side by side, each job after those it depends on, and again where `scontrol requeue` asked for it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KNOWN = {"--job-name", "--output", "--array", "--dependency", "--nodes", "--partition", "--gpus", "--time"}


@dataclass
class Ran:
    """How a task ended: exit codes of its runs, the last of which counts."""

    name: str
    task: int | None
    codes: list[int] = field(default_factory=list)


def sbatch(words: list[str]) -> None:
    """Note a job and print its number; options that Slurm does not have are refused."""
    options: dict[str, str] = {}
    while words and words[0].startswith("--"):
        name, equals, value = words.pop(0).partition("=")
        if name in ("--parsable", "--kill-on-invalid-dep"):
            continue
        assert name in KNOWN, f"sbatch: unrecognized option {name}"
        options[name] = value if equals else words.pop(0)
    script = Path(words[0])
    assert script.read_text().startswith("#!"), "sbatch: This does not look like a batch script"
    folder = Path(os.environ["STAND_IN_SLURM"])
    number = 100 + len(list(folder.glob("job-*.json")))
    (folder / f"job-{number}.json").write_text(
        json.dumps({"options": options, "script": script.read_text(), "words": words[1:], "folder": os.getcwd()})
    )
    print(number)


def scontrol(words: list[str]) -> None:
    """`requeue JOB` and `show hostnames LIST`."""
    if words[:2] == ["show", "hostnames"]:
        print(words[2].replace(",", "\n"))
        return
    command, job = words
    assert command == "requeue"
    (Path(os.environ["STAND_IN_SLURM"]) / f"requeue-{job}").touch()


def srun(words: list[str]) -> None:
    """One task on this machine."""
    while words[0].startswith("--"):
        words.pop(0)
    os.execvpe(words[0], words, {**os.environ, "SLURM_NODEID": "0"})


@dataclass
class _Task:
    ran: Ran
    job: int
    identity: int
    noted: dict[str, Any]
    restarts: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path) -> None:
        script = folder / f"script-{self.identity}"
        script.write_text(self.noted["script"])
        env = {**os.environ, "SLURM_JOB_ID": str(self.identity), "SLURM_JOB_NUM_NODES": "1"}
        env |= {"SLURM_JOB_NODELIST": "127.0.0.1", "SLURM_RESTART_COUNT": str(self.restarts)}
        if self.ran.task is not None:
            env |= {"SLURM_ARRAY_JOB_ID": str(self.job), "SLURM_ARRAY_TASK_ID": str(self.ran.task)}
        name = (
            self.noted["options"]
            .get("--output", "slurm-%A_%a.txt")
            .replace("%A", str(self.job))
            .replace("%a", str(self.ran.task))
        )
        with open(Path(self.noted["folder"], name), "ab") as log:
            self.process = subprocess.Popen(
                ["bash", str(script), *self.noted["words"]], cwd=self.noted["folder"], env=env, stdout=log, stderr=log
            )

    def send(self, sort: signal.Signals) -> None:
        """As `--signal=B:` does: to the batch shell alone."""
        assert self.process is not None
        self.process.send_signal(sort)


def run_queue(folder: Path, look: Callable[[str, int | None, Callable[[signal.Signals], None]], None]) -> list[Ran]:
    """Run the jobs that were noted, at most two at a time.

    Args:
        look: called again and again with the name and task of what is running, and a function that sends it a signal.
    """
    waiting = _tasks(folder)
    ended: list[_Task] = []
    running: list[_Task] = []
    while waiting or running:
        for task in [task for task in waiting if _may_start(task, ended, [*waiting, *running])][: 2 - len(running)]:
            waiting.remove(task)
            running.append(task)
            task.start(folder)
        assert running, f"never run: {[task.ran.name for task in waiting]}"
        for task in list(running):
            look(task.ran.name, task.ran.task, task.send)
            code = task.process.poll() if task.process else None
            if code is None:
                continue
            running.remove(task)
            task.ran.codes.append(code)
            again = folder / f"requeue-{task.identity}"
            if again.exists():
                again.unlink()
                task.restarts += 1
                waiting.insert(0, task)
            else:
                ended.append(task)
                waiting = [other for other in waiting if code == 0 or task.job not in _after(other)]
        time.sleep(0.005)
    return [task.ran for task in ended]


def _tasks(folder: Path) -> list[_Task]:
    found = []
    for file in sorted(folder.glob("job-*.json")):
        noted, job = json.loads(file.read_text()), int(file.stem.partition("-")[2])
        array = noted["options"].get("--array")
        first, last = map(int, array.split("-")) if array else (0, 0)
        for task in range(first, last + 1):
            ran = Ran(noted["options"].get("--job-name", "job"), task if array else None)
            found.append(_Task(ran, job, 1000 * job + task, noted))
    return found


def _after(task: _Task) -> list[int]:
    dependency = task.noted["options"].get("--dependency", "")
    assert re.fullmatch(r"(afterok(:\d+)+)?", dependency)
    return [int(job) for job in dependency.split(":")[1:]]


def _may_start(task: _Task, ended: list[_Task], open_: list[_Task]) -> bool:
    return not any(other.job in _after(task) for other in open_)


if __name__ == "__main__":
    {"sbatch": sbatch, "scontrol": scontrol, "srun": srun}[Path(sys.argv[0]).name](sys.argv[1:])
