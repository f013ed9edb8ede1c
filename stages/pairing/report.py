"""What `pairs` counts and shows: what each rule made, why pairs are missing, and what to do where there are too few.

report = PairReport(PairSettings(rule=("fork", "outcome")))
report.rules["fork"].counts["pairs"]
refuse_nothing(report, settings)
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from evals.errors import DataError
from stages.counts import Count
from stages.pairing import RULES
from stages.pairing.gaps import FEW, NO_RIGHT, NO_WRONG
from stages.pairing.question import LEFT_OUT
from stages.pairing.reasons import Reason
from stages.settings.pairs import PairSettings, RuleName

SWEEP = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""The etas whose yield is shown."""
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""The shares of the right paths whose `pass_score` is shown."""
LENGTH_GAP = "length gap"
REPEATED = "made by a rule before it"
NO_GAP = "no gap"
WITHOUT = "problems without a pair: "
NOT_TAKEN = "pairs left out: "
NEXT_TO_NOTHING = 8
"""Fewer pairs than this teach nothing; the stage stops with advice."""


@dataclass
class RuleReport:
    """What one rule made before shares and `--most`, and why pairs are missing."""

    counts: Counter[str] = field(default_factory=Counter)
    sweep: dict[float, int] = field(default_factory=lambda: dict.fromkeys(SWEEP, 0))
    sweep_problems: dict[float, int] = field(default_factory=lambda: dict.fromkeys(SWEEP, 0))
    lowest: array[float] = field(default_factory=lambda: array("d"))
    """The lowest step score of each right path that the rule looked at."""

    def summary(self, *, gapped: bool) -> dict[str, Any]:
        """The counts, for a gapped rule the yield of each eta, and for one that looks at the lowest step the
        `pass_score` that keeps each share of the right paths."""
        lowest = sorted(self.lowest, reverse=True)
        passing = {f"{share:g}": reached_by(share, lowest) for share in SHARES if lowest}
        yields = {f"{eta:g}": {"pairs": self.sweep[eta], "problems": self.sweep_problems[eta]} for eta in SWEEP}
        return {
            "counts": dict(self.counts),
            **({"sweep": yields} if gapped else {}),
            **({"pass scores": passing} if passing else {}),
        }


def reached_by(share: float, lowest: list[float]) -> float:
    """The score that this share of the paths, rounded up, reaches; `lowest` is sorted from the best."""
    return lowest[max(math.ceil(share * len(lowest) - 1e-9), 1) - 1]


class PairReport:
    """What was read and written, what each rule made, why the rest was not, and what a right path has to score with a
    `pass_share`, by its number of steps."""

    def __init__(self, settings: PairSettings) -> None:
        self.counts: Counter[str] = Counter()
        self.reasons: list[Reason] = []
        self.passing: dict[int, float] = {}
        self.rules: dict[RuleName, RuleReport] = {name: RuleReport() for name in settings.shares()}

    def summary(self) -> dict[str, Any]:
        """The counts as JSON, without the single reasons."""
        rules = {name: report.summary(gapped=RULES[name].gapped) for name, report in self.rules.items()}
        passing = {str(steps): score for steps, score in self.passing.items()}
        return {"counts": dict(self.counts), "rules": rules, **({"pass scores by steps": passing} if passing else {})}


def refuse_nothing(report: PairReport, settings: PairSettings) -> None:
    """Stop when there is next to nothing to learn from.

    Raises:
        DataError: fewer than NEXT_TO_NOTHING pairs; the advice depends on what is missing.
    """
    pairs = report.counts[Count.PAIRS]
    if pairs >= NEXT_TO_NOTHING:
        return
    name, told = min(report.rules.items(), key=lambda item: _own(item[1]))
    reasons = {key.removeprefix(WITHOUT): n for key, n in told.counts.items() if key.startswith(WITHOUT)}
    if told.counts[NOT_TAKEN + REPEATED] > _own(told):
        reasons = {REPEATED: told.counts[NOT_TAKEN + REPEATED]}
    nothing = "too few problems" if report.counts["problems"] else "no problem was read"
    main = max(reasons, key=lambda reason: reasons[reason], default=nothing)
    by = f", by {name}" if len(report.rules) > 1 else ""
    raise DataError(
        f"only {pairs} pairs: next to nothing to learn from (mostly{by}: {main})", _advice(main, told, settings)
    )


def _own(told: RuleReport) -> int:
    """Pairs that no rule before has made."""
    return told.counts[Count.PAIRS] - told.counts[NOT_TAKEN + REPEATED]


def _advice(reason: str, told: RuleReport, settings: PairSettings) -> str:
    known = {
        NO_RIGHT: "Draw more paths (sipf sample --n, --want-right), train SFT longer, or allow wrong chosen paths with "
        "--any.",
        NO_WRONG: "Take harder questions, draw at a higher temperature, or use a rule by scores, such as --rule "
        "threshold.",
        FEW: f"Draw more paths, or score them first: sipf score --name {settings.name}.",
        REPEATED: "Leave the shares out, or mix rules that make different pairs.",
        LENGTH_GAP: "Raise --max-length-gap, or leave it out.",
    }
    if reason in known:
        return known[reason]
    if not reason.startswith(NO_GAP):
        return _missing(told, settings)
    enough = [eta for eta in SWEEP if told.sweep[eta] >= NEXT_TO_NOTHING]
    if enough and max(enough) < settings.eta:
        return f"Lower --eta: at {max(enough):g} there would be {told.sweep[max(enough)]} pairs."
    return (
        f"No --eta would do: even at 0 there would be {told.sweep[0.0]} pairs. Take more problems, or another PRM: "
        "one that gives all paths the same score separates nothing."
    )


def _missing(told: RuleReport, settings: PairSettings) -> str:
    """Advice by what most of the paths that could not be used were lacking."""
    lacking = {key.removeprefix(LEFT_OUT): n for key, n in told.counts.items() if key.startswith(LEFT_OUT)}
    main = max(lacking, key=lambda reason: lacking[reason], default="").rpartition(": ")[2]
    advice = {
        "no labels": "Label the paths first (sipf simulate), or take a rule that needs no labels.",
        "no right rollout was kept": "Keep rollouts: sipf simulate --root --keep-forks 2.",
        "no wrong step": "Take --reject whole, or leave --rejected-fails out.",
        "an undecided step": "Label all steps: sipf simulate without --budget and --share.",
        "a wrong step": "Draw more paths, or lower --pass-score where --by scores decides.",
        "no count of draws": "Draw the paths with sipf sample, which counts them in `times`.",
        f"drawn fewer than {settings.min_times} times": "Lower --min-times, or draw more paths (sipf sample --n).",
        f"no score {settings.name!r}": f"Score the paths first: sipf score --name {settings.name}.",
    }
    return advice.get(main, "Sample and score more problems.")
