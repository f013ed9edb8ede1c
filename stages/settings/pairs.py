"""Which preference pairs are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.settings.declare import Panel, check_bounds, setting

Aggregate = Literal["mean", "min", "product", "last"]


@dataclass(frozen=True)
class PairSettings:
    """Which pairs are made. Neither eta nor the number of pairs per question is published; both are options.

    `most` caps the total number of pairs; the seed decides which stay. `max_length_gap` bounds
    |chosen - rejected| in tokens where the paths say how long they are, else in characters / 4.
    """

    name: str = setting("prm", "Key of the scores that decide (see sipf score --name).")
    eta: float = setting(0.1, "Minimum gap between the scores of the chosen and the rejected path.", low=0.0)
    aggregate: Aggregate = setting(
        "mean", "How a path's score is computed from its step scores.", source="arXiv 2412.08393: mean"
    )  # fmt: skip
    feedback: Literal["process", "outcome"] = setting(
        "process", "process: by scores; outcome: right paths above wrong ones, without scores."
    )
    max_per_problem: int = setting(4, "Maximum pairs per problem.", low=1)
    most: int | None = setting(None, "Maximum pairs in all; the seed decides which stay.", low=1)
    chosen_correct: bool = setting(
        True, "Whether the chosen path's answer must be right.", flags=("--chosen-correct/--any",)
    )
    rounds: Literal["all", "last"] = setting("all", "Pair the paths of all rounds, or of the last round only.")
    gold: bool = setting(False, "Let gold solutions be chosen too.")
    seed: int = setting(0, "Seed of every random choice.", low=0)
    max_length_gap: int | None = setting(
        None, "Maximum difference in length between chosen and rejected, in tokens.", low=0, panel=Panel.MORE
    )
    template: str = setting(
        "auto", "Prompt template: auto (the task's first), chat, or one of the task's.", panel=Panel.MORE
    )

    def __post_init__(self) -> None:
        check_bounds(self)
