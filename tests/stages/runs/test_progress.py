"""A run as it goes: its pace, the shares of a stage, and what a tracker gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from stages.counts import Tally, right_share
from stages.runs.pace import Pace
from stages.runs.progress import LOG_EVERY, Progress
from stages.runs.tracking import Tracker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Shown:
    """A display that remembers what it could show."""

    def __init__(self) -> None:
        self.figures: list[Mapping[str, float]] = []
        self.warnings: list[str] = []
        self.finished = 0

    def start(self, stage: str, total: int | None, done: int) -> None: ...

    def advance(self, tokens: int = 0, *, more: Callable[[], Mapping[str, float]] | None = None) -> None:
        assert more is not None
        self.figures.append(more())

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def finish(self) -> None:
        self.finished += 1


class Sent(Tracker):
    """A tracker that keeps its points; fails from the nth on."""

    def __init__(self, fails_from: int | None = None) -> None:
        super().__init__("wandb", "run", {}, "place")
        self.points: list[tuple[int, dict[str, float]]] = []
        self.fails_from, self.opened, self.closed = fails_from, 0, 0

    def open(self) -> None:
        self.opened += 1

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self.sent += 1
        if self.fails_from is not None and self.sent >= self.fails_from:
            self.failed += 1
            self.fault = "--log-to wandb failed (gone)"
            return
        self.points.append((step, dict(figures)))

    def close(self) -> None:
        self.closed += 1


def judged(right: int, of: int) -> Tally:
    tally = Tally()
    tally.show_verdicts(right, of)
    return tally


def test_the_pace_counts_what_this_run_did() -> None:
    pace = Pace(total=60, before=10, begun=100.0)
    assert pace.figures(110.0) == {"done": 10, "seconds": 10.0, "per_second": 0.0}
    pace.add(20, tokens=500)
    assert pace.figures(110.0) == {
        "done": 30, "seconds": 10.0, "per_second": 2.0, "tokens_per_second": 50.0, "seconds_left": 15.0,
    }  # fmt: skip
    assert "seconds_left" not in Pace(None, 0, 100.0).figures(110.0)


def test_shares_are_of_all_that_was_judged_so_far_and_a_bad_line_changes_none() -> None:
    shown = Shown()
    progress = Progress(shown, right_share, rows=lambda: 7)
    progress.start("sample", 3, 0)
    progress.advance(10, judged(1, 4))
    progress.advance()
    progress.advance(10, judged(3, 4))
    assert shown.figures == [{"rows": 7, "right": 0.25}, {"rows": 7, "right": 0.25}, {"rows": 7, "right": 0.5}]
    idle = Progress(shown, right_share, rows=lambda: 0)
    assert idle.more() == {}


def test_a_tracker_gets_the_figures_from_time_to_time_and_at_the_end() -> None:
    shown, sent, clock = Shown(), Sent(), Clock()
    progress = Progress(shown, right_share, lambda: 7, sent, clock)
    progress.start("sample", 40, 0)
    for _ in range(30):
        clock.now += LOG_EVERY / 10
        progress.advance(100, judged(1, 2))
    clock.now += 1
    progress.finish()
    progress.finish()
    assert [step for step, _ in sent.points] == [10, 20, 30, 30]
    assert sent.points[0][1] == {
        "sample/done": 10, "sample/seconds": 10.0, "sample/per_second": 1.0, "sample/tokens_per_second": 100.0,
        "sample/seconds_left": 30.0, "sample/rows": 7, "sample/right": 0.5,
    }  # fmt: skip
    assert (sent.opened, sent.closed, shown.finished, shown.warnings) == (1, 1, 2, [])


def test_a_run_that_never_began_opens_no_tracker() -> None:
    sent = Sent()
    Progress(Shown(), right_share, lambda: 0, sent).finish()
    assert (sent.opened, sent.sent, sent.closed) == (0, 0, 0)


def test_a_tracker_that_fails_is_told_once_and_counted_at_the_end() -> None:
    shown, sent, clock = Shown(), Sent(fails_from=2), Clock()
    progress = Progress(shown, right_share, lambda: 0, sent, clock)
    progress.start("sample", 40, 0)
    for _ in range(30):
        clock.now += LOG_EVERY / 10
        progress.advance(100)
    progress.finish()
    assert shown.warnings == [
        "--log-to wandb failed (gone); the run goes on without it",
        "--log-to wandb failed (gone): 3 of 4 points were not logged",
    ]


@pytest.mark.parametrize("more", [{}, {"other": 3}])
def test_there_is_no_share_before_anything_was_judged(more: dict[str, Any]) -> None:
    assert right_share(more) == {}
