"""`sipf --help` is quick because it imports next to nothing."""

from __future__ import annotations

import subprocess
import sys
from inspect import getdoc
from typing import Any

import pytest

from sipf_cli.app import COMMANDS, LazyCommand

HEAVY = ("pydantic", "torch", "transformers", "trl", "peft", "datasets", "numpy", "rich", "asyncio")
LIGHT = {
    "stages", "stages.files", "stages.files.interrupts", "stages.files.secrets", "stages.settings",
    "stages.settings.declare",
}  # fmt: skip
"""What the root needs of the middle floor: how signals are caught, and the panels of a help."""
LOADED = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
sys.argv = ["sipf", *sys.argv[1:]]
from sipf_cli.main import main
main()
"""


def modules_after(*arguments: str) -> set[str]:
    """The modules that are loaded when `sipf ARGUMENTS` ends."""
    line = [sys.executable, "-c", LOADED, *arguments]
    result = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert "Usage: sipf" in result.stdout
    return set(result.stderr.split())


def test_the_root_help_imports_neither_libraries_nor_commands() -> None:
    loaded = modules_after("--help")
    assert not loaded & set(HEAVY)
    assert not loaded & {f"sipf_cli.{name.replace('-', '_')}" for name in COMMANDS}
    assert {module for module in loaded if module.startswith("stages")} <= LIGHT


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_imports_no_library(name: str) -> None:
    assert not modules_after(name, "--help") & set(HEAVY)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_opens_with_the_sentence_of_the_root_and_has_an_example(name: str) -> None:
    command = LazyCommand(name).load()
    assert _first_line(command).startswith(COMMANDS[name].removesuffix("."))
    for leaf_name, leaf in getattr(command, "commands", {name: command}).items():
        assert _first_line(leaf).endswith("."), leaf_name
        example = leaf.help.partition("\nExample:\n")[2]
        assert f"  sipf {name} " in example or f"  sipf {name}" == example.rstrip("\n"), leaf_name


def _first_line(command: Any) -> str:
    text = command.help or getdoc(command.callback) or ""
    return " ".join(text.split("\n\n")[0].split())
