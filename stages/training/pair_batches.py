"""Batches of pairs: what both sides begin with is computed once, where the architecture allows it.

    columns    p p p . c c c . r r r          p: shared tokens, c and r: those that only one side has
    positions  0 1 2 3 4 5 6 3 4 5 6          ".": the last shared token, with which both branches begin

A branch sees the shared tokens and itself, and its tokens have the positions that they have in their own text, so each
side is computed as if it stood alone. A prompt of 100 tokens with two completions of 90 takes 281 columns instead of
380. All that sharing needs of a model is that it looks at other tokens through the attention mask alone, and knows
places by `position_ids`. Recurrent layers do not, and neither do positions that are counted in columns; windows look
for neighbours by column. Such models get a row for each side (`can_share`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from stages.models.attention import sliding_window
from stages.settings.training import NllTokens
from stages.training.targets import IGNORED

Row = Mapping[str, Sequence[int]]
"""A pair: "prompt_input_ids", "chosen_input_ids", "chosen_labels" and the like for "rejected"."""
SIDES = ("chosen", "rejected")
_ANY_MASK = ("eager", "sdpa", "sipf_whole")
"""Kinds of attention that take a mask of any pattern."""
_SHARED, _PADDING = 0, -1
TRIED = [1, 2, 3, 1, 4, 5], [1, 2, 3, 6, 2, 1, 7]
"""The two sides that a model is tried out on."""
_CLOSE = {torch.float32: 1e-4, torch.float64: 1e-4}
"""How near logits must be, relatively and absolutely, for the two ways to be the same; other formats: `_ROUNDED`."""
_ROUNDED = 0.05


@dataclass
class _Line:
    """Tokens of one row of a batch."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)
    """Of each token: 1 and 2 are those of the two sides."""
    learnt: list[tuple[bool, bool, bool]] = field(default_factory=list)
    """Whether the mean of the chosen side has the token, that of the rejected one, and the NLL."""

    def add(self, token: int, position: int, branch: int, learnt: tuple[bool, bool, bool]) -> None:
        self.ids.append(token)
        self.positions.append(position)
        self.branches.append(branch)
        self.learnt.append(learnt)


@dataclass(frozen=True)
class PairCollator:
    """Pads pairs on the right.

    Args:
        pad: id to pad with (masked).
        nll: tokens of the NLL: the chosen completion's, or the prompt's as well. A prefix that both completions begin
            with is neither.
        shared: compute once what both sides begin with.
        additive: the model's attention adds its mask instead of choosing by it.
    """

    pad: int
    nll: NllTokens
    shared: bool = False
    additive: bool = False

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """What a model and the loss are given.

        Returns:
            "input_ids" and "labels" (`IGNORED` where neither term of the loss has the token) of (lines, tokens), and
            "chosen", "rejected" and "nll" of (pairs, lines of a pair x tokens): which tokens each of them has. With
            `shared` a pair is one line, there are "position_ids" of (lines, tokens), and "attention_mask" is (lines, 1,
            tokens, tokens); else it is two, chosen first, and the mask is (lines, tokens).
        """
        lines = [line for row in rows for line in (self._joined(row) if self.shared else self._apart(row))]
        width = max(len(line.ids) for line in lines)
        ids = torch.full((len(lines), width), self.pad, dtype=torch.long)
        positions = torch.zeros((len(lines), width), dtype=torch.long)
        branches = torch.full((len(lines), width), _PADDING, dtype=torch.long)
        learnt = torch.zeros((3, len(lines), width), dtype=torch.bool)
        for i, line in enumerate(lines):
            length = len(line.ids)
            ids[i, :length] = torch.tensor(line.ids)
            positions[i, :length] = torch.tensor(line.positions)
            branches[i, :length] = torch.tensor(line.branches)
            learnt[:, i, :length] = torch.tensor(line.learnt).T
        chosen, rejected, nll = learnt.view(3, len(rows), -1).unbind()
        batch = {
            "input_ids": ids, "labels": ids.where(learnt.any(0), IGNORED), "chosen": chosen, "rejected": rejected,
            "nll": nll,
        }  # fmt: skip
        if not self.shared:
            return {**batch, "attention_mask": (branches != _PADDING).long()}
        return {**batch, "attention_mask": self._mask(branches), "position_ids": positions}

    def line_lengths(self, row: Row) -> tuple[int, ...]:
        """Tokens of each line of a pair."""
        chosen, rejected = (row[f"{side}_input_ids"] for side in SIDES)
        if not self.shared:
            return len(chosen), len(rejected)
        return (len(chosen) + len(rejected) - max(common_length(chosen, rejected) - 1, 0),)

    def _mask(self, branches: torch.Tensor) -> torch.Tensor:
        width = branches.shape[1]
        among, seen = branches[:, :, None], branches[:, None, :]
        mask = (((seen == among) | (seen == _SHARED)) & torch.ones(width, width, dtype=torch.bool).tril())[:, None]
        return torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min) if self.additive else mask

    def _apart(self, row: Row) -> list[_Line]:
        lines = []
        for branch, side in enumerate(SIDES, 1):
            line = _Line()
            for at, token in enumerate(row[f"{side}_input_ids"]):
                line.add(token, at, branch, self._learnt(row, side, at))
            lines.append(line)
        return lines

    def _joined(self, row: Row) -> list[_Line]:
        chosen, rejected = (row[f"{side}_input_ids"] for side in SIDES)
        common = common_length(chosen, rejected)
        line, fork = _Line(), max(common - 1, 0)
        for at, token in enumerate(chosen):
            learnt = self._learnt(row, "chosen", at)
            if at < common:
                learnt = (learnt[0], self._learnt(row, "rejected", at)[1], learnt[2])
            line.add(token, at, _SHARED if at < fork else 1, learnt)
        for at, token in enumerate(rejected[fork:], fork):
            line.add(token, at, 2, (False, at >= common and self._learnt(row, "rejected", at)[1], False))
        return [line]

    def _learnt(self, row: Row, side: str, at: int) -> tuple[bool, bool, bool]:
        """Which means have this token of a side; nothing stands before the first one, so none does."""
        own = at > 0 and row[f"{side}_labels"][at] != IGNORED
        if side == "rejected":
            return False, own, False
        asked = self.nll == "all" and 0 < at < len(row["prompt_input_ids"])
        return own, False, own or asked


