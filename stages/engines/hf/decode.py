"""The decode loop: rows that are refilled the moment they finish, and prefixes that are prefilled once.

One row works through one *chain*: the draws of one prefix, one after the other, in place. When a draw ends, the row's
prefix columns are still there, so the next draw starts without another prefill or copy; a caller that has seen enough
closes the chain before the next draw has cost a token. Chains that wait are prefilled together, and of prefixes that
extend each other (the steps of one path) only the longest is computed.

    loop.submit(chain)
    while loop.step():        # one token for every live row
        ...                   # chains have been handed their finished draws
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heapreplace
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional
from transformers.cache_utils import Cache, DynamicCache

from evals.errors import ModelError
from stages.engines.base import Completion, Usage
from stages.engines.hf.blocks import Blocks, blocks_of
from stages.engines.hf.chains import CacheLimits, PrefixChain, in_batches, leaves_of
from stages.engines.hf.rows import RowState
from stages.engines.hf.sampling import pick
from stages.engines.hf.slots import SlotCache, bytes_per_column
from stages.engines.hf.steps import Step, step_of
from stages.engines.stops import TextReader

COLUMN_STEP = 32
"""Slots grow by at least this many columns, so that they seldom grow."""
NO_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")
"""How devices other than CUDA say that there is none left, in a plain RuntimeError."""


class DecodeLoop:
    """Decodes chains on one model. Not asynchronous: `step` does one token for every live row and returns."""

    def __init__(self, model: Any, reader: TextReader, limits: CacheLimits, forward: Step | None = None) -> None:
        config = model.config.get_text_config()
        self.model, self.reader, self.limits = model, reader, limits
        self.device = model.device
        self.max_length: int = getattr(config, "max_position_embeddings", 1 << 30)
        self.forward = forward or step_of(model)
        self.cache = SlotCache(config.num_hidden_layers)
        self.blocks = blocks_of(self.device)
        self.column_bytes = 0
        self.max_rows = limits.rows
        self.queue: deque[PrefixChain] = deque()
        self.chains: list[PrefixChain] = []
        self.drawing: list[int] = []
        self.usage = Usage()
        self.steps = 0
        self.row_steps = 0
        self.peak_rows = 0
        self.backed_off = 0
        self._tried = 0
        """Rows that there would be after the prefill under way."""
        self.state = RowState(min(limits.rows, 64), 64)

    @property
    def live(self) -> int:
        """Rows at work."""
        return len(self.chains)

    @property
    def unfinished(self) -> int:
        """Tokens that the rows at work have written of their draws."""
        return int(self.state.count[: self.live].sum())

    def submit(self, chain: PrefixChain) -> None:
        """Queue a chain. One that fills the model's positions is answered with empty completions."""
        if len(chain.ids) + 1 <= self.max_length:
            self.queue.append(chain)
            return
        # The context is full before a token is written: each draw ends at once. What that means is the stage's to say.
        self.usage.completions += len(chain.draws)
        for number, draw in enumerate(chain.draws):
            chain.finish(number, Completion("", 0, "length", draw.seed))

    def step(self) -> bool:
        """One token for every live row; False when there is nothing to do."""
        try:
            self._release_closed()
            self._admit()
            if not self.live:
                return False
            tokens = self._forward()
        except (torch.OutOfMemoryError, RuntimeError) as error:
            self._back_off(error)
            return True
        self._record(tokens)
        return True

    # rows in and out

    def _release_closed(self) -> None:
        for row in reversed(range(self.live)):
            if self.chains[row].closed:
                self.usage.cancelled_tokens += int(self.state.count[row])
                self._remove(row)
        if self.queue and self.queue[0].closed:
            self.queue = deque(chain for chain in self.queue if not chain.closed)

    def _remove(self, row: int) -> None:
        """Free a row; the last live row moves into its place so that live rows stay dense."""
        last = self.live - 1
        if row != last:
            length = int(self.state.position[last])
            self.cache.copy(row, last, length)
            self.state.move(last, row)
            self.chains[row], self.drawing[row] = self.chains[last], self.drawing[last]
        self.chains.pop()
        self.drawing.pop()

    def _capacity(self, columns: int) -> int:
        """Rows that fit when each is `columns` long."""
        if not self.column_bytes:
            return self.max_rows
        fitting = self.limits.cache_bytes // (self.column_bytes * self.blocks.whole_columns(columns))
        if fitting > self.blocks.rows:
            fitting -= fitting % self.blocks.rows
        return max(1, min(self.max_rows, fitting))

    def _admit(self) -> None:
        """Fill free rows: first with waiting chains, then with further draws of chains already at work."""
        if self.queue and not self.column_bytes:
            self.column_bytes = bytes_per_column(self._shape(self.queue[0].ids[0]))
        self._shrink()
        while self.queue:
            batch = self._take_batch()
            if not batch:
                break
            self._tried = self.live + len(batch)
            try:
                self._prefill(batch)
            except BaseException:
                self.queue.extendleft(reversed(batch))
                raise
            self._tried = 0
        self._run_ahead()

    def _shrink(self) -> None:
        """Give back columns that a long text has left behind, where they keep rows out."""
        if not self.cache.columns or self.live < self._capacity(self.cache.columns) or not self._waiting():
            return
        if self._capacity(self.cache.columns) >= self.max_rows:
            return
        needed = len(self.queue[0].ids) if self.queue else 0
        needed = max(needed, int(self.state.position[: self.live].max(initial=0)) + 1) + COLUMN_STEP
        if 2 * needed <= self.cache.columns:  # not for a few: all that is stored is copied
            self._reallocate(needed)

    def _waiting(self) -> bool:
        """True while there is a draw for a further row."""
        return bool(self.queue) or any(chain.waiting() for chain in self.chains)

    def _take_batch(self) -> list[PrefixChain]:
        batch: list[PrefixChain] = []
        tokens, longest = 0, self.cache.columns
        while self.queue and tokens < self.limits.prefill_tokens:
            chain = self.queue[0]
            need = max(longest, len(chain.ids) - 1 + COLUMN_STEP)
            if self.live + len(batch) + 1 > self._capacity(need):
                break
            self.queue.popleft()
            if chain.waiting():
                batch.append(chain)
                longest = need
                tokens += len(chain.ids)
        # A few rows at a time would cost a forward pass each; wait for a handful unless the loop is running dry.
        if batch and len(batch) < min(8, self.live // 32) and self.live:
            self.queue.extendleft(reversed(batch))
            return []
        return batch

    def _prefill(self, batch: list[PrefixChain]) -> None:
        """Compute the prefixes' keys and values (all tokens but the last, which the first decode step feeds)."""
        leaves, source = leaves_of([chain.ids[:-1] for chain in batch])
        longest = max(len(leaf) for leaf in leaves)
        like = None if longest else self._shape(batch[0].ids[0])
        # Longest first, so that those computed together need little padding.
        by_length = sorted(range(len(leaves) if longest else 0), key=lambda leaf: -len(leaves[leaf]))
        lengths = [self.blocks.whole_columns(len(leaves[leaf])) for leaf in by_length]
        for start, end in in_batches(lengths, self.limits.prefill_tokens):
            together = set(by_length[start:end])
            rows = [row for row, leaf in enumerate(source) if leaf in together]
            place = {leaf: i for i, leaf in enumerate(dict.fromkeys(source[row] for row in rows))}
            computed = self._compute([leaves[leaf] for leaf in place])
            self._reserve(computed, self.live + len(batch), longest + COLUMN_STEP)
            self.cache.fill([self.live + row for row in rows], computed, [place[source[row]] for row in rows])
        if like is not None:
            self._reserve(like, self.live + len(batch), COLUMN_STEP)
        self.usage.prompt_tokens += sum(len(leaf) for leaf in leaves)
        for chain in batch:
            self._start_row(chain)

    def _compute(self, prefixes: list[list[int]]) -> Cache:
        """Keys and values of prefixes."""
        width = max(map(len, prefixes))
        padded = max(width, min(self.blocks.whole_columns(width), self.max_length))
        ids = torch.zeros((len(prefixes), padded), dtype=torch.int64)
        for i, prefix in enumerate(prefixes):
            ids[i, : len(prefix)] = torch.tensor(prefix)
        computed = DynamicCache()
        # Padding stands on the right, where a causal mask keeps it out of sight.
        self.model(ids.to(self.device), past_key_values=computed, use_cache=True, logits_to_keep=1)
        computed.crop(width)
        return computed

    def _shape(self, token: int) -> Cache:
        """The shapes of the model's keys and values, when no prefix longer than one token has shown them."""
        computed = DynamicCache()
        self.model(torch.tensor([[token]], device=self.device), past_key_values=computed, use_cache=True)
        return computed

    def _start_row(self, chain: PrefixChain) -> None:
        draw = chain.next_draw()
        assert draw is not None, "only chains with draws left are given rows"
        row = self.live
        self.chains.append(chain)
        self.drawing.append(draw)
        self.state.most[row] = min(chain.max_tokens, self.max_length - len(chain.ids))
        self.state.top_p[row] = chain.top_p
        self.state.make_room(int(self.state.most[row]))
        self._arm(row, draw)

    def _arm(self, row: int, draw: int) -> None:
        """Put a row at the end of its prefix, ready for a draw."""
        chain = self.chains[row]
        self.drawing[row] = draw
        self.state.position[row] = len(chain.ids) - 1
        self.state.last[row] = chain.ids[-1]
        self.state.count[row] = 0
        self.state.seed[row] = chain.draws[draw].seed
        self.state.temperature[row] = chain.draws[draw].temperature

    def _run_ahead(self) -> None:
        """Start further draws of chains at work in rows that nothing waits for, those most probably wanted first: all
        of an eager chain's, and of other chains (whose callers may close them and waste a draw) as many as pay."""
        if not self.live or self.queue:
            return
        rows = {chain: row for row, chain in enumerate(self.chains) if chain.waiting()}
        ahead = [(-chain.wanted(), row) for chain, row in rows.items()]
        heapify(ahead)
        while ahead and self.live < self._capacity(max(self.cache.columns, 1)):
            wanted, source = -ahead[0][0], ahead[0][1]
            # A step costs what flat_rows rows add to it, and its rows. Another row makes a wanted token cheaper only
            # if it is wanted itself with a greater probability than the share that the rows have in the cost.
            if wanted < self.live / (self.live + self.limits.flat_rows):
                return
            chain = self.chains[source]
            self._reserve(self.cache, self.live + 1, self.cache.columns)
            self.cache.copy(self.live, source, len(chain.ids) - 1)
            self._start_row(chain)
            if chain.waiting():
                heapreplace(ahead, (-chain.wanted(), source))
            else:
                heappop(ahead)

    def _reserve(self, like: Cache, rows: int, columns: int) -> None:
        """Make sure that `rows` rows of `columns` columns exist."""
        self.column_bytes = self.column_bytes or bytes_per_column(like)
        columns = max(self.blocks.whole_columns(columns), self.cache.columns)
        if rows > self.cache.rows or columns > self.cache.columns:
            fitting = self._capacity(columns)
            rows = min(max(rows, 2 * self.cache.rows if rows > self.cache.rows else self.cache.rows), fitting)
            self.cache.allocate(like, self.blocks.whole_rows(max(rows, self.live)), columns)
        if self.cache.rows > len(self.state):
            self.state.make_rows(self.cache.rows)

    def _reallocate(self, columns: int) -> None:
        """Resize the slots to so many columns, and to as many rows as fit, but at least one block of them."""
        rows = max(self.live, min(self.cache.rows, self._capacity(columns)))
        self.cache.allocate(self.cache, self.blocks.whole_rows(rows), self.blocks.whole_columns(columns))

    # one token

    def _forward(self) -> np.ndarray:
        """Run the model on every live row's last token and pick the next."""
        longest = int(self.state.position[: self.live].max()) + 1
        if longest > self.cache.columns:
            self._make_longer(longest)
        live, state = self.live, self.state
        longest = self.blocks.whole_columns(int(state.position[:live].max()) + 1)
        last, position, seeds, counts = self._on_device(state.last, state.position, state.seed, state.count)
        if spare := self.blocks.whole_rows(live) - live:  # rows in free slots, which are never read
            last, position = (functional.pad(each, (0, spare)) for each in (last, position))
        logits = self.forward(last, position, longest, self.cache)[:live]
        self.steps += 1
        self.row_steps += live
        self.peak_rows = max(self.peak_rows, live)
        temperatures = top_p = None
        if (state.temperature[:live] > 0).any():
            temperatures, top_p = self._on_device(state.temperature, state.top_p)
        limited = (state.top_p[:live] < 1).any()
        return pick(logits, seeds, counts, temperatures, top_p if limited else None).numpy()

    def _on_device(self, *numbers: np.ndarray) -> torch.Tensor:
        """These numbers of every live row, copied together: each copy makes a GPU wait."""
        return torch.from_numpy(np.stack([each[: self.live] for each in numbers])).to(self.device)

    def _make_longer(self, longest: int) -> None:
        """Add columns; when memory does not hold them for all, the youngest rows go back to the queue."""
        columns = max(longest + COLUMN_STEP, longest * 5 // 4)
        self._put_back(self._capacity(columns))
        self._reallocate(columns)

    def _put_back(self, keep: int) -> None:
        """Give up all rows but `keep`; their draws start again later, with the same seeds and so the same text."""
        while self.live > keep:
            chain, draw = self.chains.pop(), self.drawing.pop()
            self.usage.cancelled_tokens += int(self.state.count[self.live])
            chain.again.append(draw)
            if chain not in self.queue:  # once is enough, however many rows an eager chain had
                self.queue.appendleft(chain)

    def _record(self, tokens: np.ndarray) -> None:
        """Write the tokens down; hand out the draws that ended and start the next ones in their rows."""
        live = self.live
        self.state.written[np.arange(live), self.state.count[:live]] = tokens
        self.state.count[:live] += 1
        self.state.position[:live] += 1
        self.state.last[:live] = tokens
        ended = self.reader.is_end[tokens]
        full = self.state.count[:live] >= self.state.most[:live]
        for row in np.flatnonzero(ended | full | self.reader.suspicious[tokens])[::-1]:
            self._consider(int(row), bool(ended[row]), bool(full[row]))

    def _consider(self, row: int, ended: bool, full: bool) -> None:
        """Finish the row's draw if it has ended, is full or has written a stop string."""
        chain, draw = self.chains[row], self.drawing[row]
        written = self.state.written[row, : self.state.count[row]].tolist()
        text, stopped = self.reader.read(chain.ids, written[:-1] if ended else written, chain.stop)
        if not (ended or full or stopped):
            return
        finish: Literal["stop", "length"] = "stop" if ended or stopped else "length"
        seed = chain.draws[draw].seed
        self.usage.completions += 1
        self.usage.tokens += len(written)
        chain.finish(draw, Completion(text, len(written), finish, seed))
        following = chain.next_draw()
        if following is None:
            self._remove(row)
        else:
            self._arm(row, following)

    def _back_off(self, error: Exception) -> None:
        """Halve the rows after running out of memory; anything else is passed on. Below one block of rows, what is
        computed gets smaller only without blocks, so the draws may then depend on rounding."""
        if not isinstance(error, torch.OutOfMemoryError) and not any(said in str(error).lower() for said in NO_MEMORY):
            raise error
        if self.max_rows <= 1:
            raise ModelError(
                "out of memory with a single row",
                "Use a smaller model, --dtype bfloat16, --load-in-4bit or --max-tokens.",
            ) from error
        self.max_rows = max(1, min(self.max_rows, max(self.live, self._tried)) // 2)
        if self.max_rows < self.blocks.rows:
            self.blocks = Blocks()
        self.backed_off += 1
        self._tried = 0
        self._put_back(0)
        self.cache.free()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
