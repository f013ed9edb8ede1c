"""What the user sees: progress and warnings on stderr, and a summary at the end that never mixes with the data.

    simulate: 120/600, 12.1/s, 8,450 tok/s, 64 rows, 81% right, 27% cost, 0:40 left

On a terminal progress is a bar with the figures below it, elsewhere a plain line of at most 80 characters every
ten seconds. Under `accelerate launch` only rank 0 prints.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any, TextIO

from stages.files.secrets import for_a_terminal
from stages.runs.pace import Pace

WIDTH = 80
BAR_EVERY, LINE_EVERY = 0.1, 10.0
"""Seconds between two updates of the bar, and between two plain lines."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; numbers are aligned to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""


class Reporter:
    """A stage's progress, counted in problems and generated tokens."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._speaks = speaks()
        self._stage, self._unit = "", "problems"
        self._pace = Pace(None, 0, 0.0)
        self._more: Callable[[], Mapping[str, float]] = dict
        self._shown = -1
        """The count that was last shown."""
        self._next = 0.0
        self._bar: Any = None

    def start(self, stage: str, total: int | None, done: int = 0, unit: str = "problems") -> None:
        """Begin a stage of `total` units (None: unknown), of which an earlier run did `done`."""
        self._stage, self._unit, self._shown = stage, unit, -1
        self._pace = Pace(total, done, self._clock())
        self._next = self._pace.begun + (BAR_EVERY if self._terminal else LINE_EVERY)
        if self._speaks and self._terminal:
            self._bar = _bar(self._stream)
            self._bar.start()
            self._bar.add_task(stage, total=total, completed=done, left="", figures="")

    def advance(
        self, tokens: int = 0, count: int = 1, *, more: Callable[[], Mapping[str, float]] | None = None
    ) -> None:
        """Count `count` more units, for which `tokens` were generated; update the display when it is time.

        Args:
            more: further figures (see `stages.runs.progress`), asked for only when they are shown.
        """
        self._pace.add(count, tokens)
        self._more = more or self._more
        now = self._clock()
        if now >= self._next:
            self._next = now + (BAR_EVERY if self._terminal else LINE_EVERY)
            self._draw(now)

    def warn(self, text: str) -> None:
        """Print a warning without disturbing the bar."""
        if not self._speaks:
            return
        text = for_a_terminal(text)
        if self._bar is not None:
            self._bar.console.print(f"sipf: warning: {text}", style="yellow", markup=False, highlight=False)
        else:
            print(f"sipf: warning: {text}", file=self._stream, flush=True)

    def finish(self) -> None:
        """Show the last state and leave the terminal as it was; safe to call again, or without a start."""
        if not self._stage:
            return
        if self._bar is not None or self._pace.done != self._shown or not self._pace.done:
            self._draw(self._clock())
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._stage = ""

    def _draw(self, now: float) -> None:
        if not self._speaks:
            return
        figures = {**self._pace.figures(now), **self._more()}
        self._shown = self._pace.done
        if self._bar is not None:
            left, width = _time(figures, self._pace, short=True), self._bar.console.width
            text = _fitting(lambda form: "  " + ", ".join(_parts(figures, form)), width - 1)
            self._bar.update(self._bar.task_ids[0], completed=self._pace.done, left=left, figures=text)
            self._bar.refresh()
            return
        print(_fitting(lambda form: self._line(figures, form), WIDTH), file=self._stream, flush=True)

    def _line(self, figures: Mapping[str, float], form: Form) -> str:
        done, total = _number(self._pace.done, form), self._pace.total
        of = done if total is None else f"{done}/{_number(total, form)}"
        unit = "" if form.short else f" {self._unit}"
        time_left = _time(figures, self._pace, short=form.short)
        return f"{self._stage}: {of}{unit}, {', '.join([*_parts(figures, form), time_left])}"


@dataclass(frozen=True, slots=True)
class Form:
    """How tersely figures are written, and which are left out."""

    short: bool = False
    rounded: bool = False
    without: tuple[str, ...] = ()


FORMS = (
    Form(), Form(short=True), Form(short=True, rounded=True), Form(short=True, rounded=True, without=("rows",)),
    Form(short=True, rounded=True, without=("rows", "tokens_per_second")),
)  # fmt: skip
"""From the wordiest to the tersest; the first that fits is shown."""
SHORT = {"steps right": "right", "of brute force": "cost"}
"""What a stage's shares are called where there is little room."""
_PACE = ("done", "seconds", "seconds_left", "per_second", "tokens_per_second", "rows")


