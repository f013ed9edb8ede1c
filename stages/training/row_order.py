"""The order in which training reads its rows.

list(ShuffledRows([90, 61, 88], seed=42, together=16, grouped=True))  # [0, 2, 1]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch


class ShuffledRows:
    """A new order of the rows each epoch, a function of seed and epoch alone, so that a resumed run goes on in it.

    Args:
        lengths: tokens of each row.
        seed: of the order.
        together: rows that make one optimiser step; with `grouped`, rows of similar length share steps.
    """

    def __init__(self, lengths: Sequence[int], seed: int, together: int, grouped: bool) -> None:
        self._lengths = lengths
        self._seed = seed
        self._together = together
        self._grouped = grouped
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is to be given."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self._seed << 20) + self._epoch)
        order: list[int] = torch.randperm(len(self._lengths), generator=generator).tolist()
        if not self._grouped:
            yield from order
            return
        # Sorting within windows of 50 steps keeps enough chance in what meets what.
        window = 50 * self._together
        steps: list[list[int]] = []
        for start in range(0, len(order), window):
            near = sorted(order[start : start + window], key=lambda row: self._lengths[row], reverse=True)
            steps += [near[i : i + self._together] for i in range(0, len(near), self._together)]
        full = [step for step in steps if len(step) == self._together]
        rest = [step for step in steps if len(step) < self._together]
        for which in torch.randperm(len(full), generator=generator).tolist():
            yield from full[which]
        for step in rest:
            yield from step
