"""The training commands as they are typed: stopped and resumed, refused, done already, and what they tell."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import (
    SCRIPTED,
    end,
    environment,
    hold,
    read,
    release,
    run,
    start,
    wait_for,
    wait_until_it_listens,
)
from tests.sipf_cli.warm import warm_program
from tests.small_disk import assert_interrupted_then_done, fill_then_enlarge

MODEL = ("-m", "chain-base", "--device", "cpu")
SFT = ("sft", "problems.jsonl", *MODEL, "--epochs", 5, "--lr", "5e-4", "--batch", 8, "--logging-steps", 1)
UPDATES = 25
AFTERWARDS = 2
"""Updates that may still be made after SIGTERM: the one under way, and one more if it came just behind the look."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems, labels of both kinds, and pairs."""
    folder = tmp_path_factory.mktemp("training")
    run(folder, "data", "chain", "--split", "train", "-n", 40, "-o", "problems.jsonl")
    run(folder, "sample", "problems.jsonl", *SCRIPTED, "-n", 6, "-o", "paths.jsonl")
    for strategy in ("exact", "brute"):
        more = ("--strategy", strategy, "--k", 4, "-o", f"{strategy}.jsonl")
        run(folder, "simulate", "paths.jsonl", *SCRIPTED, *more)
    run(folder, "pairs", "paths.jsonl", "--rule", "outcome", "-o", "pairs.jsonl")
    return folder


@pytest.fixture
def here(folder: Path, tmp_path: Path) -> Path:
    """The test's folder with those files in it."""
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    return tmp_path


def updates(part: Path) -> int:
    """How many updates a run that is not done yet has logged."""
    log = part / "history.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def weights(model: Path) -> bytes:
    return (model / "model.safetensors").read_bytes()


def losses(model: Path) -> list[dict[str, Any]]:
    return [{name: line[name] for name in ("step", "loss", "grad_norm")} for line in read(model / "history.jsonl")]


