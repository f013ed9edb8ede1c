"""The vllm engine against the hf engine on the same requests, and each of them inside `simulate`.

    make setup-vllm; OMP_NUM_THREADS=1 .venv-vllm/bin/python benchmarks/engines.py [--prefixes 400] [--repeats 3]
    ... benchmarks/engines.py --model models/smollm2 --dtype bfloat16 --prefixes 24 --only "at once"

All sides roll out the same real prefixes, 8 draws each at temperature 1 with the same limits. "at once" gives an engine
every request at the same time; "in simulate" is `simulate --strategy brute` on the lines the prefixes come from, and
`exact` the default strategy. "nothing shared" is vLLM with prefix caching off. Prompt tokens are those that were
computed; without sharing, every draw would compute all of them. Prints medians and ratios.

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
from stages.counts import Tally
from stages.engines.base import Request, generate
from stages.engines.hf.engine import HFEngine
from stages.engines.vllm.engine import VLLMEngine
from stages.engines.vllm.opening import vllm_start
from stages.models.loading import load_policy
from stages.settings.model import EngineSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation

FEEDS = ("at once", "in simulate", "exact")


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


async def measure(
    name: str, engine: Any, feeds: dict[str, Callable[[Any], Awaitable[None]]], repeats: int
) -> dict[str, float]:
    """Median tokens per second of each feed. The first round is a warm-up. Of vLLM also the share of the time that is
    spent in its own steps: the rest is what stepping it elsewhere than in the event loop could win at most."""
    rates: dict[str, list[float]] = {feed: [] for feed in feeds}
    stepper, inside_steps = getattr(engine, "llm", None), 0.0
    if stepper is not None:
        step = stepper.step

        def counted() -> Any:
            nonlocal inside_steps
            began = time.perf_counter()
            try:
                return step()
            finally:
                inside_steps += time.perf_counter() - began

        stepper.step = counted
    for repeat in range(repeats + 1):
        for feed, begin in feeds.items():
            inside_steps = 0.0
            tokens, prompt, seconds = await timed(engine, begin)
            if repeat:
                rates[feed].append(tokens / seconds)
                figures = (
                    f"{tokens:8,} tokens {prompt:8,} prompt tokens {seconds:7.2f} s {tokens / seconds:9,.0f} tokens/s"
                )
                figures += f", {inside_steps / seconds:.1%} of it in steps" if stepper is not None else ""
                print(f"  {name:21} {feed:12} {figures}", flush=True)
    await engine.close()
    return {feed: statistics.median(values) for feed, values in rates.items()}


async def compare(model: str, dtype: str, prefixes: int, rows: int | None, repeats: int, only: list[str]) -> None:
    """Run all sides, one engine after the other (vLLM allows one per process), and print the results."""
    hf = HFEngine(load_policy(model, device="cpu", dtype=dtype), rows=rows)
    lines = await sampled(hf, max(min(20, prefixes), prefixes // 16), 6)
    wanted = requests(lines, prefixes)
    ids = {request.problem.id for request in wanted}
    lines = [line for line in lines if line.id in ids]
    encoded = [hf.prompter(r.problem).encode(r.problem, r.prefix, end=False).ids for r in wanted]
    whole = DRAWS * sum(map(len, encoded))
    print(f"{len(wanted)} prefixes, {DRAWS} draws each, {whole:,} prompt tokens if nothing were shared", flush=True)
    feeds = {"at once": at_once(wanted), "in simulate": inside(lines, "brute"), "exact": inside(lines, "exact")}
    feeds = {name: feed for name, feed in feeds.items() if name in only}
    middle = {"hf": await measure("hf", hf, feeds, repeats)}
    settings = vllm_start(EngineSettings(device="cpu", dtype=dtype), rows)
    for name, sharing in (("vllm", True), ("vllm, nothing shared", False)):
        if not sharing and "at once" not in feeds:
            continue
        began = time.perf_counter()
        engine = VLLMEngine(model, replace(settings, prefix_caching=sharing))
        print(f"{name}: started in {time.perf_counter() - began:.1f} s", flush=True)
        middle[name] = await measure(name, engine, feeds if sharing else {"at once": feeds["at once"]}, repeats)
    for name, found in middle.items():
        for feed, value in found.items():
            print(f"{name:21} {feed:12} {value:9,.0f} tokens/s, median of {repeats}")
    for feed in feeds:
        print(f"hf / vllm, {feed}: {middle['hf'][feed] / middle['vllm'][feed]:.2f}")
    for name in ("hf", "vllm") if {"at once", "in simulate"} <= feeds.keys() else ():
        print(f"{name}: in simulate / at once: {middle[name]['in simulate'] / middle[name]['at once']:.2f}")
    if "at once" in feeds:
        shared = middle["vllm"]["at once"] / middle["vllm, nothing shared"]["at once"]
        print(f"vllm: prefixes shared / not shared: {shared:.2f}")


def main() -> None:
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="chain-base")
    parser.add_argument("--prefixes", type=int, default=400)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--only", nargs="+", choices=FEEDS, default=list(FEEDS), help="ways of asking")
    given = parser.parse_args()
    asyncio.run(compare(given.model, given.dtype, given.prefixes, given.rows, given.repeats, given.only))


if __name__ == "__main__":
    main()
