"""How well scores in [0, 1] tell right from wrong, added up one score at a time: sums are kept, the scores are not.

    counts = ScoreCounts()
    counts.add(0.9, True); counts.add(0.2, False); counts.add(0.6, False)
    counts.auc()                 # 1.0
    counts.reliability(5)[0]     # Bin(low=0.2, high=0.4, n=1, score=0.2, right=Rate...)

Accuracy, baseline and calibration are exact. The ROC curve and its area see the scores on a grid of `GRID` bins: two
scores within one bin count as equal, so the area is off by at most half the chance that a right and a wrong item share
a bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from evals.metrics import auc, wilson

GRID = 1024
"""Bins of [0, 1]; a power of two, so that the bin of a score is exact."""
SUMS = 20
"""Bins whose scores are summed; reliability may be asked for so many, or for a divisor of it."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The items whose score is in [low, high): how many, their mean score, how many are right, and that share with its
    95 % Wilson interval."""

    low: float
    high: float
    n: int
    score: float
    right: int
    share: float
    share_low: float
    share_high: float


@dataclass
class ScoreCounts:
    """Scores of items that are right or wrong."""

    right: list[int] = field(default_factory=lambda: [0] * GRID)
    wrong: list[int] = field(default_factory=lambda: [0] * GRID)
    _called: int = 0
    """Items whose verdict equals score >= 0.5."""
    _missed: int = 0
    """Wrong items that score at least 0.5."""
    _scores: list[float] = field(default_factory=lambda: [0.0] * SUMS)
    _n: list[int] = field(default_factory=lambda: [0] * SUMS)
    _rights: list[int] = field(default_factory=lambda: [0] * SUMS)

    def add(self, score: float, right: bool) -> None:
        """Count an item. Raises ValueError if the score is outside [0, 1]."""
        if not 0 <= score <= 1:
            raise ValueError(f"the score {score} is outside [0, 1]")
        (self.right if right else self.wrong)[min(GRID - 1, int(score * GRID))] += 1
        self._called += (score >= 0.5) == right
        self._missed += score >= 0.5 and not right
        place = min(SUMS - 1, int(score * SUMS))
        self._scores[place] += score
        self._n[place] += 1
        self._rights[place] += right

    @property
    def n(self) -> int:
        """Items."""
        return sum(self._n)

    @property
    def rights(self) -> int:
        """Items that are right."""
        return sum(self._rights)

    def accuracy(self) -> float | None:
        """Share of items whose verdict equals score >= 0.5; None without items."""
        return self._called / self.n if self.n else None

    def majority_accuracy(self) -> float | None:
        """The accuracy of always giving the more frequent verdict."""
        return max(self.rights, self.n - self.rights) / self.n if self.n else None

    def confusion(self) -> tuple[int, int, int, int]:
        """Right items called right (score >= 0.5) and called wrong, wrong items called right and called wrong."""
        wrong = self.n - self.rights
        called = self._called - (wrong - self._missed)
        return called, self.rights - called, self._missed, wrong - self._missed

    def reliability(self, bins: int = 10) -> list[Bin]:
        """The items by score, in equal bins of [0, 1]; empty bins are left out.

        Args:
            bins: a divisor of `SUMS`.
        """
        if bins < 1 or SUMS % bins:
            raise ValueError(f"{bins} bins do not divide {SUMS}")
        size, found = SUMS // bins, []
        for b in range(bins):
            part = slice(b * size, (b + 1) * size)
            n, rights = sum(self._n[part]), sum(self._rights[part])
            if n:
                score = sum(self._scores[part]) / n
                found.append(Bin(b / bins, (b + 1) / bins, n, score, rights, rights / n, *wilson(rights, n)))
        return found

    def calibration_error(self, bins: int = 10) -> float | None:
        """Expected calibration error: |mean score - share of right items| over the bins, weighted by their size."""
        found = self.reliability(bins)
        return sum(one.n * abs(one.score - one.share) for one in found) / self.n if found else None

    def roc(self) -> list[tuple[float, float]]:
        """The ROC curve: (share of wrong items, share of right items) that score at least t, for falling t.

        Returns:
            Points from (0, 0) to (1, 1), one for each bin of the grid that holds an item; none where all items are
            right or all are wrong.
        """
        rights, wrongs = self.rights, self.n - self.rights
        if not rights or not wrongs:
            return []
        points, above = [(0.0, 0.0)], [0, 0]
        for right, wrong in zip(reversed(self.right), reversed(self.wrong), strict=True):
            if right or wrong:
                above[0] += right
                above[1] += wrong
                points.append((above[1] / wrongs, above[0] / rights))
        return points

    def auc(self) -> float | None:
        """The area under `roc`: the chance that a right item scores above a wrong one, equal bins counting half."""
        points = self.roc()
        pairs = pairwise(points)
        return sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairs) if points else None

    def histogram(self, bins: int = 32) -> tuple[list[int], list[int]]:
        """Right and wrong items by score, in equal bins; `bins` divides `GRID`."""
        size = GRID // bins

        def binned(side: list[int]) -> list[int]:
            return [sum(side[b * size : (b + 1) * size]) for b in range(bins)]

        return binned(self.right), binned(self.wrong)


@dataclass
class WithinGroups:
    """`evals.metrics.pair_accuracy`, added up a group at a time: the chance that a right item scores above a wrong one
    of its own group, ties half. Every such pair counts once."""

    ordered: float = 0.0
    pairs: int = 0
    groups: int = 0
    """Groups that have both."""

    def add(self, labels: Sequence[bool], scores: Sequence[float]) -> None:
        """Add the items of one group."""
        chance = auc(labels, scores)
        if chance is not None:
            rights = sum(map(bool, labels))
            self.ordered += chance * rights * (len(labels) - rights)
            self.pairs += rights * (len(labels) - rights)
            self.groups += 1

    def accuracy(self) -> float | None:
        """The chance; None where no group has both."""
        return self.ordered / self.pairs if self.pairs else None
