"""The failure signs of a round: each a function of numbers and thresholds, with what it rests on and what to do.

    signs(changes, prm, training, drawn, first, {}, limits)     # [Finding(Sign.PLATEAU, "+0.3 points against ...")]

The signs are the paper's (arXiv 2412.08393) - a plateau, falling accuracy, a reward model that stays weak, a diverging
loss - and two that later work saw behind a plateau (arXiv 2412.17256, 2407.05013): shrinking diversity, and accuracy
that falls on other problems than those the loop is judged by. The thresholds are ours: `stages.settings.health` holds
them, docs/running.md says what the tests of accuracy can see.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from evals.metrics import Z95
from stages.settings.health import SignSettings, StopWhen

NOISE = 3.0
"""Standard errors by which a loss must have risen; its lowest is the best of several windows, so 2 would be too few."""
LESS_LIKELY = 0.1
"""Nats per token by which ORPO's chosen paths may become less likely: a tenth of each token's probability."""
FEW_PAIRS = 30
"""Pairs of held-out steps below which the accuracy within a question says nothing."""
SAME_DRAWS = 0.1
"""Largest change of the draws per question, as a share, at which distinct paths per draw can be compared."""


class Sign(StrEnum):
    """What can be wrong with a round."""

    PLATEAU = "plateau"
    FALLING = "falling accuracy"
    WEAK = "weak reward model"
    DIVERGING = "diverging loss"
    SHRINKING = "shrinking diversity"
    ELSEWHERE = "falling elsewhere"


ENDS: dict[StopWhen, tuple[Sign, ...]] = {
    "never": (),
    "plateau": (Sign.PLATEAU, Sign.FALLING),
    "worse": (Sign.FALLING,),
}
"""The signs that end a loop, by what `--stop-when` says."""

ADVICE = {
    Sign.PLATEAU: "End the loop here, or give the next round something new: other questions, more draws (sipf sample "
    "-n), another rule (loop.sh --rule fork, --rule consistent --by labels) or a stronger simulator (--simulator).",
    Sign.FALLING: "Keep the best round's model. Then restart each round from the base (loop.sh --restart), choose "
    "pairs more strictly (--rule consistent, sipf pairs --pass-score), or train less (sipf orpo --lr, --epochs).",
    Sign.WEAK: "Give it more labels (sipf simulate --share, --k) or a stronger base (loop.sh --prm-base), or do "
    "without it: --rule consistent --by labels, or --score-by likelihood.",
    Sign.DIVERGING: "Lower the learning rate (sipf orpo --lr) or --beta, lengthen --warmup, lower --max-grad-norm. If "
    "only the held-out loss rises: fewer --epochs, or --keep best.",
    Sign.SHRINKING: "Draw hotter (sipf sample --temperature), draw more (-n, --want-right, --want-wrong), take new "
    "questions each round, or restart from the base (loop.sh --restart).",
    Sign.ELSEWHERE: "Train less (sipf orpo --lr, --epochs), restart from the base (loop.sh --restart), or learn from "
    "questions of that kind too. This sign ends no loop.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A sign that a round shows, and what it rests on, in one sentence."""

    sign: Sign
    why: str

    def as_dict(self) -> dict[str, str]:
        """As health.jsonl holds it."""
        return {"sign": str(self.sign), "why": self.why, "advice": ADVICE[self.sign]}


def falling(gain: float, p: float, limits: SignSettings) -> bool:
    """Whether accuracy fell: it is lower than a round before, by more than chance explains."""
    return gain < 0 and p <= limits.alpha


def plateau(changes: Sequence[tuple[float, float]], limits: SignSettings) -> bool:
    """Whether accuracy no longer rises.

    Args:
        changes: gain over the round before and its p, of each round so far, this one last.

    Returns:
        True if in each of the last `patience` rounds the gain was below `min_gain`, and no change showed (p above
        alpha).
    """
    last = changes[-limits.patience :]
    return len(last) == limits.patience and all(gain < limits.min_gain and p > limits.alpha for gain, p in last)


def weak(measured: Mapping[str, Any], limits: SignSettings) -> str | None:
    """Why a reward model is too weak to choose pairs by, or None.

    It is if it is right about no more held-out steps than one that always gives the more frequent verdict, or if it
    cannot tell a right from a wrong step of the same question.
    """
    accuracy, majority = measured.get("accuracy"), measured.get("majority_accuracy")
    if accuracy is not None and majority is not None and accuracy <= majority:
        return f"right about {accuracy:.1%} of {measured['steps']} held-out steps; always one verdict: {majority:.1%}"
    within = measured.get("pair_accuracy")
    if within is not None and measured.get("pairs", 0) >= FEW_PAIRS and within < limits.weak_within:
        return f"puts the right step of a question first in {within:.1%} of pairs (chance: 50%)"
    return None


