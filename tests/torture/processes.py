"""The processes that a command has started: found, and looked for when it is over."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from tests.sipf_cli.warm import SUBREAPER
from tests.torture.outcome import Wrong

SOON, RAY_SOON = 20, 120
"""Seconds in which what a killed command has started must have ended. Ray's processes seldom look for their parent."""
_libc = ctypes.CDLL(None, use_errno=True)


def adopt() -> None:
    """Orphans become children of this process, so that none escapes the search for leftovers."""
    _libc.prctl(SUBREAPER, 1, 0, 0, 0)


def children(process: subprocess.Popen[bytes], name: str = "") -> list[psutil.Process]:
    """The children of a command; with a name, those of that name, which are waited for."""
    found: list[psutil.Process] = []
    while process.poll() is None:
        with suppress(psutil.Error):
            every = psutil.Process(process.pid).children(recursive=True)
            found = [one for one in every if _named(one, name)]
        if found or not name:
            break
        time.sleep(0.05)
    return found


def no_leftovers(known: Callable[[int], bool], is_ray: bool) -> None:
    """Wait until nothing lives that a command has started.

    Args:
        known: whether a process lived before.

    Raises:
        Wrong: something still does; it is killed.
    """
    soon = RAY_SOON if is_ray else SOON
    end = time.monotonic() + soon
    while True:
        left = []
        for child in psutil.Process().children(recursive=True):
            if known(child.pid):
                continue
            with suppress(psutil.Error, ChildProcessError):
                if child.status() == psutil.STATUS_ZOMBIE and child.ppid() == os.getpid():
                    os.waitpid(child.pid, os.WNOHANG)
                elif child.status() != psutil.STATUS_ZOMBIE:
                    left.append((child.pid, " ".join(child.cmdline())[:200]))
        if not left:
            return
        if time.monotonic() > end:
            for pid, _ in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise Wrong(f"processes are left {soon} seconds after the command: {left}")
        time.sleep(0.02)


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP holds a process."""
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def _named(process: psutil.Process, name: str) -> bool:
    with suppress(psutil.Error):
        return bool(process.cmdline()) and process.cmdline()[0].startswith(name)
    return False
