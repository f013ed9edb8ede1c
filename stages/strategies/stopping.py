"""The sequential test of `--confidence`: when a prefix that looks dead is given up before all its draws are made.

The model is beta-binomial. A prefix's success rate p has the prior Beta(a, b), `--prior a:b`, to which are added the
paths of the line that run through the prefix: each is a draw that was made anyway, right or wrong. After h hits in n
draws, the chance that the K - n draws still to come raise the hits above delta is

    P(h + X > delta),   X ~ BetaBinomial(K - n, a + right paths + h, b + wrong paths + n - h)

and the prefix is given up once that chance is at most 1 - C. Paths that another model sampled, or that were chosen by
their answers (`sample --want-right`), make the prior wrong to some degree; `--audit` measures what the test costs in
agreement. Nothing here depends on the order in which prefixes are drawn.
"""

from __future__ import annotations

from math import comb, exp, lgamma
from typing import TypeAlias

from stages.settings.simulate import SimulateSettings

Evidence: TypeAlias = tuple[int, int]
"""Right and wrong paths that run through a prefix."""


def improbable(settings: SimulateSettings, evidence: Evidence, hits: int, draws: int) -> bool:
    """Whether a prefix may be given up as dead after `hits` in `draws`: never without `confidence`."""
    if settings.confidence is None or hits > settings.delta:
        return False
    a, b = settings.prior
    right, wrong = evidence
    missing = settings.delta + 1 - hits
    chance = at_least(missing, settings.k - draws, a + right + hits, b + wrong + draws - hits)
    return chance <= 1 - settings.confidence


def at_least(hits: int, draws: int, a: float, b: float) -> float:
    """P(X >= hits) of a beta-binomial X over `draws` with Beta(a, b), a and b above 0."""
    if hits > draws:
        return 0.0
    below = sum(comb(draws, x) * exp(_log_beta(a + x, b + draws - x) - _log_beta(a, b)) for x in range(hits))
    return max(0.0, 1.0 - below)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
