"""`--engine` on the command line: what each one needs, and runs on a server that is killed, refused and resumed."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.architectures import build
from tests.sipf_cli.commands import (
    SCRIPTED,
    end,
    environment,
    finished,
    hold,
    read,
    release,
    run,
    start,
    wait_for,
)
from tests.stages.engines.lookalike import Lookalike, Reply, wrote


def writer(body: dict[str, Any], _number: int) -> Reply:
    """An answer that hangs on prompt and seed alone."""
    rng = random.Random(f"{body['prompt']}{body['seed']}")
    return wrote(f"{rng.randint(1, 9)}+1={rng.randint(2, 9)}\nThe answer is {rng.randint(1, 9)}")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some lines with paths."""
    folder = tmp_path_factory.mktemp("engines")
    run(folder, "data", "chain", "--split", "train", "-n", 12, "-o", "problems.jsonl")
    run(folder, "sample", "problems.jsonl", *SCRIPTED, "-n", 2, "-o", "paths.jsonl")
    return folder / "paths.jsonl"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--engine", "server", "-m", "m1"), "needs --url"),
        (("--engine", "server", "--url", "http://localhost:1"), "needs --model"),
        (("--engine", "server", "--url", "localhost", "-m", "m1"), "no http or https address"),
        (("--engine", "server", "--url", "http://a:b@localhost", "-m", "m1"), "must not hold a key"),
        (("--engine", "server", "--url", "http://a", "--url", "http://a/v1", "-m", "m1"), "a --url is given twice"),
    ],
)
def test_a_server_needs_an_address_and_a_name(options: tuple[str, ...], said: str, paths: Path, inside: Any) -> None:
    done = inside("simulate", paths, *options, "-o", "out.jsonl", code=2)
    assert said in done.stderr


