"""Several processes write the bytes of one, and whatever is killed or stopped, nothing is lost and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.sipf_cli.commands import ON_CPU, SCRIPTED, end, finished, run, start, wait_for

TWO = ("--workers", 2)
SLOW = ("--script-delay", 100, "--batch-rows", 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems, paths, and paths with scores."""
    folder = tmp_path_factory.mktemp("workers")
    run(folder, "data", "chain", "--split", "train", "-n", 120, "-o", "problems.jsonl")
    run(folder, "sample", "problems.jsonl", *SCRIPTED, "-n", 3, "-o", "paths.jsonl")
    run(folder, "data", "functions", "--split", "train", "-n", 20, "-o", "programs.jsonl")
    rows = [json.loads(line) for line in (folder / "paths.jsonl").read_bytes().splitlines()]
    for row in rows:
        for path in row["paths"]:
            steps = [0.9 - 0.05 * i for i in range(len(path["steps"]))]
            path["scores"] = {"prm": {"steps": steps, "mean": 0.5, "min": 0.5, "product": 0.5, "last": 0.5}}
    (folder / "scored.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def both(folder: Path, output: Path, *line: object, **how: Any) -> dict[str, Any]:
    """Run a command in one process and in two, compare what they write, and return the latter's summary."""
    run(folder, *line, "-o", output / "one.jsonl", "--json", **how)
    said = json.loads(run(folder, *line, *TWO, "-o", output / "two.jsonl", "--json", **how).stdout)
    assert (output / "one.jsonl").read_bytes() == (output / "two.jsonl").read_bytes()
    one, two = (json.loads((output / f"{name}.jsonl.manifest.json").read_text()) for name in ("one", "two"))
    for made in (one, two):
        for key in ("command", "started", "finished", "seconds", "usage"):
            del made[key]
    assert one == two
    return said


SIMULATE = ("--k", 3, "--audit", 0.2, "--harvest", "--root", "--share", 0.9)
LINES = {
    "sample": ("sample", "problems.jsonl", *SCRIPTED, "-n", 4, "--want-right", 2, "--want-wrong", 2),
    "sample programs": ("sample", "programs.jsonl", *SCRIPTED, "-n", 3),
    "sample with a pool": ("sample", "problems.jsonl", *SCRIPTED, "-n", 4, "--pool", "paths.jsonl", "--round", 1),
    "eval": ("eval", "problems.jsonl", *SCRIPTED, "-n", 2, "--temperature", 1),
    "eval of saved answers": ("eval", "problems.jsonl", "--from", "paths.jsonl"),
    **{
        strategy: ("simulate", "paths.jsonl", *SCRIPTED, *SIMULATE, "--strategy", strategy)
        for strategy in ("exact", "brute", "first-error", "binary", "mcts")
    },
    "prm-guided": ("simulate", "scored.jsonl", *SCRIPTED, *SIMULATE, "--strategy", "prm-guided"),
    "run budget": ("simulate", "paths.jsonl", *SCRIPTED, "--k", 3, "--run-budget", 900),
}


@pytest.mark.parametrize("name", LINES)
def test_two_workers_write_the_bytes_of_one_process(name: str, folder: Path, tmp_path: Path) -> None:
    said = both(folder, tmp_path, *LINES[name])
    if name == "sample with a pool":
        assert said["counts"]["paths from the pool"] > 100
        assert said["pool problems that no line asked for"] == 0
    if name == "run budget":
        assert 0 < said["counts"]["problems left unlabelled: run budget"] < 120


def test_two_workers_with_a_model_write_the_bytes_of_one_process(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"".join((folder / "paths.jsonl").read_bytes().splitlines(keepends=True)[:16]))
    both(tmp_path, tmp_path, "simulate", "in.jsonl", "-m", "chain-base", *ON_CPU, "--batch-rows", 8, "--k", 2)


def test_two_workers_with_a_reward_model_write_the_bytes_of_one_process(
    folder: Path, tmp_path: Path, prm: Path
) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"".join((folder / "paths.jsonl").read_bytes().splitlines(keepends=True)[:40]))
    both(tmp_path, tmp_path, "eval-prm", "in.jsonl", "-m", prm, *ON_CPU)


