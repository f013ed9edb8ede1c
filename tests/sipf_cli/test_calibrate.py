"""`--dry-run --calibrate N` as it is typed: what it says, what it refuses, and that it writes nothing."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import ON_CPU, SCRIPTED, end, environment, run, start

HF = ("-m", "chain-base", "--batch-rows", 16, *ON_CPU)
LEARN = ("-m", "chain-base", "--device", "cpu", "--batch", 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems, paths, labels and pairs."""
    folder = tmp_path_factory.mktemp("calibrate")
    run(folder, "data", "chain", "--split", "train", "-n", 80, "-o", "problems.jsonl")
    run(folder, "sample", "problems.jsonl", *SCRIPTED, "-n", 4, "-o", "paths.jsonl")
    run(folder, "simulate", "paths.jsonl", *SCRIPTED, "--k", 2, "-o", "labels.jsonl")
    run(folder, "pairs", "paths.jsonl", "--rule", "outcome", "-o", "pairs.jsonl")
    return folder


def told(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("command", "source", "options"),
    [
        ("sample", "problems.jsonl", ("-n", 4)),
        ("simulate", "paths.jsonl", ("--k", 4, "--strategy", "brute")),
        ("simulate", "paths.jsonl", ("--k", 4, "--strategy", "first-error")),
        ("simulate", "paths.jsonl", ("--k", 4, "--strategy", "binary", "--share", 0.7)),
        ("eval", "problems.jsonl", ("-n", 2, "--temperature", 1)),
    ],
)
def test_what_a_script_writes_is_estimated_within_its_range(
    folder: Path, tmp_path: Path, inside: Any, command: str, source: str, options: tuple[object, ...]
) -> None:
    line = (command, folder / source, *SCRIPTED, *options, "-o", "out.jsonl", "--json")
    estimate = told(inside(*line, "--dry-run", "--calibrate", 30))["estimate"]
    assert list(tmp_path.iterdir()) == []
    inside(*line)
    made = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert estimate["from problems"] == 30
    for kind, names in (("usage", ("tokens", "completions")), ("counts", ("drawn", "rollouts", "answers"))):
        for name in names:
            if name in made[kind]:
                found, actual = estimate[kind][name], made[kind][name]
                assert found["estimate"] == pytest.approx(actual, rel=0.15), name
                assert found["low"] <= actual <= found["high"], name


def test_the_cost_of_a_strategy_is_that_of_the_strategy(folder: Path, inside: Any) -> None:
    line = ("simulate", folder / "paths.jsonl", *SCRIPTED, "--k", 8, "-o", "out.jsonl", "--json", "--dry-run")
    rollouts = {}
    for strategy in ("brute", "exact", "first-error"):
        found = told(inside(*line, "--strategy", strategy, "--calibrate", 40))
        rollouts[strategy] = found["estimate"]["counts"]["rollouts"]["estimate"]
    assert rollouts["first-error"] < 0.6 * rollouts["exact"] < 0.6 * rollouts["brute"]
    assert rollouts["brute"] == found["rollouts, at most"]


def test_a_model_that_does_all_problems_of_a_small_input_tells_exactly_what_they_take(
    folder: Path, tmp_path: Path, inside: Any, one_thread: None
) -> None:
    line = ("sample", folder / "problems.jsonl", *HF, "-n", 2, "--shard", "0/4", "-o", "out.jsonl", "--json")
    estimate = told(inside(*line, "--dry-run", "--calibrate", 50))["estimate"]
    inside(*line)
    made = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    for name in ("tokens", "completions", "prompt_tokens"):
        assert estimate["usage"][name] == dict.fromkeys(("estimate", "low", "high"), made["usage"][name])
    assert 0 < estimate["seconds"]["start-up"] < estimate["seconds"]["estimate"]
    assert estimate["peak memory"]["resident"] > 100e6


def test_a_model_is_given_as_many_problems_as_it_works_on_together(
    folder: Path, tmp_path: Path, inside: Any, one_thread: None
) -> None:
    line = ("eval", folder / "problems.jsonl", *HF, "-o", "out.jsonl", "--json")
    estimate = told(inside(*line, "--dry-run", "--calibrate", 2))["estimate"]
    assert 32 <= estimate["from problems"] < 80  # 16 rows, and 16 prompts that wait for them
    inside(*line)
    made = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert estimate["usage"]["tokens"]["estimate"] == pytest.approx(made["usage"]["tokens"], rel=0.2)


