"""`--log-to` of the stages over lines: what a tool gets, what the manifest tells, and a tool that fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import SCRIPTED
from tests.stages.runs.trackers import stand_in, told


@pytest.fixture
def problems(inside: Any) -> None:
    inside("data", "chain", "--split", "train", "-n", "6", "-o", "p.jsonl")


def manifest(file: Path) -> Any:
    return json.loads(Path(f"{file}.manifest.json").read_text())


def last(folder: Path) -> Any:
    """The last point that was logged."""
    return [call for call in told(folder) if call[0] == "log"][-1]


@pytest.mark.usefixtures("problems")
def test_each_stage_logs_what_its_progress_shows(inside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("wandb", tmp_path, monkeypatch)
    inside("sample", "p.jsonl", *SCRIPTED, "-n", "4", "--log-to", "wandb", "-o", "paths.jsonl")
    _, figures, step = last(tmp_path)
    assert (step, figures["sample/done"]) == (6, 6)
    assert 0 < figures["sample/right"] < 1
    assert figures["sample/tokens_per_second"] > 0
    assert "shown: right" not in manifest(tmp_path / "paths.jsonl")["counts"]
    inside("simulate", "paths.jsonl", *SCRIPTED, "--k", "2", "--log-to", "wandb", "-o", "labels.jsonl")
    figures = last(tmp_path)[1]
    counts = manifest(tmp_path / "labels.jsonl")["counts"]
    assert figures["simulate/steps_right"] == counts["right steps"] / counts["steps labelled"]
    assert figures["simulate/of_brute_force"] == counts["rollouts"] / counts["brute rollouts, every prefix"]
    inside("eval", "p.jsonl", *SCRIPTED, "--log-to", "wandb", "-o", "eval.jsonl")
    lines = (tmp_path / "eval.jsonl").read_text().splitlines()
    right = sum(json.loads(line)["paths"][0]["correct"] for line in lines)
    assert last(tmp_path)[1]["eval/right"] == right / 6
    names = [call[1]["name"] for call in told(tmp_path) if call[0] == "open"]
    assert names == ["sample paths.jsonl", "simulate labels.jsonl", "eval eval.jsonl"]


@pytest.mark.usefixtures("problems")
def test_score_logs_how_far_it_is_and_scores_the_same(
    inside: Any, tmp_path: Path, prm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("wandb", tmp_path, monkeypatch)
    inside("sample", "p.jsonl", *SCRIPTED, "-n", "2", "-o", "paths.jsonl")
    scoring = ("score", "paths.jsonl", "-m", prm, "--device", "cpu")
    inside(*scoring, "--log-to", "wandb", "-o", "scored.jsonl")
    assert [call[1]["name"] for call in told(tmp_path) if call[0] == "open"] == ["score scored.jsonl"]
    _, figures, step = last(tmp_path)
    assert (step, figures["score/done"]) == (6, 6)
    assert figures["score/per_second"] == pytest.approx(6 / figures["score/seconds"])
    assert not any("tokens" in name or "right" in name for name in figures), "it writes no text and judges no answer"
    assert told(tmp_path)[-1][0] == "close"
    inside(*scoring, "-o", "plain.jsonl")
    assert (tmp_path / "plain.jsonl").read_bytes() == (tmp_path / "scored.jsonl").read_bytes()
    assert manifest(tmp_path / "scored.jsonl")["log_to"] == "wandb"
    assert "log_to" not in manifest(tmp_path / "plain.jsonl")


@pytest.mark.usefixtures("problems")
def test_the_manifest_tells_the_tool_which_decides_nothing(
    inside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("trackio", tmp_path, monkeypatch)
    sampling = ("sample", "p.jsonl", *SCRIPTED, "-n", "2")
    inside(*sampling, "--log-to", "trackio", "-o", "logged.jsonl")
    assert manifest(tmp_path / "logged.jsonl")["log_to"] == "trackio"
    inside(*sampling, "-o", "plain.jsonl")
    assert "log_to" not in manifest(tmp_path / "plain.jsonl")
    assert (tmp_path / "plain.jsonl").read_bytes() == (tmp_path / "logged.jsonl").read_bytes()
    calls = len(told(tmp_path))
    again = inside(*sampling, "--log-to", "trackio", "-o", "plain.jsonl", "--json")
    assert json.loads(again.stdout)["already complete"], "another tool is no other run"
    assert len(told(tmp_path)) == calls, "a run that is complete opens no tool"


@pytest.mark.usefixtures("problems")
@pytest.mark.parametrize("fails", ["log", "close"])
def test_a_tool_that_fails_does_not_end_the_run(
    inside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    stand_in("wandb", tmp_path, monkeypatch, fails=fails)
    done = inside("sample", "p.jsonl", *SCRIPTED, "--log-to", "wandb", "-o", "paths.jsonl")
    assert "--log-to wandb failed (no network): 1 of 1 points were not logged" in done.stderr
    assert "and more" not in done.stderr
    assert manifest(tmp_path / "paths.jsonl")["complete"]


@pytest.mark.usefixtures("problems")
def test_a_tool_that_is_missing_or_cannot_be_opened_ends_it_before_anything_starts(
    inside: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr("stages.runs.tracking.find_spec", lambda _: None)
        done = inside("sample", "p.jsonl", *SCRIPTED, "--log-to", "trackio", "-o", "paths.jsonl", code=2)
    assert done.stderr.splitlines()[0] == "sipf: --log-to trackio: the package trackio is not installed"
    assert sorted(tmp_path.iterdir()) == before
    stand_in("wandb", tmp_path, monkeypatch, fails="open")
    done = inside("sample", "p.jsonl", *SCRIPTED, "--log-to", "wandb", "-o", "paths.jsonl", code=2)
    assert "sipf: --log-to wandb cannot be opened (no network)" in done.stderr
    assert not (tmp_path / "paths.jsonl").exists()
    inside("sample", "p.jsonl", *SCRIPTED, "-o", "paths.jsonl")
