"""The example in every command's help runs as it stands, in an empty folder."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sipf_cli.app import COMMANDS, LazyCommand
from tests.sipf_cli.commands import environment, write

MBPP = {"task_id": 0, "text": "Write f(n).", "code": "def f(n):\r\n    return n", "test_list": ["assert f(1) == 1"]}
OFFICIAL = {"question": "{n} and three?", "answer": "Add three.\n{n}+3=<<{n}+3={m}>>{m}\n#### {m}"}


def commands() -> dict[str, Any]:
    """Every command that does something, by the names that are typed for it."""
    found: dict[str, Any] = {}
    for name in COMMANDS:
        command = LazyCommand(name).load()
        nested = getattr(command, "commands", None)
        found |= {f"{name} {leaf}": part for leaf, part in nested.items()} if nested else {name: command}
    return found


def example(command: Any) -> list[str]:
    """The lines under `Example:`."""
    lines = command.help.partition("\nExample:\n")[2].split("\n\n")[0].splitlines()
    return [line.strip() for line in lines if line.strip()]


@pytest.mark.parametrize("name", commands())
def test_the_example_runs(name: str, inside: Any, tmp_path: Path) -> None:
    if name == "data gsm8k":  # the official file is one of two things that no example can make
        text = json.dumps(OFFICIAL)
        rows = [text.replace("{n}", str(n)).replace("{m}", str(n + 3)) for n in range(60)]
        (tmp_path / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    if name == "data mbpp":  # the other one
        write(tmp_path / "mbpp.jsonl", [{**MBPP, "task_id": n} for n in range(590, 660)])
    lines = example(commands()[name])
    assert lines[-1].startswith(f"sipf {name}")
    before = set(tmp_path.iterdir())
    for line in lines:
        if line.startswith("sipf "):
            ended = inside(*shlex.split(line)[1:])
            assert "Traceback" not in ended.stderr
        else:
            subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True, env=environment(), timeout=60)
    assert set(tmp_path.iterdir()) > before or name in ("doctor", "recipes ls")
