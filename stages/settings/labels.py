"""Which labels are made from kept rollouts (relabel, train-prm, export).

LabelKind.parse("progress:0.8")     # LabelKind(name="progress", threshold=0.8)
"""

from __future__ import annotations

from dataclasses import dataclass

from evals.errors import UsageError
from stages.settings.declare import check_bounds, setting

LABELS = (
    "hard; soft (share of the rollouts that are right); threshold:T (right if that share is at least T); "
    "progress:R (right if it is at least R times the share before the step); or advantage (how far the step moves it)."
)


@dataclass(frozen=True)
class LabelKind:
    """How rollouts become a step's label (`stages.training.step_targets`): "hard", "soft", "threshold", "progress" or
    "advantage"; `threshold` is the T or R of `threshold:T` and `progress:R`."""

    name: str
    threshold: float | None = None

    @classmethod
    def parse(cls, text: str) -> LabelKind:
        """Read hard, soft, threshold:T, progress:R or advantage.

        Raises:
            UsageError: anything else, or T or R outside (0, 1].
        """
        name, _, value = text.partition(":")
        if name in ("hard", "soft", "advantage") and not value:
            return cls(name)
        try:
            threshold = float(value)
        except ValueError:
            threshold = 0.0
        if name not in ("threshold", "progress") or not 0 < threshold <= 1:
            raise UsageError(
                f"labels {text!r}?",
                "Give hard, soft, threshold:T, progress:R or advantage, with T or R above 0 and at most 1.",
            )
        return cls(name, threshold)


@dataclass(frozen=True)
class RelabelSettings:
    """Which labels are wanted. `k` and `delta` None: those of each label. `want` is a kind of labels: every step must
    have one of that kind, and its verdict follows it. `keep_undecided` allows steps to be undecided.

    Raises:
        UsageError: an unknown kind, or a threshold beside a `delta`, which is one.
    """

    k: int | None = setting(None, "Count only the first K rollouts of a step; by default the label's own K.", low=1)
    delta: int | None = setting(
        None, "A step is right if more than this many of its rollouts are right; by default the label's own.", low=0
    )
    want: str = setting("hard", f"Label that every step must have: {LABELS}")
    keep_undecided: bool = setting(
        False, "Write a step that its rollouts do not decide as undecided, not as a bad line."
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if LabelKind.parse(self.want).name == "threshold" and self.delta is not None:
            raise UsageError("--want threshold:T says itself how many rollouts must be right", "Leave --delta out.")
