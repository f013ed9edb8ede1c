"""ProcessBench: does a reward model find the first wrong step that people found?

    {"id": "gsm8k-0", "generator": "...", "problem": "Sue lives ...", "steps": ["To find out ...", ...],
     "final_answer_correct": false, "label": 1}

A label is the first wrong step, counted from 0, or -1. The model's guess is the first step whose score is below a
threshold, or -1. acc_err is the share of right guesses over the items with a wrong step, acc_ok over those without, and
F1 their harmonic mean (Zheng et al., arXiv 2412.06559). The threshold is chosen on items that are not used to measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.errors import DataError
from evals.metrics import combined, first_wrong_step, harmonic, wilson
from evals.records import Problem

ADVICE = "Is this the official ProcessBench file?"
BETWEEN_STEPS = "\n\n"
"""What joins the steps of a text: many steps are paragraphs of several lines."""


@dataclass(frozen=True, slots=True)
class Item:
    """One judged path: the scores of its steps, and the first wrong one according to people (-1: none)."""

    scores: Sequence[float]
    label: int


def problem(row: Mapping[str, Any]) -> Problem:
    """A published row as a problem with one path, whose steps are given and whose `first_error` is the label.

    Raises:
        DataError: `field: what is wrong`.
    """
    for name, kind in (("id", str), ("problem", str), ("steps", list), ("label", int), ("final_answer_correct", bool)):
        if not isinstance(row.get(name), kind) or (kind is int and isinstance(row[name], bool)):
            raise DataError(f"{name}: missing, or of the wrong type", ADVICE)
    steps = row["steps"]
    if not steps or not all(isinstance(step, str) and step.strip() for step in steps):
        raise DataError("steps: must be texts, at least one", ADVICE)
    identity = f"processbench/{row['id']}"
    path = {
        "id": f"{identity}#0", "text": BETWEEN_STEPS.join(steps), "steps": steps, "split": "given",
        "first_error": row["label"], "correct": row["final_answer_correct"],
    }  # fmt: skip
    task = "gsm8k" if row["id"].startswith("gsm8k") else "math"
    return Problem.from_row(
        {
            "id": identity, "task": task, "question": row["problem"], "generator": row.get("generator"),
            "paths": [path],
        }
    )  # fmt: skip


def first_below(scores: Sequence[float], threshold: float) -> int:
    """The first step that scores below the threshold, or -1."""
    return first_wrong_step([score >= threshold for score in scores])


def measured(items: Sequence[Item], threshold: float) -> dict[str, Any]:
    """Both accuracies and F1 at a threshold, with 95 % intervals: Wilson's, and for F1 the one derived from them.

    A rate without items is None, and then so is F1.
    """
    hits = {True: 0, False: 0}
    sizes = {True: 0, False: 0}
    for item in items:
        wrong = item.label >= 0
        sizes[wrong] += 1
        hits[wrong] += first_below(item.scores, threshold) == item.label
    result: dict[str, Any] = {"threshold": threshold, "n": len(items)}
    for name, wrong in (("acc_err", True), ("acc_ok", False)):
        result[name] = _rate(hits[wrong], sizes[wrong]) if sizes[wrong] else None
    parts = [(hits[wrong] / sizes[wrong], wilson(hits[wrong], sizes[wrong])) for wrong in (True, False) if sizes[wrong]]
    if len(parts) < 2:
        return {**result, "f1": None}
    f1 = harmonic([rate for rate, _ in parts])
    low, high = combined(f1, parts, harmonic)
    return {**result, "f1": {"rate": f1, "low": low, "high": high, "n": len(items)}}


def best_threshold(items: Sequence[Item]) -> float:
    """The threshold with the highest F1 on these items; of equally good ones, the one nearest to 0.5.

    An item with a wrong step e is guessed right exactly for thresholds in (score of e, lowest score before e]; an item
    without one exactly for thresholds up to its lowest score. So F1 changes only at those ends, and one sweep over them
    in order finds the best interval (O(n log n)), whose middle is taken.

    Raises:
        DataError: there are no items with a wrong step, or none without.
    """
    wrong = [item for item in items if item.label >= 0]
    right = [item for item in items if item.label < 0]
    if not wrong or not right:
        raise DataError(
            "choosing a threshold needs items with a wrong step and items without one",
            "Give more lines, a larger --held-out, or --threshold T.",
        )
    # Above `low` an item is guessed right, above `high` no longer; scores are in [0, 1].
    changes: list[tuple[float, int, int]] = []
    for item in wrong:
        low, high = item.scores[item.label], min([1.0, *item.scores[: item.label]])
        if low < high:
            changes += [(low, 1, 0), (high, -1, 0)]
    for item in right:
        changes += [(0.0, 0, 1), (min(item.scores), 0, -1)]
    changes.sort()
    best, chosen = -1.0, 0.5
    found, clean, at = 0, 0, 0
    while at < len(changes):
        edge = changes[at][0]
        while at < len(changes) and changes[at][0] == edge:
            found, clean, at = found + changes[at][1], clean + changes[at][2], at + 1
        following = changes[at][0] if at < len(changes) else 1.0
        if edge >= following:
            continue
        f1 = harmonic([found / len(wrong), clean / len(right)])
        middle = (edge + following) / 2
        if middle <= edge:  # no number is between them; the interval includes its upper end, not its lower
            middle = following
        if f1 > best or (f1 == best and abs(middle - 0.5) < abs(chosen - 0.5)):
            best, chosen = f1, middle
    return chosen


def _rate(hits: int, n: int) -> dict[str, Any]:
    low, high = wilson(hits, n)
    return {"right": hits, "n": n, "rate": hits / n, "low": low, "high": high}