def _fitting(text: Callable[[Form], str], width: int) -> str:
    """The text in the first form that fits; in the last one it is cut off."""
    written = (text(form) for form in FORMS)
    return next((line for line in written if len(line) <= width), text(FORMS[-1])[:width])


def _parts(figures: Mapping[str, float], form: Form) -> list[str]:
    """Rates, rows and shares, each as a person reads it."""
    rate = figures["per_second"]
    parts = {"per_second": f"{_number(rate, form) if form.rounded and rate >= 10 else f'{rate:,.1f}'}/s"}
    for name, unit in (("tokens_per_second", "tok/s" if form.short else "tokens/s"), ("rows", "rows")):
        if name in figures:
            parts[name] = f"{_number(figures[name], form)} {unit}"
    for name, share in figures.items():
        if name not in _PACE:
            parts[name] = f"{share:.0%} {SHORT.get(name, name) if form.short else name}"
    return [text for name, text in parts.items() if name not in form.without]


def _number(value: float, form: Form) -> str:
    """A whole number with separators; rounded, thousands and millions by their letter."""
    for letter, size in (("M", 1e6), ("k", 1e3)):
        if form.rounded and value >= size:
            return f"{value / size:.{int(value < 10 * size)}f}{letter}"
    return f"{value:,.0f}"


def _time(figures: Mapping[str, float], pace: Pace, *, short: bool) -> str:
    """The time left; where that is not known, or nothing is left, the time taken."""
    if "seconds_left" in figures:
        return f"{'' if short else 'about '}{_duration(figures['seconds_left'])} left"
    seconds = _duration(figures["seconds"])
    return f"took {seconds}" if pace.total is not None and pace.done >= pace.total else f"{seconds} so far"


def emit(
    summary: Mapping[str, Any],
    tables: Table | Sequence[Table] | None = None,
    *,
    json: bool = False,
    data_on_stdout: bool = False,
) -> None:
    """Print how a command ended: tables, or with `json` the summary as one JSON object.

    It goes to stdout, or to stderr if the data went to stdout. Without tables the summary itself is shown as one.
    """
    if not speaks():
        return
    stream = sys.stderr if data_on_stdout else sys.stdout
    if json:
        print(dumps(summary, ensure_ascii=False, allow_nan=False), file=stream, flush=True)
        return
    if tables is None:
        tables = Table(("", ""), list(_flat(summary).items()))
    chosen = [tables] if isinstance(tables, Table) else tables
    print("\n\n".join(render(table) for table in chosen), file=stream, flush=True)


def render(table: Table) -> str:
    """The table as aligned plain text, ready for a terminal, a log or a mail."""
    cells = [[_cell(value) for value in row] for row in table.rows]
    head = [list(table.columns)] if any(table.columns) else []
    lines = [*head, *cells]
    widths = [max((len(line[i]) for line in lines), default=0) for i in range(len(table.columns))]
    right = [
        bool(table.rows) and all(row[i] is None or isinstance(row[i], int | float) for row in table.rows)
        for i in range(len(table.columns))
    ]
    text = [
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]
    if head:
        text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([table.title, *text] if table.title else text)


def speaks() -> bool:
    """Whether this process prints: always, except for ranks above 0 of a distributed run."""
    return os.environ.get("RANK", "0") == "0"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(part) for part in value)
    return for_a_terminal(str(value))  # names of splits and subsets come from files


def _flat(summary: Mapping[str, Any], above: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in summary.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{above}{key}."))
        else:
            flat[f"{above}{key}"] = value
    return flat


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bar(stream: TextIO) -> Any:
    """Two lines: stage, bar, count and time left; below them the other figures."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.text import Text

    class Lines(Progress):
        def get_renderables(self) -> Iterator[Any]:
            yield from super().get_renderables()
            yield from (Text(task.fields["figures"], no_wrap=True, overflow="ellipsis") for task in self.tasks)

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
    )
    return Lines(*columns, console=Console(file=stream), auto_refresh=False)
