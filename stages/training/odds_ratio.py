"""ORPO's loss, of steps that may be spread over accumulated batches and processes.

    L = w * sum NLL / tokens - beta * sum log sigmoid(log odds(chosen) - log odds(rejected)) / pairs
    odds = P / (1 - P)

with P from the mean log-probability of a completion's tokens (arXiv 2403.07691, equations 4 to 7; w is 1 in the paper).
Tokens and pairs are those of the whole optimiser step, so it does not matter how a step is cut into batches: each token
of the NLL weighs the same, and so does each pair. For a step of one batch this is what TRL's ORPOTrainer computes; it
takes the mean over batches of such losses, where a short last batch, or one of short pairs, weighs as much as others.
Liger's fused loss is not used where it is installed: it takes its means over a batch too, and knows no soft-capping.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from stages.training.pair_batches import SIDES, Row
from stages.training.targets import IGNORED

METRICS = (
    "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected",
    "logits/chosen", "logits/rejected", "nll_loss", "log_odds_ratio", "log_odds_chosen",
)  # fmt: skip
"""TRL's names for what is logged."""


def weightless_pair(row: Row) -> dict[str, Any]:
    """The pair without any target, to fill a batch up with."""
    nothing = {f"{side}_labels": [IGNORED] * len(row[f"{side}_labels"]) for side in ("chosen", "rejected")}
    return {**row, **nothing, "prompt_input_ids": []}


def count_targets(batches: Sequence[Mapping[str, torch.Tensor]]) -> torch.Tensor:
    """(2): tokens of the NLL and pairs of these batches; those without a target are none."""
    tokens = sum(int(batch["nll"].sum()) for batch in batches)
    pairs = sum(int(_real(batch).sum()) for batch in batches)
    return torch.tensor([tokens, pairs])


@dataclass(frozen=True)
class OddsRatioLoss:
    """The loss of a batch as its share of that of the step.

    Args:
        beta: weight of the odds-ratio term; with 0 only the NLL is learnt, whatever the odds are.
        sft_weight: weight of the NLL.
        aux_weight: weight of the router loss of a mixture of experts.
    """

    beta: float
    sft_weight: float
    aux_weight: float

    def __call__(
        self, model: Any, batch: Mapping[str, torch.Tensor], counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch's part of loss and metrics; the parts of a step's batches sum up to those of the step.

        Args:
            model: as `stages.training.token_scores.score_tokens` leaves it, or wrapped since.
            batch: from `PairCollator`.
            counts: (2), of the whole step, as from `count_targets`.

        Returns:
            A scalar, and the `METRICS`; the nll_loss per token, all others per pair.
        """
        told = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids") if name in batch}
        scores = model(**told, targets=batch["labels"])
        by_pair = scores.log_probs.view(batch["nll"].shape)
        tokens, pairs = counts.to(by_pair.device).clamp(min=1)
        nll = -(by_pair * batch["nll"]).sum() / tokens
        real = _real(batch)
        sides = [batch[side][real] for side in SIDES]
        chosen, rejected = (_mean(by_pair[real], among) for among in sides)
        log_odds = _log_odds(chosen) - _log_odds(rejected)
        log_sigmoid = torch.nn.functional.logsigmoid(log_odds)
        loss = self.sft_weight * nll
        if self.beta:  # an infinite ratio times zero would be no number
            loss = loss - self.beta * log_sigmoid.sum() / pairs
        if scores.aux_loss is not None:
            loss = loss + self.aux_weight * scores.aux_loss * real.sum() / pairs
        with torch.no_grad():
            logits = [_mean(scores.mean_logits.view(by_pair.shape)[real], among) for among in sides]
            per_pair = torch.stack([
                self.beta * chosen, self.beta * rejected, (chosen > rejected).to(chosen.dtype),
                self.beta * (chosen - rejected), chosen, rejected, *logits,
                torch.zeros_like(chosen), log_sigmoid, log_odds,
            ])  # fmt: skip
            metrics = per_pair.sum(1) / pairs
            metrics[METRICS.index("nll_loss")] = nll
        return loss, metrics


def _real(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """(pairs): whether both sides have something to learn."""
    return batch["chosen"].any(-1) & batch["rejected"].any(-1)


def _mean(values: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
    return (values * among).sum(-1) / among.sum(-1)


def _log_odds(log_p: torch.Tensor) -> torch.Tensor:
    """log(p / (1 - p)), in the form that cancels least on either side of p = 1/2; finite for a p that rounds to 1."""
    log_p = log_p.clamp(max=-torch.finfo(log_p.dtype).eps)
    half = -math.log(2)
    small = torch.log1p(-torch.exp(log_p.clamp(max=half)))
    return log_p - torch.where(log_p < half, small, torch.log(-torch.expm1(log_p)))
