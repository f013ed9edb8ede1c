"""A warm process: it starts once, puts itself in the cage, and forks its children: a guest for each check, a judge for
several checks in a row.

    python -c "from evals.sandbox.zygote import main; main('guest', 'landlock', 3)"

The host talks to it over a socket of packets (descriptor 3): an order contains the limits and the child's
descriptors, `stop` ends the child, `watch` asks for its pidfd. Each order gets one answer: how the child ended and what
it used. A child never sees that socket. The warm process ends when the host does.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import random
import resource
import select
import signal
import socket
import sys
from types import FrameType
from typing import Any

from evals.sandbox import cage, guest, judge, seccomp

PRELOADED = (
    "abc", "array", "ast", "base64", "bisect", "bz2", "calendar", "cmath", "collections.abc", "copy", "csv", "ctypes",
    "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib", "heapq", "inspect",
    "io", "itertools", "json", "locale", "lzma", "math", "numbers", "operator", "pprint", "queue", "random", "re",
    "secrets", "statistics", "string", "sys", "textwrap", "threading", "time", "timeit", "traceback", "types", "typing",
    "unicodedata", "uuid", "warnings", "zlib", "encodings.ascii", "encodings.latin_1", "encodings.utf_16",
)  # fmt: skip
"""Imported once for all children: what solutions use, and what needs a shared library from outside the cage."""
CANARY = "colorsys"
"""A module that none of these imports: importing it in the cage shows that children will be able to import."""
READY = b"ready"
OPEN_FILES = 64
"""The warm process's own limit; its children close all of these except their own."""
BROKEN = 111
"""The exit status of a child that could not be set up."""
IN_CAGE = b"c"


def main(role: str, layer: str, control: int) -> None:
    """Import, enter the cage, report that it is ready, and serve until the host ends.

    Args:
        role: "guest" runs programs, "judge" runs tests.
        layer: "bubblewrap" (already inside it), "landlock", or "none".
        control: the descriptor of the socket to the host.
    """
    link = socket.socket(fileno=control)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's to handle
    for name in PRELOADED:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # this Python is built without it, so programs cannot use it either
    rules = cage.enter(layer)
    importlib.import_module(CANARY)
    os.dup2(1, 2)  # errors up to here are read by the host; from now on they are discarded
    gc.collect()
    gc.freeze()
    link.send(READY)
    while order := _receive(link):
        limits, descriptors = order
        hearing, telling = os.pipe()
        child = os.fork()
        if child == 0:
            _become(role, link, rules, layer != "none", limits, [*descriptors, telling])
        for descriptor in (*descriptors, telling):
            os.close(descriptor)
        _mind(link, child, hearing, alone=layer != "none")


def _receive(link: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next order; None when the host has ended. A `stop` that comes too late is ignored."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(link, 4096, 4)
        if not data:
            return None
        if data not in (b"stop", b"watch"):
            return json.loads(data), descriptors


def _mind(link: socket.socket, child: int, hearing: int, *, alone: bool) -> None:
    """Wait until the child ends, or end it; then report what it used."""
    pidfd = os.pidfd_open(child)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(link, select.POLLIN)
    gone = False
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if pidfd in ready:
            break
        command = link.recv(4096)
        if command == b"watch":
            socket.send_fds(link, [b"watch"], [pidfd])
            continue
        gone = not command
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        break
    if not alone:
        _end_group(child)
    _, status, used = os.wait4(child, 0)
    os.close(pidfd)
    # Only the child can have written this, before its program ran: a program that exits with `BROKEN` gains nothing.
    caged = os.read(hearing, 1) == IN_CAGE
    os.close(hearing)
    if gone:
        sys.exit(0)
    report = {
        "caged": caged,
        "status": status,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
    }
    link.send(json.dumps(report).encode())


def _end_group(child: int) -> None:
    """End what the child has started, if nothing prevented it from forking."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        return


def _become(
    role: str, link: socket.socket, rules: int | None, caged: bool, limits: dict[str, Any], descriptors: list[int]
) -> None:
    """Turn this child into the one that serves the check; never returns."""
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, _interrupted)
        peer, *output, telling = (fcntl.fcntl(descriptor, fcntl.F_DUPFD, 20) for descriptor in descriptors)
        placed = {3: peer, 4: telling}
        if role == "guest":
            placed |= dict.fromkeys((1, 2), *output)
            if rules is not None:
                placed[5] = fcntl.fcntl(rules, fcntl.F_DUPFD, 20)
        link.close()
        for target, source in placed.items():
            os.dup2(source, target)
        os.closerange(6 if 5 in placed else 5, OPEN_FILES)
        random.seed(0)  # equal programs, equal verdicts
        more = tuple(seccomp.TRUSTED) if role == "judge" else ()
        cage.confine(5 if 5 in placed else None, caged=caged, more=more, **limits)
        os.write(4, IN_CAGE)
        os.close(4)
        (guest.serve if role == "guest" else judge.serve)(3)
    except BaseException as error:  # after any error, this child must not continue as a second warm process
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(BROKEN)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
