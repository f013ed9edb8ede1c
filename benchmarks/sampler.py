"""Drawing one token for every row: the engine's sampler against the plainest way, which no seed of a row decides.

    python benchmarks/sampler.py [--repeats 5]

The plainest way is softmax, cumsum and search with one random number a row; with top-p it sorts the whole vocabulary
first. Logits fall off with the rank as a language model's do (Zipf). Prints medians of milliseconds, ratios, and the
operations that torch dispatches.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from stages.engines.hf.sampling import pick

SHAPES = ((256, 482), (64, 49_152), (64, 151_936), (32, 256_000))
TOP_P = 0.95


class Operations(TorchDispatchMode):
    """Counts what torch is asked to do."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return operation(*args, **(kwargs or {}))


def plain(logits: torch.Tensor, top_p: float | None = None) -> torch.Tensor:
    """One token a row by softmax, cumsum and search."""
    if top_p is None:
        running = logits.softmax(-1).cumsum(-1)
        return torch.searchsorted(running, torch.rand(len(logits), 1))
    ordered, order = logits.sort(-1, descending=True)
    running = ordered.softmax(-1).cumsum(-1)
    running.masked_fill_(running - ordered.softmax(-1) >= top_p, 1.0)
    return order.gather(-1, torch.searchsorted(running, torch.rand(len(logits), 1) * top_p))


def milliseconds(repeats: int, sides: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Medians; the sides take turns."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, call in sides.items():
            began = time.perf_counter()
            call()
            if repeat:
                taken[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(
        "| rows, vocabulary | plain | engine | ratio | operations | plain, top-p | engine, top-p | ratio | operations |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for rows, size in SHAPES:
        torch.manual_seed(0)
        logits = (-1.7 * torch.arange(1, size + 1).log()).repeat(rows, 1)[:, torch.randperm(size)].contiguous()
        numbers, warm, limit = torch.arange(rows), torch.ones(rows), torch.full((rows,), TOP_P)
        cells = []
        for top_p, given in ((None, None), (TOP_P, limit)):
            sides: dict[str, Callable[[], object]] = {
                "plain": partial(plain, logits, top_p),
                "engine": partial(pick, logits, numbers, numbers, warm, given),
            }
            took = milliseconds(repeats, sides)
            with Operations() as counted:
                sides["engine"]()
            cells += [
                f"{took['plain']:.2f} ms",
                f"{took['engine']:.2f} ms",
                f"{took['engine'] / took['plain']:.2f}",
                str(counted.count),
            ]
        print(f"| {rows}, {size:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
