"""The splits of an embedded world: which problems are in which, and how they are drawn.

A problem's skeleton (what it says, apart from the words) decides which split it may be in, so no two splits share a
problem; the out-of-domain split has other skeletons altogether.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

from evals.errors import UsageError
from evals.records import Problem

BUCKETS: Mapping[str, range] = {
    "train": range(2, 10),
    "validation": range(1, 2),
    "test": range(1),
    "ood": range(1),
}
"""Each split's tenths of all skeletons."""


class Skeleton(Protocol):
    """What a problem says; two problems with equal ones are the same problem."""

    def bucket(self) -> int:
        """A number from 0 to 9, which depends on the skeleton alone."""


D = TypeVar("D")


def draw_problems(
    world: str,
    split: str,
    n: int,
    seed: int,
    draw: Callable[[random.Random], tuple[Skeleton, D]],
    finish: Callable[[random.Random, D, str], Problem | None],
) -> Iterator[Problem]:
    """`n` problems of a split, no two with the same skeleton; the same seed gives the same problems.

    A shorter run is the beginning of a longer one.

    Args:
        draw: a skeleton, which may belong to another split, and what is drawn with it.
        finish: its record under a name; None if it cannot be a problem.

    Raises:
        UsageError: unknown split.
    """
    if split not in BUCKETS:
        raise UsageError(f"the {world} world has no split {split!r}", f"Choose one of {', '.join(BUCKETS)}.")
    rng = random.Random(f"{world}/{split}/{seed}")
    seen: set[Skeleton] = set()
    while len(seen) < n:
        skeleton, drawn = draw(rng)
        if skeleton.bucket() not in BUCKETS[split] or skeleton in seen:
            continue
        problem = finish(rng, drawn, f"{world}/{split}/{seed}/{len(seen)}")
        if problem is not None:
            yield problem
            seen.add(skeleton)
