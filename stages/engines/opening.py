"""From settings to an engine: what would be opened, told without loading a weight, and the opening itself.

Each engine is a package of its own whose module `opening` has two functions, chosen by the engine's name:

    stages/engines/hf/opening.py:   describe(settings) -> facts,   open_engine(settings) -> Engine
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from importlib import import_module
from typing import Any, Protocol, cast, get_args, runtime_checkable

from evals.errors import UsageError
from evals.records import Problem
from stages.engines.base import Completion, Engine, Request, Usage
from stages.models.devices import on_device
from stages.settings.model import EngineName, EngineSettings

ENGINES = {name: f"stages.engines.{name}.opening" for name in get_args(EngineName)}
"""The engines and the modules that open them."""


class Opening(Protocol):
    """What an engine's module `opening` holds."""

    def describe(self, settings: EngineSettings) -> dict[str, Any]:
        """What of the engine decides the text it writes; see `describe_engine`."""

    def open_engine(self, settings: EngineSettings) -> Engine:
        """The engine, its model loaded; `describe` was called before and has found no fault."""


@runtime_checkable
class Told(Protocol):
    """An engine that knows what its unfinished draws have written."""

    def written(self) -> int:
        """Tokens written so far, those of unfinished draws included."""


def describe_engine(settings: EngineSettings) -> dict[str, Any]:
    """What of the engine decides the text it writes: recorded in the manifest and compared when a run is resumed.

    Raises:
        UsageError: an engine without its model, script or URL, or with an option that is another's.
        ModelError: no such model, device or engine here.
    """
    if settings.compile and settings.engine != "hf":
        raise UsageError("--compile is for the hf engine", "Leave it out, or use --engine hf.")
    return _opening(settings).describe(settings)


def open_engine(settings: EngineSettings) -> Engine:
    """The engine, its model loaded."""
    return _opening(settings).open_engine(settings)


def _opening(settings: EngineSettings) -> Opening:
    return cast(Opening, import_module(ENGINES[settings.engine]))


class OnDemandEngine:
    """An engine that is described at once and opened when it is needed (`Resource`, and then an `Engine`)."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self._engine: Engine | None = None

    def facts(self) -> dict[str, Any]:
        """See `describe_engine`."""
        return describe_engine(self.settings)

    def open(self) -> None:
        """Load the model, or connect."""
        if self._engine is None:
            self._engine = open_engine(self.settings)

    @property
    def usage(self) -> Usage:
        """What has been spent so far."""
        return Usage() if self._engine is None else self._engine.usage

    def stream(self, request: Request) -> AsyncGenerator[Completion, None]:
        """See `Engine.stream`."""
        return self._opened.stream(request)

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        """See `Engine.loglikelihood`."""
        return await self._opened.loglikelihood(problem, continuations)

    def hungry(self) -> bool:
        """True while more problems should be admitted; not before it is open."""
        return self._engine is not None and self._engine.hungry()

    def rows(self) -> int:
        """See `Engine.rows`."""
        return 0 if self._engine is None else self._engine.rows()

    def fills(self) -> bool:
        """See `stages.runs.calibration.Batching`; only a script without a delay answers at once."""
        return self.settings.engine != "scripted" or self.settings.script_delay > 0

    def written(self) -> int | None:
        """Tokens written so far, those of unfinished draws included; None where the engine does not tell."""
        return self._engine.written() if isinstance(self._engine, Told) else None

    def pinned(self, cores: int) -> OnDemandEngine:
        """The engine with the device and the number format that `facts` tells."""
        if self.settings.engine != "hf":
            return self
        return OnDemandEngine(on_device(self.settings))

    def gpus(self) -> int:
        """How many GPUs the engine takes, where there are some."""
        if self.settings.engine in ("server", "scripted") or self.settings.device in ("cpu", "mps"):
            return 0
        return self.settings.tensor_parallel if self.settings.engine == "vllm" else 1

    def spent(self) -> dict[str, int]:
        """See `Engine.spent`."""
        return {} if self._engine is None else self._engine.spent()

    async def close(self) -> None:
        """Free what the engine holds; it can be opened again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    @property
    def _opened(self) -> Engine:
        assert self._engine is not None, "whatever runs a stage opens its engine first"
        return self._engine
