"""The process of a local replica: `main` is what it runs, with the number of its socket and of its driver."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import pickle
import signal
import socket
import sys

from stages.runs.replicas.frames import read_frame, written_frame
from stages.runs.replicas.host import Host
from stages.runs.replicas.messages import Order, Reply

_PR_SET_PDEATHSIG = 1


def main(descriptor: int, driver: int) -> None:
    """Work until the driver closes the socket; end with the driver, however it ends."""
    gc.set_threshold(10_000)  # as in the driver: what the model libraries make while they are imported stays
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the driver decides; schedulers send them to all processes
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != driver:  # it ended before that
        os._exit(1)
    asyncio.run(_work(socket.socket(fileno=descriptor)))
    # what the model libraries do at the end of a process is of no use, and some of it never ends
    sys.stderr.flush()
    os._exit(0)


async def _work(channel: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=channel)

    def tell(reply: Reply) -> None:
        writer.write(written_frame(reply))

    try:
        host = Host(pickle.loads(await read_frame(reader)), tell)  # noqa: S301  (from our own parent)
    except asyncio.IncompleteReadError:
        return
    working = asyncio.create_task(host.run())
    listening = asyncio.create_task(_listen(reader, host))
    await asyncio.wait([working, listening], return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()  # a bug there ends this process with its traceback; else it has told that it cannot work
        await writer.drain()
        await listening
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await host.close()


async def _listen(reader: asyncio.StreamReader, host: Host) -> None:
    """Take problems until the driver closes the socket."""
    while True:
        try:
            order: Order = pickle.loads(await read_frame(reader))  # noqa: S301  (from our own parent)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        host.take(order)
