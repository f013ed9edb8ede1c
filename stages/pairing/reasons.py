"""Why a problem has no pair, a path is in none and a pair is not taken: the lines of `OUT.reasons.jsonl`.

    {"problem": "chain/train/0/7", "rule": "outcome", "reason": "no right path"}
    {"problem": "chain/train/0/8", "rule": "consistent", "path": "chain/train/0/8#3", "reason": "not chosen: no labels"}
    {"problem": "chain/train/0/8", "path": "chain/train/0/8#gold", "reason": "gold"}
    {"problem": "chain/train/0/9", "rule": "outcome", "pairs": 12, "reason": "max-per-problem"}

Each line is part of one count of the summary: of problems without a pair, of paths left out, or of pairs left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from stages.settings.pairs import RuleName

ENDING = ".reasons.jsonl"
"""What follows the output's name in the name of the file of reasons."""


class Reason(NamedTuple):
    """One reason. With `path` that path was left out, with `pairs` so many pairs were; with neither, the rule has made
    no pair of the problem. Without `rule` the path was left out before any rule."""

    number: int
    """The place of the problem among those read, from 0."""
    problem: str
    rule: RuleName | None
    reason: str
    path: str | None = None
    pairs: int | None = None

    def row(self) -> dict[str, Any]:
        """The line that is written."""
        given = {"problem": self.problem, "rule": self.rule, "path": self.path, "pairs": self.pairs}
        return {**{key: value for key, value in given.items() if value is not None}, "reason": self.reason}


def in_order(reasons: Iterable[Reason]) -> list[Reason]:
    """The reasons in the order of the problems."""
    return sorted(reasons, key=lambda reason: reason.number)


def dropped(
    before: Iterable[tuple[int, str, RuleName]], after: Iterable[tuple[int, str, RuleName]], reason: str
) -> list[Reason]:
    """The reasons of pairs that were made and not taken, each given by its problem's place and id, and its rule."""
    left = Counter(before) - Counter(after)
    return [Reason(*whose, reason, pairs=count) for whose, count in left.items()]