def test_sft_that_is_stopped_and_killed_ends_in_the_weights_of_a_whole_run(
    here: Path, inside: Any, one_thread: None
) -> None:
    inside(*SFT, "-o", "whole")
    length = (here / "whole" / "history.jsonl").stat().st_size
    for sort, code in ((signal.SIGTERM, 75), (signal.SIGKILL, -9)):
        process = start(here, *SFT, "--save-steps", 5, "-o", "again", cold=False)
        before = (here / "again.part" / "history.jsonl").stat().st_size if sort == signal.SIGKILL else 0
        wait_for(here / "again.part" / "history.jsonl", before + length // 4, process)
        hold(process)
        logged = updates(here / "again.part")
        release(process, sort)
        ended, said = end(process)
        assert ended == code, said
        assert updates(here / "again.part") - logged <= (0 if sort == signal.SIGKILL else AFTERWARDS)
        assert "Traceback" not in said
        assert not (here / "again").exists()
        if code == 75:
            assert "sipf: stopped by SIGTERM" in said
            assert "same command again" in said
    told = json.loads(inside(*SFT, "--save-steps", 5, "-o", "again", "--json").stdout)
    assert weights(here / "again") == weights(here / "whole")
    assert told["result"]["steps"] == UPDATES
    # every update is logged once, in order, however often the run began
    assert [line["step"] for line in read(here / "again" / "history.jsonl")] == list(range(1, UPDATES + 1))
    assert {file.name for file in here.glob("again*")} == {"again"}


@pytest.mark.parametrize("after", [1.0, 3.0])
def test_sigterm_is_heard_before_the_first_update(here: Path, after: float) -> None:
    process = start(here, *SFT, "-o", "model")
    wait_until_it_listens(process)
    time.sleep(after)
    hold(process)
    logged = updates(here / "model.part")
    release(process, signal.SIGTERM)
    code, said = end(process)
    assert code == 75, said
    assert updates(here / "model.part") - logged <= AFTERWARDS
    assert "Traceback" not in said
    assert not (here / "model").exists()


@pytest.mark.parametrize(
    ("megabytes", "steps"),
    [(8, 4), (16, 4), (12, 99)],
    ids=["in the first checkpoint", "in the second", "in the final model"],
)
def test_a_full_disk_interrupts_and_the_same_command_ends_in_the_same_model(
    here: Path, inside: Any, one_thread: None, megabytes: int, steps: int
) -> None:
    line = [str(part) for part in (*SFT, "--epochs", 2, "--save-steps", steps, "-o")]
    program = [*warm_program(), *line, "small/model"]
    told = fill_then_enlarge(here / "small", megabytes * 1024, program, environment(), output="model", megabytes=64)
    assert_interrupted_then_done(told)
    inside(*line, "whole")
    assert weights(told.kept) == weights(here / "whole")
    assert losses(told.kept) == losses(here / "whole")


def test_orpo_starts_from_one_model(here: Path, inside: Any) -> None:
    for models in (("--model", "a", "--continue-from", "b"), ()):
        said = inside("orpo", "pairs.jsonl", *models, "-o", "model", code=2).stderr
        assert "either --model or --continue-from" in said
    assert not (here / "model").exists()


def test_a_model_that_is_there_is_not_made_again(here: Path, inside: Any) -> None:
    line = ("orpo", "pairs.jsonl", *MODEL, "--epochs", 1, "-o", "m1", "--json")
    first = json.loads(inside(*line).stdout)
    assert first["counts"]["pairs"] == len(read(here / "pairs.jsonl"))
    assert {"chosen_logps", "rejected_logps", "log_odds_ratio", "accuracy"} <= set(first["result"])
    made = (here / "m1" / "manifest.json").stat()
    again = inside(*line)
    assert not first["already complete"]
    assert json.loads(again.stdout) == first | {"already complete": True}
    kept = (here / "m1" / "manifest.json").stat()
    assert (kept.st_ino, kept.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert "beta" in inside(*line, "--beta", 0.5, code=2).stderr
    kept = (here / "m1" / "manifest.json").stat()
    assert (kept.st_ino, kept.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    changed = json.loads(inside(*line, "--beta", 0.5, "--overwrite").stdout)
    assert changed["result"]["loss"] != first["result"]["loss"]
    # the next round may go on from it
    inside("orpo", "pairs.jsonl", "--continue-from", "m1", *MODEL[2:], "--epochs", 1, "-o", "m2")
    assert json.loads((here / "m2" / "manifest.json").read_text())["model"]["name"] == "m1"


FIGURES = {
    "accuracy", "majority_accuracy", "auc", "pair_accuracy", "calibration_error", "first_error_accuracy",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["process", "outcome"])
def test_train_prm_measures_itself_on_held_out_problems(here: Path, inside: Any, kind: str) -> None:
    more = ("--outcome",) if kind == "outcome" else ()
    how = ("--epochs", 2, "--lr", "5e-4", "--held-out", 0.3)
    line = ("train-prm", "exact.jsonl", *MODEL, *how, *more, "-o", "rm")
    told = inside(*line).stdout
    saved = json.loads((here / "rm" / "eval.json").read_text())
    assert set(saved) >= FIGURES
    assert "held-out gold_paths" in told
    for name in FIGURES:
        assert 0 <= saved[name] <= 1
        assert f"held-out {name}" in told
    assert saved["problems"] > 0
    assert saved == json.loads(inside(*line, "--json").stdout)["eval"]
    inside("score", "paths.jsonl", "-m", "rm", "--device", "cpu", "--name", kind, "-o", "scored.jsonl")
    scores = [path["scores"][kind] for problem in read(here / "scored.jsonl") for path in problem["paths"]]
    assert scores
    if kind == "outcome":
        # right and wrong steps of a wrong path have one target
        assert json.loads((here / "rm" / "sipf.json").read_text())["outcome"] is True


def test_soft_labels_need_all_draws(here: Path, inside: Any) -> None:
    line = ("train-prm", "{}.jsonl", *MODEL, "--labels", "soft", "--epochs", 1, "-o", "prm")
    said = inside(*(str(part).format("exact") for part in line), code=3).stderr
    assert "--strategy brute" in said
    assert not (here / "prm").exists()
    inside(*(str(part).format("brute") for part in line))
    assert (here / "prm" / "eval.json").is_file()


def test_lora_keeps_the_adapter_and_merge_writes_the_full_model(here: Path, inside: Any) -> None:
    line = ("sft", "problems.jsonl", *MODEL, "--epochs", 1, "--lora", "--lora-r", 4)
    inside(*line, "-o", "adapter")
    inside(*line, "--merge", "-o", "merged")
    assert (here / "adapter" / "adapter_model.safetensors").is_file()
    assert not (here / "adapter" / "model.safetensors").exists()
    assert (here / "merged" / "model.safetensors").is_file()
    for model in ("adapter", "merged"):
        inside("eval", "problems.jsonl", "-m", model, "--device", "cpu", "--max-tokens", 8, "-o", f"{model}.jsonl")
    answers = [[row["paths"][0]["text"] for row in read(here / f"{model}.jsonl")] for model in ("adapter", "merged")]
    assert answers[0] == answers[1]
