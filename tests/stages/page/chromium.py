"""Debian's Chromium, without a window: what a page is after its scripts have run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest

PROGRAM = which("chromium") or which("chromium-browser")
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no chromium here (apt-get install chromium)")
_CONSOLE = re.compile(r':CONSOLE[:(]\d+\)?\] "(.*)", source')


def opened(page: Path, profile: Path, fragment: str = "") -> tuple[str, list[str]]:
    """The page as HTML once it has settled, and what it wrote to the console.

    Args:
        profile: an empty folder for Chromium's own files.
        fragment: what follows the address, with its #.
    """
    assert PROGRAM is not None
    how = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=20000"]
    line = [PROGRAM, *how, f"--user-data-dir={profile}", "--dump-dom", page.as_uri() + fragment]
    done = subprocess.run(line, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
    return done.stdout, _CONSOLE.findall(done.stderr)
