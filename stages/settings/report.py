"""Settings of `sipf report`."""

from __future__ import annotations

from dataclasses import dataclass

from stages.settings.declare import setting


@dataclass(frozen=True)
class ReportSettings:
    """What results are compared with, and what the page shows.

    Args:
        against: policy that gains are measured against.
        problems: of the rounds, and as many of the results, that can be looked at; fewer where they are long.
        seed: of the problems that are drawn where a file holds too many to use, or to show, all of them.
    """

    against: str = setting("sft", "Policy that gains are measured against.")
    problems: int = setting(
        500, "Problems of the rounds, and of the results, that the page shows; 0: none.", low=0, high=5000
    )
    seed: int = setting(0, "Seed of the problems that are drawn where there are too many for a page.", low=0)