def diverging(training: Mapping[str, Any], limits: SignSettings) -> str | None:
    """Why a training diverges, or None.

    It does if a loss was no number; if the loss at the end is above its lowest by `loss_rise` and by three standard
    errors; if the held-out loss is that much above its lowest and the last weights are kept; or if ORPO made its chosen
    paths less likely, as DPO does (the paper, on SRF).
    """
    if training["not_finite"]:
        return f"the loss was no number in {training['not_finite']} of {training['lines']} lines of the history"
    loss, held_out, chosen = (training.get(name) for name in ("loss", "held_out_loss", "chosen_logps"))
    if loss and loss["error"] is not None:
        rise = loss["last"] - loss["lowest"]
        if rise > limits.loss_rise * abs(loss["lowest"]) and rise > NOISE * loss["error"]:
            return f"the loss rose from {loss['lowest']:.3g} to {loss['last']:.3g} by the end"
    if held_out and training["keep"] == "last":
        rise = held_out["last"] - held_out["lowest"]
        if rise > limits.loss_rise * abs(held_out["lowest"]):
            return f"the held-out loss rose from {held_out['lowest']:.3g} to {held_out['last']:.3g} by the end"
    if training["stage"] == "orpo" and chosen and chosen["error"] is not None:
        fall = chosen["first"] - chosen["last"]
        if fall > LESS_LIKELY and fall > NOISE * chosen["error"]:
            was, now = (math.exp(chosen[end]) for end in ("first", "last"))
            return f"the chosen paths became less likely: {was:.1%} per token at first, {now:.1%} at the end"
    return None


def shrinking(now: Mapping[str, Any], first: Mapping[str, Any], limits: SignSettings) -> str | None:
    """Why the paths became less diverse since round 1, or None.

    Distinct paths per draw must have fallen by `diversity_drop`, and by more than chance explains (z test of the two
    means, 5 %). They depend on the number of draws per question, so they are compared only where that is the same.
    """
    drawn, before = now["draws_per_question"], first["draws_per_question"]
    if abs(drawn - before) > SAME_DRAWS * before:
        return None
    was, is_now = first["distinct_per_draw"], now["distinct_per_draw"]
    errors = [side["standard_error"] for side in (first, now)]
    if None in errors or was - is_now <= Z95 * math.hypot(*errors):
        return None
    if was - is_now < limits.diversity_drop * was:
        return None
    return f"{is_now:.2f} distinct paths per draw; in round 1 there were {was:.2f}"


def signs(
    changes: Sequence[tuple[float, float]],
    measured: Mapping[str, Any] | None,
    training: Mapping[str, Any] | None,
    drawn: Mapping[str, Any] | None,
    first: Mapping[str, Any] | None,
    others: Mapping[str, tuple[float, float]],
    limits: SignSettings,
) -> list[Finding]:
    """The signs that a round shows.

    Args:
        changes: see `plateau`; empty where there is nothing to compare with.
        measured: its reward model on held-out problems.
        training: how its policy was trained (`stages.rounds.training`).
        drawn, first: what this round and round 1 drew (`stages.rounds.drawn`).
        others: gain over the round before and its p on further splits, by name.
    """
    found = []
    if changes:
        if falling(*changes[-1], limits):
            found.append(Finding(Sign.FALLING, told(*changes[-1])))
        elif plateau(changes, limits):
            found.append(Finding(Sign.PLATEAU, told(*changes[-1])))
    reasons = {
        Sign.WEAK: measured and weak(measured, limits),
        Sign.DIVERGING: training and diverging(training, limits),
        Sign.SHRINKING: drawn and first and shrinking(drawn, first, limits),
    }
    found += [Finding(sign, why) for sign, why in reasons.items() if isinstance(why, str)]
    fell = [f"{name} {told(*change)}" for name, change in others.items() if falling(*change, limits)]
    return found + ([Finding(Sign.ELSEWHERE, "; ".join(fell))] if fell else [])


def told(gain: float, p: float) -> str:
    """A change of accuracy in words."""
    return f"{100 * gain:+.1f} points against the round before (p = {p:.2g})"
