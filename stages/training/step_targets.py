"""What a step's label is as a number: from the rollouts of a path's prefixes to one target per step.

    path_targets(LabelKind.parse("progress:0.8"), path.labels, problem.root)    # [1.0, 1.0, 0.0, 0.0]

With MC_t the share of the K rollouts from step t that reach the answer, MC_0 that of the bare question, and D_t the
verdict "more than delta of K" (the paper's label, arXiv 2412.08393):

    hard          D_t
    soft          MC_t (Math-Shepherd, arXiv 2312.08935)
    threshold:T   MC_t >= T: delta as a share
    progress:R    MC_t / MC_(t-1) >= R, and D_1 to D_t (relative progress estimation, arXiv 2504.00891, with R = 0.8)
    advantage     (1 + MC_t - MC_(t-1)) / 2 (process advantage, arXiv 2410.08146, moved from [-1, 1] to [0, 1])

Advantage and progress need the rollouts of two neighbouring prefixes. Those of the bare question stand on the line as
`root`; without them the first step has no such label (a dead first step is wrong all the same). A target is None where
the draws that were made do not decide it; a share that stopped early is bounded, not guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

from evals.records import LIVE, StepLabel
from stages.settings.labels import LabelKind

GOLD = StepLabel(k=1, draws=0, hits=0, settled=True, gold=True)
"""A step of a gold solution: every rollout from it would be right."""


def path_targets(kind: LabelKind, labels: Sequence[StepLabel], root: StepLabel | None = None) -> list[float | None]:
    """The targets of a path's steps, in [0, 1]; None where the draws do not decide one.

    Args:
        kind: which labels are wanted.
        labels: of each step, in order.
        root: of the bare question; None: it was not rolled out.
    """
    if kind.name == "advantage":
        before = [root, *labels[:-1]]
        return [_advantage(label, last) for label, last in zip(labels, before, strict=True)]
    if kind.name == "progress":
        return _progress(kind.threshold or 0.0, labels, root)
    return [_alone(kind, label) for label in labels]


def value_targets(kind: LabelKind, values: Sequence[bool | float | None]) -> list[float | None]:
    """The targets of steps whose labels are values: true, false, or a share of right rollouts.

    "hard" calls every share above 0 right, as delta = 0 does.
    """
    if kind.name == "soft":
        return [None if value is None else float(value) for value in values]
    if kind.name == "advantage":
        before = [None, *values[:-1]]
        return [
            None if value is None or last is None else (1 + value - last) / 2
            for value, last in zip(values, before, strict=True)
        ]
    if kind.name == "progress":
        return _progress_of_values(kind.threshold or 0.0, values)
    least = kind.threshold
    return [None if value is None else float(value > 0 if least is None else value >= least) for value in values]


def delta_of(threshold: float, k: int) -> int:
    """The `delta` at which "more than delta of k rollouts" is "at least this share of them"."""
    return max(hits for hits in range(k) if hits / k < threshold)


def _alone(kind: LabelKind, label: StepLabel) -> float | None:
    """The target of a step whose label says it without its neighbours'."""
    if kind.threshold is None:
        value = label.hard if kind.name == "hard" else label.soft
        return None if value is None else float(value)
    if label.given is not None:
        return None  # a verdict without draws has no share
    if label.gold or label.hits / label.k >= kind.threshold:
        return 1.0
    if label.inferred is not None:
        # Called wrong: no more than delta hits were to be expected. Called right: more, but nobody knows how many.
        return 0.0 if label.inferred not in LIVE and label.delta / label.k < kind.threshold else None
    return 0.0 if _most(label) / label.k < kind.threshold else None


def _advantage(label: StepLabel, before: StepLabel | None) -> float | None:
    if before is None or label.soft is None or before.soft is None:
        return None
    return (1 + label.soft - before.soft) / 2


def _progress(least: float, labels: Sequence[StepLabel], root: StepLabel | None) -> list[float | None]:
    """Relative progress. A step is wrong after a dead one, as the share before it is nothing to be compared with."""
    targets: list[float | None] = []
    dead: bool | None = False  # None: it may be, as a step was left undecided
    for label, before in zip(labels, [root, *labels[:-1]], strict=True):
        verdict = label.by_draws
        dead = True if dead or verdict is False else None if dead is None or verdict is None else False
        targets.append(0.0 if dead else None if dead is None else _kept(least, label, before))
    return targets


def _kept(least: float, label: StepLabel, before: StepLabel | None) -> float | None:
    """Whether a live step keeps this share of the rollouts before it, as far as the draws say."""
    if label.gold:
        return 1.0
    if before is None or label.given is not None or before.given is not None:
        return None
    if not _most(before) or _ratio(label.hits, label.k, _most(before), before.k) >= least:
        return 1.0
    lowest = before.k if before.gold else before.hits
    return 0.0 if lowest and _ratio(_most(label), label.k, lowest, before.k) < least else None


def _progress_of_values(least: float, values: Sequence[bool | float | None]) -> list[float | None]:
    targets: list[float | None] = []
    dead: bool | None = False
    for value, before in zip(values, [None, *values[:-1]], strict=True):
        dead = True if dead or value == 0 else None if dead is None or value is None else False
        if dead or dead is None or value is None or before is None:
            targets.append(0.0 if dead else None)
        else:
            targets.append(float(value / before >= least))
    return targets


def _most(label: StepLabel) -> int:
    """How many of its `k` rollouts may be right, from what was drawn."""
    return label.k if label.gold else label.hits + label.k - label.draws


def _ratio(hits: int, k: int, hits_before: int, k_before: int) -> float:
    """MC_t / MC_(t-1), rounded once."""
    return (hits * k_before) / (hits_before * k)
