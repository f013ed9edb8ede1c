"""The arms of reproduce.sh over their seeds: how right they are, what they cost, and how two of them compare.

    arms = arms_of(found_runs(Path("runs/reproduce")))
    difference(arms["sipf"].at("test").right, arms["siof"].at("test").right).p

Seeds that have not finished an arm are left out of it. Every p is that of an exact McNemar test over (seed, problem):
the seeds are strata, so a problem is only ever compared with itself under the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from arm_runs import Answers, ArmRun

from evals.errors import UsageError
from evals.metrics import mcnemar

SURE = 0.05

Verdicts = dict[str, bool]
"""seed/number of the problem -> right or not."""


@dataclass
class Result:
    """A policy's first answers on one split, over the seeds that have them."""

    right: Verdicts = field(default_factory=dict)
    sound: Verdicts = field(default_factory=dict)
    """Right by right steps; only problems whose steps can be checked."""

    def rate(self, sound: bool = False) -> float:
        """The share that is right; NaN without problems."""
        verdicts = self.sound if sound else self.right
        return sum(verdicts.values()) / len(verdicts) if verdicts else math.nan

    def of_seed(self, seed: str) -> float:
        """The share of one seed's problems that is right."""
        mine = [right for key, right in self.right.items() if key.startswith(f"{seed}/")]
        return sum(mine) / len(mine) if mine else math.nan


@dataclass(frozen=True)
class Difference:
    """How much better one policy is than another on the same problems under the same seeds."""

    gain: float
    low: float
    high: float
    p: float
    by_seed: Mapping[str, float]

    @property
    def same_sign(self) -> bool:
        """Whether every seed says the same."""
        return len({math.copysign(1, gain) for gain in self.by_seed.values() if gain}) == 1 and all(
            self.by_seed.values()
        )

    def verdict(self) -> str:
        """Whether "better" holds, does not hold, or is not shown."""
        if self.p >= SURE or not self.same_sign:
            return "not shown"
        return "holds" if self.gain > 0 else "the opposite"


def difference(better: Verdicts, than: Verdicts) -> Difference:
    """The paired comparison of two policies, stratified by seed.

    The interval is the normal one for the mean of paired differences.

    Raises:
        UsageError: they share no problem.
    """
    shared = sorted(set(better) & set(than))
    if not shared:
        raise UsageError("two arms share no problem", "Compare arms of one reproduce.sh.")
    won = sum(better[key] and not than[key] for key in shared)
    lost = sum(than[key] and not better[key] for key in shared)
    n, gain = len(shared), (won - lost) / len(shared)
    half = 1.96 * math.sqrt(max(0.0, (won + lost) / n - gain * gain) / n)
    seeds: dict[str, list[int]] = {}
    for key in shared:
        seeds.setdefault(key.partition("/")[0], []).append(better[key] - than[key])
    by_seed = {seed: sum(values) / len(values) for seed, values in seeds.items()}
    return Difference(gain, gain - half, gain + half, mcnemar(lost, won), by_seed)


@dataclass
class Arm:
    """What one arm did, over the seeds that finished it."""

    name: str
    results: dict[tuple[int, str], Result] = field(default_factory=dict)
    """By round (0 is SFT) and split."""
    costs: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    """By seed and round."""
    seeds: list[str] = field(default_factory=list)

    @property
    def rounds(self) -> int:
        """The last round."""
        return max((number for number, _ in self.results), default=0)

    def at(self, split: str, round_number: int | None = None) -> Result:
        """The results of a round; of the last by default."""
        return self.results.get((self.rounds if round_number is None else round_number, split), Result())

    def cost(self, *names: str) -> float:
        """A sum over all rounds, averaged over the seeds."""
        whole = sum(_number(cost.get(name)) for cost in self.costs.values() for name in names)
        return whole / max(1, len(self.seeds))

    def last(self, name: str) -> float:
        """A figure of the last round, averaged over the seeds that have it; NaN if none has."""
        found = [_number(cost[name]) for (_, number), cost in self.costs.items() if number == self.rounds - 1]
        return sum(found) / len(found) if found and all(map(math.isfinite, found)) else math.nan


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan if value is None else 0.0


def arms_of(runs: Iterable[ArmRun], rounds: int | None = None) -> dict[str, Arm]:
    """All arms, "sft" among them, each with the seeds that have finished all its rounds.

    Of several runs of one arm and seed the first counts.

    Args:
        rounds: look at so many rounds alone, and so at arms that have no more, too; None: at those of the longest arm.

    Raises:
        UsageError: there is none, or two runs of a seed were measured on other problems.
    """
    kept: dict[tuple[str, str], ArmRun] = {}
    for run in runs:
        kept.setdefault((run.arm, run.seed), run)
    longest = rounds or max((run.rounds for run in kept.values()), default=0)
    arms: dict[str, Arm] = {}
    problems: dict[tuple[str, str], str] = {}
    for (name, seed), run in sorted(kept.items()):
        if name != "sft" and run.rounds < longest:
            continue
        arm = arms.setdefault(name, Arm(name))
        arm.seeds.append(seed)
        arm.costs |= {(seed, number): cost for number, cost in enumerate(run.costs[:longest])}
        for (number, split), answers in run.answers.items():
            if number > longest:
                continue
            if problems.setdefault((seed, split), answers.problems) != answers.problems:
                raise UsageError(
                    f"{name} was measured on other problems than the other arms (seed {seed}, {split})",
                    "Compare arms that were run with the same seeds and sizes.",
                )
            _add(arm.results.setdefault((number, split), Result()), seed, answers)
    if "sft" not in arms or "sipf" not in arms:
        raise UsageError("there is no finished arm sipf", "Run reproduce.sh first.")
    return arms


def _add(result: Result, seed: str, answers: Answers) -> None:
    result.right |= {f"{seed}/{i}": right for i, right in enumerate(answers.right)}
    result.sound |= {f"{seed}/{i}": sound for i, sound in enumerate(answers.sound or ())}
