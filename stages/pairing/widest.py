"""The pairs of `threshold`, those with the widest gap first.

Best against worst is the usual choice, and a weak one: it takes the easiest negatives, and gets worse as more paths are
drawn (arXiv 2502.16825; `sigma` is that paper's answer).
"""

from __future__ import annotations

from stages.pairing.gaps import pairs_by_score
from stages.pairing.question import Found, Question


def widest(question: Question) -> Found:
    """All pairs by score, by falling gap; the seed orders equal gaps."""
    found = pairs_by_score(question, question.scored())
    return Found(sorted(found.pairs, key=lambda pair: -pair.gap), found.none)
