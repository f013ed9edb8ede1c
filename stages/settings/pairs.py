"""Which preference pairs are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.settings.declare import Panel, check_bounds, setting

Aggregate = Literal["mean", "min", "product", "last"]


@dataclass(frozen=True)
class PairSettings:
    """Which pairs are made. Neither eta nor the number of pairs per question is published; all are options.

    `most` caps the number of all pairs; which ones stay is drawn by the seed. `max_length_gap` bounds
    |chosen - rejected| in tokens where the paths say how long they are, else in characters / 4.
    """

    name: str = setting("prm", "Whose scores decide (see sipf score --name).")
    eta: float = setting(0.1, "Least gap between the scores of chosen and rejected path.", low=0.0)
    aggregate: Aggregate = setting(
        "mean", "A path's score, from those of its steps.", source="arXiv 2412.08393: mean"
    )  # fmt: skip
    feedback: Literal["process", "outcome"] = setting(
        "process", "process: by scores; outcome: right paths above wrong ones, without scores."
    )
    max_per_problem: int = setting(4, "Most pairs per problem.", low=1)
    most: int | None = setting(None, "Most pairs in all; which stay is drawn by the seed.", low=1)
    chosen_correct: bool = setting(
        True, "Whether the chosen path's answer must be right.", flags=("--chosen-correct/--any",)
    )
    rounds: Literal["all", "last"] = setting("all", "Pair the paths of all rounds, or of the last alone.")
    gold: bool = setting(False, "Let gold solutions be chosen too.")
    seed: int = setting(0, "Seed of every random choice.", low=0)
    max_length_gap: int | None = setting(
        None, "Most tokens by which chosen and rejected may differ in length.", low=0, panel=Panel.MORE
    )
    template: str = setting(
        "auto", "Prompt template: auto (the task's first), chat, or one of the task's.", panel=Panel.MORE
    )

    def __post_init__(self) -> None:
        check_bounds(self)
