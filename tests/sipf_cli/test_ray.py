"""Actors of a Ray cluster write the bytes of one process, whatever becomes of them, their nodes and the driver."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.sipf_cli.commands import SCRIPTED, end, environment, finished, run, start, wait_for

pytest.importorskip("ray", reason="the package ray is not installed")

DELAY, LONG_DELAY = 100, 300
"""Milliseconds per answer: a run takes four seconds, or twelve. A node that is removed goes on answering for two."""


class TwoNodes:
    """The cluster's program (two_nodes.py)."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("two_nodes.py")
        self.process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment(), text=True,
        )  # fmt: skip
        self.address = self._said()

    def _said(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.startswith("Token"):
                return line.strip()
        raise AssertionError("the cluster did not start")

    def tell(self, what: str) -> None:
        assert self.process.stdin is not None
        print(what, file=self.process.stdin, flush=True)
        self._said()

    def actors(self) -> list[psutil.Process]:
        """The processes of its actors."""
        return [one for one in psutil.Process(self.process.pid).children(recursive=True) if _is_replica(one)]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def _is_replica(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[:1] != [] and process.cmdline()[0].startswith("ray::Replica")
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def cluster() -> Iterator[TwoNodes]:
    nodes = TwoNodes()
    yield nodes
    nodes.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems, paths, and what one process writes of them."""
    folder = tmp_path_factory.mktemp("ray")
    run(folder, "data", "chain", "--split", "train", "-n", 120, "-o", "problems.jsonl")
    run(folder, "sample", "problems.jsonl", *SCRIPTED, "-n", 4, "-o", "paths.jsonl")
    run(folder, "simulate", "paths.jsonl", *SCRIPTED, "--k", 3, "--run-budget", 2000, "-o", "labels.jsonl")
    return folder


def test_actors_on_two_nodes_write_the_bytes_of_one_process(folder: Path, tmp_path: Path, cluster: TwoNodes) -> None:
    output = tmp_path / "out.jsonl"
    line = ("simulate", "paths.jsonl", *SCRIPTED, "--k", 3, "--run-budget", 2000, "-o", output)
    run(folder, *line, "--ray", cluster.address, "--replicas", 2)
    assert output.read_bytes() == (folder / "labels.jsonl").read_bytes()
    made, one = (json.loads(Path(f"{path}.manifest.json").read_text()) for path in (output, folder / "labels.jsonl"))
    for key in ("command", "started", "finished", "seconds"):
        del made[key], one[key]
    assert made == one


def test_there_are_as_many_actors_as_there_is_room_for(folder: Path, tmp_path: Path, cluster: TwoNodes) -> None:
    line = slow(folder, tmp_path / "out.jsonl", cluster)[:-2]
    process = start(folder, *line, cold=False)
    assert len(until_at_work(process, tmp_path / "out.jsonl.part", cluster)) == 2
    assert end(process)[0] == 0
    assert (tmp_path / "out.jsonl").read_bytes() == (folder / "paths.jsonl").read_bytes()


def test_a_cluster_of_its_own_ends_with_the_command(folder: Path, tmp_path: Path) -> None:
    line = ("sample", "problems.jsonl", *SCRIPTED, "-n", 4, "-o", "-", "--ray", "local", "--replicas", 2)
    done = run(folder, *line)
    assert done.stdout == (folder / "paths.jsonl").read_bytes()
    assert b"Traceback" not in done.stderr


def slow(folder: Path, output: Path, cluster: TwoNodes, delay: int = DELAY) -> tuple[object, ...]:
    more = ("--script-delay", delay, "--batch-rows", 8, "--ray", cluster.address, "--replicas", 2)
    return ("sample", folder / "problems.jsonl", *SCRIPTED, "-n", 4, "-o", output, *more)


def until_at_work(process: subprocess.Popen[bytes], part: Path, cluster: TwoNodes) -> list[psutil.Process]:
    wait_for(part, 3000, process)
    while process.poll() is None and len(cluster.actors()) < 2:
        time.sleep(0.05)
    return cluster.actors()


def kill_an_actor(process: subprocess.Popen[bytes], actors: list[psutil.Process], cluster: TwoNodes) -> None:
    actors[0].kill()


def remove_a_node(process: subprocess.Popen[bytes], actors: list[psutil.Process], cluster: TwoNodes) -> None:
    cluster.tell("remove")
    cluster.tell("add")


@pytest.mark.parametrize(("harm", "delay"), [(kill_an_actor, DELAY), (remove_a_node, LONG_DELAY)])
def test_what_an_actor_had_not_answered_is_given_to_another(
    harm: Callable[..., None], delay: int, folder: Path, tmp_path: Path, cluster: TwoNodes
) -> None:
    process = start(folder, *slow(folder, tmp_path / "out.jsonl", cluster, delay), cold=False)
    harm(process, until_at_work(process, tmp_path / "out.jsonl.part", cluster), cluster)
    code, said = end(process)
    assert code == 0, said
    assert (tmp_path / "out.jsonl").read_bytes() == (folder / "paths.jsonl").read_bytes()
    made = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert made["usage"]["replicas lost"] == 1, said


@pytest.mark.parametrize(("sort", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGKILL, -9)])
def test_a_driver_that_is_stopped_or_killed_resumes_and_its_actors_end(
    sort: signal.Signals, code: int, folder: Path, tmp_path: Path, cluster: TwoNodes
) -> None:
    output, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part"
    process = start(folder, *slow(folder, output, cluster), cold=False)
    actors = until_at_work(process, part, cluster)
    process.send_signal(sort)
    got, said = end(process)
    assert got == code, said
    assert "Traceback" not in said
    assert psutil.wait_procs(actors, timeout=60)[1] == []
    done = finished(part)
    assert done > 0
    # here, without the cluster
    again = json.loads(run(folder, *slow(folder, output, cluster)[:-4], "--json").stdout)
    assert again["resumed"] == done
    assert output.read_bytes() == (folder / "paths.jsonl").read_bytes()


def test_an_address_without_a_cluster_is_an_error_of_one_line(folder: Path, tmp_path: Path) -> None:
    line = ("sample", "problems.jsonl", *SCRIPTED, "-o", tmp_path / "out.jsonl", "--ray", "127.0.0.1:1")
    said = run(folder, *line, code=4).stderr.decode()
    assert said.splitlines()[-2].startswith("sipf: there is no Ray cluster at '127.0.0.1:1'")
    assert "Traceback" not in said


def test_ray_that_is_not_installed_is_an_error_with_advice(
    folder: Path, tmp_path: Path, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.runs.replicas.on_ray.find_spec", lambda name: None)
    line = ("sample", folder / "problems.jsonl", *SCRIPTED, "-o", tmp_path / "out.jsonl", "--ray", "auto")
    said = inside(*line, code=2).stderr
    assert "--ray needs the package ray" in said
    assert "pip install" in said
