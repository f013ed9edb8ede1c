"""The command line as a person runs it: in a process of its own, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sipf_cli import commands
from tests.sipf_cli.warm import warm_program

Sipf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sipf(tmp_path: Path) -> Sipf:
    """Run `sipf ARGUMENTS` in the test's folder; `env` adds variables, no SIPF_* variable of the machine leaks in.

    It begins with the libraries imported, unless `cold`.
    """

    def run(*arguments: str, env: dict[str, str] | None = None, cold: bool = False) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SIPF_")}
        clean |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "100", **(env or {})}
        command = [*([sys.executable, "-m", "sipf_cli"] if cold else warm_program()), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sipf:
    """Run `sipf ARGUMENTS` in the test's folder and in this process, which has loaded the model libraries but once."""
    from sipf_cli.main import main

    def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        line = ["sipf", *map(str, arguments)]
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", line)
            for name, value in {"HF_HUB_OFFLINE": "1", "COLUMNS": "100"}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = capfd.readouterr()
        assert (ended.value.code or 0) == code, err
        return subprocess.CompletedProcess(line, code, out, err)

    return run


@pytest.fixture(scope="session")
def prm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model, trained once on a handful of labelled lines."""
    folder = tmp_path_factory.mktemp("prm")
    commands.run(folder, "data", "chain", "--split", "train", "-n", 12, "-o", "problems.jsonl")
    commands.run(folder, "sample", "problems.jsonl", *commands.SCRIPTED, "-n", 4, "-o", "paths.jsonl")
    commands.run(folder, "simulate", "paths.jsonl", *commands.SCRIPTED, "--k", 2, "-o", "labels.jsonl")
    how = ("--epochs", 1, "--lr", "5e-4", "--batch", 16, "--held-out", 0, "--device", "cpu")
    commands.run(folder, "train-prm", "labels.jsonl", "-m", "chain-base", *how, "-o", "prm")
    return folder / "prm"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The model libraries of this process compute as those of the commands do, which have one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
