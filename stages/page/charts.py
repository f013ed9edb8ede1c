"""Charts as data: lines with intervals, bars and distributions. Each has the table of its numbers; `drawing` draws it.

chart = Chart("accuracy-test", "Accuracy on test", Axis("policy", names=("sft", "round 1")), Axis("right, %"),
              (Series("demo", (Point(0, 37.4, 34.5, 40.4), Point(1, 39.9, 36.9, 43.0))),))
chart.table().rows                                  # [("sft", "37.4 (34.5 to 40.4)"), ...]
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal


@dataclass(frozen=True, slots=True)
class Point:
    """A value, with the interval that it comes with, if any."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """What is drawn in one colour, one dash and one marker.

    `reference` is a line that others are compared with, such as the diagonal: thin, without marks, and in no table.
    `marks`: a marker at each point. `style` is the number of its colour, dash and marker, which is the same in several
    charts then; None: its place among the chart's series.
    """

    name: str
    points: tuple[Point, ...]
    marks: bool = True
    reference: bool = False
    style: int | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows. With `names` its values are 0, 1, ..., each with a name; else numbers, from `low` to `high`
    where these are given, else as far as the points reach."""

    label: str
    names: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False
    """Whether only whole numbers make sense."""

    def said(self, value: float) -> str:
        """A value as a person writes it."""
        if self.names:
            return self.names[int(value)]
        return number(value)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text and numbers under column names. A cell is text, a number or None."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    caption: str = ""

    def numeric(self) -> list[bool]:
        """Of each column, whether it holds numbers, intervals and gaps alone, and so is aligned to the right."""
        columns = [[row[i] for row in self.rows if row[i] is not None] for i in range(len(self.columns))]
        return [bool(values) and all(map(_is_number, values)) for values in columns]


_NUMBER = re.compile(r"[-+]?[0-9][0-9.,e-]*( \([^a-z]+ to [^a-z]+\)| to [0-9.]+| %)?")


def _is_number(value: object) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


Kind = Literal["lines", "bars", "steps"]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Args:
        name: of its file and its anchor; lower case, digits and hyphens.
        kind: lines; bars, lying, whose names are those of the x axis; or steps, the outline of a distribution, whose
            points stand at the left ends of the bins.
        note: one sentence on how to read it.
    """

    name: str
    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    kind: Kind = "lines"
    note: str = ""

    def table(self) -> Table:
        """Every number of the chart: a row for each x, a column for each series; one that lies elsewhere has None."""
        shown = [one for one in self.series if not one.reference]
        values = [{point.x: point for point in one.points} for one in shown]
        xs = sorted({x for points in values for x in points})
        rows = [(self.x.said(x), *(_cell(points.get(x)) for points in values)) for x in xs]
        return Table((self.x.label, *(one.name for one in shown)), rows, self.title)

    def described(self) -> str:
        """The chart in a sentence, for who does not see it."""
        names = ", ".join(one.name for one in self.series if not one.reference)
        return f"{self.y.label} by {self.x.label}, for {names}. {self.note} The table has every number.".replace(
            "  ", " "
        )


def _cell(point: Point | None) -> object:
    if point is None:
        return None
    if point.low is None or point.high is None:
        return number(point.y)
    return f"{number(point.y)} ({number(point.low)} to {number(point.high)})"


def number(value: float) -> str:
    """A number with as many digits as one reads: 1,234, 41.6, 0.0123, 2.1e-06."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    size = abs(value)
    if size >= 1000 or (float(value).is_integer() and size >= 1):
        return f"{value:,.0f}"
    if size < 0.0001:
        return f"{value:.1e}"
    digits = max(0, 2 - math.floor(math.log10(size))) if size < 10 else 1
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ticks(low: float, high: float, most: int = 6, *, whole: bool = False) -> list[float]:
    """Round numbers from `low` to `high`, at most so many and at least two where there is room."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    size = 10.0 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 5, 10, 20):
        step = max(size * factor, 1.0) if whole else size * factor
        if whole and not step.is_integer():
            continue
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [round(n * step, 10) for n in range(first, last + 1)]
    return [low, high]


def tick_numbers(values: Sequence[float]) -> list[str]:
    """How the numbers at an axis are written: as `number` does it, but with all the digits that they have."""
    said = [number(value) for value in values]
    if len(values) < 2 or all(math.isclose(float(s.replace(",", "")), v) for s, v in zip(said, values, strict=True)):
        return said
    step = min(after - before for before, after in pairwise(values))
    digits = max(0, math.ceil(-math.log10(step) - 1e-9))
    return [f"{value:,.{digits}f}" for value in values]


def anchor(text: str) -> str:
    """A name as part of an anchor and of a file's name: lower case, digits and hyphens. Two names give two of these:
    where letters had to go, a few digits of a hash say which name it was."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if plain == text and 0 < len(plain) <= 40:
        return plain
    return f"{plain[:40]}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=3).hexdigest()}".strip(
        "-"
    )
