"""The line about skipped tests that `tests/conftest.py` writes, in one process and in several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.parametrize("n", range(3))
def test_a(n): pytest.skip("bubblewrap is not installed")

@pytest.mark.skip(reason="no landlock")
def test_b(): pass

def test_c(): pass
"""


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_the_reasons_stand_grouped_above_the_closing_line(tmp_path: Path, processes: tuple[str, ...]) -> None:
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    root = str(Path(__file__).parents[1])
    line = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rs", *processes]
    environment = {**os.environ, "PYTHONPATH": root, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    *_, said, closing = done.stdout.splitlines()
    assert said == "4 skipped: bubblewrap is not installed 3; no landlock 1"
    assert "1 passed, 4 skipped" in closing
