"""Sampling whose noise depends on nothing but (seed, token index): one uniform number a draw, and the inverse of the
distribution function.

The number is made by splitmix64 (Steele, Lea and Flood 2014) from the two, so a row draws the same token in whatever
batch, at whatever position of it, it is decoded. The token is the first whose cumulative probability, in the order of
the vocabulary, exceeds the number. Probabilities are added up in float64, in blocks, so that a large vocabulary costs
little more than its softmax and a rare token keeps its share.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from evals.errors import ModelError

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)
_NONE = -1
BLOCK = 256
"""Vocabulary entries that are added up at a time."""
LIKELIEST = (64, 1_024)
"""Entries among which the end of a nucleus is looked for, before the whole vocabulary is sorted."""
ENTRIES = 1 << 24
"""Logits that are worked on at a time; bounds the extra memory for many rows of a vocabulary of 100,000 and more."""


def _mix(z: torch.Tensor) -> torch.Tensor:
    """splitmix64's finaliser, in place, in wrapping int64. The masks make the arithmetic shifts logical."""
    z ^= (z >> 30) & 0x3FFFFFFFF
    z *= _MIX_1
    z ^= (z >> 27) & 0x1FFFFFFFFF
    z *= _MIX_2
    z ^= (z >> 31) & 0x1FFFFFFFF
    return z


def uniform(seeds: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Uniform numbers.

    Args:
        seeds: (R,) int64, a row's seed.
        counts: (R,) int64, how many tokens the row has generated so far.

    Returns:
        (R,) float64, each above 0 and below 1.
    """
    bits = _mix(seeds + (counts + 1) * _GOLDEN)
    return ((bits >> 12) & 0xFFFFFFFFFFFFF).double().add_(0.5).mul_(2.0**-52)


def least_kept(scores: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Nucleus sampling: the lowest score in the smallest set of tokens whose probability reaches top_p.

    Args:
        scores: (R, V) float32, already divided by the temperature.
        top_p: (R,) in (0, 1].

    Returns:
        (R,) float32. Tokens that are exactly as likely as the last one kept are all kept.
    """
    total = scores.logsumexp(-1)
    least = torch.full_like(total, float("-inf"))
    open_rows = torch.nonzero(top_p < 1)[:, 0]
    for most in (*LIKELIEST, scores.shape[-1]):
        if not len(open_rows):
            break
        ordered = scores[open_rows].topk(min(most, scores.shape[-1]), dim=-1).values
        probabilities = (ordered - total[open_rows, None]).double().exp_()
        kept = (probabilities.cumsum(-1) - probabilities < top_p[open_rows, None]).sum(-1)  # the first is always kept
        least[open_rows] = ordered.gather(-1, (kept - 1).clamp(min=0)[:, None])[:, 0]
        open_rows = open_rows[kept == ordered.shape[-1]]
    return least


def pick(
    logits: torch.Tensor,
    seeds: torch.Tensor,
    counts: torch.Tensor,
    temperatures: torch.Tensor | None,
    top_p: torch.Tensor | None = None,
) -> torch.Tensor:
    """The next token of every row. Where no row restricts its nucleus, a GPU is waited for once, for the tokens.

    Args:
        logits: (R, V) of any float type.
        seeds: (R,) int64.
        counts: (R,) int64, tokens generated so far.
        temperatures: (R,) float32; 0 is greedy. None: every row is.
        top_p: (R,) float32, or None when no row restricts it.

    Returns:
        (R,) int64 token ids, in the host's memory.

    Raises:
        ModelError: a row without a finite logit to choose (a model that has diverged).
    """
    numbers = uniform(seeds, counts)
    rows = max(1, ENTRIES // logits.shape[-1])
    tokens = []
    for start in range(0, len(logits), rows):
        some = slice(start, start + rows)
        limit = None if top_p is None else top_p[some]
        warmth = None if temperatures is None else temperatures[some]
        tokens.append(_pick(logits[some].float(), numbers[some], warmth, limit))
    found = torch.cat(tokens).cpu()
    if bool((found == _NONE).any()):
        raise ModelError(
            "the model's logits are not finite, so there is no next token",
            "Its training diverged, or --dtype is too narrow for it: try --dtype float32, or train it again.",
        )
    return found


def _pick(
    scores: torch.Tensor, numbers: torch.Tensor, temperatures: torch.Tensor | None, top_p: torch.Tensor | None
) -> torch.Tensor:
    """The next tokens; `_NONE` for a row without a finite logit to choose."""
    best, token = scores.max(dim=-1)
    finite = torch.isfinite(best)
    if temperatures is None:
        return token.where(finite, _NONE)
    greedy = temperatures <= 0
    scores = (scores - best[:, None]).div_(torch.where(greedy, torch.ones_like(temperatures), temperatures)[:, None])
    weights = scores.exp()
    if top_p is not None:
        weights.masked_fill_(scores < least_kept(scores, top_p)[:, None], 0.0)
    return token.where(greedy, _drawn(weights, numbers)).where(finite, _NONE)


def _drawn(weights: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """For each row the entry where the running sum of its weights passes that share of their sum.

    Args:
        weights: (R, V) float32, not negative.
        numbers: (R,) float64, from 0 to 1.
    """
    weights = functional.pad(weights, (0, -weights.shape[-1] % BLOCK)).view(len(weights), -1, BLOCK)
    sums = weights.sum(-1).double()
    running = sums.cumsum(-1)
    wanted = numbers * running[:, -1]
    rows, block = torch.arange(len(weights), device=weights.device), _first_above(running, wanted)
    wanted = wanted - (running[rows, block] - sums[rows, block])
    inside = weights[rows, block].double().cumsum(-1)
    return block * BLOCK + _first_above(inside, wanted)


def _first_above(running: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Where a running sum first exceeds what is wanted, at the latest where it reaches its end: never at a zero."""
    below_the_end = running[:, -1].nextafter(torch.zeros_like(wanted))
    first = torch.searchsorted(running, torch.minimum(wanted, below_the_end)[:, None], right=True)[:, 0]
    return first.clamp_(max=running.shape[-1] - 1)  # not a number: told by the caller
