"""How rates are shown: as percentages, with their 95 % interval and the number of items.

             right      n       rate  95 % interval
accuracy       580  1,319     43.97 %  41.31 to 46.66
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sipf_cli.console import Table

COLUMNS = ("", "right", "n", "rate", "95 % interval")


def table(rows: Iterable[tuple[str, Mapping[str, Any] | None]], title: str = "") -> Table:
    """Named rates as a table; a rate that does not exist (fewer draws than k) is n/a."""
    return Table(COLUMNS, [row(name, rate) for name, rate in rows], title)


def row(name: str, rate: Mapping[str, Any] | None) -> tuple[object, ...]:
    """One rate: name, how many were right (where that is a whole number), n, percentage, interval."""
    if not rate:
        return (name, None, None, f"{'n/a':>7}", "")
    return (name, rate.get("right"), rate["n"], percent(rate["rate"]), interval(rate))


def percent(share: float) -> str:
    """A share in [0, 1] as ` 43.97 %`."""
    return f"{100 * share:6.2f} %"


def interval(rate: Mapping[str, Any]) -> str:
    """The interval of a rate as `41.31 to 46.66`."""
    return f"{100 * rate['low']:.2f} to {100 * rate['high']:.2f}"


def points(gain: float) -> str:
    """A difference of two shares as `+4.17 points`."""
    return f"{100 * gain:+.2f} points"
