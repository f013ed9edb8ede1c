"""What a stage works with: described at once, opened when the first problem needs it, closed at the end of the run.

opened = OpenedResources(stage.resources(), flag)
opened.ensure()                     # loads the model
opened.hungry()                     # whether it has room for more problems
await opened.close()
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

from evals.errors import Interrupted
from stages.files.interrupts import RUN_AGAIN, StopFlag


@runtime_checkable
class Resource(Protocol):
    """What a stage works with and must open first: an engine, a scorer, a checker of programs, another file of lines.

    Until it is opened it is only a description: cheap to make, and it can be pickled.
    """

    def facts(self) -> Mapping[str, Any]:
        """What about it decides the data, as JSON: recorded in the manifest, compared when a run is resumed."""

    def open(self) -> None:
        """Make it ready, if it is not yet. Called when the first problem needs it."""

    def hungry(self) -> bool:
        """True while more problems should be admitted to keep it busy."""

    def spent(self) -> Mapping[str, int]:
        """What it has cost so far, by name, for the manifest."""

    async def close(self) -> None:
        """Free what it holds."""


@runtime_checkable
class Rows(Protocol):
    """A resource that writes several sequences at once."""

    def rows(self) -> int:
        """How many it is writing now; 0 where it does not know."""


@runtime_checkable
class Gpus(Protocol):
    """A resource that runs on GPUs where there are some."""

    def gpus(self) -> int:
        """How many it takes; 0 where it never takes one."""


@runtime_checkable
class Pinned(Protocol):
    """A resource with settings that depend on the machine."""

    def pinned(self, cores: int) -> Self:
        """The same, not opened, with these settings as they are on this machine, for so many of its cores."""


class OpenedResources:
    """A stage's resources during one run."""

    def __init__(self, resources: list[Resource], flag: StopFlag) -> None:
        self._resources, self._flag = resources, flag
        self._open: list[Resource] = []

    def ensure(self) -> None:
        """Open what is not open yet.

        Raises:
            SipfError: it cannot be opened.
            Interrupted: the flag was set meanwhile.
        """
        for resource in self._resources[len(self._open) :]:
            try:
                with self._flag.at_once():  # loading takes long and never looks at the flag
                    resource.open()
            except KeyboardInterrupt as error:  # must not leave a task; the run checks the flag
                raise Interrupted("stopped by SIGINT", RUN_AGAIN) from error
            self._open.append(resource)

    def hungry(self) -> bool:
        """True while more problems should be admitted: not before everything is open."""
        return len(self._open) == len(self._resources) and all(resource.hungry() for resource in self._resources)

    def rows(self) -> int:
        """How many sequences all of them are writing now."""
        return sum(resource.rows() for resource in self._open if isinstance(resource, Rows))

    def spent(self) -> dict[str, int]:
        """What all of them have cost so far."""
        total: Counter[str] = Counter()
        for resource in self._open:
            total.update(resource.spent())
        return dict(total)

    async def close(self) -> None:
        """Close what was opened."""
        for resource in self._open:
            await resource.close()
