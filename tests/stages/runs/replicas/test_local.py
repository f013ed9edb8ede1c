"""Workers of this machine: which GPUs and threads they get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evals.errors import UsageError
from stages.engines.opening import OnDemandEngine
from stages.runs.record import LineRun
from stages.runs.replicas import opening
from stages.runs.replicas.local import LocalFleet, devices_for, visible_devices
from stages.runs.scheduler import Quiet
from stages.runs.stage import run_stage
from stages.sample import Sampler
from stages.scorers.opening import OnDemandScorer
from stages.settings.model import EngineSettings, ScorerSettings
from stages.settings.replicas import ReplicaSettings
from stages.settings.sample import SampleSettings
from tests.stages.runs.replicas.fakes import Copying, Poisonous, problem


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
    with pytest.raises(UsageError, match="--replicas are actors of a Ray cluster"):
        ReplicaSettings(workers=2, replicas=2)
    with pytest.raises(UsageError, match="--workers are processes of this machine"):
        ReplicaSettings(workers=2, ray="auto")
    with pytest.raises(UsageError, match=r"--replica-gpus 1\.5 is no whole number"):
        ReplicaSettings(workers=2, replica_gpus=1.5)


def test_a_replica_computes_in_what_the_manifest_says_and_checks_as_many_programs_as_it_has_cores() -> None:
    engine = OnDemandEngine(EngineSettings(model="chain-base"))
    stage = Sampler(engine, SampleSettings()).pinned(3)
    assert isinstance(stage.engine, OnDemandEngine)
    told = engine.facts()
    assert (stage.engine.settings.device, stage.engine.settings.dtype) == (told["device"], told["dtype"])
    assert stage.engine.facts() == told
    assert stage.verdicts.cores == 3
    server = OnDemandEngine(EngineSettings(engine="server", model="m", url=("http://a",)))
    assert server.pinned(3) is server
    scorer = OnDemandScorer("owner/model", ScorerSettings(revision="v1")).pinned(1)
    assert scorer.model == "owner/model@v1"
    assert scorer.settings.device != "auto"


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (EngineSettings(model="m"), 1),
        (EngineSettings(model="m", device="cpu"), 0),
        (EngineSettings(model="m", engine="vllm", tensor_parallel=4), 4),
        (EngineSettings(engine="scripted", script="gold:1"), 0),
        (EngineSettings(engine="server", model="m"), 0),
    ],
)
def test_how_many_gpus_an_engine_takes(settings: EngineSettings, wanted: int) -> None:
    assert Sampler(OnDemandEngine(settings), SampleSettings()).gpus() == wanted


def test_workers_on_the_gpus_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setattr("stages.models.devices.choose_device", lambda device: "cuda")
    monkeypatch.setattr("stages.models.devices.choose_dtype", lambda dtype, device: "bfloat16")

    def devices(settings: ReplicaSettings, **engine: Any) -> object:
        stage = Sampler(OnDemandEngine(EngineSettings(**{"model": "m", **engine})), SampleSettings())
        fleet = opening._workers(stage, settings)
        assert isinstance(fleet, LocalFleet)
        return fleet._devices

    assert devices(ReplicaSettings(workers=2)) == [["0"], ["1"]]
    assert devices(ReplicaSettings(workers=2, replica_gpus=2)) == [["0", "1"], ["2", "3"]]
    assert devices(ReplicaSettings(workers=2), engine="scripted", script="gold:1") is None
    with pytest.raises(UsageError, match="--workers 5 with 1 GPUs each is more than the 4"):
        devices(ReplicaSettings(workers=5))
    with pytest.raises(UsageError, match="without a GPU the model runs on the CPU"):
        devices(ReplicaSettings(workers=2, replica_gpus=0))


class Shown(Quiet):
    """A display that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def advance(self, tokens: int = 0, tally: Any = None, *, more: Any = None) -> None:
        """Nothing."""


def test_a_problem_that_kills_its_workers_fails_and_the_others_are_written(tmp_path: Path) -> None:
    source, output, shown = tmp_path / "in.jsonl", tmp_path / "out.jsonl", Shown()
    source.write_text("".join(problem(number).to_json() + "\n" for number in range(60)))
    run = LineRun("copy", str(source), str(output), {}, {}, skip_failed=True)
    summary = run_stage(run, Poisonous(), shown, ReplicaSettings(workers=2))
    assert (summary.done, summary.failed, summary.complete) == (59, 1, True)
    assert output.read_text() == "".join(problem(number).to_json() + "\n" for number in range(60) if number != 7)
    assert "p/7 failed: 4 replicas died of it, the last one killed by SIGKILL" in shown.warnings[-1]
    assert json.loads(Path(f"{output}.manifest.json").read_text())["usage"] == {"replicas lost": 4}
