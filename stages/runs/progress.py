"""A run over lines as it goes: what is shown of it, and what a tracker gets (`--log-to`).

    progress = Progress(display, stage.live, rows=lambda: 64, tracker=None)
    progress.start("simulate", 600, 0)
    progress.advance(800, tally)        # the display may now show "..., 64 rows, 81% steps right, 27% of brute force"

Shares are of what this run has done; a run that was resumed does not know them for what was done before.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from stages.counts import Tally
from stages.runs.pace import Pace
from stages.runs.tracking import Tracker

LOG_EVERY = 10.0
"""Seconds between two points that a tracker gets; the last state comes besides."""

More = Callable[[], Mapping[str, float]]
"""Further figures, computed when they are shown: "rows" (a number) and shares in [0, 1] by name."""


class Display(Protocol):
    """What shows the progress to a person."""

    def start(self, stage: str, total: int | None, done: int) -> None:
        """A run begins: `total` lines (None: unknown), of which `done` were finished before."""

    def advance(self, tokens: int = 0, *, more: More | None = None) -> None:
        """One more line is done, for which `tokens` tokens were generated."""

    def warn(self, text: str) -> None:
        """Show something the user should know."""

    def finish(self) -> None:
        """The run has ended, whether or not it succeeded."""


class Progress:
    """The reporter of a run (`stages.runs.scheduler.Reporter`).

    Args:
        live: shares by name, of all counts so far; see `Stage.live`.
        rows: sequences that are being written now; 0 is not shown.
        tracker: gets the figures as well; opened when the run begins, so a run that is complete opens none.
    """

    def __init__(
        self,
        display: Display,
        live: Callable[[Mapping[str, int]], Mapping[str, float]],
        rows: Callable[[], int],
        tracker: Tracker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display, self._live, self._rows, self._tracker, self._clock = display, live, rows, tracker, clock
        self._sums: Counter[str] = Counter()
        self._stage = ""
        self._pace = Pace(None, 0, 0.0)
        self._next = 0.0

    def start(self, stage: str, total: int | None, done: int) -> None:
        """Begin; see `Display`.

        Raises:
            UsageError: the tracker cannot be opened.
        """
        if self._tracker is not None:
            self._tracker.open()
        self._stage, self._pace = stage, Pace(total, done, self._clock())
        self._next = self._pace.begun + LOG_EVERY
        self._display.start(stage, total, done)

    def advance(self, tokens: int = 0, tally: Tally | None = None) -> None:
        """Count one more line, and what was counted and shown of it."""
        if tally is not None:
            self._sums.update(tally.counts)
            self._sums.update(tally.shown)
        self._pace.add(1, tokens)
        self._display.advance(tokens, more=self.more)
        if self._tracker is not None and self._clock() >= self._next:
            self._next = self._clock() + LOG_EVERY
            self._log(self._tracker)

    @property
    def left(self) -> int | None:
        """Lines that have no result yet; None if their number is not known."""
        return None if self._pace.total is None else self._pace.total - self._pace.done

    def more(self) -> dict[str, float]:
        """The figures beside the pace: rows, and the stage's shares."""
        rows = self._rows()
        return {**({"rows": rows} if rows else {}), **self._live(self._sums)}

    def warn(self, text: str) -> None:
        """Show something the user should know."""
        self._display.warn(text)

    def finish(self) -> None:
        """End; the tracker gets the last state, and what it did not take is told. Safe to call again."""
        tracker = self._tracker
        if tracker is not None and self._stage:
            self._log(tracker)
            tracker.close()
            if tracker.failed:
                lost = f"{tracker.failed} of {tracker.sent} points"
                self._display.warn(f"{tracker.fault}: {lost} were not logged")
        self._stage = ""
        self._display.finish()

    def _log(self, tracker: Tracker) -> None:
        figures = {**self._pace.figures(self._clock()), **self.more()}
        first = not tracker.failed
        tracker.log(
            {f"{self._stage}/{name.replace(' ', '_')}": value for name, value in figures.items()}, self._pace.done
        )
        if tracker.failed and first:
            self._display.warn(f"{tracker.fault}; the run goes on without it")
