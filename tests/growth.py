"""How the time of a scanner grows with the length of what it reads: compared, so that it depends on no machine.

assert growth(equations.first_false, "1+") < LINEAR
"""

from __future__ import annotations

import time
from collections.abc import Callable

LENGTHS = (12_500, 50_000)
LINEAR = 9.0
"""Four times the length takes four times the time; sixteen times would be quadratic."""
SHORT = 0.004
"""Seconds below which a time says nothing about growth."""


def growth(scan: Callable[[str], object], piece: str) -> float:
    """How many times as long the scanner takes for four times as many repetitions of a piece; 0 if both are read too
    quickly to tell. Up to three tries, since something else may use the machine."""
    found = []
    for _ in range(3):
        short, long = (_seconds(scan, piece * (length // len(piece))) for length in LENGTHS)
        found.append(0.0 if long < SHORT else long / max(short, 1e-6))
        if min(found) < LINEAR:
            break
    return min(found)


def _seconds(scan: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    scan(text)
    return time.process_time() - began
