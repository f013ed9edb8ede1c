"""Tests on vLLM itself, for the environment that `make test-vllm` builds; elsewhere there is nothing to collect.

Commands run inside this process, which has imported vLLM but once, except where a process is killed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

collect_ignore_glob = ["test_*.py"] if find_spec("vllm") is None else []

Sipf = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def sipf() -> Sipf:
    """Run `sipf ARGUMENTS` in a folder, in this process; the summary, and what was said on stderr as `said`."""
    from sipf_cli.main import main

    def run(folder: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
        before, argv = Path.cwd(), sys.argv
        out, err = io.StringIO(), io.StringIO()
        os.chdir(folder)
        sys.argv = ["sipf", *map(str, arguments), "--json"]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
                main()
        finally:
            os.chdir(before)
            sys.argv = argv
        assert (ended.value.code or 0) == code, err.getvalue()
        text = out.getvalue().strip()
        return {**(json.loads(text) if text else {}), "said": err.getvalue()}

    return run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, sipf: Sipf) -> Path:
    """A folder with problems, paths, an adapter of the embedded base and two reward models, one of them an adapter."""
    folder = tmp_path_factory.mktemp("made")
    how = ("--epochs", 1, "--lr", "5e-3", "--batch", 8, "--device", "cpu")
    sipf(folder, "data", "chain", "--split", "train", "-n", 24, "-o", "problems.jsonl")
    sipf(
        folder, "sample", "problems.jsonl", "--engine", "scripted", "--script", "gold:0.4", "-n", 3, "-o", "paths.jsonl"
    )
    scripted = ("--engine", "scripted", "--script", "gold:0.4", "--k", 2)
    sipf(folder, "simulate", "paths.jsonl", *scripted, "-o", "labels.jsonl")
    sipf(folder, "sft", "problems.jsonl", "-m", "chain-base", *how, "--lora", "--lora-r", 4, "-o", "adapter")
    sipf(folder, "sft", "problems.jsonl", "-m", "chain-base", *how, "--lora", "--lora-r", 4, "--merge", "-o", "merged")
    for name, more in (("prm", ()), ("prm-adapter", ("--lora",))):
        sipf(folder, "train-prm", "labels.jsonl", "-m", "chain-base", *how, *more, "--held-out", 0, "-o", name)
    return folder


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[None]:
    """No hub; one thread, as the commands of other processes have it."""
    import torch

    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    yield
    if before is None:
        del os.environ["HF_HUB_OFFLINE"]
