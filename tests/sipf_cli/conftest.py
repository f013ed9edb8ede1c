"""The command line as a person runs it: in a process of its own, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Sipf = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sipf(tmp_path: Path) -> Sipf:
    """Run `sipf ARGUMENTS` in the test's folder; `env` adds variables, no SIPF_* variable of the machine leaks in."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SIPF_")}
        clean |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "100", **(env or {})}
        command = [sys.executable, "-m", "sipf_cli", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=120, check=False
        )

    return run
