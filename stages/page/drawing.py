"""Draws a chart: `svg(chart)` for the page, whose styles it uses, and `file_of(chart)` as a file that carries its own.

What a series is can be told without colour: each has its own dash and its own marker, and its name stands below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from markupsafe import Markup

from stages.page.charts import Axis, Chart, Point, Series, number, tick_numbers, ticks
from stages.page.svg import element

WIDTH, HEIGHT = 420.0, 240.0
"""Of the drawing without title and legend, in units of which 12 are the height of a letter."""
RIGHT, TOP, BOTTOM = 12.0, 12.0, 46.0
LETTER = 7.0
"""The width of a letter, on the average, in a wide font."""
DASHES = (None, "7 4", "2 3", "10 3 2 3", "4 2", "1 4")
COLOURS = 6
BAR, GAP = 13.0, 9.0
"""Height of a bar, and between two groups of bars."""
_SHADES = (1.0, 0.65, 0.4, 0.85, 0.5, 0.3)
"""Opacity of the bars of each series."""
STYLE = """\
svg{background:#fff;font:12px system-ui,sans-serif}
text{fill:#1b1f24}.axis{stroke:#6b7280;stroke-width:1}.grid{stroke:#e3e6ea;stroke-width:1}
.line{fill:none;stroke-width:1.8}.area{stroke:none;fill-opacity:.12}.error{stroke-width:1.2}
.reference{fill:none;stroke:#6b7280;stroke-width:1;stroke-dasharray:3 3}
.s0{--c:#0b62c4}.s1{--c:#b3450e}.s2{--c:#197a43}.s3{--c:#7a3fb5}.s4{--c:#a3154f}.s5{--c:#5b6470}
.line,.error{stroke:var(--c)}.area,.bar,.mark{fill:var(--c)}.mark{stroke:#fff;stroke-width:.8}"""
"""Of a file; the page has the same classes with the colours of light and dark."""


def svg(chart: Chart, *, style: bool = False) -> Markup:
    """The chart as an element of SVG, with title and description for who does not see it.

    Args:
        style: carry its own style and its title, as a file of its own must.
    """
    head = 26.0 if style else 0.0
    body, height = _bars(chart) if chart.kind == "bars" else _plot(chart)
    legend, more = _legend(chart, height)
    name, what = f"{chart.name}-title", f"{chart.name}-what"
    parts = [
        element("title", chart.title, id=name),
        element("desc", chart.described(), id=what),
        *(
            [element("style", STYLE), _text(_short(chart.title, int(WIDTH / LETTER) - 6), 8.0, 18.0, weight=600)]
            if style
            else []
        ),
        element("g", *body, *legend, transform=f"translate(0 {head:g})" if head else None),
    ]
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {height + more + head:g}",
        role="img",
        aria_labelledby=f"{name} {what}",
        class_="chart",
    )


def file_of(chart: Chart) -> str:
    """The chart as the content of an SVG file."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg(chart, style=True)}\n'


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to places: `low` is drawn at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        return self.start + (self.end - self.start) * ((value - self.low) / span if span else 0.5)


def _range(axis: Axis, values: list[float]) -> tuple[float, float]:
    """The ends of an axis: those it asks for, else the values' own with some room."""
    if axis.names:
        return -0.5, len(axis.names) - 0.5
    low = min(values, default=0.0) if axis.low is None else axis.low
    high = max(values, default=1.0) if axis.high is None else axis.high
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return low if axis.low is not None else low - room, high if axis.high is not None else high + room


def _text(text: str, x: float, y: float, *, anchor: str = "start", weight: int | None = None, **how: str) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, font_weight=weight, **how)


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _plot(chart: Chart) -> tuple[list[Markup], float]:
    points = [point for one in chart.series for point in one.points]
    heights = [y for point in points for y in (point.y, point.low, point.high) if y is not None]
    y = _Scale(*_range(chart.y, heights), HEIGHT - BOTTOM, TOP)
    heights = ticks(y.low, y.high, whole=chart.y.whole)
    heights_said = list(zip(heights, tick_numbers(heights), strict=True))
    # The axis stands right of its own label and of the longest number.
    left = 26.0 + LETTER * max([len(said) for _, said in heights_said] + [2])
    x = _Scale(*_range(chart.x, [point.x for point in points]), left, WIDTH - RIGHT)
    drawn = [one for one in chart.series if not one.reference]
    compared = [one for one in chart.series if one.reference]
    body = [*_y_axis(chart.y.label, heights_said, y, left), *_x_axis(chart.x, x)]
    body += [element("path", d=_path(one.points, x, y), class_="reference") for one in compared]
    for number_, one in enumerate(drawn):
        # Intervals of several series at one place stand side by side.
        shift = (number_ - (len(drawn) - 1) / 2) * 5.0 if chart.x.names else 0.0
        style = number_ if one.style is None else one.style
        body += _steps(one, style, x, y) if chart.kind == "steps" else _line(one, style, x, y, shift)
    return body, HEIGHT


def _y_axis(label: str, marks: list[tuple[float, str]], y: _Scale, left: float) -> Iterator[Markup]:
    for value, said in marks:
        yield element("line", x1=left, x2=WIDTH - RIGHT, y1=y(value), y2=y(value), class_="grid")
        yield _text(said, left - 6, y(value) + 4, anchor="end")
    yield element("line", x1=left, x2=left, y1=y.start, y2=y.end, class_="axis")
    middle = (y.start + y.end) / 2
    yield _text(_short(label, 30), 12.0, middle, anchor="middle", transform=f"rotate(-90 12 {middle:g})")


def _x_axis(axis: Axis, x: _Scale) -> Iterator[Markup]:
    base = HEIGHT - BOTTOM
    yield element("line", x1=x.start, x2=x.end, y1=base, y2=base, class_="axis")
    marks: list[tuple[float, str]]
    if axis.names:
        letters = max(3, int((x.end - x.start) / len(axis.names) / LETTER))
        every = max(1, -(-len(axis.names) * 4 * LETTER // (x.end - x.start)))  # of very many, some have their names
        marks = [(n, _short(name, letters)) for n, name in enumerate(axis.names) if n % every == 0]
    else:
        values = ticks(x.low, x.high, 7, whole=axis.whole)
        marks = list(zip(values, tick_numbers(values), strict=True))
    for value, said in marks:
        yield element("line", x1=x(value), x2=x(value), y1=base, y2=base + 4, class_="axis")
        yield _text(said, x(value), base + 17, anchor="middle")
    yield _text(_short(axis.label, 60), (x.start + x.end) / 2, base + 36, anchor="middle")


def _path(points: tuple[Point, ...], x: _Scale, y: _Scale, shift: float = 0.0) -> str:
    return "".join(f"{'L' if n else 'M'}{x(p.x) + shift:.1f} {y(p.y):.1f}" for n, p in enumerate(points))


def _line(one: Series, number_: int, x: _Scale, y: _Scale, shift: float) -> list[Markup]:
    body = []
    for point in one.points:
        if point.low is not None and point.high is not None:
            at, ends = x(point.x) + shift, (y(point.low), y(point.high))
            path = f"M{at:.1f} {ends[0]:.1f}V{ends[1]:.1f}" + "".join(f"M{at - 3:.1f} {end:.1f}h6" for end in ends)
            body.append(element("path", d=path, class_="error"))
    body.append(element("path", d=_path(one.points, x, y, shift), class_="line", stroke_dasharray=_dash(number_)))
    if one.marks:
        body += [_mark(number_, x(point.x) + shift, y(point.y)) for point in one.points]
    return [element("g", *body, class_=f"s{number_ % COLOURS}")]


def _steps(one: Series, number_: int, x: _Scale, y: _Scale) -> list[Markup]:
    """The outline of a distribution: each point's height holds up to the next point, the last one's a bin further."""
    points = one.points
    if not points:
        return []
    width = points[1].x - points[0].x if len(points) > 1 else 1.0
    base = y(0.0)
    path = f"M{x(points[0].x):.1f} {base:.1f}"
    for point in points:
        path += f"V{y(point.y):.1f}H{x(point.x + width):.1f}"
    path += f"V{base:.1f}"
    return [
        element(
            "g",
            element("path", d=path + "Z", class_="area"),
            element("path", d=path, class_="line", stroke_dasharray=_dash(number_)),
            class_=f"s{number_ % COLOURS}",
        )
    ]


def _bars(chart: Chart) -> tuple[list[Markup], float]:
    """Lying bars: a group for each name of the x axis, a bar for each series, its number behind it.

    The names stand above their bars, so that long ones have room.
    """
    most = max((point.y for one in chart.series for point in one.points), default=0.0)
    several = len(chart.series) > 1
    x = _Scale(0.0, most or 1.0, 22.0 if several else 10.0, WIDTH - 62.0)
    body: list[Markup] = []
    at = 16.0
    for n, name in enumerate(chart.x.names):
        body.append(_text(_short(name, int((WIDTH - 20) / LETTER)), 10.0, at))
        at += 6
        for number_, one in enumerate(chart.series):
            for point in (point for point in one.points if point.x == n):
                bar = element(
                    "rect", x=x.start, y=at, width=max(0.0, x(point.y) - x.start), height=BAR - 2, class_="bar",
                    fill_opacity=_SHADES[number_ % COLOURS],
                )  # fmt: skip
                label = _text(number(point.y), x(point.y) + 5, at + BAR - 3)
                mark = [_mark(number_, 14.0, at + (BAR - 2) / 2)] if several else []
                body.append(element("g", bar, *mark, label, class_=f"s{number_ % COLOURS}"))
                at += BAR
        at += GAP + 10
    body.append(_text(chart.y.label, 10.0, at))
    return body, at + 10.0


def _circle(x: float, y: float) -> Markup:
    return element("circle", cx=x, cy=y, r=3.4, class_="mark")


def _outline(*corners: tuple[float, float]) -> Callable[[float, float], Markup]:
    def drawn(x: float, y: float) -> Markup:
        path = "".join(f"{'L' if n else 'M'}{x + dx:.1f} {y + dy:.1f}" for n, (dx, dy) in enumerate(corners))
        return element("path", d=f"{path}Z", class_="mark")

    return drawn


_MARKS = (
    _circle,
    _outline((-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)),
    _outline((0, -4.2), (4, 3.2), (-4, 3.2)),
    _outline((0, -4.6), (4.6, 0), (0, 4.6), (-4.6, 0)),
    _outline((0, 4.2), (4, -3.2), (-4, -3.2)),
    _outline((-4, -1.3), (-1.3, -1.3), (-1.3, -4), (1.3, -4), (1.3, -1.3), (4, -1.3), (4, 1.3), (1.3, 1.3), (1.3, 4),
             (-1.3, 4), (-1.3, 1.3), (-4, 1.3)),
)  # fmt: skip


def _shape(number_: int) -> int:
    """Which dash and marker a series has: another one of each when the colours begin anew."""
    return (number_ + number_ // COLOURS) % len(_MARKS)


def _dash(number_: int) -> str | None:
    return DASHES[_shape(number_)]


def _mark(number_: int, x: float, y: float) -> Markup:
    return _MARKS[_shape(number_)](x, y)


def _sample(chart: Chart, one: Series, number_: int, x: float, y: float) -> Markup:
    """What a series looks like, at the left of its name in the legend."""
    if chart.kind == "bars":
        shade = _SHADES[number_ % COLOURS]
        drawn = [
            element("rect", x=x + 10, y=y - 5, width=14.0, height=BAR - 2, class_="bar", fill_opacity=shade),
            _mark(number_, x + 3, y),
        ]
    else:
        drawn = [element("path", d=f"M{x:g} {y:g}h24", class_="line", stroke_dasharray=_dash(number_))]
        drawn += [_mark(number_, x + 12, y)] if one.marks and chart.kind != "steps" else []
    return element("g", *drawn, class_=f"s{number_ % COLOURS}")


def _legend(chart: Chart, top: float) -> tuple[list[Markup], float]:
    """The names of the series in rows below the drawing, and the height that these take; none for a single series
    without a reference."""
    if len(chart.series) < 2:
        return [], 0.0
    body: list[Markup] = []
    x, y, number_ = 10.0, top + 10.0, 0
    for one in chart.series:
        name = _short(one.name, 60)
        width = 40 + LETTER * len(name)
        if x > 10.0 and x + width > WIDTH:
            x, y = 10.0, y + 18
        if one.reference:
            sample = [element("path", d=f"M{x:g} {y:g}h24", class_="reference")]
        else:
            sample = [_sample(chart, one, number_ if one.style is None else one.style, x, y)]
            number_ += 1
        body += [*sample, _text(name, x + 30, y + 4)]
        x += width
    return body, y - top + 12
