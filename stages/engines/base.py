"""The seam between the stages and whatever writes text.

An engine hands out completions draw by draw, in draw order. A strategy takes as many as it needs and closes the
stream; the draws it no longer wants are never finished:

    async with aclosing(engine.stream(request)) as draws:
        async for completion in draws:
            ...

A completion depends on the prompt, its own seed and its own settings alone, so it is the same in whichever batch,
shard or resumed run it is drawn.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from evals.records import Problem


@dataclass(frozen=True, slots=True)
class Draw:
    """One completion to be made: its seed (63 bits, see `stages.seeds.seed_of`) and temperature (0: greedy)."""

    seed: int
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """Completions of one problem's prompt, continued from `prefix` ("" for a fresh path).

    `eager` says that every draw is wanted, so an engine may run them side by side.
    """

    problem: Problem
    draws: tuple[Draw, ...]
    prefix: str = ""
    top_p: float = 1.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    eager: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """What was written after the prefix. `finish` is "stop" at the end of text or a stop string, else "length"."""

    text: str
    tokens: int
    finish: Literal["stop", "length"]
    seed: int


@dataclass(slots=True)
class Usage:
    """What an engine has spent: completions handed out, tokens generated for them (and for draws that were closed
    half-way), prompt tokens computed."""

    completions: int = 0
    tokens: int = 0
    cancelled_tokens: int = 0
    prompt_tokens: int = 0


class Engine(Protocol):
    """Who writes text."""

    @property
    def usage(self) -> Usage:
        """What has been spent so far."""

    def stream(self, request: Request) -> AsyncGenerator[Completion, None]:
        """The request's completions in draw order. Close it early to give up the rest."""

    async def loglikelihood(self, problem: Problem, continuations: Sequence[str]) -> list[float]:
        """Sum of token log-probabilities (nats) of each continuation after the problem's prompt."""

    def hungry(self) -> bool:
        """True while more problems should be admitted to keep the engine full."""

    def rows(self) -> int:
        """Sequences that are being written now; 0 where that is not known."""

    def spent(self) -> dict[str, int]:
        """`usage` as a mapping, for the manifest."""

    async def close(self) -> None:
        """Free what the engine holds. Streams still open end with an error."""


async def generate(engine: Engine, request: Request) -> list[Completion]:
    """All of the request's completions, in draw order."""
    return [completion async for completion in engine.stream(replace(request, eager=True))]
