"""How the pool reaches its replicas: what a kind of them (`local`, `on_ray`) has to offer.

link = await fleet.start(0)
link.send([Order(17, problem)])
for reply in await link.receive(): ...
await link.close(at_once=False)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stages.runs.replicas.messages import Order, Reply


class ReplicaDied(Exception):
    """The replica has ended or cannot be reached; the text says why."""


class Link(Protocol):
    """One replica, from its start to its end."""

    def send(self, orders: Sequence[Order]) -> None:
        """Send problems; does not wait."""

    async def receive(self) -> Sequence[Reply]:
        """The next replies.

        Raises:
            ReplicaDied: there will be none.
        """

    async def close(self, *, at_once: bool) -> None:
        """End it: at once, or after it has closed what it holds."""


class Fleet(Protocol):
    """How replicas are started."""

    advice: str
    """What to do if they keep dying."""

    @property
    def count(self) -> int:
        """How many there are to be; asked when the first one is started."""

    @property
    def slow(self) -> str:
        """What may be the matter if none gets ready."""

    async def start(self, number: int) -> Link:
        """Start the replica of that number (from 0), which has not opened anything yet.

        Raises:
            SipfError: none can be started.
            ReplicaDied: it ended at once.
        """

    async def close(self) -> None:
        """Free what all of them share."""
