"""Replicas as actors of a Ray cluster (`--ray ADDRESS`): the only module that imports ray.

    cluster = Cluster("auto", count=8, cpus=1, gpus=1.0)
    cluster.open()                          # connects, or starts a cluster here for "local"
    fleet = RayFleet(stage, cluster, threads=1)

Ray starts the actors where there is room and says when one has died; it schedules no problem and keeps no result.
`runtime_env` is the cluster's affair (`ray job submit`), which must have sipf installed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from evals.errors import Interrupted, ModelError, UsageError
from stages.files.interrupts import RUN_AGAIN
from stages.runs.replicas.host import Host
from stages.runs.replicas.links import ReplicaDied
from stages.runs.replicas.messages import Broken, Order, Reply, portable
from stages.runs.stage import Stage

GRACE = 10.0
"""Seconds that an actor gets to close what it holds."""
POLL = 10.0
"""Seconds after which an actor that has nothing to say answers all the same."""
LOCAL = "local"


def check_ray() -> None:
    """Refuse to go on without the package.

    Raises:
        UsageError: and what to install.
    """
    if find_spec("ray") is None:
        raise UsageError("--ray needs the package ray, which is not installed", "Run pip install 'ray>=2.60,<3'.")


class Cluster:
    """The connection to a cluster; a `stages.runs.opened.Resource`.

    Args:
        address: of the cluster, "auto", or "local" to start one on this machine.
        count: actors; None: as many as there is room for when it is opened.
        cpus: of each actor.
        gpus: of each actor.
    """

    def __init__(self, address: str, count: int | None, cpus: int, gpus: float) -> None:
        self.address, self.cpus, self.gpus = address, cpus, gpus
        self.count = count or 1
        self._counted = count is not None
        self._open = False

    def facts(self) -> Mapping[str, Any]:
        """Nothing: it decides no data."""
        return {}

    def open(self) -> None:
        """Connect.

        Raises:
            ModelError: there is no such cluster, or none can be started.
            Interrupted: SIGTERM was received.
        """
        if self._open:
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        more: dict[str, Any] = {}
        if self.address == LOCAL:
            more = {"include_dashboard": False, "num_cpus": max(os.cpu_count() or 1, self.count * self.cpus)}
        self._check_address()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            ray.init(
                self.address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR, **more,
            )  # fmt: skip
        except SystemExit as error:  # ray's own answer to SIGTERM while it starts
            raise Interrupted("stopped by SIGTERM", RUN_AGAIN) from error
        except Exception as error:  # ray raises plain ones too, where a node of its own does not come up
            first = (str(error) or type(error).__name__).splitlines()[0]
            if self.address == LOCAL:
                raise ModelError(
                    f"Ray cannot be started here ({first})", f"{RUN_AGAIN} --workers needs no Ray."
                ) from error
            raise ModelError(
                f"there is no Ray cluster at {self.address!r} ({first})",
                "Start one (ray start --head), or --ray local.",
            ) from error
        finally:
            for number, handler in handlers.items():  # ray takes over SIGTERM
                signal.signal(number, handler)
        self._open = True
        if not self._counted:
            there = ray.cluster_resources()  # type: ignore[no-untyped-call]  # ray leaves it untyped
            self.count = self._room(there)

    def _check_address(self) -> None:
        """Refuse an address where nobody listens; ray itself would try for minutes, and say so in many lines."""
        host, _, port = self.address.removeprefix("ray://").rpartition(":")
        if not host or not port.isdecimal():
            return
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise self._unreachable(str(error)) from error

    def _unreachable(self, why: str) -> ModelError:
        advice = "Start one with ray start --head, or give --ray local."
        return ModelError(f"there is no Ray cluster at {self.address!r} ({why})", advice)

    def _room(self, there: Mapping[str, float]) -> int:
        """How many actors find room in what the cluster has."""
        room = there.get("CPU", 0) // self.cpus
        if self.gpus:
            room = min(room, there.get("GPU", 0) // self.gpus)
        return max(1, int(room))

    def hungry(self) -> bool:
        """Always: there is nothing to wait for."""
        return True

    def spent(self) -> Mapping[str, int]:
        """No costs."""
        return {}

    async def close(self) -> None:
        """Disconnect; a cluster that was started here ends."""
        if self._open:
            import ray

            await asyncio.to_thread(ray.shutdown)
            self._open = False


class RayFleet:
    """Actors of a cluster.

    Args:
        stage: as `Stage.for_replica` makes it.
        cluster: is opened before the first actor is started.
        threads: of each actor's model.
    """

    def __init__(self, stage: Stage, cluster: Cluster, threads: int) -> None:
        self._stage, self._cluster, self._threads = pickle.dumps(stage), cluster, threads
        self.advice = "Look into Ray's logs (ray logs actor), or run it without --ray to see what ends it."

    @property
    def count(self) -> int:
        """See `Fleet.count`."""
        return self._cluster.count

    @property
    def slow(self) -> str:
        """See `Fleet.slow`."""
        return f"is there room for {self._cluster.cpus} CPUs and {self._cluster.gpus:g} GPUs each in the cluster?"

    async def start(self, number: int) -> RayLink:
        """See `Fleet.start`."""
        import ray

        kind = ray.remote(Replica).options(
            num_cpus=self._cluster.cpus, num_gpus=self._cluster.gpus, max_restarts=0, max_task_retries=0
        )
        return RayLink(kind.remote(self._stage, os.getcwd(), self._threads))

    async def close(self) -> None:
        """Nothing but the cluster is shared."""


class RayLink:
    """An actor as the pool sees it."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._orders: list[Order] = []

    def send(self, orders: Sequence[Order]) -> None:
        """See `Link.send`. What is sent at once goes in one call."""
        if not self._orders:
            asyncio.get_running_loop().call_soon(self._flush)
        self._orders += orders

    def _flush(self) -> None:
        orders, self._orders = self._orders, []
        self._actor.push.remote(pickle.dumps(orders))

    async def receive(self) -> Sequence[Reply]:
        """See `Link.receive`."""
        from ray.exceptions import RayError, RayTaskError

        try:
            replies: list[Reply] = pickle.loads(await self._actor.pull.remote())  # noqa: S301  (from our own actor)
        except RayTaskError:  # a bug in the actor's own code
            raise
        except RayError as error:
            raise ReplicaDied(_why(error)) from error
        return replies

    async def close(self, *, at_once: bool) -> None:
        """See `Link.close`."""
        import ray
        from ray.exceptions import RayError

        if not at_once:
            with suppress(RayError, TimeoutError):
                await asyncio.wait_for(self._actor.end.remote(), GRACE)
        ray.kill(self._actor, no_restart=True)


