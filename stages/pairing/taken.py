"""Which of a rule's pairs are taken: of two texts, near in length, far apart in score, spread over a problem's paths.

taken("threshold", question, report, 7)      # at most `--max-per-problem` pairs; the report has counted the rest
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable

from stages.counts import Count
from stages.pairing import RULES
from stages.pairing.question import Found, Pair, Question, Side
from stages.pairing.reasons import Reason
from stages.pairing.report import LENGTH_GAP, NO_GAP, NOT_TAKEN, SWEEP, WITHOUT, PairReport
from stages.settings.pairs import RuleName


def taken(name: RuleName, question: Question, report: PairReport, number: int) -> list[Pair]:
    """The pairs that a rule gives a problem, at most `max_per_problem`; the rest is counted by reason.

    Args:
        number: the place of the problem among those read.
    """
    settings, told = question.settings, report.rules[name]
    whose = number, question.problem.id, name

    def left_out(reason: str, count: int) -> None:
        told.counts[NOT_TAKEN + reason] += count
        report.reasons += [Reason(*whose, reason, pairs=count)] if count else []

    found = RULES[name].find(question)
    report.reasons += [Reason(*whose, reason, path) for path, reason in question.left_out]
    pairs, none = _distinct(found, left_out), found.none
    if settings.max_length_gap is not None and pairs:
        near = [pair for pair in pairs if _length_gap(pair.chosen, pair.rejected) <= settings.max_length_gap]
        left_out(LENGTH_GAP, len(pairs) - len(near))
        pairs, none = near, none if near else LENGTH_GAP
    if RULES[name].gapped:
        gaps = sorted([pair.gap for pair in pairs])
        for eta in SWEEP if gaps else ():
            yielded = min(len(gaps) - bisect_left(gaps, eta), settings.max_per_problem)
            told.sweep[eta] += yielded
            told.sweep_problems[eta] += yielded > 0
        pairs, none = [pair for pair in pairs if pair.gap >= settings.eta], NO_GAP if pairs else none
        asked = f"of {settings.eta:g}" if settings.eta else "above 0"
        none = f"{NO_GAP} {asked}" if none == NO_GAP else none
    if not pairs:
        told.counts[WITHOUT + none] += 1
        report.reasons.append(Reason(*whose, none))
        return []
    kept = _spread(pairs, settings.max_per_problem)
    told.counts["problems with a pair"] += 1
    told.counts[Count.PAIRS] += len(kept)
    left_out("max-per-problem", len(pairs) - len(kept))
    return kept


def _distinct(found: Found, left_out: Callable[[str, int], None]) -> list[Pair]:
    """The pairs whose two sides differ, those of the same texts once; the others are counted."""
    differing = [pair for pair in found.pairs if pair.chosen.text != pair.rejected.text]
    kept: dict[tuple[str, str, str], Pair] = {}
    for pair in differing:
        kept.setdefault(pair.texts, pair)
    if len(differing) < len(found.pairs):
        left_out("two equal texts", len(found.pairs) - len(differing))
    if len(kept) < len(differing):
        left_out("same texts as another pair", len(differing) - len(kept))
    return list(kept.values())


def _spread(candidates: list[Pair], most: int) -> list[Pair]:
    """The first `most` candidates, taking a side again only when all candidates repeat one."""
    left = list(candidates)
    used: Counter[str] = Counter()
    kept: list[Pair] = []
    while left and len(kept) < most:
        pair = min(left, key=lambda pair: used[pair.chosen.id] + used[pair.rejected.id])
        left.remove(pair)
        kept.append(pair)
        used.update((pair.chosen.id, pair.rejected.id))
    return kept


def _length_gap(a: Side, b: Side) -> int:
    if a.tokens is not None and b.tokens is not None:
        return abs(a.tokens - b.tokens)
    return abs(len(a.text) - len(b.text)) // 4
