"""What each row of the decode loop is at: NumPy arrays with one entry a row, grown and moved together.

state = RowState(rows=64, tokens=64)
state.position[3], state.count[3]   # the slot column its next token goes to; tokens its draw has so far
"""

from __future__ import annotations

from typing import Any

import numpy as np

NAMES = ("position", "last", "count", "most", "seed", "temperature", "top_p", "written")


class RowState:
    """One entry a row.

    Attributes:
        position: column of the last token, which the next step feeds; last: that token's id.
        count: tokens the draw has written; most: how many it may; written: (rows, tokens), their ids.
        seed, temperature, top_p: of the draw.
    """

    def __init__(self, rows: int, tokens: int) -> None:
        self.position = np.zeros(rows, np.int64)
        self.last = np.zeros(rows, np.int64)
        self.count = np.zeros(rows, np.int64)
        self.most = np.zeros(rows, np.int64)
        self.seed = np.zeros(rows, np.int64)
        self.temperature = np.zeros(rows, np.float32)
        self.top_p = np.ones(rows, np.float32)
        self.written = np.zeros((rows, tokens), np.int64)

    def __len__(self) -> int:
        return len(self.position)

    def move(self, source: int, target: int) -> None:
        """Give row `target` the entries of row `source`."""
        for name in NAMES:
            entries: Any = getattr(self, name)
            entries[target] = entries[source]

    def make_rows(self, rows: int) -> None:
        """Make `rows` rows, keeping those there are."""
        for name in NAMES:
            old: Any = getattr(self, name)
            fresh = np.zeros((rows, *old.shape[1:]), old.dtype)
            fresh[: len(old)] = old
            setattr(self, name, fresh)

    def make_room(self, tokens: int) -> None:
        """See to it that each row can write `tokens` tokens."""
        if tokens > self.written.shape[1]:
            grown = np.zeros((len(self.written), tokens), np.int64)
            grown[:, : self.written.shape[1]] = self.written
            self.written = grown
