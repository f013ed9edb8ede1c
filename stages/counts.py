"""Names of the counts that stages write and others read: what was done and what was dropped, each declared here.

    tally.count(Count.ROLLOUTS, 8)
    tally.count(LABELS.of("drawn"))
    LABELS.read({"labels drawn": 7, "rollouts": 8})       # {"drawn": 7}

The texts appear in manifests and summaries, so they must not change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Count(StrEnum):
    """Counts that are read elsewhere; a count that is only shown is named where it is counted."""

    TOKENS = "tokens"
    """New tokens written; progress shows their rate."""
    DRAWN = "drawn"
    KEPT = "kept"
    ROLLOUTS = "rollouts"
    ROLLOUT_TOKENS = "rollout tokens"
    PROBLEMS_LABELLED = "problems labelled"
    STEPS_LABELLED = "steps labelled"
    PAIRS = "pairs"


RIGHT, JUDGED = "shown: right", "shown: judged"


def right_share(counts: Mapping[str, int]) -> dict[str, float]:
    """The share of right answers so far, for the progress of a run."""
    return {"right": counts.get(RIGHT, 0) / judged} if (judged := counts.get(JUDGED, 0)) else {}


class Tally:
    """Counts of one problem, journalled with it, so that sums are right however often a run was killed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.shown: Counter[str] = Counter()
        """What only the progress of this run shows; in no journal and no manifest."""

    def count(self, name: str, times: int = 1) -> None:
        """Add `times` to the count of that name."""
        self.counts[name] += times

    def show_verdicts(self, right: int, judged: int) -> None:
        """Show that so many of so many answers were right."""
        self.shown.update({RIGHT: right, JUDGED: judged})


@dataclass(frozen=True, slots=True)
class Kinds:
    """Counts of one thing by kind; their names begin with `prefix`."""

    prefix: str

    def of(self, kind: str) -> str:
        """The name of a kind's count."""
        return f"{self.prefix}{kind}"

    def holds(self, name: str) -> bool:
        """Whether a count is one of these."""
        return name.startswith(self.prefix)

    def read(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Those of all counts that belong here, by kind."""
        return {name.removeprefix(self.prefix): n for name, n in counts.items() if self.holds(name)}


LABELS = Kinds("labels ")
"""Step labels by where they come from (`StepLabel.kind`)."""
OUTCOMES = Kinds("outcome: ")
"""Checked programs by how the check ended."""
DROPPED = Kinds("dropped: ")
"""Sampled paths that are not kept, by reason."""
UNSCORED = Kinds("paths left unscored: ")
"""Paths without scores, by reason."""
AUDIT = Kinds("audit: ")
"""What the audit of `simulate` found and took."""


def brute_force(what: str, prefixes: str) -> str:
    """What brute force would have spent on the labelled steps: `what` is rollouts or tokens, `prefixes` unique prefixes
    or every prefix."""
    return f"brute {what}, {prefixes}"
