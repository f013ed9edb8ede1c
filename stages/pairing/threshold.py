"""The paper's rule (arXiv 2412.08393): every pair with a gap of at least eta, none of them preferred to another.

D_pref = {(q, chosen, rejected): r(chosen) - r(rejected) >= eta}. How many pairs of a question are kept is not
published; where `--max-per-problem` leaves some out, the seed decides. Nor is it whether the chosen path must be right
(`--any`: it need not).
"""

from __future__ import annotations

from stages.pairing.gaps import pairs_by_score
from stages.pairing.question import Found, Question


def threshold(question: Question) -> Found:
    """All pairs by score, in the seed's order."""
    return pairs_by_score(question, question.scored())