def test_bad_lines_failed_problems_and_stdout_are_as_in_one_process(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "problems.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "in.jsonl").write_bytes(b"".join([*lines[:5], b"{broken\n", *lines[3:30]]))
    one = run(tmp_path, "sample", "in.jsonl", *SCRIPTED, "-n", 2, "-o", "-", code=3)
    two = run(tmp_path, "sample", "in.jsonl", *SCRIPTED, "-n", 2, "-o", "-", *TWO, code=3)
    assert one.stdout == two.stdout
    assert one.stderr.count(b"bad line skipped") == two.stderr.count(b"bad line skipped") == 3


def slow(folder: Path, output: Path) -> tuple[object, ...]:
    return ("sample", folder / "problems.jsonl", *SCRIPTED, *SLOW, "-n", 4, "-o", output)


@pytest.fixture(scope="module")
def whole(folder: Path) -> bytes:
    """What the slow command writes if it is left alone; the delay changes nothing."""
    run(folder, "sample", "problems.jsonl", *SCRIPTED, "-n", 4, "-o", "whole.jsonl")
    return (folder / "whole.jsonl").read_bytes()


def workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The replicas of a command, as far as they have been started."""
    return psutil.Process(process.pid).children()


def until_at_work(process: subprocess.Popen[bytes], part: Path) -> list[psutil.Process]:
    """Until both replicas are there and the first problems are done."""
    wait_for(part, 3000, process)
    while process.poll() is None and len(workers(process)) < 2:
        time.sleep(0.01)
    return workers(process)


def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(folder: Path, tmp_path: Path, whole: bytes) -> None:
    output = tmp_path / "out.jsonl"
    process = start(folder, *slow(folder, output), *TWO, cold=False)
    until_at_work(process, tmp_path / "out.jsonl.part")[0].kill()
    code, said = end(process)
    assert code == 0, said
    assert "died (killed by SIGKILL); its" in said
    assert output.read_bytes() == whole
    made = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert made["usage"]["replicas lost"] == 1
    assert made["usage"]["completions"] >= 4 * 120


@pytest.mark.parametrize(("sort", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_driver_that_is_stopped_or_killed_leaves_no_process_and_resumes(
    sort: signal.Signals, code: int, folder: Path, tmp_path: Path, whole: bytes
) -> None:
    output, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part"
    process = start(folder, *slow(folder, output), *TWO, cold=False)
    theirs = until_at_work(process, part)
    process.send_signal(sort)
    got, said = end(process)
    assert got == code, said
    assert "Traceback" not in said
    assert psutil.wait_procs(theirs, timeout=60)[1] == []
    done = finished(part)
    assert done > 0
    # any number of processes resumes it
    again = json.loads(run(folder, *slow(folder, output), "--workers", 3, "--json").stdout)
    assert again["resumed"] == done
    assert output.read_bytes() == whole


def test_signals_to_the_workers_themselves_are_the_drivers_affair(folder: Path, tmp_path: Path, whole: bytes) -> None:
    output = tmp_path / "out.jsonl"
    process = start(folder, *slow(folder, output), *TWO, cold=False)
    for worker in until_at_work(process, tmp_path / "out.jsonl.part"):
        assert os.getpgid(worker.pid) != os.getpgid(process.pid), "Ctrl-C reaches the driver's group alone"
        worker.send_signal(signal.SIGTERM)  # as a scheduler sends it to all processes of a job
    code, said = end(process)
    assert code == 0, said
    assert output.read_bytes() == whole


def test_sigterm_is_heard_while_the_workers_load(folder: Path, tmp_path: Path) -> None:
    process = start(
        folder, "sample", "problems.jsonl", "-m", "chain-base", *ON_CPU, "-o", tmp_path / "out.jsonl", *TWO, cold=False
    )
    wait_for(tmp_path / "out.jsonl.part", 1, process)
    while process.poll() is None and len(workers(process)) < 2:
        time.sleep(0.01)
    theirs = workers(process)
    process.terminate()
    code, said = end(process)
    assert code == 75, said
    assert said.splitlines()[-2] == "sipf: stopped by SIGTERM"
    assert psutil.wait_procs(theirs, timeout=60)[1] == []


def test_a_model_that_cannot_be_loaded_ends_as_in_one_process(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    run(tmp_path, "data", "chain", "--split", "train", "-n", 2, "-o", "two.jsonl")
    source = Path(__file__).parents[2] / "stages" / "embedded" / "base"
    model.mkdir()
    for file in source.iterdir():
        (model / file.name).write_bytes(file.read_bytes()[: -1 if file.suffix == ".json" else 5000])
    (model / "config.json").write_bytes((source / "config.json").read_bytes())
    (model / "generation_config.json").write_bytes((source / "generation_config.json").read_bytes())
    line = ("sample", "two.jsonl", "-m", model, *ON_CPU, "-o", "out.jsonl")
    one = run(tmp_path, *line, code=4).stderr.decode()
    two = run(tmp_path, *line, "--workers", 1, code=4).stderr.decode()
    assert [said.splitlines()[-2:] for said in (one, two)] == [one.splitlines()[-2:]] * 2
    assert one.splitlines()[-2].startswith("sipf: ")


def test_a_setting_of_replicas_without_any_is_refused(folder: Path, tmp_path: Path, inside: Callable[..., Any]) -> None:
    line = ("sample", folder / "problems.jsonl", *SCRIPTED, "-o", tmp_path / "out.jsonl")
    assert "--replica-cpus is for several processes" in inside(*line, "--replica-cpus", 2, code=2).stderr
    planned = inside(*line, *TWO, "--dry-run", "--calibrate", 4, code=2).stderr
    assert "--calibrate measures one process" in planned
