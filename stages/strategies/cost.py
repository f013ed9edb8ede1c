"""What `simulate` spent, against what brute force would have spent on the steps that have a label.

count_labels(found, settings.k, tally)          # after a problem is labelled
cost_report(summary.counts)                     # {"rollouts against brute, every prefix": 0.63, ...}
"""

from __future__ import annotations

from collections.abc import Mapping

from evals.records import Path, StepLabel
from stages.counts import LABELS, Count, Tally, brute_force
from stages.strategies.prefixes import Prefixes, brute_tokens

RIGHT_STEPS = "right steps"
UNIQUE, EVERY = "unique prefixes", "every prefix"
"""Brute force rolls out each distinct prefix once, or each step of each path."""


def count_labels(found: Prefixes, k: int, tally: Tally) -> None:
    """What was labelled and how, and what brute force would have spent on the steps that have a label now."""
    tally.count("paths labelled", len(found.paths))
    for prefix, places in found.places.items():
        path, step = places[0]
        label = (found.paths[path].labels or [])[step]
        tally.count(LABELS.of(label.kind), len(places))
        if label.hard is None:
            continue
        tokens = brute_tokens(label.rollouts, k) if label.draws else k * _left(found.paths[path], prefix)
        tally.count(Count.STEPS_LABELLED, len(places))
        tally.count(RIGHT_STEPS, len(places) * label.hard)
        tally.count(brute_force("rollouts", UNIQUE), k)
        tally.count(brute_force("tokens", UNIQUE), tokens)
        tally.count(brute_force("rollouts", EVERY), k * len(places))
        tally.count(brute_force("tokens", EVERY), tokens * len(places))


def count_root(root: StepLabel, tally: Tally) -> None:
    """The rollouts of the bare question; brute force would make all of them, once."""
    tally.count("questions rolled out", root.draws > 0)
    for kind in (UNIQUE, EVERY):
        tally.count(brute_force("rollouts", kind), root.k)
        tally.count(brute_force("tokens", kind), brute_tokens(root.rollouts, root.k))


def against_brute(what: str, prefixes: str) -> str:
    """The name of a share of brute force in `cost_report`."""
    return f"{what} against brute, {prefixes}"


def cost_report(counts: Mapping[str, int]) -> dict[str, float]:
    """What was spent as a share of brute force over unique prefixes and over every prefix.

    Brute force is counted for the steps that have a label. Its completions are exact; the tokens of draws that were not
    made are estimated from their prefix's other draws, or from the path's own length where there are none.
    """
    report = {}
    for what, spent in (("rollouts", Count.ROLLOUTS), ("tokens", Count.ROLLOUT_TOKENS)):
        for kind in (UNIQUE, EVERY):
            brute = counts.get(brute_force(what, kind), 0)
            if brute:
                report[against_brute(what, kind)] = counts.get(spent, 0) / brute
    return report


def _left(path: Path, prefix: str) -> int:
    """Tokens that the path itself wrote after a prefix, as far as its length tells (else characters / 4)."""
    rate = path.tokens / max(1, len(path.text)) if path.tokens is not None else 0.25
    return round(rate * max(0, len(path.text) - len(prefix)))


def label_kinds(counts: Mapping[str, int]) -> dict[str, int]:
    """How many labels were drawn, inferred (by kind), trusted, or left undecided."""
    return {kind: n for kind, n in LABELS.read(counts).items() if n}
