"""What each row of a decode step may look at: its own columns, and by layer type only the nearest of them.

RowMasks(model)(position, longest)  # additive, (live, 1, 1, longest), or one such mask a layer type
"""

from __future__ import annotations

from typing import Any

import torch

from stages.models.attention import sliding_window


class RowMasks:
    """Makes the attention mask of a step in which every row stands at a position of its own."""

    def __init__(self, model: Any) -> None:
        config = model.config.get_text_config()
        self._device, self._dtype = model.device, model.dtype
        self._window = sliding_window(config)
        self._mixed = "sliding_attention" in (getattr(config, "layer_types", None) or [])

    def __call__(self, position: torch.Tensor, longest: int) -> Any:
        """The mask for rows whose last token is in column `position`, over the first `longest` columns."""
        columns = torch.arange(longest, device=self._device)
        seen = columns[None, :] <= position[:, None]
        full = self._additive(seen)
        if self._window is None:
            return full
        near = self._additive(seen & (columns[None, :] > position[:, None] - self._window))
        return {"full_attention": full, "sliding_attention": near} if self._mixed else near

    def _additive(self, seen: torch.Tensor) -> torch.Tensor:
        mask = seen[:, None, None, :]
        lowest = torch.finfo(self._dtype).min
        return torch.zeros(mask.shape, dtype=self._dtype, device=self._device).masked_fill(~mask, lowest)
