"""How the pairs of one question are made: one module per rule, chosen by name.

RULES["outcome"].find(question).pairs        # [Pair(chosen, rejected), ...], those to be preferred first

What all rules share is done by `stages.pairs`: which paths may be used, the cap on length, how many pairs a problem
gives, and the pairs of several rules together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stages.pairing.consistent import consistent
from stages.pairing.fork import fork
from stages.pairing.frequent import frequent
from stages.pairing.outcome import outcome
from stages.pairing.question import Found, Question
from stages.pairing.shuffled import shuffled
from stages.pairing.sigma import sigma
from stages.pairing.threshold import threshold
from stages.pairing.widest import widest
from stages.settings.pairs import RuleName


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. Of a `gapped` one only pairs with a gap of at least `--eta` are kept; other etas' yield is shown."""

    find: Callable[[Question], Found]
    gapped: bool = False


RULES: dict[RuleName, Rule] = {
    "threshold": Rule(threshold, gapped=True),
    "widest": Rule(widest, gapped=True),
    "outcome": Rule(outcome),
    "consistent": Rule(consistent),
    "fork": Rule(fork),
    "frequent": Rule(frequent),
    "sigma": Rule(sigma),
    "shuffled": Rule(shuffled, gapped=True),
}
