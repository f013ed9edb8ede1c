"""Every command that needs no model writes the bytes that it wrote when `expected.json` was saved.

After a change that is meant to change data: `python -m tests.net.outputs --save`, and look at what changed in the diff.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.net.outputs import COMMANDS, EXPECTED, prepare, run
from tests.sipf_cli.warm import warm_program

LINES = [line for line in COMMANDS.splitlines() if line]
MAKES = {line.partition(" -o ")[2]: line for line in LINES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all commands: most read what others have written."""
    folder = tmp_path_factory.mktemp("net")
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    return dict(json.loads(EXPECTED.read_text(encoding="utf-8")))


def made(folder: Path, line: str) -> tuple[str, str]:
    """Run a command, after those that make its input where a test of its own was not run before."""
    for word in line.partition(" -o ")[0].split():
        if word in MAKES and not (folder / word).exists():
            made(folder, MAKES[word])
    return run(folder, line, warm_program())


@pytest.mark.parametrize("line", LINES)
def test_a_command_writes_the_bytes_that_it_wrote_before(line: str, folder: Path, expected: dict[str, str]) -> None:
    name, value = made(folder, line)
    assert value == expected[name], (
        f"\n  sipf {line}\nwrote other data than before: {value}, not {expected[name]}. They are in\n  {folder}\n"
        "If an earlier test here failed too, look at that one first. To compare, make the old data from the commit\n"
        "before in another folder:  python -m tests.net.outputs --keep FOLDER\n"
        "If the change is meant:    python -m tests.net.outputs --save"
    )


def test_every_expected_output_is_made_by_a_command(expected: dict[str, str]) -> None:
    assert list(expected) == [*(name for name in MAKES if name), "eval --compare"]
