"""How far a run is and how fast: the figures of a progress line, which `--log-to` shows as well.

pace = Pace(total=600, before=0, begun=100.0)
pace.add(1, tokens=800)
pace.figures(now=102.0)     # {"done": 1, "seconds": 2.0, "per_second": 0.5, "tokens_per_second": 400, ...}
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Pace:
    """A run of `total` units (None: unknown), of which an earlier run did `before`; `begun` is a clock's time."""

    total: int | None
    before: int
    begun: float
    done: int = field(init=False)
    tokens: int = 0

    def __post_init__(self) -> None:
        self.done = self.before

    def add(self, count: int, tokens: int = 0) -> None:
        """Count `count` more units, for which `tokens` were generated."""
        self.done += count
        self.tokens += tokens

    def figures(self, now: float) -> dict[str, float]:
        """What is done, the seconds of this run, the rates per second, and the seconds left where they can be told.

        `tokens_per_second` is left out where no token was generated.
        """
        seconds = max(now - self.begun, 1e-9)
        rate = (self.done - self.before) / seconds
        found: dict[str, float] = {"done": self.done, "seconds": seconds, "per_second": rate}
        if self.tokens:
            found["tokens_per_second"] = self.tokens / seconds
        if self.total is not None and self.total > self.done and rate > 0:
            found["seconds_left"] = (self.total - self.done) / rate
        return found
