"""Lets a transformers Trainer learn from pairs: ORPO's loss, counted per optimiser step, and what is logged of it.

class Trainer(PairTraining, Guarded, transformers.Trainer): ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from stages.training.odds_ratio import METRICS, OddsRatioLoss, count_targets, weightless_pair
from stages.training.pair_batches import Row


class PairTraining:
    """Mixin for a transformers Trainer whose collator is a `PairCollator` and whose model is as `score_tokens` left it.

    Logged figures are means over the updates since the last line, each update's as `OddsRatioLoss` has them, over all
    its batches and processes; those of held-out pairs are means over the pairs.

    Args:
        pair_loss: what a batch's share of the loss is.
        how: for the trainer's own class.
    """

    loss_is_scaled_for_ga = True

    def __init__(self, *, pair_loss: OddsRatioLoss, **how: Any) -> None:
        self._pair_loss = pair_loss
        self._sums = {"train": torch.zeros(len(METRICS)), "eval": torch.zeros(len(METRICS))}
        self._weights = {"train": 0, "eval": 0}
        super().__init__(**how)

    def line_lengths(self, row: Row) -> tuple[int, ...]:
        """See `PairCollator.line_lengths`."""
        lengths: tuple[int, ...] = self.data_collator.line_lengths(row)  # type: ignore[attr-defined]  # the Trainer's
        return lengths

    @staticmethod
    def weightless(row: Row) -> dict[str, Any]:
        """See `weightless_pair`."""
        return weightless_pair(row)

    def get_batch_samples(self, *arguments: Any) -> Any:
        """The batches of the next update, and its (2) tokens and pairs over all processes."""
        self._weights["train"] += 1
        return super().get_batch_samples(*arguments)  # type: ignore[misc]  # the Trainer's, mixed in

    def _get_num_items_in_batch(self, batch_samples: Sequence[Mapping[str, torch.Tensor]], device: Any) -> torch.Tensor:
        counts: torch.Tensor = self._total(count_targets(batch_samples).to(device))
        return counts

    def compute_loss(
        self, model: Any, inputs: Mapping[str, torch.Tensor], return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:  # fmt: skip
        """The batch's share of the update's loss; without counts, the batch is the update."""
        counts = count_targets([inputs]) if num_items_in_batch is None else num_items_in_batch
        loss, metrics = self._pair_loss(model, inputs, counts)
        if num_items_in_batch is not None:
            self._sums["train"] += metrics.cpu()
            # Gradients are averaged over the processes, whose shares are to be summed up.
            loss = loss * self.accelerator.num_processes  # type: ignore[attr-defined]  # the Trainer's, mixed in
        return (loss, metrics) if return_outputs else loss

    def prediction_step(
        self, model: Any, inputs: Mapping[str, torch.Tensor], prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[torch.Tensor, None, None]:
        """The loss of a held-out batch."""
        inputs = self._prepare_inputs(inputs)  # type: ignore[attr-defined]  # the Trainer's, mixed in
        with torch.no_grad():
            loss, metrics = self.compute_loss(model, inputs, return_outputs=True)
        pairs = len(inputs["chosen"])
        self._sums["eval"] += pairs * metrics.cpu()
        self._weights["eval"] += pairs
        return loss.detach(), None, None

    def log(self, logs: dict[str, float], *arguments: Any) -> None:
        """The Trainer's, with `METRICS` beside a loss; called by all processes alike."""
        for kind, name, prefix in (("train", "loss", ""), ("eval", "eval_loss", "eval_")):
            if name in logs:
                sums = self._total(self._sums[kind].to(self._device))
                weight = self._weights[kind]
                if kind == "eval":
                    weight = int(self._total(torch.tensor(weight, device=self._device)))
                means = sums / max(1, weight)
                logs |= {f"{prefix}{metric}": value for metric, value in zip(METRICS, means.tolist(), strict=True)}
                self._sums[kind] = torch.zeros(len(METRICS))
                self._weights[kind] = 0
        super().log(logs, *arguments)  # type: ignore[misc]  # the Trainer's, mixed in

    @property
    def _device(self) -> Any:
        return self.args.device  # type: ignore[attr-defined]  # the Trainer's, mixed in

    def _total(self, values: torch.Tensor) -> Any:
        """Sum over all processes."""
        return self.accelerator.reduce(values, "sum")  # type: ignore[attr-defined]  # the Trainer's, mixed in
