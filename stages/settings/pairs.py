"""Which preference pairs are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from evals.errors import UsageError
from stages.settings.declare import Panel, check_bounds, setting

RuleName = Literal["threshold", "widest", "outcome", "consistent", "fork", "frequent", "sigma", "shuffled"]
By = Literal["scores", "labels"]


@dataclass(frozen=True)
class PairSettings:
    """Which pairs are made. Neither eta nor the number of pairs per question is published; both are options.

    `rule` names rules of `stages.pairing.RULES`, each with a share or none with one (`outcome:0.5`): the pairs of
    several rules are put together, and with shares drawn in these proportions, as many as there are.
    A step is wrong if its label says so (`by` "labels"), or if it scores less than `pass_score` (`by` "scores"); this
    decides which paths `consistent` chooses, and where `reject` "step" cuts a rejected path off.
    All scores lie in [0, 1] (`evals.records.StepScores`), so `eta` and `pass_score` do too; how they are spread out
    depends on what computed them, and so a value found for one reward model fits no other. A `pass_share` does:
    of the input's right paths with equally many steps, `consistent` chooses the share that scores best by `aggregate`.
    (Of all right paths together the short ones of easy questions would score best.)
    `max_per_problem` holds for each rule. `most` caps the total number of pairs; the seed decides which stay.
    `max_length_gap` bounds |chosen - rejected| in tokens where both say how long they are, else in characters / 4.

    Raises:
        UsageError: an unknown rule, one that is named twice, a share that is no number above 0, shares for some rules
            only, or a `pass_share` where labels decide.
    """

    rule: tuple[str, ...] = setting(
        ("widest",), "Rule that makes the pairs; see above. May be repeated: all their pairs, or with :SHARE a mix.",
        metavar="RULE[:SHARE]", shown="widest",
    )  # fmt: skip
    name: str = setting("prm", "Key of the scores that decide (see sipf score --name).")
    eta: float = setting(
        0.1, "threshold, widest, shuffled: minimum gap between the scores of chosen and rejected path.", low=0.0
    )
    aggregate: Literal["auto", "mean", "min", "product", "last"] = setting(
        "auto", "How a path's score is computed from its step scores; auto as `score` says, or mean where it does not.",
        source="arXiv 2412.08393: mean",
    )  # fmt: skip
    by: By = setting("scores", "consistent, --reject step: what says whether a step is wrong.")
    pass_score: float = setting(0.5, "--by scores: a step that scores less is wrong.", low=0.0, high=1.0)
    pass_share: float | None = setting(
        None, "consistent --by scores: instead of --pass-score, the best-scored share of the right paths.",
        low=0.0, high=1.0, source="arXiv 2509.03403",
    )  # fmt: skip
    rejected_fails: bool = setting(False, "consistent: a rejected path must have a wrong step too.")
    min_times: int = setting(3, "frequent: how often a right path must have been drawn.", low=1)
    sigmas: float = setting(
        2.0, "sigma: how many standard deviations below the question's mean score to reject.", low=0.0,
        source="arXiv 2502.16825",
    )  # fmt: skip
    reject: Literal["whole", "step"] = setting(
        "whole", "Reject a path as a whole, or only up to and including its first wrong step."
    )
    max_per_problem: int = setting(4, "Maximum pairs per problem and rule.", low=1)
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
        self.shares()
        if self.pass_share is not None and self.by == "labels":
            raise UsageError("--pass-share goes with --by scores", "With --by labels the labels say what is wrong.")

    def shares(self) -> dict[RuleName, float | None]:
        """The rules in the order given, each with its share of the pairs; None: no shares were given."""
        found: dict[RuleName, float | None] = {}
        for text in self.rule:
            name, colon, share = text.partition(":")
            rule = next((known for known in get_args(RuleName) if known == name), None)
            if rule is None:
                raise UsageError(
                    f"--rule {text!r}: there is no such rule", f"There are {', '.join(get_args(RuleName))}."
                )
            if rule in found:
                raise UsageError(f"--rule {name} is given twice", "Give each rule once.")
            found[rule] = _share(text, share) if colon else None
        if not found:
            raise UsageError("no --rule is given", f"There are {', '.join(get_args(RuleName))}.")
        if None in found.values() and any(found.values()):
            raise UsageError(
                "some --rule have a share and some have none",
                "Give each one a share, as in --rule outcome:0.5, or none.",
            )
        return found


def _share(text: str, share: str) -> float:
    try:
        number = float(share)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise UsageError(f"--rule {text!r}: the share is no number above 0", "For example --rule outcome:0.5.")
    return number
