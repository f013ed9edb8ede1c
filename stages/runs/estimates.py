"""From a sample to the whole: totals with their ranges, and the time of a run from the course of a short one.

    total([(8.0, 512), (4.0, 250)], whole=120.0, count=20)    # Estimate(value=7620.0, low=6752.8..., high=8487.1...)
    seconds_per_token(course, written=80_000)                 # (6.1e-05, 1.4e-05): per written and per prompt token

A total is a ratio estimate: what the sample took, times the size of the whole over the size of the sample. Its range is
that of chance in the choice of the sample, with 95 % confidence (Student's t, finite population corrected); a load on
the machine that comes or goes is in no range.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Z = 1.96
"""Standard errors on either side of a 95 % interval, of a large sample."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of the whole, and between what it lies; `high` None: one observation cannot tell."""

    value: float
    low: float
    high: float | None

    def plus(self, exact: float) -> Estimate:
        """The same with an amount added that is known."""
        return Estimate(self.value + exact, self.low + exact, None if self.high is None else self.high + exact)

    def at_least(self, least: float) -> Estimate:
        """The same, nowhere below what is known to be reached."""
        high = None if self.high is None else max(self.high, least)
        return Estimate(max(self.value, least), max(self.low, least), high)

    def as_dict(self, digits: int | None = None) -> dict[str, Any]:
        """As JSON, rounded to whole numbers or to so many digits."""
        high = None if self.high is None else round(self.high, digits)
        return {"estimate": round(self.value, digits), "low": round(self.low, digits), "high": high}


def total(seen: Sequence[tuple[float, float]], whole: float, count: int) -> Estimate:
    """The total over `count` units of which `seen` are known.

    Args:
        seen: size and amount of each unit of the sample, chosen by chance; sizes are positive.
        whole: the sum of the sizes of all units, those of the sample included.
        count: how many units there are.
    """
    n, size, amount = len(seen), sum(x for x, _ in seen), sum(y for _, y in seen)
    if not n:
        return Estimate(0.0, 0.0, None if count else 0.0)
    if n >= count:
        return Estimate(amount, amount, amount)
    rate = amount / size
    value = rate * whole
    if n == 1:
        return Estimate(value, amount, None)
    variance = sum((y - rate * x) ** 2 for x, y in seen) / (n - 1)
    error = whole * math.sqrt((1 - n / count) * variance / n) / (size / n)
    half = t_quantile(n - 1) * error
    return Estimate(value, max(amount, value - half), max(amount, value + half))


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: exact for 1 and 2 degrees of freedom, else within 1 % (Cornish-Fisher)."""
    if freedom == 1:
        return math.tan(0.475 * math.pi)
    if freedom == 2:
        p = 0.95
        return p * math.sqrt(2 / (1 - p * p))
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / freedom + second / freedom**2 + third / freedom**3


def around(value: float, known: Estimate) -> Estimate:
    """Another value that is as uncertain as a known one."""
    if not known.value:
        return Estimate(value, value, value)
    high = None if known.high is None else value * known.high / known.value
    return Estimate(value, value * known.low / known.value, high)


@dataclass(frozen=True, slots=True)
class Moment:
    """A short run at one moment: seconds since its engine was ready, tokens written by then, prompt tokens computed."""

    seconds: float
    written: float
    prompt: float


def seconds_per_token(course: Sequence[Moment], written: float) -> tuple[float, float] | None:
    """What a written token and a prompt token take while the engine is full, from the course of a short run.

    Only the first half of what was written is looked at: towards its end a short run has fewer and fewer rows. The
    prompts of all rows are computed at its very beginning, which a whole run does as well but once, so the two kinds of
    tokens are told apart (least squares, none below 0).

    Args:
        course: moments in their order.
        written: tokens written by the end.

    Returns:
        Seconds per written token and per prompt token; None where the course says too little.
    """
    first = [moment for moment in course if moment.written <= written / 2]
    slices = [
        (after.seconds - before.seconds, after.written - before.written, after.prompt - before.prompt)
        for before, after in pairwise(first)
    ]
    if len(slices) < 5 or not sum(w for _, w, _ in slices):
        return None
    ww, pp = sum(w * w for _, w, _ in slices), sum(p * p for _, _, p in slices)
    wp = sum(w * p for _, w, p in slices)
    tw, tp = sum(t * w for t, w, _ in slices), sum(t * p for t, _, p in slices)
    alone = sum(t for t, _, _ in slices) / sum(w for _, w, _ in slices), 0.0
    determinant = ww * pp - wp * wp
    if determinant <= 1e-3 * ww * pp:  # the two come and go together
        return alone
    per_written, per_prompt = (tw * pp - tp * wp) / determinant, (tp * ww - tw * wp) / determinant
    if per_written <= 0 or per_prompt < 0:
        return alone
    # least squares weighs long slices most; what is left over is shared out, so that the sum of the slices is met
    met = sum(t for t, _, _ in slices) / sum(per_written * w + per_prompt * p for _, w, p in slices)
    return per_written * met, per_prompt * met


def clocks() -> tuple[float, float]:
    """Seconds on the wall, and of this process's CPU time."""
    return time.perf_counter(), time.process_time()


def between(before: tuple[float, float], after: tuple[float, float]) -> tuple[float, float]:
    """What the two clocks have gone from one moment to another."""
    return after[0] - before[0], after[1] - before[1]
