"""What a calibration has estimated, as rows of a table: each figure with the range it lies in.

draws, about       6,400
tokens, about      81,200 (77,100 to 85,300)
seconds, about     41 (39 to 43)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = (
    "drawn",
    "answers",
    "rollouts",
    "steps labelled",
    "kept",
    "paths scored",
    "updates",
    "tokens",
    "tokens with padding",
)
"""Counts that are shown; the JSON has all."""
USAGE = {
    "tokens": "tokens generated", "cancelled_tokens": "tokens given up", "prompt_tokens": "prompt tokens",
}  # fmt: skip
"""What an engine has spent, in words; a scorer generates nothing, so its tokens are those it reads."""


def rows(estimate: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The rows of an estimate; none of an empty one."""
    if not estimate:
        return
    for unit in ("problems", "updates"):
        if f"from {unit}" in estimate:
            yield f"estimated from {unit}", f"{estimate[f'from {unit}']:,} of {estimate[f'of {unit}']:,}"
    if "failed in the calibration" in estimate:
        yield "failed in the calibration", estimate["failed in the calibration"]
    for name in SHOWN:
        if name in estimate["counts"] and not (name == "tokens" and estimate["usage"]):  # else they stand below
            yield f"{name}, about", about(estimate["counts"][name])
    usage = estimate["usage"]
    for name, words in USAGE.items():
        if usage.get(name, {}).get("estimate"):
            yield f"{words if 'completions' in usage else 'tokens read'}, about", about(usage[name])
    yield "seconds, about", about(estimate["seconds"])
    yield "of which start-up", estimate["seconds"]["start-up"]
    for name, size in estimate["peak memory"].items():
        where = "main memory" if name == "resident" else "the device's memory"
        yield f"peak of {where}, GB, at least", round(size / 1e9, 2)


def about(figure: Mapping[str, Any]) -> str:
    """A figure and its range: `81,200 (77,100 to 85,300)`; of an exact one the figure alone."""
    value, low, high = figure["estimate"], figure["low"], figure["high"]
    if low == value == high:
        return _number(value)
    return f"{_number(value)} ({_number(low)} to {'any' if high is None else _number(high)})"


def _number(value: float) -> str:
    return f"{value:,.2f}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"
