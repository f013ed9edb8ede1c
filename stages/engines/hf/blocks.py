"""The sizes in which the decode loop computes, so that what a row gets does not depend on the others.

A matrix product of few rows, or of an odd number of them, is computed by other kernels, which add up in another order;
then the last bits of a logit depend on what is decoded beside it, and once in 100,000 tokens so does a draw. With the
library behind torch on a CPU (MKL), logits are equal to the last bit if rows come in eights and columns in sixteens, 32
of them at least: tests/stages/engines/test_decode.py. GPUs promise nothing of the kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows, and columns (tokens of a row), are multiples of these; there are at least `fewest` columns."""

    rows: int = 1
    columns: int = 1
    fewest: int = 1

    def whole_rows(self, count: int) -> int:
        """So many rows, and as many more as complete a block."""
        return -(-count // self.rows) * self.rows

    def whole_columns(self, count: int) -> int:
        """So many columns, and as many more as complete a block."""
        return max(self.fewest, -(-count // self.columns) * self.columns)


ON_CPU = Blocks(8, 16, 32)


def blocks_of(device: torch.device) -> Blocks:
    """The blocks of a device."""
    return ON_CPU if device.type == "cpu" else Blocks()
