"""The host's handle on one warm process: start it, order a child, watch it, end it, and read what it used.

    warm = Warm("guest", "landlock")
    warm.order(limits, [channel, output])
    warm.stop()
    warm.report()           # Ended(caged=True, status=9, cpu_s=0.1, peak_mib=14.2)

A warm process is started by exec of a fresh interpreter, never by forking this one, which may hold a model.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.errors import SandboxError
from evals.sandbox import bubblewrap

STARTED_IN, ANSWERED_IN = 30.0, 10.0
"""Seconds that a warm process has to start up, and to end a child."""
PACKAGE = Path(__file__).resolve().parents[2]


class Dead(Exception):
    """The warm process has ended or does not respond."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: whether it was in its cage, wait status, CPU seconds, peak memory in MiB."""

    caged: bool
    status: int
    cpu_s: float
    peak_mib: float

    @property
    def exit(self) -> int:
        """Its exit status, or minus the number of the signal that killed it."""
        return os.waitstatus_to_exitcode(self.status)

    @property
    def signal(self) -> int:
        """The signal that killed it; 0 if it ended by itself."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0


class Warm:
    """One warm process. Not for two threads at a time.

    Args:
        role: "guest" or "judge".
        layer: "bubblewrap", "landlock" or "none".

    Raises:
        SandboxError: the process cannot be started.
    """

    def __init__(self, role: str, layer: str) -> None:
        self.link, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pidfd: int | None = None
        self._ended: Ended | None = None
        try:
            with inside:
                self.process = subprocess.Popen(
                    _command(role, layer, inside.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=(inside.fileno(),),
                    cwd="/",
                    env={"PYTHONHASHSEED": "0"},  # equal programs, equal verdicts
                    start_new_session=True,
                )
        except OSError as error:
            self.link.close()
            raise SandboxError(f"{layer}: {error}") from error
        self._layer = layer

    def await_ready(self) -> None:
        """Wait until it is ready and in its cage.

        Raises:
            SandboxError: it failed; the message is the last line it wrote.
        """
        layer = self._layer
        self.link.settimeout(STARTED_IN)
        assert self.process.stderr is not None
        try:
            if self.link.recv(16) == b"ready":
                self.link.settimeout(ANSWERED_IN)
                self.process.stderr.close()
                return
            said = "it ended at once"
        except OSError as error:
            said = str(error)
        self._kill_all()  # or what it has started would keep its stderr open, and reading would never end
        told = self.process.stderr.read(1 << 16).decode(errors="replace").strip().splitlines()
        self.close()
        raise SandboxError(f"{layer}: {told[-1] if told else said}")

    def order(self, limits: dict[str, Any], descriptors: Sequence[int]) -> None:
        """Have it fork a child that gets these descriptors."""
        self._ended = None
        try:
            socket.send_fds(self.link, [json.dumps(limits).encode()], descriptors)
        except OSError as error:
            raise Dead from error

    def watch(self) -> None:
        """Ask for the child's pidfd, which `used` needs."""
        if self._pidfd is None:
            self._tell(b"watch")

    def stop(self) -> None:
        """Kill the child if it is still running."""
        self._tell(b"stop")

    def _tell(self, command: bytes) -> None:
        try:
            self.link.send(command)
        except OSError as error:
            raise Dead from error

    def hear(self) -> Ended | None:
        """Read one message; return how the child ended, if the message says so.

        Raises:
            Dead: the warm process has ended.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self.link, 4096, 4)
        except OSError as error:
            raise Dead from error
        if data == b"watch" and descriptors:
            self._forget()
            self._pidfd = descriptors[0]
            return None
        if not data:
            raise Dead
        self._forget()
        self._ended = Ended(**json.loads(data))
        return self._ended

    def report(self) -> Ended:
        """Wait until the child has ended.

        Raises:
            Dead: it cannot be ended.
        """
        poll = select.poll()
        poll.register(self.link, select.POLLIN)
        while self._ended is None:
            if not poll.poll(1000 * ANSWERED_IN):
                raise Dead
            self.hear()
        return self._ended

    def used(self) -> tuple[float, int] | None:
        """CPU seconds and threads of the running child; None if not known (yet)."""
        if self._pidfd is None:
            return None
        try:
            info = Path(f"/proc/self/fdinfo/{self._pidfd}").read_text(encoding="ascii")
            pid = next(line.split()[1] for line in info.splitlines() if line.startswith("Pid:"))
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (OSError, StopIteration):
            return None
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[17])

    def _forget(self) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def close(self) -> None:
        """End the process and everything it started."""
        self._forget()
        self.link.close()
        try:
            killed = self.process.wait(timeout=1) < 0
        except subprocess.TimeoutExpired:
            killed = True
        if killed:
            self._kill_all()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()

    def _kill_all(self) -> None:
        """Kill it and what it has started: bubblewrap's inner process waits for ever if the outer one dies early."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _command(role: str, layer: str, control: int) -> list[str]:
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    folder, front = str(PACKAGE), []
    if layer == "bubblewrap":
        folder, front = bubblewrap.INSIDE, [*bubblewrap.command(python, PACKAGE), "--"]
    script = (
        f"import sys; sys.path.insert(0, {folder!r}); sys.dont_write_bytecode = True; "
        f"from evals.sandbox.zygote import main; sys.path.pop(0); main({role!r}, {layer!r}, {control})"
    )
    return [*front, python, "-s", "-S", "-P", "-X", "utf8", "-c", script]
