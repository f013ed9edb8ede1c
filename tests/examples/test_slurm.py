"""`examples/slurm/`: a whole round as dependent jobs, two of which are stopped at their time limit and queued again."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, blocks, commands
from tests.examples import slurm_stand_in
from tests.sipf_cli.commands import environment, finished, run
from tests.sipf_cli.warm import warm_program

SLURM = Path(__file__).resolve().parents[2] / "examples" / "slurm"
SETTINGS = """
[sample]
n = 8
device = "cpu"
[simulate]
engine = "scripted"
script = "gold:0.4"
k = 2
[train-prm]
epochs = 1
lr = 5e-4
device = "cpu"
[score]
device = "cpu"
[pairs]
rule = "outcome"
[orpo]
epochs = 6
batch = 4
lr = 1e-4
logging-steps = 1
device = "cpu"
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in's folder, with its commands and `sipf` on the path."""
    programs, queue = tmp_path / "bin", tmp_path / "queue"
    programs.mkdir()
    queue.mkdir()
    for name in ("sbatch", "scontrol", "srun"):
        (programs / name).write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(programs / "real" / name))} "$@"\n'
        )
        (programs / name).chmod(0o755)
        (programs / "real").mkdir(exist_ok=True)
        (programs / "real" / name).symlink_to(slurm_stand_in.__file__)
    (programs / "sipf").write_text(f'#!/bin/sh\nexec {shlex.join(warm_program())} "$@"\n')
    (programs / "sipf").chmod(0o755)
    for name in [name for name in os.environ if name.startswith(("SIPF_", "SLURM_"))]:
        monkeypatch.delenv(name)
    for name, value in environment(PATH=f"{programs}:{os.environ['PATH']}", STAND_IN_SLURM=str(queue)).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "examples").symlink_to(SLURM.parent)
    return queue


def submit(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["bash", *words], cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_the_page() -> list[str]:
    """The commands of `docs/clusters.md` that want Slurm."""
    page = next(page for page in PAGES if page.name == "clusters.md")
    typed = [one.typed for block in blocks(page) if block.note == "setup" for one in commands(block)]
    return [line for line in typed if "examples/slurm/" in line]


def logs(folder: Path) -> str:
    return "\n".join(f"{file.name}\n{file.read_text()}" for file in sorted(folder.glob("*.txt")))


def test_a_round_of_dependent_jobs_survives_its_time_limits(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "data", "chain", "--split", "train", "-n", 24, "-o", "problems.jsonl")
    (tmp_path / "settings.toml").write_text(SETTINGS)
    monkeypatch.setenv("CONFIG", "settings.toml")
    monkeypatch.setenv("ARRAY", "--partition=gpu --gpus=1")
    (line,) = [typed for typed in on_the_page() if "round.sh" in typed]
    told = submit(tmp_path, "-c", line)
    names = [line.partition(":")[0] for line in told.splitlines()]
    assert names == [
        "sample",
        "sample-merge",
        "simulate",
        "simulate-merge",
        "train-prm",
        "score",
        "score-merge",
        "pairs",
        "orpo",
    ]

    stopped: list[str] = []

    def look(name: str, task: int | None, send: Callable[[signal.Signals], None]) -> None:
        sample, trained = tmp_path / "r1" / "paths.1.jsonl.part", tmp_path / "r1" / "m1.part" / "history.jsonl"
        begun = (name, task) == ("sample", 1) and finished(sample) > 0
        begun = begun or (name == "orpo" and trained.exists() and trained.stat().st_size > 0)
        if begun and name not in stopped:
            stopped.append(name)
            send(signal.SIGUSR1)

    ended = slurm_stand_in.run_queue(cluster, look)
    said = logs(tmp_path / "r1" / "log")
    expected = {("sample", 1): [75, 0], ("orpo", None): [75, 0]}
    assert {(ran.name, ran.task): ran.codes for ran in ended} == {
        (ran.name, ran.task): expected.get((ran.name, ran.task), [0]) for ran in ended
    }, said
    assert [ran.name for ran in ended if ran.task in (None, 1)] == names, said
    assert said.count("job.sh: stopped; the job is queued again") == 2
    assert stopped == ["sample", "orpo"]
    run(tmp_path, "--config", "settings.toml", "sample", "problems.jsonl", "--model", "chain-base", "-o", "whole.jsonl")
    assert (tmp_path / "r1" / "paths.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert json.loads((tmp_path / "r1" / "m1" / "manifest.json").read_text())["stage"] == "orpo"


def test_what_follows_a_failed_job_is_not_run_and_merge_names_what_is_missing(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "data", "chain", "--split", "train", "-n", 4, "-o", "problems.jsonl")
    job = str(SLURM / "job.sh")
    line = ["sample", "problems.jsonl", "--engine", "scripted", "--script", "gold:0.4", "-n", "2"]
    shards = [f"paths.{index}.jsonl" for index in range(3)]

    def hand_in(name: str, how: str, *command: str) -> str:
        words = ["sbatch", "--parsable", "--output", "log-%A-%a.txt", "--job-name", name, how, job, "sipf", *command]
        return submit(tmp_path, "-c", shlex.join(words)).strip()

    drawn = hand_in("sample", "--array=0-1", *line, "--shard", "slurm/3", "-o", "paths.{shard}.jsonl")
    merged_by = hand_in("merge", f"--dependency=afterok:{drawn}", "merge", *shards, "-o", "all.jsonl")
    hand_in("pairs", f"--dependency=afterok:{merged_by}", "pairs", "all.jsonl", "-o", "p.jsonl")
    ended = slurm_stand_in.run_queue(cluster, lambda *_: None)
    *tasks, merged = [(ran.name, ran.task, ran.codes) for ran in ended]
    assert sorted(tasks) == [("sample", 0, [0]), ("sample", 1, [0])], "in whatever order they ended"
    assert merged == ("merge", None, [2])
    said = logs(tmp_path)
    assert "sipf: paths.2.jsonl is not complete" in said
    assert shlex.join(["sipf", *line, "--shard", "2/3", "-o", "paths.{shard}.jsonl"]) in said
    assert not (tmp_path / "p.jsonl").exists()


def test_the_array_and_the_merge_on_the_page_run(tmp_path: Path, cluster: Path) -> None:
    run(tmp_path, "data", "chain", "--split", "train", "-n", 3, "-o", "problems.jsonl")
    submit(tmp_path, "-c", "\n".join(line for line in on_the_page() if "job.sh" in line))
    ended = slurm_stand_in.run_queue(cluster, lambda *_: None)
    assert [ran.codes for ran in ended] == [[0]] * 4, logs(tmp_path)
    assert (tmp_path / "paths.jsonl.manifest.json").exists()


def test_a_job_that_is_always_stopped_is_queued_again_so_many_times_only(
    tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTARTS", "2")
    line = ["sbatch", "--job-name", "never", "--output", "log.txt", str(SLURM / "job.sh"), "sh", "-c", "exit 75"]
    submit(tmp_path, "-c", shlex.join(line))
    (ran,) = slurm_stand_in.run_queue(cluster, lambda *_: None)
    assert ran.codes == [75, 75, 75]
