"""A tmpfs that is too small, and what a command does on it before and after it is made larger."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

# Runs in a mount namespace of its own, so that nothing stays mounted whatever happens.
_STORY = """
import json, os, shutil, subprocess, sys
folder, size, room, output, kept, *line = sys.argv[1:]
def run():
    done = subprocess.run(line, capture_output=True, text=True)
    return done.returncode, done.stderr
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", folder], check=True)
full = run()
subprocess.run(["mount", "-o", f"remount,size={room}m", folder], check=True)
again = run()
made = os.path.join(folder, output)
if os.path.exists(made):
    (shutil.copytree if os.path.isdir(made) else shutil.copy)(made, kept)
subprocess.run(["umount", folder], check=True)
print(json.dumps([full, again]))
"""


@dataclass(frozen=True)
class Told:
    """Exit code and stderr on the full disk and of the same command with room, and where a copy of its output lies."""

    full: tuple[int, str]
    again: tuple[int, str]
    kept: Path

    @property
    def data(self) -> str:
        """The text of an output that is a file."""
        return self.kept.read_text(encoding="utf-8")


def fill_then_enlarge(
    folder: Path,
    kilobytes: int,
    line: list[str],
    environment: Mapping[str, str],
    *,
    output: str = "out.jsonl",
    megabytes: int = 20,
    seconds: float | None = None,
) -> Told:
    """Run a command that writes `folder`/`output` on a tmpfs of so many kilobytes, and again with so many megabytes.

    Both together take at most `seconds`. Skips the test where no tmpfs can be mounted (no root, no user namespaces).
    """
    folder.mkdir()
    kept = folder.parent / f"kept-{folder.name}"
    sizes = [str(kilobytes), str(megabytes)]
    done = subprocess.run(
        [*_namespace(), sys.executable, "-c", _STORY, str(folder), *sizes, output, str(kept), *line],
        cwd=folder.parent, capture_output=True, text=True, check=True, env=dict(environment), timeout=seconds,
    )  # fmt: skip
    full, again = json.loads(done.stdout)
    return Told(tuple(full), tuple(again), kept)


def assert_interrupted_then_done(told: Told) -> None:
    """The full disk ended in exit code 75 and advice without a traceback; the same command then came to its end."""
    code, said = told.full
    assert code == 75, said
    assert "No space left on device" in said
    assert "same command again" in said
    assert "Traceback" not in said
    assert told.again[0] == 0, told.again[1]


def _namespace() -> list[str]:
    for prefix in (["unshare", "-m"], ["unshare", "-rm"]):
        probe = [*prefix, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
        if shutil.which("unshare") and subprocess.run(probe, capture_output=True).returncode == 0:
            return prefix
    pytest.skip("no tmpfs can be mounted here: neither root nor user namespaces")