def common_length(one: Sequence[int], two: Sequence[int]) -> int:
    """How many tokens both begin with."""
    differing = (at for at, (left, right) in enumerate(zip(one, two, strict=False)) if left != right)
    return next(differing, min(len(one), len(two)))


def sharing_collator(model: Any, rows: Sequence[Row], pad: int, nll: NllTokens) -> PairCollator:
    """The collator of this model and these rows: it shares what it can."""
    additive = getattr(model.config.get_text_config(), "_attn_implementation", None) == "eager"
    return PairCollator(pad, nll, can_share(model, rows, additive), additive)


def can_share(model: Any, rows: Sequence[Row], additive: bool) -> bool:
    """Whether both sides may stand in one line, tried out on a few tokens.

    Args:
        model: a causal language model, with or without an adapter, not yet wrapped for several processes.
        rows: what it will be trained on; a window must hold the longest side.
        additive: see `PairCollator`.
    """
    config = model.config.get_text_config()
    longest = max((len(row[f"{side}_input_ids"]) for row in rows for side in SIDES), default=0)
    if longest > (sliding_window(config) or longest) or getattr(config, "output_router_logits", False):
        return False  # a router's loss looks for padding in a mask of (lines, tokens)
    if getattr(config, "_attn_implementation", None) not in _ANY_MASK:
        return False
    chosen, rejected = TRIED
    pair = {
        "prompt_input_ids": chosen[:3], "chosen_input_ids": chosen, "chosen_labels": chosen,
        "rejected_input_ids": rejected, "rejected_labels": rejected,
    }  # fmt: skip
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            apart, together = (
                _logits(model, PairCollator(0, "completion", shared, additive)([pair])) for shared in (False, True)
            )
    except (IndexError, RuntimeError, TypeError, ValueError):  # it takes no such mask, or no positions
        return False
    finally:
        model.train(training)
    close = _CLOSE.get(model.dtype, _ROUNDED)
    return torch.allclose(apart, together, rtol=close, atol=close)


def _logits(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Those at the tokens of the chosen side, and then at those of the rejected one."""
    given = {
        name: batch[name].to(model.device) for name in ("input_ids", "attention_mask", "position_ids") if name in batch
    }
    logits = model(**given, use_cache=False).logits.float().cpu()
    return torch.cat([logits.flatten(0, 1)[batch[side][0]] for side in SIDES])
