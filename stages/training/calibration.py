"""What a training run will take, from a few of its updates; the weights are thrown away (`--dry-run --calibrate N`).

    calibrate_training(trainer, 8, stop=flag, done=0, measurings=1, start_up=(3.1, 2.9))
    # {"counts": {"updates": ..., "tokens": ...}, "seconds": {"start-up": 3.1, "estimate": 812.4, ...}, ...}

Which rows meet in which update is known beforehand (`ShuffledRows`), and so is how many tokens each update has, padding
included. N updates spread evenly over the whole run are timed, after one to begin with, and after the one with the
largest batch of the run, which decides the peak of memory. The time of all updates is a ratio estimate by their padded
tokens; what the first one took beyond that, as the first of a run always does, comes on top. Held-out rows are
measured, and what is done with each row before training, on a part of the rows. No checkpoint is written, so the time
for that is not in the estimate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import transformers

from stages.files.interrupts import StopFlag
from stages.runs.estimates import Estimate, between, clocks, total
from stages.runs.memory import peak_memory
from stages.training.trainer import Guarded, expected_ends

WARM_UPS = 2
"""Updates before those that are timed: one to begin with, and the largest."""


@dataclass(frozen=True, slots=True)
class Update:
    """The rows of one update, its tokens without and with padding, and those of its largest batch."""

    rows: tuple[int, ...]
    tokens: int
    padded: int
    largest: int


class Plan:
    """The updates of a run, in their order.

    Args:
        trainer: a `Guarded` trainer.
    """

    def __init__(self, trainer: Any) -> None:
        args = trainer.args
        self.sampler = trainer._get_train_sampler()
        self.lengths = row_lengths(trainer, trainer.train_dataset)
        self._batch = args.train_batch_size
        self.together = self._batch * args.gradient_accumulation_steps * args.world_size
        self.each_epoch = max(1, math.ceil(len(self.sampler) / self.together))
        self.count = math.ceil(args.num_train_epochs * self.each_epoch)
        self.epochs = math.ceil(args.num_train_epochs)

    def updates(self) -> Iterator[Update]:
        """Each update of the run."""
        left = self.count
        for epoch in range(self.epochs):
            self.sampler.set_epoch(epoch)
            order = list(self.sampler)
            for start in range(0, min(len(order), left * self.together), self.together):
                yield self._update(tuple(order[start : start + self.together]))
            left -= self.each_epoch

    def padded(self, rows: Sequence[int]) -> list[int]:
        """Tokens of each batch that these rows make, padding included."""
        batches = [rows[i : i + self._batch] for i in range(0, len(rows), self._batch)]
        lines = len(self.lengths[0])
        return [len(batch) * lines * max(self._longest(row) for row in batch) for batch in batches]

    def _update(self, rows: tuple[int, ...]) -> Update:
        padded = self.padded(rows)
        tokens = sum(sum(self.lengths[row]) for row in rows if row < len(self.lengths))
        return Update(rows, tokens, sum(padded), max(padded))

    def _longest(self, row: int) -> int:
        """The length of a row's longest line; a row that fills a batch up has the length of the first."""
        return max(self.lengths[row if row < len(self.lengths) else 0])


def row_lengths(trainer: Any, rows: Any) -> list[tuple[int, ...]]:
    """Tokens of each line of each row."""
    return [trainer.line_lengths(row) for row in rows]


def calibrate_training(
    trainer: Any, n: int, *, stop: StopFlag | None = None, done: int = 0, measurings: int = 0,
    start_up: tuple[float, float] = (0.0, 0.0),
) -> dict[str, Any]:  # fmt: skip
    """Time some updates and estimate what all take; the trainer's model is of no use afterwards.

    Args:
        trainer: a `Guarded` trainer that has not begun.
        n: updates to time.
        stop: looked at after each, in case a library has swallowed what its signal raised.
        done: updates that an earlier run has done.
        measurings: how often held-out rows are measured besides once after each epoch.
        start_up: seconds and CPU seconds that it took to make the trainer.

    Raises:
        ModelError: memory ran out, or a loss or gradient was not finite.
        Interrupted, KeyboardInterrupt: asked to stop.
    """
    plan = Plan(trainer)
    left = list(plan.updates())[done:]
    with expected_ends(trainer, None, trainer.args.learning_rate):
        timed, first, cpu = (
            _time_updates(trainer, _chosen(left, n, plan.together), plan.together, stop) if left else ([], 0.0, 1.0)
        )
        updates = total(timed, float(sum(update.padded for update in left)), len(left)).plus(first)
        once = 0.0 if done else _going_through(trainer, n)
        epochs = plan.epochs - done // plan.each_epoch + measurings
        measuring = epochs * _measuring(trainer, n) if trainer.eval_dataset else 0.0
    rest = once + measuring
    return {
        "from updates": len(timed),
        "of updates": len(left),
        "counts": {
            "updates": Estimate(len(left), len(left), len(left)).as_dict(),
            "tokens": _exact(sum(update.tokens for update in left)),
            "tokens with padding": _exact(sum(update.padded for update in left)),
        },
        "usage": {},
        "seconds": {"start-up": round(start_up[0], 2), **updates.plus(start_up[0] + rest).as_dict(2)},
        "CPU seconds": _times(updates, cpu).plus(start_up[1] + rest * cpu).as_dict(2),
        "peak memory": peak_memory(),
    }


