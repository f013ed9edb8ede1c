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
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from evals.reading.answers import normal

SUBSETS = 1000
"""Subsets that a majority is averaged over; all of them if there are no more."""


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
