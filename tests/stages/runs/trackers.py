"""Stand-ins for wandb, trackio and tensorboardX, which write each call to a file as a line of JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_COMMON = """
import json, pathlib

def tell(*call):
    if call[0] == {fails!r}:
        raise RuntimeError("no network\\nand more")
    with pathlib.Path({file!r}).open("a") as file:
        file.write(json.dumps(call) + "\\n")
"""
_MODULES = {
    "wandb": """
class Run:
    def log(self, figures, step):
        tell("log", figures, step)
    def finish(self):
        tell("close")

def init(**how):
    tell("open", how)
    return Run()
""",
    "trackio": """
def init(**how):
    tell("open", how)

def log(figures, step):
    tell("log", figures, step)

def finish():
    tell("close")
""",
    "tensorboardX": """
class SummaryWriter:
    def __init__(self, folder):
        tell("open", folder)
        self.figures = {}
    def add_scalar(self, name, value, step):
        self.figures[name], self.step = value, step
    def flush(self):
        tell("log", self.figures, self.step)
    def close(self):
        tell("close")
""",
}


def stand_in(tool: str, folder: Path, monkeypatch: pytest.MonkeyPatch, fails: str = "") -> Path:
    """Put a stand-in for a tool on the path, and the real one out of sight.

    Args:
        fails: the call that raises: "open", "log" or "close".

    Returns:
        The folder to put on another process's path.
    """
    module = "tensorboardX" if tool == "tensorboard" else tool
    place = folder / "packages"
    place.mkdir(exist_ok=True)
    head = _COMMON.format(fails=fails, file=str(folder / "calls.jsonl"))
    (place / f"{module}.py").write_text(head + _MODULES[module])
    monkeypatch.syspath_prepend(place)
    # none from an earlier test, and this one is gone afterwards: only what was set can be undone
    monkeypatch.setitem(sys.modules, module, ModuleType(module))
    del sys.modules[module]
    if tool == "tensorboard":
        from importlib.util import find_spec

        monkeypatch.setattr(
            "stages.runs.tracking.find_spec", lambda name: None if name == "tensorboard" else find_spec(name)
        )
    return place


def told(folder: Path) -> list[list[Any]]:
    """The calls so far."""
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]
