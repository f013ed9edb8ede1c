"""Workers of this machine: which GPUs and threads they get."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.errors import UsageError
from stages.runs.replicas.local import LocalFleet, devices_for, visible_devices
from stages.settings.replicas import ReplicaSettings
from tests.stages.runs.replicas.fakes import Copying


@pytest.mark.parametrize(
    ("count", "each", "visible", "wanted"),
    [
        (2, 1, ["0", "1"], [["0"], ["1"]]),
        (2, 2, ["4", "5", "6", "7"], [["4", "5"], ["6", "7"]]),
        (3, 0.5, ["GPU-a", "GPU-b"], [["GPU-a"], ["GPU-a"], ["GPU-b"]]),
        (3, 0.33, ["0"], [["0"], ["0"], ["0"]]),
    ],
)
def test_gpus_are_divided_in_order(count: int, each: float, visible: list[str], wanted: list[list[str]]) -> None:
    assert devices_for(count, each, visible) == wanted


@pytest.mark.parametrize(("count", "each", "visible"), [(3, 1, ["0", "1"]), (2, 2, ["0", "1", "2"]), (3, 0.5, ["0"])])
def test_more_workers_than_gpus_are_refused(count: int, each: float, visible: list[str]) -> None:
    with pytest.raises(UsageError, match=f"--workers {count} with {each:g} GPUs each is more than the {len(visible)}"):
        devices_for(count, each, visible)


def test_gpus_are_those_that_this_process_sees(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5")
    assert visible_devices() == ["3", "GPU-5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_devices() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_devices() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: H200 (UUID: GPU-1)'\necho 'GPU 1: H200 (UUID: GPU-2)'\n")
    tool.chmod(0o755)
    assert visible_devices() == ["0", "1"]


def test_a_worker_has_its_gpus_and_threads_unless_the_user_has_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = LocalFleet(Copying(), 2, 3, [["0"], ["1"]])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    given = fleet._environment(1)
    assert (given["CUDA_VISIBLE_DEVICES"], given["OMP_NUM_THREADS"]) == ("1", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert fleet._environment(0)["OMP_NUM_THREADS"] == "1"


def test_settings_of_replicas_without_any_are_refused() -> None:
    with pytest.raises(UsageError, match="--replica-gpus is for several processes"):
        ReplicaSettings(replica_gpus=1)
    with pytest.raises(UsageError, match=r"--replica-gpus 1\.5 is no whole number"):
        ReplicaSettings(workers=2, replica_gpus=1.5)
