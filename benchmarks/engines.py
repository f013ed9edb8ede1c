"""The vllm engine against the hf engine on the same requests, and each of them inside `simulate`.

    make setup-vllm; OMP_NUM_THREADS=1 .venv-vllm/bin/python benchmarks/engines.py [--prefixes 400] [--repeats 3]

All sides roll the same real prefixes out, 8 draws each at temperature 1 with the same limits. "at once" feeds an engine
every request at the same time; "in simulate" is `simulate --strategy brute` on the lines the prefixes come from, and
`exact` the default strategy. "without sharing" is vLLM with prefix caching off. Prompt tokens say what was computed of
the prompts; every draw on its own would have computed them all. Prints medians and ratios.

(It is not called vllm.py, because Python would then take it for the library.)
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from engine import DRAWS, NEW_TOKENS, requests, sampled

from evals.records import Problem
from stages.engines.base import Request, generate
from stages.engines.hf import HFEngine
from stages.engines.vllm import VLLMEngine
from stages.engines.vllm_start import VLLMSettings
from stages.models import load_policy
from stages.runner import Tally
from stages.simulate import Simulation
from stages.strategies.prefixes import SimulateSettings


def at_once(wanted: list[Request]) -> Callable[[Any], Awaitable[None]]:
    """Every request at the same time."""

    async def feed(engine: Any) -> None:
        await asyncio.gather(*[generate(engine, request) for request in wanted])

    return feed


def inside(lines: list[Problem], strategy: str) -> Callable[[Any], Awaitable[None]]:
    """`simulate` on the lines."""
    settings = SimulateSettings(strategy=strategy, k=DRAWS, max_tokens=NEW_TOKENS, gold=False)

    async def feed(engine: Any) -> None:
        stage = Simulation(engine, settings)
        await asyncio.gather(*[stage(line.model_copy(deep=True), Tally()) for line in lines])

    return feed


async def timed(engine: Any, feed: Callable[[Any], Awaitable[None]]) -> tuple[int, int, float]:
    """Tokens written, prompt tokens computed, and seconds."""
    before, began = replace(engine.usage), time.perf_counter()
    await feed(engine)
    seconds = time.perf_counter() - began
    return engine.usage.tokens - before.tokens, engine.usage.prompt_tokens - before.prompt_tokens, seconds


async def compare(model: str, prefixes: int, rows: int | None, repeats: int) -> None:
    """Run all sides in turn, and print what they did."""
    hf = HFEngine(load_policy(model, device="cpu", dtype="float32"), rows=rows)
    lines = await sampled(hf, max(20, prefixes // 16), 6)
    wanted = requests(lines, prefixes)
    ids = {request.problem.id for request in wanted}
    lines = [line for line in lines if line.id in ids]
    began = time.perf_counter()
    vllm = VLLMEngine(model, VLLMSettings(rows=rows))
    print(f"vLLM started in {time.perf_counter() - began:.1f} s", flush=True)
    alone = VLLMEngine(model, VLLMSettings(rows=rows, prefix_caching=False))
    whole = DRAWS * sum(len(vllm.prepare(request)) for request in wanted)
    print(f"{len(wanted)} prefixes, {DRAWS} draws each, {whole:,} prompt tokens if nothing were shared")
    sides: dict[str, tuple[Any, Callable[[Any], Awaitable[None]]]] = {
        "hf at once": (hf, at_once(wanted)),
        "vllm at once": (vllm, at_once(wanted)),
        "vllm without sharing": (alone, at_once(wanted)),
        "hf in simulate": (hf, inside(lines, "brute")),
        "vllm in simulate": (vllm, inside(lines, "brute")),
        "hf exact": (hf, inside(lines, "exact")),
        "vllm exact": (vllm, inside(lines, "exact")),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name, (engine, feed) in sides.items():
            tokens, prompt, seconds = await timed(engine, feed)
            if not repeat:
                continue  # the first time is for warming up
            rates[name].append(tokens / seconds)
            print(
                f"  {name:21} {tokens:8,} tokens {prompt:8,} prompt tokens {seconds:7.2f} s"
                f" {tokens / seconds:9,.0f} tokens/s",
                flush=True,
            )
    middle = {name: statistics.median(values) for name, values in rates.items()}
    for name, value in middle.items():
        print(f"{name:21} {value:9,.0f} tokens/s, median of {repeats}")
    for first, second in (
        ("hf at once", "vllm at once"),
        ("hf in simulate", "vllm in simulate"),
        ("hf exact", "vllm exact"),
        ("hf in simulate", "hf at once"),
        ("vllm in simulate", "vllm at once"),
        ("vllm at once", "vllm without sharing"),
    ):
        print(f"{first} / {second}: {middle[first] / middle[second]:.2f}")
    for engine in (hf, vllm, alone):
        await engine.close()


def main() -> None:
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="chain-base")
    parser.add_argument("--prefixes", type=int, default=400)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    asyncio.run(compare(arguments.model, arguments.prefixes, arguments.rows, arguments.repeats))


if __name__ == "__main__":
    main()
