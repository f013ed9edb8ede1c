"""Rejects paths near a score of mean - 2 sigma, not the worst ones (arXiv 2502.16825).

That paper scores many samples of a question, chooses the best one and compares what to reject: mean - 2 sigma was best
throughout, while the worst sample became a worse choice the more were drawn. Mean and standard deviation (of the whole,
not of a sample) are those of the question's scored paths.
"""

from __future__ import annotations

from statistics import fmean, pstdev

from stages.pairing.gaps import pairs_by_score
from stages.pairing.question import Found, Pair, Question


def sigma(question: Question) -> Found:
    """All pairs by score: first those whose rejected path is nearest to mean - `--sigmas` standard deviations, and of
    these the one with the best chosen path."""
    scored = question.scored()
    scores = [score for _, score in scored]
    target = fmean(scores) - question.settings.sigmas * pstdev(scores) if scores else 0.0
    found = pairs_by_score(question, scored)

    def order(pair: Pair) -> tuple[float, float]:
        return abs((pair.rejected.score or 0.0) - target), -(pair.chosen.score or 0.0)

    return Found(sorted(found.pairs, key=order), found.none)
