"""Which labels are made of rollouts that are there (relabel), and how they are written for others (export)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.settings.declare import check_bounds, setting

LABELS = "hard, soft, or threshold:T (right where at least the share T of the rollouts is)."


@dataclass(frozen=True)
class RelabelSettings:
    """Which labels are wanted. `k` and `delta` None: those of each label. `want` "soft" asks for a fair share of right
    draws at every step, "hard" for right or wrong. `keep_undecided` writes what is not decided as undecided."""

    k: int | None = setting(None, "Count only the first K rollouts of a step; by default those of its label.", low=1)
    delta: int | None = setting(
        None, "A step is right if more than this many of its rollouts are right; by default the label's own.", low=0
    )
    want: Literal["hard", "soft"] = setting(
        "hard", "What every step must have: a hard label, or an unbiased soft one too."
    )
    keep_undecided: bool = setting(False, "Write what the rollouts do not decide as undecided.")

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True)
class StepwiseSettings:
    """How labelled paths are written as prompt, completions and labels."""

    labels: str = setting("hard", f"Kind of labels: {LABELS}")
    template: str = setting("auto", "Prompt template: auto (the task's first), chat, or one of the task's.")
