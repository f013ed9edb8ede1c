"""What the user sees: progress and warnings on stderr, and a summary at the end that never mixes with the data.

    simulate: 120/600 problems, 12.1/s, 8,450 tokens/s, about 0:40 left

On a terminal progress is a bar, elsewhere a plain line every ten seconds. Under `accelerate launch` only rank 0 prints.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any, TextIO

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
        self._total: int | None = None
        self._before = self._count = self._tokens = 0
        self._shown = -1
        """The count that was last shown."""
        self._begun = self._next = 0.0
        self._bar: Any = None

    def start(self, stage: str, total: int | None, done: int = 0, unit: str = "problems") -> None:
        """Begin a stage of `total` units (None: unknown), of which an earlier run did `done`."""
        self._stage, self._unit, self._total = stage, unit, total
        self._before = self._count = done
        self._tokens, self._shown = 0, -1
        self._begun = self._clock()
        self._next = self._begun + (BAR_EVERY if self._terminal else LINE_EVERY)
        if self._speaks and self._terminal:
            self._bar = _bar(self._stream)
            self._bar.start()
            self._bar.add_task(stage, total=total, completed=done, figures="")

    def advance(self, tokens: int = 0, count: int = 1) -> None:
        """Count `count` more units, for which `tokens` were generated; update the display when it is time."""
        self._count += count
        self._tokens += tokens
        now = self._clock()
        if now >= self._next:
            self._next = now + (BAR_EVERY if self._terminal else LINE_EVERY)
            self._draw(now)

    def warn(self, text: str) -> None:
        """Print a warning without disturbing the bar."""
        if not self._speaks:
            return
        if self._bar is not None:
            self._bar.console.print(f"sipf: warning: {text}", style="yellow", markup=False, highlight=False)
        else:
            print(f"sipf: warning: {text}", file=self._stream, flush=True)

    def finish(self) -> None:
        """Show the last state and leave the terminal as it was; safe to call again, or without a start."""
        if not self._stage:
            return
        if self._bar is not None or self._count != self._shown or not self._count:
            self._draw(self._clock())
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._stage = ""

    def _draw(self, now: float) -> None:
        if not self._speaks:
            return
        figures = self._figures(max(now - self._begun, 1e-9))
        self._shown = self._count
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._count, figures=figures)
            self._bar.refresh()
            return
        of = f"{self._count:,}" if self._total is None else f"{self._count:,}/{self._total:,}"
        print(f"{self._stage}: {of} {self._unit}, {figures}", file=self._stream, flush=True)

    def _figures(self, seconds: float) -> str:
        rate = (self._count - self._before) / seconds
        parts = [f"{rate:,.1f}/s"]
        if self._tokens:
            parts.append(f"{self._tokens / seconds:,.0f} tokens/s")
        left = None if self._total is None else self._total - self._count
        if left is not None and left > 0 and rate > 0:
            parts.append(f"about {_duration(left / rate)} left")
        else:
            parts.append(f"{_duration(seconds)} so far" if left is None or left > 0 else f"took {_duration(seconds)}")
        return ", ".join(parts)


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
    return str(value)


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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    return Progress(*columns, console=Console(file=stream), auto_refresh=False)