def _exact(value: int) -> dict[str, Any]:
    return Estimate(value, value, value).as_dict()


def _times(known: Estimate, factor: float) -> Estimate:
    return Estimate(known.value * factor, known.low * factor, None if known.high is None else known.high * factor)


def _chosen(left: Sequence[Update], n: int, together: int) -> list[Update]:
    """The updates to be made: one to begin with, the one with the largest batch, and `n` spread over the run.

    All have as many rows, since the trainer cuts the rows that it reads into updates of that many. Where every update
    of the run has fewer (one per epoch), all are the first.
    """
    full = [update for update in left if len(update.rows) == together] or left[:1]
    largest = max(full, key=lambda update: update.largest)
    count = min(n, len(full))
    typical = [full[(2 * i + 1) * len(full) // (2 * count)] for i in range(count)]
    return [typical[0], largest, *typical]


def _time_updates(
    trainer: Any, chosen: Sequence[Update], together: int, stop: StopFlag | None
) -> tuple[list[tuple[float, float]], float, float]:
    """Padded tokens and seconds of each update after the warm-ups; the seconds that the first one took longer than
    those would have let expect; and CPU seconds per second."""
    clock = _Clock(stop)
    args = trainer.args
    args.num_train_epochs, args.save_strategy, args.logging_strategy = 1, "no", "no"
    rows = [row for update in chosen for row in update.rows]
    if len(chosen[0].rows) < together:
        args.num_train_epochs, rows = len(chosen), list(chosen[0].rows)
    order = FixedOrder(rows)
    trainer._get_train_sampler = lambda *_: order
    for callback in list(trainer.callback_handler.callbacks):
        if not isinstance(callback, transformers.trainer_callback.DefaultFlowCallback):
            trainer.remove_callback(callback)  # those of --log-to too
    trainer.add_callback(clock)
    trainer.train()
    times = clock.times[WARM_UPS:]
    seconds, cpu = (sum(time[i] for time in times) for i in (0, 1))
    timed = [(float(u.padded), t) for u, (t, _) in zip(chosen[WARM_UPS:], times, strict=True)]
    expected = seconds / sum(padded for padded, _ in timed) * chosen[0].padded
    return timed, max(0.0, clock.times[0][0] - expected), cpu / seconds


def _measuring(trainer: Any, n: int) -> float:
    """Seconds that measuring all held-out rows once takes, from some of them."""
    held_out = trainer.eval_dataset

    def measure(some: Any) -> None:
        trainer.eval_dataset = some  # as the trainer's own: DPO's refuses others once it has trained
        trainer.evaluate()

    try:
        return _of_some(trainer, held_out, n * trainer.args.eval_batch_size, measure)
    finally:
        trainer.eval_dataset = held_out


def _going_through(trainer: Any, n: int) -> float:
    """Seconds for what is done once with each row, held-out ones too, before training."""
    if type(trainer).go_through is Guarded.go_through:
        return 0.0
    size = n * trainer.args.train_batch_size
    held_out = trainer.eval_dataset
    return _of_some(trainer, trainer.train_dataset, size, trainer.go_through) + (
        _of_some(trainer, held_out, size, trainer.go_through) if held_out else 0.0
    )


def _of_some(trainer: Any, rows: Any, size: int, do: Any) -> float:
    """Seconds that something takes for all rows, from doing it with some, in proportion to their tokens."""
    numbers = sorted({i * len(rows) // min(size, len(rows)) for i in range(min(size, len(rows)))})
    some = rows.select(numbers) if hasattr(rows, "select") else [rows[i] for i in numbers]
    before = clocks()
    do(some)
    seconds, _ = between(before, clocks())
    lengths = [sum(each) for each in row_lengths(trainer, rows)]
    return seconds * sum(lengths) / max(1, sum(lengths[i] for i in numbers))


class FixedOrder:
    """A sampler that gives these rows in this order."""

    def __init__(self, rows: Sequence[int]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)


class _Clock(transformers.TrainerCallback):
    """The seconds and CPU seconds of each update, those in which its rows are fetched included."""

    def __init__(self, stop: StopFlag | None) -> None:
        self._stop = stop
        self.times: list[tuple[float, float]] = []
        self._last = (0.0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The first update begins."""
        self._last = clocks()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """An update is over, and the next one begins.

        Raises:
            Interrupted, KeyboardInterrupt: asked to stop.
        """
        if self._stop is not None:
            self._stop.check()
        now = clocks()
        self.times.append(between(self._last, now))
        self._last = now
