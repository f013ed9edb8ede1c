"""The hf engine against a plain `model.generate` loop, and against itself inside `simulate`.

    python benchmarks/engine.py [--model chain-base] [--prefixes 640] [--repeats 3] [--cpu-time]
    python benchmarks/engine.py --model models/smollm2 --dtype bfloat16 --prefixes 24

Both sides roll out the same real prefixes, 8 draws each, at temperature 1 with the same limits. Useful tokens are those
up to and including the end of text; what a row computes after that is not counted. Prints medians and ratios. On a
shared machine, `--cpu-time` and OMP_NUM_THREADS=1 leave out the time of other processes.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from evals.records import Problem
from evals.tasks import task_of
from evals.worlds import chain
from stages.counts import Tally
from stages.engines.base import Draw, Request, generate
from stages.engines.hf.engine import HFEngine
from stages.models.loading import load_policy
from stages.sample import Sampler
from stages.seeds import seed_of
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.simulate import Simulation
from stages.strategies.prefixes import prefixes

DRAWS, NEW_TOKENS = 8, 96
Clock = Callable[[], float]


async def sampled(engine: HFEngine, problems: int, paths: int) -> list[Problem]:
    """Problems with sampled paths, as `sipf sample` writes them."""
    sampler = Sampler(engine, SampleSettings(n=paths))
    lines = await asyncio.gather(*[sampler(p, Tally()) for p in chain.problems("train", problems, 7)])
    return [line[0] for line in lines]


def requests(lines: list[Problem], most: int) -> list[Request]:
    """One request of 8 draws for each distinct prefix."""
    found = []
    for line in lines:
        for text in prefixes(task_of(line), line.paths).places:
            draws = tuple(Draw(seed_of("simulate", line.id, 0, [text, i])) for i in range(DRAWS))
            found.append(Request(line, draws, text, max_tokens=NEW_TOKENS, eager=True))
    return found[:most]


def plain(engine: HFEngine, wanted: list[Request], clock: Clock) -> tuple[int, float]:
    """Useful tokens and seconds of one `generate` call per prefix."""
    model, tokenizer = engine.model, engine.tokenizer
    torch.manual_seed(0)
    useful, began = 0, clock()
    for request in wanted:
        ids = engine.prompter(request.problem).encode(request.problem, request.prefix, end=False).ids
        with torch.inference_mode():
            written = model.generate(
                torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.int64), do_sample=True,
                temperature=1.0, top_k=0, top_p=1.0, num_return_sequences=DRAWS, max_new_tokens=NEW_TOKENS,
                pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
            )[:, len(ids) :]  # fmt: skip
        for row in written.tolist():
            end = row.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in row else len(row)
            useful += end
            tokenizer.decode(row[:end], skip_special_tokens=True)
    return useful, clock() - began


def all_at_once(engine: HFEngine, wanted: list[Request], clock: Clock) -> tuple[int, float]:
    """Useful tokens and seconds of the engine when it gets every request at once."""

    async def feed() -> None:
        await asyncio.gather(*[generate(engine, request) for request in wanted])

    before, began = replace(engine.usage), clock()
    asyncio.run(feed())
    return engine.usage.tokens - before.tokens, clock() - began


def inside_simulate(engine: HFEngine, lines: list[Problem], clock: Clock) -> tuple[int, float]:
    """Useful tokens and seconds of `simulate --strategy brute` on the lines."""
    stage = Simulation(engine, SimulateSettings(strategy="brute", k=DRAWS, max_tokens=NEW_TOKENS, gold=False))

    async def feed() -> None:
        await asyncio.gather(*[stage(line.model_copy(deep=True), Tally()) for line in lines])

    before, began = replace(engine.usage), clock()
    asyncio.run(feed())
    return engine.usage.tokens - before.tokens, clock() - began


def main() -> None:
    """Run all three sides and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="chain-base")
    parser.add_argument("--prefixes", type=int, default=640)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--cpu-time", action="store_true", help="seconds of this process's CPU time, not of the clock")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    engine = HFEngine(load_policy(arguments.model, device="cpu", dtype=arguments.dtype), rows=arguments.rows)
    lines = asyncio.run(sampled(engine, max(min(20, arguments.prefixes), arguments.prefixes // 16), 6))
    wanted = requests(lines, arguments.prefixes)
    lines = [line for line in lines if line.id in {request.problem.id for request in wanted}]
    print(f"{len(wanted)} prefixes, {DRAWS} draws each, {engine.loop.max_rows} rows")
    rates: dict[str, list[float]] = {"generate": [], "engine": [], "simulate": []}
    for _ in range(arguments.repeats):
        steps, rows = engine.loop.steps, engine.loop.row_steps
        for name, (tokens, seconds) in {
            "generate": plain(engine, wanted, clock),
            "engine": all_at_once(engine, wanted, clock),
            "simulate": inside_simulate(engine, lines, clock),
        }.items():
            rates[name].append(tokens / seconds)
            print(
                f"  {name:9} {tokens:8,} useful tokens {seconds:7.2f} s {tokens / seconds:9,.0f} tokens/s", flush=True
            )
        live = (engine.loop.row_steps - rows) / (engine.loop.steps - steps) / engine.loop.peak_rows
        print(f"  rows live, averaged over decode steps: {live:.2f}")
    middle = {name: statistics.median(values) for name, values in rates.items()}
    print(f"engine / generate: {middle['engine'] / middle['generate']:.2f} times")
    print(f"simulate / engine: {middle['simulate'] / middle['engine']:.2f}")


if __name__ == "__main__":
    main()
