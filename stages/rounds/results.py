"""A policy's results by split: accuracy, trace accuracy, length and end of its answers; and two policies compared.

now, before = by_split("eval/round2.jsonl"), by_split("eval/round1.jsonl")
compare(before["test"].right, now["test"].right)["p"]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.joins.results import all_results, first_answer, rate, right_trace, split_of


@dataclass
class SplitResults:
    """A policy's first answers on one split."""

    right: dict[str, bool] = field(default_factory=dict)
    """By problem id."""
    traces: list[bool] = field(default_factory=list)
    """Whether right by right steps, of the problems whose steps can be checked."""
    tokens: list[int] = field(default_factory=list)
    cut_off: list[bool] = field(default_factory=list)
    """Whether the limit of tokens ended it; of the answers that say how they ended."""

    def accuracy(self) -> dict[str, Any]:
        """How many are right, with the 95 % Wilson interval."""
        return rate(sum(self.right.values()), len(self.right))

    def trace(self) -> dict[str, Any] | None:
        """How many are right by right steps; None where steps cannot be checked."""
        return rate(sum(self.traces), len(self.traces)) if self.traces else None


def by_split(file: Path, name: str | None = None) -> dict[str, SplitResults]:
    """Results by split (`split_of`), in the order of the file.

    Args:
        name: what to call all lines instead, whatever their split.

    Raises:
        DataError: a line that cannot be read, or was not judged.
    """
    groups: dict[str, SplitResults] = {}
    for problem in all_results(str(file)):
        group = groups.setdefault(name or split_of(problem), SplitResults())
        first = first_answer(problem)
        group.right[problem.id] = bool(first.correct)
        trace = right_trace(problem)
        group.traces += [] if trace is None else [trace]
        group.tokens += [] if first.tokens is None else [first.tokens]
        group.cut_off += [] if first.finish is None else [first.finish == "length"]
    return groups