def _why(error: Exception) -> str:
    """The reason in one line: Ray's text is a page, of which the last line of a traceback says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if line.split(":")[0].endswith("Error")]
    return (causes[-1] if causes else lines[0] if lines else type(error).__name__)[:200]


class Replica:
    """What runs in an actor: the host of a stage, in the actor's own event loop."""

    def __init__(self, stage: bytes, folder: str, threads: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # before the model libraries are imported
        with suppress(OSError):  # where the file system is shared, relative paths mean the same
            os.chdir(folder)
        self._replies: asyncio.Queue[Reply] = asyncio.Queue()
        self._host = Host(pickle.loads(stage), self._replies.put_nowait)  # noqa: S301  (from our own driver)
        self._working: asyncio.Task[None] | None = None

    async def push(self, orders: bytes) -> None:
        """Take problems."""
        for order in pickle.loads(orders):  # noqa: S301  (from our own driver)
            self._host.take(order)

    async def pull(self) -> bytes:
        """All replies since the last call; waits for one."""
        if self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._work())
        replies: list[Reply] = []
        with suppress(TimeoutError):
            replies.append(await asyncio.wait_for(self._replies.get(), POLL))
        while not self._replies.empty():
            replies.append(self._replies.get_nowait())
        return pickle.dumps(replies)

    async def _work(self) -> None:
        try:
            await self._host.run()
        except Exception as error:  # a bug: the driver must hear of it
            self._replies.put_nowait(Broken(portable(error)))

    async def end(self) -> None:
        """Free what is held."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        await self._host.close()
