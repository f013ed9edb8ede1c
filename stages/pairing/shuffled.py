"""A control: the scores are dealt out anew among the question's paths, then `threshold` makes the pairs.

How much of a rule's gain is left says how much of it the scores brought: the number of pairs, their right answers and
the spread of the scores stay as they were. The pairs carry the scores that were dealt.
"""

from __future__ import annotations

import random

from stages.pairing.gaps import pairs_by_score
from stages.pairing.question import Found, Question
from stages.seeds import lot


def shuffled(question: Question) -> Found:
    """All pairs by permuted scores, in the seed's order."""
    scored = question.scored()
    paths, scores = [path for path, _ in scored], [score for _, score in scored]
    random.Random(lot(f"{question.problem.id}/shuffled", question.settings.seed)).shuffle(scores)
    return pairs_by_score(question, list(zip(paths, scores, strict=True)))
