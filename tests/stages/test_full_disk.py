"""A disk that fills up: one line says so, and after making room the same command goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("slow_stage.py")
STORY = """
import json, subprocess, sys
script, source, folder = sys.argv[1:]
def run():
    done = subprocess.run([sys.executable, script, source, folder + "/out.jsonl", "--pad", "400", "--delay", "0"],
                          capture_output=True, text=True)
    return done.returncode, done.stderr
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=SIZEk", "tmpfs", folder], check=True)
full = run()
subprocess.run(["mount", "-o", "remount,size=20m", folder], check=True)
again = run()
data = open(folder + "/out.jsonl", encoding="utf-8").read()
subprocess.run(["umount", folder], check=True)
print(json.dumps([full, again, data]))
"""


def mounts() -> list[str] | None:
    """What comes before a command that may mount a tmpfs, None if nothing helps."""
    if shutil.which("mount") is None:
        return None
    # a namespace of its own, so that nothing stays mounted whatever happens
    for prefix in (["unshare", "-m"], ["unshare", "-rm"]):
        probe = [*prefix, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True).returncode == 0:
            return prefix
    return None


@pytest.mark.parametrize("size", [64, 320])  # in the journal; in the last pass, which needs the room twice
def test_full_disk_interrupts_and_resumes(tmp_path: Path, size: int) -> None:
    prefix = mounts()
    if prefix is None:
        pytest.skip("no tmpfs can be mounted here: neither root nor user namespaces")
    source, folder = tmp_path / "in.jsonl", tmp_path / "small"
    folder.mkdir()
    rows = [{"id": f"p/{i}", "task": "math", "question": "?"} for i in range(300)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    story = STORY.replace("SIZE", str(size))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    told = subprocess.run(
        [*prefix, sys.executable, "-c", story, str(SCRIPT), str(source), str(folder)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    full, again, data = json.loads(told.stdout)
    assert full[0] == 75, full[1]
    assert "No space left on device" in full[1].splitlines()[0]
    assert "same command again" in full[1]
    assert "Traceback" not in full[1]
    assert again[0] == 0, again[1]
    assert json.loads(again[1])["resumed"] > 0
    whole = tmp_path / "whole.jsonl"
    subprocess.run(
        [sys.executable, str(SCRIPT), str(source), str(whole), "--pad", "400", "--delay", "0"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert data == whole.read_text()
