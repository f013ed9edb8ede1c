"""The order in which training reads its rows.

list(ShuffledRows([90, 61, 88], seed=42, together=16, grouped=True))  # [0, 2, 1]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch


class ShuffledRows:
    """A new order of the rows each epoch, a function of seed and epoch alone, so that a resumed run goes on in it.

    Args:
        lengths: tokens of each row.
        seed: of the order.
        together: rows that make one optimiser step, those of similar length near each other: the batches of a step
            then need less padding. With `grouped`, rows of similar length share steps.
        multiple: the order is filled up to a multiple of so many with the number of a row that is not there,
            `len(lengths)` (`WithFiller` has one), so that processes with a batch each all get a whole one.
    """

    def __init__(self, lengths: Sequence[int], seed: int, together: int, grouped: bool, multiple: int = 1) -> None:
        self._lengths = lengths
        self._seed = seed
        self._together = together
        self._grouped = grouped
        self._fillers = -len(lengths) % multiple
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is to be given."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths) + self._fillers

    def __iter__(self) -> Iterator[int]:
        yield from self._order()
        yield from [len(self._lengths)] * self._fillers

    def _order(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self._seed << 20) + self._epoch)
        order: list[int] = torch.randperm(len(self._lengths), generator=generator).tolist()
        if not self._grouped:
            for start in range(0, len(order), self._together):
                yield from sorted(order[start : start + self._together], key=lambda row: -self._lengths[row])
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


class WithFiller:
    """Rows, and behind the last one a row to fill up with, which its length does not count.

    Args:
        rows: anything with a length and an item at each number.
        filler: a row that weighs nothing in the loss.
    """

    def __init__(self, rows: Any, filler: Any) -> None:
        self._rows, self._filler = rows, filler

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def __getitem__(self, number: int) -> Any:
        return self._filler if number == len(self._rows) else self._rows[number]
