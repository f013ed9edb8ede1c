"""Right paths above wrong ones: the baseline without a reward model (SIOF in arXiv 2412.08393)."""

from __future__ import annotations

from stages.pairing.gaps import FEW, NO_RIGHT, NO_WRONG
from stages.pairing.question import Found, Pair, Question


def outcome(question: Question) -> Found:
    """Every right path above every wrong one, in the seed's order."""
    right = [question.chosen(path) for path in question.right]
    pairs = [Pair(chosen, side) for _, side in question.losers(question.wrong) for chosen in right]
    none = FEW if len(question.paths) < 2 else NO_WRONG if right else NO_RIGHT
    return Found(question.shuffle(pairs), none)
