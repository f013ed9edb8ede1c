"""The audit of `simulate`: a share of the problems is labelled by brute force as well, and the two are compared.

    await audit(simulator, problem, paths)      # counts into the problem's tally
    audit_report(summary.counts)                # {"labels": {"agree": 98.1, "from": 97.0, "to": 98.8, "n": 1014}, ...}

The problems' ids and the seed decide which. The draws that the strategy did not make are made after it, with the seeds
that brute force gives them, and their cost is counted separately. The labels on the line stay the strategy's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from evals.metrics import first_wrong_step, wilson
from evals.records import Path, Problem, StepLabel
from stages.counts import AUDIT, Count, Tally
from stages.strategies.prefixes import Simulator, prefixes, together

COSTS = (AUDIT.of("problems"), AUDIT.of("rollouts"), AUDIT.of("rollout tokens"))
"""The counts of what the audit cost; its other counts are in its report."""


def in_report(count: str) -> bool:
    """Whether `audit_report` includes a count."""
    return AUDIT.holds(count) and count not in COSTS


async def audit(simulator: Simulator, problem: Problem, paths: list[Path]) -> None:
    """Label the prefixes of the paths by all `k` draws, and count how the paths' own labels compare."""
    found = prefixes(simulator.task, paths)
    hits = await together(_all_hits(simulator, problem, prefix) for prefix in found.places)
    right = {prefix: count > simulator.settings.delta for prefix, count in zip(found.places, hits, strict=True)}
    simulator.tally.count(AUDIT.of("problems"))
    for path, row in zip(paths, found.rows, strict=True):
        _compare(simulator, path.labels or [], [right[prefix] for prefix in row])


async def _all_hits(simulator: Simulator, problem: Problem, prefix: str) -> int:
    """Hits of all `k` draws of a prefix; the strategy has made the first of them."""
    made = simulator.ledger.labels.get(prefix)
    start, hits = (made.draws, made.hits) if made else (0, 0)
    apart = replace(simulator, tally=Tally())
    rollouts = await apart.roll(problem, prefix, range(start, simulator.settings.k), eager=True)
    apart.tally.count(Count.ROLLOUTS, len(rollouts))
    apart.tally.count(Count.ROLLOUT_TOKENS, sum(rollout.tokens for rollout in rollouts))
    for name, n in apart.tally.counts.items():
        simulator.tally.count(AUDIT.of(name), n)
    return hits + sum(rollout.correct for rollout in rollouts)


def _compare(simulator: Simulator, labels: list[StepLabel], brute: list[bool]) -> None:
    """Compare one path's labels with those of brute force, and count where those contradict monotonicity."""
    count = simulator.tally.count
    for label, right in zip(labels, brute, strict=True):
        if label.hard is None:
            count(AUDIT.of("steps undecided"))
            continue
        count(AUDIT.of("steps"))
        count(AUDIT.of("steps alike"), label.hard == right)
        count(AUDIT.of("wrong by brute"), not right)
        count(AUDIT.of("wrong by the strategy"), not label.hard)
        count(AUDIT.of("wrong by both"), not (label.hard or right))
        count(AUDIT.of(label.kind))
        count(AUDIT.of(f"{label.kind}, alike"), label.hard == right)
    if not labels:
        return
    error = first_wrong_step(brute)
    count(AUDIT.of("paths"))
    count(AUDIT.of("paths live again behind a dead step"), error >= 0 and any(brute[error:]))
    count(AUDIT.of("steps live behind a dead one"), sum(brute[error:]) if error >= 0 else 0)
    mine = claimed_error(labels)
    if mine is None:
        count(AUDIT.of("first errors undecided"))
    else:
        count(AUDIT.of("first errors"))
        count(AUDIT.of("first errors alike"), mine == error)


def claimed_error(labels: list[StepLabel]) -> int | None:
    """The first step labelled wrong (-1: none); None if an undecided step comes before it, or could be it."""
    for step, label in enumerate(labels):
        if label.hard is None:
            return None
        if not label.hard:
            return step
    return -1


def audit_report(counts: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """What the audit found, each rate in percent with its 95 % Wilson interval and n; empty without an audit.

    Steps of one problem resemble each other, so the intervals are somewhat too narrow.
    """

    def rate(part: str, whole: str) -> dict[str, float]:
        n, k = counts.get(AUDIT.of(whole), 0), counts.get(AUDIT.of(part), 0)
        low, high = wilson(k, n)
        return {"rate": round(100 * k / n, 2), "low": round(100 * low, 2), "high": round(100 * high, 2), "n": n}

    wanted = {
        "labels that agree with brute": ("steps alike", "steps"),
        "wrong steps, precision": ("wrong by both", "wrong by the strategy"),
        "wrong steps, recall": ("wrong by both", "wrong by brute"),
        "first errors that agree": ("first errors alike", "first errors"),
        "paths live again behind a dead step": ("paths live again behind a dead step", "paths"),
        **{
            f"{kind} labels that agree": (f"{kind}, alike", kind)
            for kind in ("drawn", "trusted", "before-live", "after-dead", "early-stop")
        },
    }
    return {name: rate(*pair) for name, pair in wanted.items() if counts.get(AUDIT.of(f"{pair[1]}"))}
