"""Best of n: how often the path picked out of n draws is right, for growing n.

Every problem has N judged paths, and a curve's point at n is the mean over all of their subsets of size n:

    oracle     any of the n is right: 1 - C(N-c, n)/C(N, n), exact
    a score    the highest score among the n decides, ties by lot: exact, by rank
    majority   the most frequent answer among the n, ties by lot: over all subsets if there are few, else over a seeded
               draw of `SUBSETS` of them

>>> best_by_score([0.9, 0.2], [False, True], 1)
0.5
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from evals.metrics import Mean, pass_at_k
from evals.reading.answers import normal

SUBSETS = 1000
"""Subsets that a majority is averaged over; all of them if there are no more."""
VOTES = 100_000
"""Subsets that a curve of many problems should not need more of: a few seconds, and for four paths 9,000 problems."""


def best_by_score(scores: Sequence[float], right: Sequence[bool], n: int) -> float:
    """The chance that the highest-scored of n drawn paths is right; ties are broken by lot.

    A group of equal scores on ranks [a, b) holds the best of the n in C(N-a, n) - C(N-b, n) of C(N, n) subsets.

    Raises:
        ValueError: n is not between 1 and the number of paths.
    """
    total = _size(len(scores), n)
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    chance, start = Fraction(0), 0
    for _, group in itertools.groupby(order, key=lambda i: scores[i]):
        members = list(group)
        end = start + len(members)
        ways = math.comb(len(scores) - start, n) - math.comb(len(scores) - end, n)
        chance += Fraction(ways * sum(bool(right[i]) for i in members), total * len(members))
        start = end
    return float(chance)


def best_by_vote(answers: Sequence[str | None], right: Sequence[bool], n: int, seed: int | str = 0) -> float:
    """The chance that the most frequent answer of n drawn paths is right; ties are broken by lot.

    Equal answers vote together (`18`, `$18.00`); a path without an answer has no vote. A subset without any vote is
    wrong.

    Args:
        answers: what each path answered.
        right: whether that answer is right.
        seed: of the drawn subsets, if there are too many to enumerate.

    Raises:
        ValueError: n is not between 1 and the number of paths.
    """
    total = _size(len(answers), n)
    votes = [None if answer is None else normal(answer) for answer in answers]
    subsets: Iterable[Sequence[int]]
    if total <= SUBSETS:
        subsets, count = itertools.combinations(range(len(votes)), n), total
    else:
        rng = random.Random(f"{seed}/{n}")
        subsets, count = (rng.sample(range(len(votes)), n) for _ in range(SUBSETS)), SUBSETS
    return sum(_vote(votes, right, subset) for subset in subsets) / count


def _vote(votes: Sequence[str | None], right: Sequence[bool], subset: Sequence[int]) -> float:
    counts = Counter(votes[i] for i in subset if votes[i] is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    tied = {vote for vote, count in counts.items() if count == most}
    good = {votes[i] for i in subset if right[i] and votes[i] in tied}
    return len(good) / len(tied)


def _size(paths: int, n: int) -> int:
    if not 1 <= n <= paths:
        raise ValueError(f"best of {n} out of {paths} paths")
    return math.comb(paths, n)


class BestOf:
    """The curves of many problems, which are added one at a time; only sums are kept.

    Args:
        ns: sizes of the subsets; empty: 1, 2, 4, ... as far as a problem has paths.
        seed: of the subsets that a majority is taken over.
    """

    def __init__(self, ns: Sequence[int] = (), seed: int = 0) -> None:
        self.problems = 0
        self._ns, self._seed = tuple(ns), seed
        self._means: dict[tuple[str, int], Mean] = defaultdict(Mean)

    def add(
        self,
        identity: str,
        right: Sequence[bool],
        answers: Sequence[str | None],
        scores: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Add a problem's judged paths.

        Args:
            right, answers: of each path.
            scores: of each path, by the name of the scores.
        """
        self.problems += 1
        for n in (n for n in self._ns or _powers(len(right)) if n <= len(right)):
            for name, values in (scores or {}).items():
                self._means[name, n].add(best_by_score(values, right, n))
            if any(answers):
                self._means["majority", n].add(best_by_vote(answers, right, n, f"{self._seed}/{identity}"))
            self._means["oracle", n].add(pass_at_k(len(right), sum(right), n) or 0.0)

    @property
    def picks(self) -> list[str]:
        """The ways of picking that have a value: names of scores, "majority" where there are answers, "oracle"."""
        found = list(dict.fromkeys(pick for pick, _ in self._means))
        own = [pick for pick in found if pick not in ("majority", "oracle")]
        return [*own, *(["majority"] if "majority" in found else []), "oracle"]

    def rows(self) -> list[dict[str, Any]]:
        """For each n the problems that have so many paths, and of each pick the rate (None: no such problem)."""
        ns = self._ns or sorted({n for _, n in self._means})
        return [
            {"n": n, "problems": self._mean("oracle", n).n, **{pick: self._mean(pick, n).rate() for pick in self.picks}}
            for n in ns
        ]

    def _mean(self, pick: str, n: int) -> Mean:
        return self._means.get((pick, n), Mean())


def _powers(most: int) -> tuple[int, ...]:
    return tuple(2**i for i in range(most.bit_length()) if 2**i <= most)


def share_to_vote(problems: int, paths: float) -> float:
    """The share of the problems to draw a curve from, so that it needs about `VOTES` subsets at most.

    Args:
        paths: of a problem, on the average.
    """
    most = max(1, round(paths))
    subsets = sum(min(SUBSETS, math.comb(most, n)) for n in _powers(most))
    return min(1.0, VOTES / max(1, problems * subsets))