def test_scoring_is_estimated_by_the_length_of_the_paths(
    folder: Path, tmp_path: Path, prm: Path, inside: Any, one_thread: None
) -> None:
    line = ("score", folder / "paths.jsonl", "-m", prm, *ON_CPU, "--batch-tokens", 64, "-o", "out.jsonl", "--json")
    estimate = told(inside(*line, "--dry-run", "--calibrate", 10))["estimate"]
    assert 10 <= estimate["from problems"] < 80
    inside(*line)
    made = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert estimate["usage"]["tokens"]["estimate"] == pytest.approx(made["usage"]["tokens"], rel=0.05)
    again = ("eval-prm", folder / "paths.jsonl", "-m", prm, *ON_CPU, "-o", "measured.jsonl", "--json")
    assert told(inside(*again, "--dry-run", "--calibrate", 10))["estimate"]["usage"]["tokens"]["estimate"] > 0


def test_the_table_shows_each_figure_with_its_range(folder: Path, inside: Any) -> None:
    line = ("sample", folder / "problems.jsonl", *SCRIPTED, "-n", 4, "-o", "out.jsonl", "--dry-run")
    rows = dict(re.split(r" {2,}", row, maxsplit=1) for row in inside(*line, "--calibrate", 20).stdout.splitlines())
    assert rows["estimated from problems"] == "20 of 80"
    assert rows["drawn, about"] == "320"
    assert re.fullmatch(r"\S+ \(\S+ to \S+\)", rows["tokens generated, about"])
    assert {"seconds, about", "of which start-up", "peak of main memory, GB, at least"} <= rows.keys()


@pytest.mark.parametrize("value", ["1", "0", "-3", "many", "2.5"])
@pytest.mark.parametrize("command", ["sample", "sft"])
def test_a_number_that_makes_no_sense_is_refused(folder: Path, inside: Any, command: str, value: str) -> None:
    line = (command, folder / "problems.jsonl", "-m", "chain-base", "-o", "out", "--dry-run", "--calibrate", value)
    assert "calibrate" in inside(*line, code=2).stderr


@pytest.mark.parametrize(
    ("command", "source"), [("sample", "problems.jsonl"), ("score", "paths.jsonl"), ("orpo", "pairs.jsonl")]
)
def test_a_calibration_that_is_no_dry_run_is_refused(
    folder: Path, tmp_path: Path, inside: Any, command: str, source: str
) -> None:
    done = inside(command, folder / source, "-m", "chain-base", "-o", "out", "--calibrate", 5, code=2)
    assert done.stderr.splitlines()[0] == "sipf: --calibrate goes with --dry-run"
    assert list(tmp_path.iterdir()) == []


def test_bad_lines_end_a_calibration_as_they_end_the_run(folder: Path, tmp_path: Path, inside: Any) -> None:
    lines = (folder / "problems.jsonl").read_text().splitlines()
    (tmp_path / "mixed.jsonl").write_text("\n".join([*lines[:3], "{", *lines[3:6]]) + "\n")
    line = ("sample", "mixed.jsonl", *SCRIPTED, "-o", "out.jsonl", "--dry-run", "--calibrate", 5, "--json")
    found = told(inside(*line, code=3))
    assert (found["problems"], found["bad lines"], found["estimate"]["from problems"]) == (6, 1, 5)


def test_lines_from_a_pipe_are_estimated_too(folder: Path, tmp_path: Path) -> None:
    source = (folder / "problems.jsonl").read_bytes()
    line = ("sample", "-", *SCRIPTED, "-n", 2, "-o", "-", "--dry-run", "--calibrate", 5, "--json")
    done = run(tmp_path, *line, input=source)
    assert json.loads(done.stdout)["estimate"]["counts"]["drawn"]["estimate"] == 160


@pytest.mark.parametrize(
    ("command", "source", "options"),
    [("sft", "problems.jsonl", ("--held-out", 0.2)), ("train-prm", "labels.jsonl", ()),
     ("orpo", "pairs.jsonl", ()), ("dpo", "pairs.jsonl", ("--held-out", 0.2))],
    ids=["sft", "train-prm", "orpo", "dpo"],
)  # fmt: skip
def test_the_updates_of_a_training_are_those_that_it_makes(
    folder: Path, tmp_path: Path, inside: Any, one_thread: None, command: str, source: str, options: tuple[object, ...]
) -> None:
    line = (command, folder / source, *LEARN, "--epochs", 1.4, "--accumulation", 2, *options, "-o", "out", "--json")
    found = told(inside(*line, "--dry-run", "--calibrate", 3))
    assert list(tmp_path.iterdir()) == []
    inside(*line)
    made = json.loads((tmp_path / "out" / "manifest.json").read_text())
    estimate = found["estimate"]
    assert estimate["counts"]["updates"]["estimate"] == estimate["of updates"] == made["result"]["steps"]
    assert estimate["from updates"] == 3
    if command == "sft":
        assert estimate["counts"]["tokens"]["estimate"] == made["result"]["num_tokens"]
    for name, count in made["counts"].items():
        assert found[name] == count
    assert 0 < estimate["seconds"]["start-up"] < estimate["seconds"]["estimate"]
    assert estimate["counts"]["tokens with padding"]["estimate"] >= estimate["counts"]["tokens"]["estimate"]


