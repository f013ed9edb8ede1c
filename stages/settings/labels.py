"""Which labels are made from kept rollouts (relabel), and how labels are written for other tools (export)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.settings.declare import check_bounds, setting

LABELS = "hard, soft, or threshold:T (right if at least a share T of the rollouts is)."


@dataclass(frozen=True)
class RelabelSettings:
    """Which labels are wanted. `k` and `delta` None: those of each label. `want` "soft" asks for an unbiased share of
    right draws at every step, "hard" for right or wrong. `keep_undecided` allows steps to be undecided."""

    k: int | None = setting(None, "Count only the first K rollouts of a step; by default the label's own K.", low=1)
    delta: int | None = setting(
        None, "A step is right if more than this many of its rollouts are right; by default the label's own.", low=0
    )
    want: Literal["hard", "soft"] = setting(
        "hard", "What every step must have: a hard label, or an unbiased soft one too."
    )
    keep_undecided: bool = setting(
        False, "Write a step that its rollouts do not decide as undecided, not as a bad line."
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True)
class StepwiseSettings:
    """How labelled paths are written as prompt, completions and labels."""

    labels: str = setting("hard", f"Kind of labels: {LABELS}")
    template: str = setting("auto", "Prompt template: auto (the task's first), chat, or one of the task's.")
