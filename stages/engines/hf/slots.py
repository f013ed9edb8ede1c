"""Where the decode loop keeps keys and values: one slot a row, every row at its own length.

    k[layer]: (rows, kv heads, columns, head size)

Row r holds its prefix in columns 0..n-1 and what it has generated after that. Live rows are kept dense, 0..live-1, so a
decode step computes on a slice of them, which a few free rows may complete (`stages.engines.hf.blocks`). A draw that
ends is followed by the next draw of the same prefix in place: its columns stay, the generated ones are written over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class _SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    """One layer's slots. `update` writes one new column a live row and returns the columns in use."""

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        self.index: tuple[torch.Tensor, torch.Tensor] | None = None
        self.live = 0
        self.columns = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        raise RuntimeError("slots are allocated by SlotCache.allocate")

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.keys is not None, "allocated before the first step"
        assert self.values is not None
        assert self.index is not None
        rows, columns = self.index
        self.keys[rows, :, columns] = key_states[:, :, 0]
        self.values[rows, :, columns] = value_states[:, :, 0]
        return self.keys[: self.live, :, : self.columns], self.values[: self.live, :, : self.columns]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.columns, 0

    def get_seq_length(self) -> int:
        return self.columns

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """Slots for a model of `layers` layers. The shapes are learned from the first prefill."""

    layers: list[Any]

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[_SlotLayer() for _ in range(layers)])
        self.rows = 0
        self.columns = 0
        self.before_move: Callable[[], object] = lambda: None
        """Called before the slots are given other memory."""

    def allocate(self, like: Cache, rows: int, columns: int) -> None:
        """Make room for `rows` rows of `columns` columns, keeping what is stored; `like` gives shapes and types."""
        self.before_move()
        for mine, theirs in zip(self.layers, _layers(like), strict=True):
            for name, pattern in (("keys", theirs.keys), ("values", theirs.values)):
                fresh = pattern.new_zeros((rows, pattern.shape[1], columns, pattern.shape[3]))
                stored = getattr(mine, name)
                if stored is not None:
                    r, c = min(rows, stored.shape[0]), min(columns, stored.shape[2])
                    fresh[:r, :, :c] = stored[:r, :, :c]
                setattr(mine, name, fresh)
            mine.is_initialized = True
        self.rows, self.columns = rows, columns

    def free(self) -> None:
        """Give the memory back; the next allocate starts empty."""
        self.before_move()
        for layer in self.layers:
            layer.keys = layer.values = None
        self.rows = self.columns = 0

    def aim(self, rows: torch.Tensor, columns: torch.Tensor, longest: int) -> None:
        """Say where the next step writes: column `columns[i]` of row `rows[i]`; `longest` columns are read."""
        for layer in self.layers:
            layer.index, layer.live, layer.columns = (rows, columns), len(rows), longest

    def fill(self, rows: list[int], prefilled: Cache, sources: list[int]) -> None:
        """Copy `prefilled`'s rows `sources`, which may repeat, into `rows`."""
        into, taken = _slice(rows), _slice(sources)
        for mine, theirs in zip(self.layers, _layers(prefilled), strict=True):
            for stored, computed in ((mine.keys, theirs.keys), (mine.values, theirs.values)):
                stored[into, :, : computed.shape[2]] = computed[taken]

    def copy(self, target: int, source: int, length: int) -> None:
        """Copy the first `length` columns of row `source` over row `target`."""
        for layer in self.layers:
            for stored in (layer.keys, layer.values):
                stored[target, :, :length] = stored[source, :, :length]


def _slice(rows: list[int]) -> slice | list[int]:
    """Rows that follow each other as a slice, which is copied from without a copy in between."""
    whole = rows == list(range(rows[0], rows[0] + len(rows)))
    return slice(rows[0], rows[0] + len(rows)) if whole else rows


def _layers(cache: Cache) -> list[Any]:
    """The layers of a cache that keeps plain keys and values, whatever their class."""
    return list(cache.layers)


def bytes_per_column(cache: Cache) -> int:
    """Bytes that one token of one row takes over all layers."""
    total = 0
    for layer in _layers(cache):
        for tensor in (layer.keys, layer.values):
            total += tensor.shape[1] * tensor.shape[3] * tensor.element_size()
    return total