def test_packed_rows_are_counted_as_they_are_trained_on(
    folder: Path, tmp_path: Path, inside: Any, one_thread: None
) -> None:
    more = ("--packing", "--max-length", 256, "--epochs", 2, "-o", "out", "--json")
    line = ("sft", folder / "problems.jsonl", *LEARN, "--batch", 2, *more)
    estimate = told(inside(*line, "--dry-run", "--calibrate", 3))["estimate"]
    inside(*line)
    made = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert estimate["counts"]["updates"]["estimate"] == made["result"]["steps"]


def test_a_training_that_was_stopped_estimates_the_updates_that_are_left(
    folder: Path, tmp_path: Path, inside: Any, one_thread: None
) -> None:
    line = ("sft", folder / "problems.jsonl", *LEARN, "--epochs", 3, "--save-steps", 5, "-o", "out")
    inside(*line)
    whole = json.loads((tmp_path / "out" / "manifest.json").read_text())["result"]["steps"]
    assert told(inside(*line, "--dry-run", "--calibrate", 2, "--json"))["already complete"] is True
    (tmp_path / "out").rename(tmp_path / "before")
    process = start(tmp_path, *line, "--logging-steps", 1, cold=False)
    history = tmp_path / "out.part" / "history.jsonl"
    while process.poll() is None and (not history.exists() or len(read_whole(history)) < 7):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert end(process)[0] == 75
    done = max(int(path.name.rpartition("-")[2]) for path in (tmp_path / "out.part" / "checkpoints").iterdir())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out.part").rglob("*")}
    found = told(inside(*line, "--dry-run", "--calibrate", 2, "--json"))
    assert found["resumes at"] == done
    assert found["estimate"]["counts"]["updates"]["estimate"] == whole - done
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out.part").rglob("*")} == before


def read_whole(file: Path) -> list[Any]:
    """The lines of a file that may be growing."""
    return [line for line in file.read_bytes().split(b"\n")[:-1] if line]


def test_a_training_of_one_update_is_timed_by_it(folder: Path, tmp_path: Path, inside: Any, one_thread: None) -> None:
    (tmp_path / "few.jsonl").write_text("\n".join((folder / "problems.jsonl").read_text().splitlines()[:3]) + "\n")
    estimate = told(inside("sft", "few.jsonl", *LEARN, "--epochs", 1, "-o", "out", "--dry-run", "--calibrate", 4,
                           "--json"))["estimate"]  # fmt: skip
    assert (estimate["from updates"], estimate["of updates"]) == (1, 1)


@pytest.mark.parametrize("sort", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["sample", "sft"])
def test_an_interrupted_calibration_ends_at_once_and_leaves_nothing(
    folder: Path, tmp_path: Path, command: str, sort: signal.Signals
) -> None:
    more = {"sample": (*HF, "-n", 40), "sft": (*LEARN, "--epochs", 400)}[command]
    calibrate = ("--dry-run", "--calibrate", 80 if command == "sample" else 2000)
    scratch, here = tmp_path / "scratch", tmp_path / "here"
    scratch.mkdir()
    here.mkdir()
    line = (command, folder / "problems.jsonl", *more, *calibrate, "-o", "out")
    with (tmp_path / "said").open("w+b") as said:
        process = start(here, *line, cold=command == "sft", stderr=said, env=environment(TMPDIR=str(scratch)))
        # the short run shows its progress, and training has a folder for what is thrown away
        while process.poll() is None and not begun(command, tmp_path):
            time.sleep(0.05)
        process.send_signal(sort)
        code, _ = end(process)
    told = (tmp_path / "said").read_text()
    assert code == (130 if sort == signal.SIGINT else 75), told
    assert "Traceback" not in told
    if sort == signal.SIGTERM:
        assert told.splitlines()[-2:] == ["sipf: stopped by SIGTERM", "      Nothing was written."]
    assert list(here.iterdir()) == list(scratch.glob("sipf-*")) == []


def begun(command: str, folder: Path) -> bool:
    """Whether the work of a calibration has begun."""
    if command == "sample":
        return b"sample, calibration: " in (folder / "said").read_bytes()
    return any((folder / "scratch").glob("sipf-calibration-*"))
