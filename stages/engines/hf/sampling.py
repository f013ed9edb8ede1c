"""Sampling whose noise depends on nothing but (seed, token index, vocabulary id).

The Gumbel-max trick with counter-based noise: the next token is argmax(logits / T + G), G = -log(E), where E is an
exponential variate made from splitmix64 (Steele, Lea and Flood 2014) of the three numbers. A row therefore draws the
same token in whatever batch, at whatever position of it, it is decoded.
"""

from __future__ import annotations

import torch

from evals.errors import ModelError

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)
CHUNK = 65_536
"""Vocabulary entries whose noise is made at a time; bounds the extra memory for vocabularies of 100,000 and more."""


def _mix(z: torch.Tensor) -> torch.Tensor:
    """splitmix64's finaliser, in place, in wrapping int64. The masks make the arithmetic shifts logical."""
    z ^= (z >> 30) & 0x3FFFFFFFF
    z *= _MIX_1
    z ^= (z >> 27) & 0x1FFFFFFFFF
    z *= _MIX_2
    z ^= (z >> 31) & 0x1FFFFFFFF
    return z


def exponential(seeds: torch.Tensor, counts: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Standard exponential variates.

    Args:
        seeds: (R,) int64, a row's seed.
        counts: (R,) int64, how many tokens the row has generated so far.
        ids: (V,) int64, vocabulary ids.

    Returns:
        (R, V) float32, each > 0 and finite. Small values, those that can win, keep their full relative precision.
    """
    rows = _mix(seeds + (counts + 1) * _GOLDEN)
    bits = _mix(rows[:, None] + (ids + 1)[None, :] * _GOLDEN)
    uniform = ((bits >> 11) & 0x1FFFFFFFFFFFFF).to(torch.float32).add_(0.5).mul_(2.0**-53)
    uniform.clamp_(max=1 - 2.0**-24)  # rounding may have reached 1, whose variate is infinite: such a token never wins
    return uniform.neg_().log1p_().neg_()


def keep_top_p(logits: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Nucleus sampling: everything but the smallest set of tokens whose probability reaches top_p becomes -inf.

    Args:
        logits: (R, V), already divided by the temperature.
        top_p: (R,) in (0, 1].
    """
    ordered, order = logits.sort(dim=-1, descending=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    drop = (before >= top_p[:, None]) & (top_p < 1)[:, None]
    return logits.masked_fill(torch.zeros_like(drop).scatter_(-1, order, drop), float("-inf"))


def pick(
    logits: torch.Tensor,
    seeds: torch.Tensor,
    counts: torch.Tensor,
    temperatures: torch.Tensor,
    top_p: torch.Tensor | None = None,
) -> torch.Tensor:
    """The next token of every row.

    Args:
        logits: (R, V) of any float type.
        seeds: (R,) int64.
        counts: (R,) int64, tokens generated so far.
        temperatures: (R,) float32; 0 is greedy.
        top_p: (R,) float32, or None when no row restricts it.

    Returns:
        (R,) int64 token ids.

    Raises:
        ModelError: a row without a finite logit to choose (a model that has diverged).
    """
    scores = logits.to(torch.float32)
    greedy = temperatures <= 0
    if bool(greedy.all()):
        best, token = scores.max(dim=-1)
        _finite(best)
        return token
    scores = scores / torch.where(greedy, torch.ones_like(temperatures), temperatures)[:, None]
    if top_p is not None:
        scores = keep_top_p(scores, top_p)
    best = torch.full(seeds.shape, float("-inf"), device=scores.device)
    token = torch.zeros_like(seeds)
    for start in range(0, scores.shape[-1], CHUNK):
        part = scores[:, start : start + CHUNK]
        ids = torch.arange(start, start + part.shape[-1], device=scores.device)
        noise = exponential(seeds, counts, ids).log_()
        noise.masked_fill_(greedy[:, None], 0.0)
        value, index = (part - noise).max(dim=-1)
        better = value > best
        best = torch.where(better, value, best)
        token = torch.where(better, index + start, token)
    _finite(best)
    return token


def _finite(best: torch.Tensor) -> None:
    if not bool(torch.isfinite(best).all()):
        raise ModelError(
            "the model's logits are not finite, so there is no next token",
            "Its training diverged, or --dtype is too narrow for it: try --dtype float32, or train it again.",
        )
