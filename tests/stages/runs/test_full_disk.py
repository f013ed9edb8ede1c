"""A disk that fills up: one line says so, and after making room the same command goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_disk import assert_interrupted_then_done, fill_then_enlarge

SCRIPT = Path(__file__).with_name("slow_stage.py")


@pytest.mark.parametrize("size", [64, 320])  # in the journal; in the last pass, which needs the room twice
def test_full_disk_interrupts_and_resumes(tmp_path: Path, size: int) -> None:
    source = tmp_path / "in.jsonl"
    rows = [{"id": f"p/{i}", "task": "math", "question": "?"} for i in range(300)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def line(output: Path) -> list[str]:
        return [sys.executable, str(SCRIPT), str(source), str(output), "--pad", "400", "--delay", "0"]

    small = tmp_path / "small"
    told = fill_then_enlarge(small, size, line(small / "out.jsonl"), {**os.environ, "TMPDIR": str(tmp_path)})
    assert_interrupted_then_done(told)
    assert "No space left on device" in told.full[1].splitlines()[0]
    assert json.loads(told.again[1])["resumed"] > 0
    subprocess.run(line(tmp_path / "whole.jsonl"), check=True, capture_output=True)
    assert told.data == (tmp_path / "whole.jsonl").read_text()