def test_vllm_that_is_not_installed_is_an_error_with_advice(
    paths: Path, prm: Path, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.engines.vllm.start.find_spec", lambda name: None)
    for line in (("simulate", paths, "-m", "chain-base"), ("score", paths, "-m", prm)):
        done = inside(*line, "--engine", "vllm", "-o", "out.jsonl", code=4)
        assert "it is not installed here" in done.stderr
        assert "'.[vllm]'" in done.stderr


def test_vllm_takes_its_options_from_the_command_line(
    paths: Path, prm: Path, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.engines.vllm.start.find_spec", lambda name: True)
    monkeypatch.setattr("stages.engines.vllm.start.metadata.version", lambda name: "0.32.0")
    how = (
        "--engine",
        "vllm",
        "--tensor-parallel",
        2,
        "--gpu-memory",
        0.5,
        "--max-model-len",
        512,
        "--dry-run",
        "--json",
    )
    for line in (("simulate", paths, "-m", "chain-base"), ("score", paths, "-m", prm)):
        planned = json.loads(inside(*line, *how, "-o", "out.jsonl").stdout)
        assert planned["engine"] == "vllm"
        assert planned["vllm"] == "0.32.0"
        assert planned["tensor_parallel"] == 2
        assert planned["same whatever the batch"] == "not guaranteed"
        done = inside(*line, *how, "--load-in-4bit", "-o", "out.jsonl", code=2)
        assert "--load-in-4bit is for the hf engine" in done.stderr


def test_compiled_steps_write_what_plain_ones_write(tmp_path: Path) -> None:
    build(tmp_path / "model", "Llama", num_hidden_layers=1)
    run(tmp_path, "data", "chain", "--split", "train", "-n", 4, "-o", "problems.jsonl")
    line = ("sample", "problems.jsonl", "-m", "model", "-n", 3, "--max-tokens", 24, "--device", "cpu")
    run(tmp_path, *line, "-o", "plain.jsonl")
    own = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    own.pop("TORCHINDUCTOR_CACHE_DIR", None)  # torch sets it where it is imported, as here
    run(tmp_path, *line, "--compile", "-o", "compiled.jsonl", cold=True, env=own, timeout=600)
    assert (tmp_path / "compiled.jsonl").read_bytes() == (tmp_path / "plain.jsonl").read_bytes()
    assert any((tmp_path / "cache/sipf/compiled").rglob("*.so")), "compiled code is kept, and not below /tmp"


def test_what_cannot_be_compiled_is_refused(tmp_path: Path, paths: Path, inside: Any) -> None:
    build(tmp_path / "phi", "Phi")
    line = ("simulate", paths, "--compile", "-o", "out.jsonl")
    done = inside(*line, "-m", tmp_path / "phi", code=4)
    assert "--compile cannot be used with this Phi model" in done.stderr
    for engine in (SCRIPTED, ("--engine", "vllm", "-m", "chain-base"), ("--engine", "server", "-m", "m1")):
        done = inside(*line, *engine, code=2)
        assert "--compile is for the hf engine" in done.stderr
    planned = json.loads(inside(*line, "-m", "chain-base", "--dry-run", "--json").stdout)
    assert planned["compiled"] is True


def test_simulate_on_a_server_that_is_killed_goes_on_with_nothing_lost_or_doubled(tmp_path: Path, paths: Path) -> None:
    def slow(body: dict[str, Any], number: int) -> Reply:
        return Reply(writer(body, number), delay=0.01)

    with Lookalike(slow) as server:
        line = ("simulate", paths, "--engine", "server", "--url", server.url, "-m", "m1", "--k", 3, "--concurrency", 4)
        run(tmp_path, *line, "-o", "whole.jsonl")
        asked, size = len(server.bodies), 0
        final = (tmp_path / "whole.jsonl").stat().st_size
        for share, sort in enumerate([signal.SIGKILL, signal.SIGTERM, signal.SIGKILL], 1):
            process = start(tmp_path, *line, "-o", "out.jsonl", cold=False)
            wait_for(tmp_path / "out.jsonl.part", max(size + 1, share * final // 5), process)
            hold(process)
            before = finished(tmp_path / "out.jsonl.part")
            release(process, sort)
            code, said = end(process)
            assert code == (-9 if sort == signal.SIGKILL else 75), said
            # four requests are on their way at a time
            assert finished(tmp_path / "out.jsonl.part") - before <= (0 if sort == signal.SIGKILL else 4)
            size = (tmp_path / "out.jsonl.part").stat().st_size
        before = len(server.bodies)
        # the server's address may be another when the run goes on
        moved = (
            "http://localhost" + server.url.removeprefix("http://127.0.0.1") if x == server.url else x for x in line
        )
        run(tmp_path, *moved, "-o", "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    made, whole = (json.loads((tmp_path / f"{name}.jsonl.manifest.json").read_text()) for name in ("out", "whole"))
    assert made["counts"] == whole["counts"]
    assert len(server.bodies) - before < asked, "finished problems are not asked for again"


def test_two_servers_of_which_one_dies_write_what_one_writes(tmp_path: Path, paths: Path) -> None:
    def dies(body: dict[str, Any], number: int) -> Reply:
        return writer(body, number) if number < 20 else Reply(drop=True)

    line = ("simulate", paths, "--engine", "server", "-m", "m1", "--k", 3, "--concurrency", 4, "--retries", 1)
    with Lookalike(writer) as server, Lookalike(dies) as dying:
        run(tmp_path, *line, "--url", server.url, "-o", "one.jsonl")
        run(tmp_path, *line, "--url", dying.url, "--url", server.url, "-o", "two.jsonl")
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    made, one = (json.loads((tmp_path / f"{name}.jsonl.manifest.json").read_text()) for name in ("two", "one"))
    assert made["usage"]["servers given up"] == 1
    assert made["facts"] == one["facts"]
    assert made["counts"] == one["counts"]
    assert len(dying.bodies) > 20


def test_a_refused_problem_fails_and_is_tried_again_and_no_key_is_written_down(tmp_path: Path, paths: Path) -> None:
    broken = [True]
    unlucky = read(paths)[3]["question"]

    def refusing(body: dict[str, Any], number: int) -> Reply:
        if broken and unlucky in body["prompt"]:
            return Reply(status=400, json={"error": {"message": "prompt too long"}})
        return writer(body, number)

    with Lookalike(refusing) as server:
        line = ("simulate", paths, "--engine", "server", "--url", server.url, "-m", "m1", "--k", 2, "-o", "out.jsonl")
        how = {"env": environment(SIPF_API_KEY="sk-secret")}
        said = run(tmp_path, *line, code=6, **how).stderr.decode()
        assert "prompt too long" in said
        assert "Traceback" not in said
        broken.clear()
        run(tmp_path, *line, **how)
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-secret"}
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [row["id"] for row in read(paths)]
    for file in tmp_path.iterdir():
        assert b"sk-secret" not in file.read_bytes()


def test_a_run_with_problems_that_always_fail_is_finished_by_skip_failed(
    tmp_path: Path, paths: Path, inside: Any
) -> None:
    unlucky = [row["question"] for row in read(paths)[3:5]]

    def failing(body: dict[str, Any], number: int) -> Reply:
        if any(question in body["prompt"] for question in unlucky):
            return Reply(status=500, json={"error": {"message": "assertion failed"}})
        return writer(body, number)

    with Lookalike(failing) as server:
        out = tmp_path / "out.jsonl"
        line = ("simulate", paths, "--engine", "server", "--url", server.url, "-m", "m1", "--k", 2, "--retries", 0)
        for _ in range(2):
            inside(*line, "-o", out, code=6)
        inside(*line, "-o", out, "--skip-failed")
    assert [row["id"] for row in read(out)] == [row["id"] for n, row in enumerate(read(paths)) if n not in (3, 4)]
    assert len(json.loads((tmp_path / "out.jsonl.manifest.json").read_text())["failed"]) == 2


def test_a_server_that_wants_a_key_or_is_gone_ends_with_4_and_what_is_done_stays(tmp_path: Path, paths: Path) -> None:
    def locked_after(body: dict[str, Any], number: int) -> Reply:
        return Reply(writer(body, number), delay=0.01) if number < 60 else Reply(status=401, json={})

    with Lookalike(locked_after) as server:
        line = ("simulate", paths, "--engine", "server", "--url", server.url, "-m", "m1", "--k", 2, "-o", "out.jsonl")
        said = run(tmp_path, *line, "--concurrency", 2, code=4).stderr.decode()
    assert "SIPF_API_KEY" in said
    assert "Traceback" not in said
    assert "never retrieved" not in said
    kept = (tmp_path / "out.jsonl.part").stat().st_size
    said = run(tmp_path, *line, "--retries", 1, code=4).stderr.decode()
    assert "goes on from here" in said
    assert (tmp_path / "out.jsonl.part").stat().st_size >= kept > 2000
