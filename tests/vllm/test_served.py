"""The server engine against a real server: vLLM's, of the CPU build, with the embedded base.

It is started by its module: `vllm serve` asks for its own version under a name that the CPU build does not have.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.models.naming import resolve
from tests.sipf_cli.commands import end, read, start, wait_for
from tests.vllm.conftest import Sipf

CHAT = (
    "{% for m in messages %}{% if m.role == 'user' %}Question: {{ m.content }}\nAnswer:\n"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that wants the key `sk-test` and calls the base `m1`."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "chat.jinja").write_text(CHAT)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    how = ["--served-model-name", "m1", "--host", "127.0.0.1", "--port", str(port), "--api-key", "sk-test"]
    how += ["--dtype", "float32", "--enforce-eager", "--no-enable-chunked-prefill", "--max-num-seqs", "64"]
    how += ["--generation-config", "vllm", "--chat-template", str(folder / "chat.jinja")]
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", resolve("chain-base"), *how],
            env={**os.environ, **quiet}, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process, folder / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(360):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(f"the server did not start: {log.read_text()[-3000:]}")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("SIPF_API_KEY", raising=False)


def served(url: str) -> tuple[object, ...]:
    return ("--engine", "server", "--url", url, "-m", "m1")


def test_greedy_answers_equal_the_hf_engines_whichever_way_prompts_are_sent(
    url: str, made: Path, tmp_path: Path, sipf: Sipf
) -> None:
    on_cpu = ("--engine", "hf", "-m", "chain-base", "--device", "cpu")
    sipf(tmp_path, "eval", made / "problems.jsonl", *on_cpu, "-o", "hf.jsonl")
    ways = {"ids": ("--tokenizer", "chain-base"), "text": (), "chat": ("--template", "chat")}
    for name, how in ways.items():
        sipf(tmp_path, "eval", made / "problems.jsonl", *served(url), *how, "-o", f"{name}.jsonl")
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (tmp_path / "hf.jsonl").read_bytes(), name


def test_greedy_rollouts_go_on_from_a_prefix_whichever_way_prompts_are_sent(
    url: str, made: Path, tmp_path: Path, sipf: Sipf
) -> None:
    how = ("--k", 1, "--temperature", 0, "--keep-text")
    sipf(tmp_path, "simulate", made / "paths.jsonl", "-m", "chain-base", "--device", "cpu", *how, "-o", "hf.jsonl")
    for name, more in {"ids": ("--tokenizer", "chain-base"), "text": (), "chat": ("--template", "chat")}.items():
        sipf(tmp_path, "simulate", made / "paths.jsonl", *served(url), *how, *more, "-o", f"{name}.jsonl")
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (tmp_path / "hf.jsonl").read_bytes(), name


def test_likelihoods_equal_the_hf_engines(url: str) -> None:
    import asyncio

    from evals.worlds import chain
    from stages.engines.hf.engine import HFEngine
    from stages.engines.opening import open_engine
    from stages.models.loading import load_policy
    from stages.settings.model import EngineSettings

    (problem,) = chain.problems("test", 1, 3)
    texts = ["72", "40+32=72\n72-5=67"]

    async def both() -> tuple[list[float], list[float]]:
        asked = open_engine(EngineSettings(engine="server", model="m1", url=(url,), tokenizer="chain-base"))
        hf = HFEngine(load_policy("chain-base", device="cpu", dtype="float32"))
        try:
            return await asked.loglikelihood(problem, texts), await hf.loglikelihood(problem, texts)
        finally:
            await asked.close()

    first, second = asyncio.run(both())
    assert first == pytest.approx(second, abs=1e-3)


def test_a_run_that_is_killed_goes_on_with_nothing_lost_or_doubled(
    url: str, made: Path, tmp_path: Path, sipf: Sipf
) -> None:
    line = ("simulate", made / "paths.jsonl", *served(url), "--k", 4, "--concurrency", 16, "-o", "out.jsonl")
    env = {name: value for name, value in os.environ.items() if not name.startswith("SIPF_")}
    size = 0
    for sort in (signal.SIGKILL, signal.SIGTERM):
        process = start(tmp_path, *line, env=env)
        wait_for(tmp_path / "out.jsonl.part", size + 6_000, process)
        process.send_signal(sort)
        code, said = end(process)
        assert code == (-9 if sort == signal.SIGKILL else 75), said
        assert "Traceback" not in said
        size = (tmp_path / "out.jsonl.part").stat().st_size
    done = sipf(tmp_path, *line)
    rows = read(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == [row["id"] for row in read(made / "paths.jsonl")]
    assert done["resumed"] > 0
    labels = [label for row in rows for path in row["paths"] if path["source"] != "gold" for label in path["labels"]]
    assert done["counts"]["steps labelled"] == len(labels)


def test_a_wrong_key_and_a_wrong_name_end_with_4(
    url: str, made: Path, tmp_path: Path, sipf: Sipf, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ("--engine", "server", "--url", url, "-m", "m2")
    assert "--model" in sipf(tmp_path, "eval", made / "problems.jsonl", *wrong, "-o", "out.jsonl", code=4)["said"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    said = sipf(tmp_path, "eval", made / "problems.jsonl", *served(url), "-o", "key.jsonl", code=4)["said"]
    assert "SIPF_API_KEY" in said
    assert "sk-wrong" not in said
