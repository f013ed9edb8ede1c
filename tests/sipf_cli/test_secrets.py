"""No key, token or password gets into what a command prints or writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sipf_cli.main import _show_bug
from tests.sipf_cli.commands import write
from tests.sipf_cli.conftest import Sipf
from tests.stages.engines.lookalike import Lookalike, Reply, wrote

SECRET = "sk-0123456789abcdef"
SERVER = ("--engine", "server", "-m", "m1", "-n", "1", "--retries", "0", "-o", "paths.jsonl")
PROBLEM: dict[str, object] = {
    "id": "a",
    "task": "math",
    "question": "What is 1 plus 2?",
    "answer": "3",
    "solution": ["1+2=3"],
}


@pytest.fixture(autouse=True)
def problems(tmp_path: Path) -> None:
    write(tmp_path / "problems.jsonl", [PROBLEM])


def everything(folder: Path) -> str:
    """All that was written."""
    return "".join(file.read_text(errors="replace") for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(("status", "code"), [(200, 0), (400, 6), (401, 4), (500, 4)])
def test_a_server_that_shows_the_key_is_not_quoted(
    inside: Sipf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    """Neither in the error, nor in its traceback, nor in the manifest's list of failed problems."""

    def answer(body: object, number: int) -> Reply:
        if status == 200:
            return wrote("The answer is 3")
        return Reply(status=status, json={"error": {"message": f"no: {server.headers[-1]['Authorization']}"}})

    monkeypatch.setenv("SIPF_API_KEY", f" {SECRET}\r\n")
    with Lookalike(answer) as server:
        done = inside("--debug", "sample", "problems.jsonl", *SERVER, "--url", server.url, code=code)
        assert server.headers[0]["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in done.stdout + done.stderr + everything(tmp_path)
    assert status == 200 or "[key]" in done.stderr


@pytest.mark.parametrize("key", [f"{SECRET}é", f"{SECRET}\nX-Other: 1", f"{SECRET}\x7f"])
def test_a_key_that_cannot_be_sent_is_not_shown(inside: Sipf, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SIPF_API_KEY", key)
    done = inside("sample", "problems.jsonl", *SERVER, "--url", "http://127.0.0.1:9/v1", code=2)
    assert "SIPF_API_KEY holds characters that no key has" in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"http://me:{SECRET}@host/v1", f"http://{SECRET}@host/v1", f"ftp://me:{SECRET}@host", f"https:me:{SECRET}@host",
        f"http://host/v1?key={SECRET}", f"http://host/v1#{SECRET}", f"ftp://host/?key={SECRET}", f"//me:{SECRET}@host",
        f"http://me:a/{SECRET}@host/v1", f"http://host:99999/v1?key={SECRET}",
    ],
)  # fmt: skip
def test_an_address_with_a_key_in_it_is_refused_and_not_shown(inside: Sipf, tmp_path: Path, url: str) -> None:
    done = inside("sample", "problems.jsonl", *SERVER, "--url", url, code=2)
    assert SECRET not in done.stderr + everything(tmp_path)


def test_the_command_in_a_manifest_holds_no_secret(
    tmp_path: Path, inside: Sipf, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"SIPF_MY_TOKEN": SECRET, "SIPF_API_KEY": SECRET, "SIPF_SAMPLE_N": "1", "HF_TOKEN": "hf_0123456789"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    how = ("--engine", "scripted", "--script", "gold:1.0", "-m", f"https://me:{SECRET}@host/hf_0123456789")
    inside("sample", "problems.jsonl", *how, "-o", "paths.jsonl")
    manifest = json.loads((tmp_path / "paths.jsonl.manifest.json").read_text())
    assert "SIPF_SAMPLE_N=1" in manifest["command"]
    assert SECRET not in everything(tmp_path)
    assert "hf_0123456789" not in json.dumps(manifest["command"])


def test_the_traceback_of_a_bug_holds_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    try:
        raise RuntimeError(f"cannot log in with {SECRET} at https://me:pass@host")
    except RuntimeError:
        _show_bug(*sys.exc_info())  # type: ignore[arg-type]  # there is an exception
    assert "RuntimeError: cannot log in with [WANDB_API_KEY] at https://host" in capsys.readouterr().err


def test_a_hostile_line_cannot_command_the_terminal(tmp_path: Path, inside: Sipf) -> None:
    write(tmp_path / "odd.jsonl", [{**PROBLEM, "id": "\x1b]0;gone\x07\x9b2J", "solution": None}])
    how = ("--engine", "scripted", "--script", "gold:1.0", "-n", 1)
    said = inside("sample", "odd.jsonl", *how, "-o", "x.jsonl", code=3).stderr
    assert "]0;gone" in said
    assert not set(said) & {"\x1b", "\x07", "\x9b"}
