"""What one process learns, for comparison with launches of two."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.launched.plans import DRIVER, ROOT, TRAINERS, command, exit_codes, write_inputs, write_plan
from tests.sipf_cli.commands import environment
from tests.sipf_cli.warm import begin


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs, and one-<trainer>: what one process learns from them with batches twice as large."""
    folder = tmp_path_factory.mktemp("alone")
    write_inputs(folder)
    plan = write_plan(folder, [command(name, 8, f"one-{name}") for name in TRAINERS])
    with begin([str(DRIVER), plan], cwd=folder, env=environment(PYTHONPATH=str(ROOT)), stderr=subprocess.PIPE) as run:
        said = run.communicate(timeout=240)[1]
    assert run.returncode == 0, said.decode()
    assert exit_codes(folder) == [0] * len(TRAINERS), said.decode()
    return folder


@pytest.fixture
def here(alone: Path, tmp_path: Path) -> Path:
    """The test's folder with those files in it."""
    for file in alone.iterdir():
        if not file.name.startswith(("plan", "codes")):
            (tmp_path / file.name).symlink_to(file)
    return tmp_path
