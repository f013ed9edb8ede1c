"""What the decode loop works through: chains, the draws of one prefix, and which prefixes have to be computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

from stages.engines.base import Completion, Draw

PRIOR = 0.5, 1.0
"""Draws that end a chain and draws that do not, as if so many had been seen before its first."""


@dataclass(eq=False, slots=True)
class PrefixChain:
    """The draws of one prefix. `deliver` is called with each completion, in draw order."""

    ids: list[int]
    draws: Sequence[Draw]
    top_p: float
    max_tokens: int
    stop: tuple[str, ...]
    deliver: Callable[[Completion], None]
    eager: bool = False
    """All draws are wanted for sure, so spare rows may run ahead."""
    closed: bool = False
    started: int = 0
    delivered: int = 0
    again: list[int] = field(default_factory=list)
    done: dict[int, Completion] = field(default_factory=dict)

    def next_draw(self) -> int | None:
        """The number of the next draw to start, or None when all have been."""
        if self.closed:
            return None
        if self.again:
            return self.again.pop()
        if self.started < len(self.draws):
            self.started += 1
            return self.started - 1
        return None

    def waiting(self) -> bool:
        """True while a draw could still be started."""
        return not self.closed and (bool(self.again) or self.started < len(self.draws))

    def wanted(self) -> float:
        """Probability that the next draw to start will be waited for; 1 if all draws are wanted for sure.

        A caller that may close the chain stops at a draw that has what it looks for. The draws that it has taken did
        not have it, so each one makes it more probable that the next will not either. The estimate is that of a
        beta-binomial with `PRIOR`; all draws that are under way would have to be taken first.
        """
        if self.eager:
            return 1.0
        hits, misses = PRIOR
        under_way = range(self.delivered, self.started)
        return prod((misses + taken) / (hits + misses + taken) for taken in under_way)

    def finish(self, draw: int, completion: Completion) -> None:
        """Keep a finished draw and hand out those whose turn it is."""
        self.done[draw] = completion
        while not self.closed and self.delivered in self.done:
            self.delivered += 1
            self.deliver(self.done.pop(self.delivered - 1))


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """What the loop may take: rows at a time, bytes of keys and values, prompt tokens per prefill (padding
    included), and the number of rows that add as much to a step as it costs whatever its rows."""

    rows: int
    cache_bytes: int
    prefill_tokens: int
    flat_rows: int


def leaves_of(prefixes: list[list[int]]) -> tuple[list[list[int]], list[int]]:
    """The prefixes that no other one extends, and for each prefix the leaf that begins with it."""
    order = sorted(range(len(prefixes)), key=prefixes.__getitem__, reverse=True)
    leaves: list[list[int]] = []
    source = [0] * len(prefixes)
    for i in order:
        # In descending order, whatever extends a prefix stands right before it.
        if not leaves or leaves[-1][: len(prefixes[i])] != prefixes[i]:
            leaves.append(prefixes[i])
        source[i] = len(leaves) - 1
    return leaves, source


def in_batches(lengths: list[int], most: int) -> list[tuple[int, int]]:
    """Spans (start, end) of prefixes that are computed together, so that rows times the longest is at most `most`.

    Args:
        lengths: tokens of each prefix, the longest first.
        most: tokens with their padding; a single prefix may have more.
    """
    spans: list[tuple[int, int]] = []
    for i in range(len(lengths)):
        if spans and (i + 1 - spans[-1][0]) * lengths[spans[-1][0]] <= most:
            spans[-1] = (spans[-1][0], i + 1)
        else:
            spans.append((i, i + 1))
    return spans
