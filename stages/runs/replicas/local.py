"""Replicas as processes of this machine (`--workers N`).

    fleet = LocalFleet(stage, count=2, threads=1, devices=[["0"], ["1"]])

Each is a new Python with a session and a socket of its own. Signals are the driver's affair: a worker ignores SIGINT
and SIGTERM, and ends when its socket is closed, or at the latest with the driver (stages/runs/replicas/worker.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress

from evals.errors import ModelError, UsageError
from stages.runs.replicas.frames import read_frame, written_frame
from stages.runs.replicas.links import ReplicaDied
from stages.runs.replicas.messages import Order, Reply
from stages.runs.stage import Stage

GRACE = 10.0
"""Seconds that a worker gets to close what it holds."""
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from stages.runs.replicas.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
"""The driver's own search path, so that a worker finds the same modules wherever it is started."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"


class LocalFleet:
    """Workers on this machine.

    Args:
        stage: as `Stage.for_replica` makes it.
        count: of workers.
        threads: of each; OMP_NUM_THREADS, where it is set, takes precedence, as in one process.
        devices: the GPUs of each worker as CUDA_VISIBLE_DEVICES names them; None: all see the same.
    """

    def __init__(self, stage: Stage, count: int, threads: int, devices: Sequence[Sequence[str]] | None = None) -> None:
        self.count = count
        self.advice = "Run it without --workers to see what ends it, or with fewer workers if memory is short."
        self.slow = "models may take that long to load"
        self._stage, self._threads, self._devices = written_frame(stage), threads, devices

    async def start(self, number: int) -> WorkerLink:
        """See `Fleet.start`."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-c", _START, json.dumps(sys.path), str(theirs.fileno()), str(os.getpid()),
                    env=self._environment(number), stdin=asyncio.subprocess.DEVNULL, stdout=2,
                    pass_fds=[theirs.fileno()], start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                ours.close()
                raise ModelError(f"no process can be started ({error})", "Give fewer --workers.") from error
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        writer.write(self._stage)
        return WorkerLink(process, reader, writer)

    def _environment(self, number: int) -> dict[str, str]:
        given = {THREADS: str(self._threads), **os.environ}
        return given if self._devices is None else {**given, VISIBLE: ",".join(self._devices[number])}

    async def close(self) -> None:
        """Nothing is shared."""


class WorkerLink:
    """A worker and the socket to it."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.process, self._reader, self._writer = process, reader, writer

    def send(self, orders: Sequence[Order]) -> None:
        """See `Link.send`."""
        self._writer.write(b"".join(written_frame(order) for order in orders))

    async def receive(self) -> Sequence[Reply]:
        """See `Link.receive`."""
        try:
            return [pickle.loads(await read_frame(self._reader))]  # noqa: S301  (from our own child)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ReplicaDied(await self._told()) from error

    async def _told(self) -> str:
        """How the process has ended. Its socket is closed, so it is about to."""
        code = await self._ended(GRACE)
        if code is None:
            return "it stopped responding"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    async def _ended(self, seconds: float) -> int | None:
        """The exit code; None if it is still running after so many seconds."""
        try:
            return await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            return None

    async def close(self, *, at_once: bool) -> None:
        """See `Link.close`."""
        self._writer.close()
        if not at_once:
            await self._ended(GRACE)
        # also what it has started itself, such as an engine's own processes
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def visible_devices() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them. Opens none of them."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False).stdout
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


def devices_for(count: int, each: float, visible: Sequence[str]) -> list[list[str]]:
    """Which GPUs each of `count` workers gets: `each` of them; below 1 several workers share one.

    Raises:
        UsageError: there are not enough.
    """
    if 0 < each < 1:
        beside = int(1 / each)
        lists = [[visible[number // beside]] for number in range(min(count, beside * len(visible)))]
    else:
        whole = int(each)
        lists = [list(visible[number * whole : (number + 1) * whole]) for number in range(count)]
        lists = [devices for devices in lists if len(devices) == whole]
    if len(lists) < count:
        raise UsageError(
            f"--workers {count} with {each:g} GPUs each is more than the {len(visible)} that are here",
            "Give fewer --workers, or a smaller --replica-gpus: with 0.5 two of them share a GPU.",
        )
    return lists
