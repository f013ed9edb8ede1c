"""The rates, intervals and tests that a report quotes. Pure Python, exact where a closed form exists.

>>> wilson(580, 1319)
(0.413..., 0.466...)
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from evals.reading.answers import normal

Z95 = 1.959963984540054
"""The two-sided 95 % quantile of the standard normal distribution."""


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a rate; (0, 1) when nothing was tried.

    Returns:
        Lower and upper end, in [0, 1].
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials")
    if n == 0:
        return 0.0, 1.0
    return _score_interval(successes / n, n, z)


def mean_interval(values: Sequence[float], z: float = Z95) -> tuple[float, float]:
    """An interval for the mean of values in [0, 1]: Wilson's, as if they were zeros and ones with the same mean.

    No values in [0, 1] have a larger variance than those, so it is never too narrow; (0, 1) without values.
    """
    if not all(0 <= value <= 1 for value in values):
        raise ValueError("values outside [0, 1]")
    return _score_interval(math.fsum(values) / len(values), len(values), z) if values else (0.0, 1.0)


@dataclass(slots=True)
class Mean:
    """The mean of values in [0, 1], added one at a time and not kept."""

    total: float = 0.0
    n: int = 0

    def add(self, value: float) -> None:
        """Add a value. Raises ValueError if it is outside [0, 1]."""
        if not 0 <= value <= 1:
            raise ValueError(f"{value} is outside [0, 1]")
        self.total += value
        self.n += 1

    def rate(self) -> dict[str, Any] | None:
        """ "n", "rate", "low" and "high" (see `mean_interval`), or None without values."""
        if not self.n:
            return None
        mean = min(1.0, self.total / self.n)
        low, high = _score_interval(mean, self.n, Z95)
        return {"n": self.n, "rate": mean, "low": low, "high": high}


def _score_interval(rate: float, n: int, z: float) -> tuple[float, float]:
    spread = z * z / n
    centre = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(rate * (1 - rate) / n + spread / (4 * n))
    lower = 0.0 if rate == 0 else max(0.0, centre - half)
    return lower, 1.0 if rate == 1 else min(1.0, centre + half)


def combined(
    estimate: float, parts: Sequence[tuple[float, tuple[float, float]]], of: Callable[[Sequence[float]], float]
) -> tuple[float, float]:
    """The interval of a function of independent rates, from the rates' own intervals (MOVER, Zou and Donner 2008).

    Args:
        estimate: the function at the rates.
        parts: each rate and its interval.
        of: the function; it must not decrease in any rate.

    Returns:
        Lower and upper end: the estimate minus (plus) the root of the summed squares of the changes that each rate's
        lower (upper) end would cause alone.
    """
    rates = [rate for rate, _ in parts]

    def moved(end: int) -> float:
        changed = [of([*rates[:i], parts[i][1][end], *rates[i + 1 :]]) for i in range(len(parts))]
        return math.sqrt(sum((value - estimate) ** 2 for value in changed))

    return max(0.0, estimate - moved(0)), min(1.0, estimate + moved(1))


def harmonic(rates: Sequence[float]) -> float:
    """The harmonic mean of rates; 0 if one of them is 0."""
    return len(rates) / sum(1 / rate for rate in rates) if all(rates) else 0.0


def pass_at_k(n: int, c: int, k: int) -> float | None:
    """Chance that at least one of k out of n draws is right, when c of the n are right: 1 - C(n-c, k)/C(n, k).

    Returns:
        None when fewer than k were drawn: the estimate does not exist then.
    """
    if not 0 <= c <= n or k < 1:
        raise ValueError(f"pass@{k} of {c} right in {n} draws")
    if n < k:
        return None
    return float(1 - Fraction(math.comb(n - c, k), math.comb(n, k)))


def majority(answers: Sequence[str | None], seed: int | None = None) -> str | None:
    """The most frequent answer, in the form in which it was first given; None if there is none.

    Equal answers count together (`18`, `18.0`, `$18`). None and "[invalid]" have no vote.

    Args:
        seed: how a tie is broken: the first answer wins if None, else a draw with this seed decides.
    """
    votes: dict[str, int] = {}
    first: dict[str, str] = {}
    for answer in answers:
        if answer is None or answer.strip().casefold() in ("", "[invalid]"):
            continue
        key = normal(answer)
        first.setdefault(key, answer)
        votes[key] = votes.get(key, 0) + 1
    if not votes:
        return None
    most = max(votes.values())
    tied = [key for key, count in votes.items() if count == most]
    return first[tied[0] if seed is None else random.Random(seed).choice(tied)]


def mcnemar(b: int, c: int) -> float:
    """Exact two-sided McNemar test of two models on the same items.

    Args:
        b: items only the first model has right.
        c: items only the second has right.

    Returns:
        The p-value: the chance of a split at least this uneven if both were equally good.
    """
    if b < 0 or c < 0:
        raise ValueError(f"{b} and {c} discordant items")
    n, tail, ways = b + c, 0, 1
    for i in range(min(b, c) + 1):
        tail += ways
        ways = ways * (n - i) // (i + 1)  # C(n, i + 1), which of ten thousands of items is slow to compute anew
    return min(1.0, 2 * tail / (1 << n))


def auc(labels: Sequence[bool | int], scores: Sequence[float]) -> float | None:
    """Chance that a positive scores above a negative, ties counting half (Mann-Whitney, by ranks, O(n log n)).

    Returns:
        None if there are no positives or no negatives.
    """
    _same_length(labels, scores)
    positives = sum(1 for label in labels if label)
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    order = sorted(range(len(scores)), key=scores.__getitem__)
    ranks, start = 0.0, 0
    while start < len(order):
        end = start
        while end < len(order) and scores[order[end]] == scores[order[start]]:
            end += 1
        mean_rank = (start + 1 + end) / 2
        ranks += mean_rank * sum(1 for i in order[start:end] if labels[i])
        start = end
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def pair_accuracy(
    groups: Sequence[Hashable], labels: Sequence[bool | int], scores: Sequence[float]
) -> tuple[float | None, int]:
    """Chance that a positive scores above a negative of the same group, ties half.

    Every pair of a positive and a negative of one group counts once, so a group weighs as many pairs as it has. Unlike
    `auc`, it gives nothing for knowing which groups have more positives.

    Returns:
        The chance (None where no group has both), and the number of pairs.
    """
    _same_length(labels, scores)
    members: dict[Hashable, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    ordered, pairs = 0.0, 0
    for indices in members.values():
        chosen = [labels[i] for i in indices]
        chance = auc(chosen, [scores[i] for i in indices])
        if chance is not None:
            positives = sum(map(bool, chosen))
            ordered += chance * positives * (len(chosen) - positives)
            pairs += positives * (len(chosen) - positives)
    return (ordered / pairs if pairs else None), pairs


def majority_accuracy(labels: Sequence[bool | int]) -> float:
    """Accuracy of always saying the more frequent label. Raises ValueError on nothing to measure."""
    if not labels:
        raise ValueError("no labels to measure")
    positives = sum(map(bool, labels))
    return max(positives, len(labels) - positives) / len(labels)


def calibration_error(labels: Sequence[bool | float], scores: Sequence[float], bins: int = 10) -> float:
    """Expected calibration error: |mean score - mean label| over equal bins of [0, 1], weighted by their size.

    Labels may be soft. Raises ValueError if there is nothing to measure.
    """
    _some(labels, scores)
    score_sum, label_sum = [0.0] * bins, [0.0] * bins
    for label, score in zip(labels, scores, strict=True):
        where = min(bins - 1, max(0, int(score * bins)))
        score_sum[where] += score
        label_sum[where] += label
    return sum(abs(a - b) for a, b in zip(score_sum, label_sum, strict=True)) / len(scores)


def brier(labels: Sequence[bool | float], scores: Sequence[float]) -> float:
    """Brier score: the mean squared difference of score and label. A constant 0.5 gets 0.25 on hard labels.

    Labels may be soft. Raises ValueError if there is nothing to measure.
    """
    _some(labels, scores)
    return math.fsum((score - label) ** 2 for label, score in zip(labels, scores, strict=True)) / len(labels)


def accuracy_at(labels: Sequence[bool | int], scores: Sequence[float], threshold: float = 0.5) -> float:
    """Share of items whose label equals `score >= threshold`. Raises ValueError if there is nothing to measure."""
    _some(labels, scores)
    hits = sum((score >= threshold) == bool(label) for label, score in zip(labels, scores, strict=True))
    return hits / len(labels)


def first_wrong_step(step_flags: Sequence[bool]) -> int:
    """The first step that is not right (`step_flags`: True for a right step), or -1 if all are."""
    return next((j for j, right in enumerate(step_flags) if not right), -1)


def _same_length(labels: Sequence[float], scores: Sequence[float]) -> None:
    if len(labels) != len(scores):
        raise ValueError(f"{len(labels)} labels for {len(scores)} scores")


def _some(labels: Sequence[float], scores: Sequence[float]) -> None:
    _same_length(labels, scores)
    if not labels:
        raise ValueError("no labels and scores to measure")
