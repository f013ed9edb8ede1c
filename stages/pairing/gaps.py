"""All pairs of a question whose chosen path scores more: what the rules by scores choose from."""

from __future__ import annotations

from evals.records import Path
from stages.pairing.question import Found, Pair, Question

FEW = "fewer than two usable paths"
NO_RIGHT = "no right path"
NO_WRONG = "no wrong path"


def pairs_by_score(question: Question, scored: list[tuple[Path, float]]) -> Found:
    """Every pair of the scored paths with a gap above 0, in the seed's order; the chosen path is right, unless `--any`.

    The minimum gap is left to whoever asks, as the yield of other gaps is shown too (`Rule.gapped`).
    """
    must = question.settings.chosen_correct
    winners = [(path, score) for path, score in scored if path.correct or not must]
    losers = [side for path, score in scored if (side := question.rejected(path, score)) is not None]
    pairs = [
        Pair(question.chosen(path, score), loser)
        for path, score in winners
        for loser in losers
        if loser.id != path.id and score > (loser.score or 0.0)
    ]
    none = FEW if len(scored) < 2 else "no gap" if winners else NO_RIGHT
    return Found(question.shuffle(pairs), none)
