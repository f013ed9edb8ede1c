"""The sizes in which the decode loop computes, so that what a row gets does not depend on the others.

A matrix product of few rows, or of a number of rows that is no multiple of a block, is computed by other kernels, which
add up in another order. Then the last bits of a logit depend on what is decoded beside it, and so does about one draw
in 100,000 tokens. With the library behind torch on x86 processors (MKL), a row of a product is the same to the last bit
if rows come in eights and columns in sixteens, 32 of them at least. This was measured with the kernels for AVX2
(tests/stages/engines/test_decode.py); those for AVX-512 are other ones.

Rounding can still differ in models whose layers are wide, with three threads or more (the activation's vector code ends
where a thread's share does), in those with seven or more query heads for each key, beyond 192 columns, and in mixtures
of experts. GPUs promise nothing of the kind.
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
        """`count` rounded up to whole blocks of rows."""
        return -(-count // self.rows) * self.rows

    def whole_columns(self, count: int) -> int:
        """`count` rounded up to whole blocks of columns."""
        return max(self.fewest, -(-count // self.columns) * self.columns)


ON_CPU = Blocks(8, 16, 32)


def blocks_of(device: torch.device) -> Blocks:
    """The blocks of a device."""
    return ON_CPU if device.type == "cpu" else Blocks()
