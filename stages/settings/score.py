"""What scores steps, under which name the scores are written, and which number of a path they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evals.errors import UsageError
from stages.settings.declare import check_bounds, setting


@dataclass(frozen=True)
class ScoreSettings:
    """`by` says what a score is, `name` is its key on each path (None: the value of `by`). `aggregate` is
    written beside the scores for `pairs --aggregate auto`.

    "prm": a reward model's probability that the step is right. "likelihood": the step's probability under a causal
    model, exp(log p(step | question and steps before)). "ratio": sigmoid(beta * (log p(step) - log p_reference(step))),
    the implicit process reward of arXiv 2412.01981. With `per` "token" the mean log-probability of a step's tokens
    takes the place of their sum.

    Raises:
        UsageError: a ratio without a reference, or a reference without a ratio.
    """

    name: str | None = setting(
        None, "Key to write the scores under; by default what --by says. A line can hold several.", metavar="TEXT"
    )
    by: Literal["prm", "likelihood", "ratio"] = setting(
        "prm",
        "What a score is: a reward model's verdict, the step's likelihood under any causal model, or its ratio to that "
        "under --reference.",
    )
    reference: str | None = setting(
        None, "ratio: the model to compare with, such as the one that --model was trained from.", metavar="MODEL"
    )
    per: Literal["step", "token"] = setting(
        "step", "likelihood, ratio: take a step's whole log-probability, or its mean per token."
    )
    beta: float = setting(0.05, "ratio: factor of the log-ratio.", low=0.0, source="arXiv 2412.01981")
    aggregate: Literal["auto", "mean", "min", "product", "last"] = setting(
        "auto", "How a path's score is to be computed from its step scores; auto follows what computed them."
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.by == "ratio" and self.reference is None:
            raise UsageError("--by ratio compares two models, and there is one", "Give the other as --reference.")
        if self.by != "ratio" and self.reference is not None:
            raise UsageError(f"--by {self.by} takes no --reference", "Leave it out, or take --by ratio.")

    @property
    def key(self) -> str:
        """The key of the scores on each path."""
        return self.by if self.name is None else self.name
