"""Trackers, by stand-ins for the three packages that write down what they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evals.errors import UsageError
from stages.runs.tracking import Tracker, check_installed
from tests.stages.runs.trackers import stand_in, told


@pytest.mark.parametrize("tool", ["wandb", "trackio", "tensorboard"])
def test_a_point_reaches_the_tool_under_its_step(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tool, tmp_path, monkeypatch)
    check_installed(tool)
    tracker = Tracker(tool, "sample out.jsonl", {"n": 8}, str(tmp_path / "out.jsonl.tensorboard"))
    tracker.open()
    tracker.log({"sample/done": 3, "sample/right": 0.5}, step=3)
    tracker.close()
    assert told(tmp_path)[-2:] == [["log", {"sample/done": 3, "sample/right": 0.5}, 3], ["close"]]
    opened = told(tmp_path)[0]
    if tool == "tensorboard":
        assert opened == ["open", str(tmp_path / "out.jsonl.tensorboard")]
    else:
        assert opened[1] | {"name": "sample out.jsonl", "config": {"n": 8}} == opened[1]
    assert (tracker.sent, tracker.failed) == (1, 0)


def test_tensorboard_writes_where_its_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("tensorboard", tmp_path, monkeypatch)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "elsewhere")
    Tracker("tensorboard", "x", {}, "place").open()
    assert told(tmp_path) == [["open", "elsewhere"]]


@pytest.mark.parametrize(
    ("fails", "sent", "failed", "fault"),
    [("log", 2, 2, "no network"), ("close", 2, 2, "no network"), ("", 2, 0, "")],
)
def test_what_a_tool_raises_in_the_middle_is_counted(
    fails: str, sent: int, failed: int, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("wandb", tmp_path, monkeypatch, fails=fails)
    tracker = Tracker("wandb", "x", {}, "place")
    tracker.open()
    for step in range(2):
        tracker.log({"a": 1}, step)
    tracker.close()
    assert (tracker.sent, tracker.failed) == (sent, failed)
    assert fault in tracker.fault


def test_a_tool_that_cannot_be_opened_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("trackio", tmp_path, monkeypatch, fails="open")
    with pytest.raises(UsageError, match=r"^--log-to trackio cannot be opened \(no network\)$"):
        Tracker("trackio", "x", {}, "place").open()


@pytest.mark.parametrize("tool", ["tensorboard", "wandb", "trackio"])
def test_a_missing_package_is_named(tool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.runs.tracking.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=f"the package {tool} is not installed") as caught:
        check_installed(tool, "history.jsonl holds the same figures")
    assert caught.value.advice.endswith("leave --log-to out: history.jsonl holds the same figures.")
    check_installed("none")
    assert caught.value.exit_code == 2
