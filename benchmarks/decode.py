"""The hf engine's decode step against its limits, and against the model's own code step by step.

    python benchmarks/decode.py [--model chain-base] [--rows 256 512] [--dtype float32] [--questions 400] [--repeats 3]

The questions of the embedded world are sampled at temperature 1 and greedily, four draws each. All sides take turns:
"own code" is the engine with transformers' forward pass, "joined" with the leaner step. Then the parts of one joined
step at the median length are timed alone, and compared with what the machine reaches in one large matrix product and in
reading memory. Prints medians, ratios, and the tokens per second that either limit alone would allow.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from evals.worlds import chain
from stages.engines.base import Draw, Request, generate
from stages.engines.hf import decode
from stages.engines.hf.engine import HFEngine
from stages.engines.hf.sampling import pick
from stages.engines.hf.steps import JoinedStep, ModelStep
from stages.models.loading import load_policy

DRAWS = 4


def median_of(repeats: int, call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds of a call, after one that is not counted."""
    call()
    taken = []
    for _ in range(repeats):
        began = clock()
        call()
        taken.append(clock() - began)
    return statistics.median(taken)


def sampled(engine: HFEngine, questions: int, temperature: float) -> tuple[float, float, int]:
    """Tokens per second, rows per step and the longest row of a run over the questions."""
    wanted = [
        Request(problem, tuple(Draw(4 * i + j, temperature) for j in range(DRAWS)), "", max_tokens=96, eager=True)
        for i, problem in enumerate(chain.problems("train", questions, 7))
    ]

    async def feed() -> None:
        await asyncio.gather(*[generate(engine, request) for request in wanted])

    before, steps, rows, began = replace(engine.usage), engine.loop.steps, engine.loop.row_steps, time.perf_counter()
    asyncio.run(feed())
    taken, steps = time.perf_counter() - began, engine.loop.steps - steps
    return (engine.usage.tokens - before.tokens) / taken, (engine.loop.row_steps - rows) / steps, steps


def limits(model: Any, rows: int, columns: int) -> dict[str, float]:
    """Milliseconds that the matrix products and the keys and values of one step take at least."""
    config = model.config
    layers, dtype = config.num_hidden_layers, model.dtype
    weights = sum(p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name)
    weights += config.vocab_size * config.hidden_size if config.tie_word_embeddings else 0
    square = torch.randn(2048, 2048, dtype=dtype)
    flops = 2 * 2048**3 / median_of(5, lambda: square @ square)
    cached = torch.zeros(256 << 20, dtype=torch.uint8).view(torch.float32)
    bandwidth = cached.nbytes / median_of(5, cached.sum)
    size = model.model.layers[0].self_attn.head_dim
    read = 2 * rows * columns * config.num_key_value_heads * size * layers * square.element_size()
    work = 2 * rows * (weights + 2 * columns * config.num_attention_heads * size * layers)
    print(f"one matrix product reaches {flops / 1e9:.0f} GFLOP/s, reading {bandwidth / 1e9:.1f} GB/s")
    return {"arithmetic": 1e3 * work / flops, "memory": 1e3 * read / bandwidth}


def parts(engine: HFEngine, rows: int, columns: int, repeats: int) -> dict[str, float]:
    """Milliseconds of one joined step and of what it consists of, each alone on the slots of the engine."""
    loop, model = engine.loop, engine.model
    step = loop.forward
    assert isinstance(step, JoinedStep)
    rows = min(rows, loop.cache.rows)
    columns = min(columns, loop.cache.columns)
    last, position = torch.full((rows,), 5), torch.full((rows,), columns - 1)
    config, size = model.config, step.size
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    hidden = torch.randn(rows, config.hidden_size, dtype=model.dtype)
    wide = torch.randn(rows, config.intermediate_size, dtype=model.dtype)
    queries = torch.randn(rows * kv_heads, heads // kv_heads, size, dtype=model.dtype)
    attended = torch.randn(rows, heads * size, dtype=model.dtype)

    def products() -> None:
        for layer in step.layers:
            layer.qkv(hidden), layer.out(attended), layer.gate_up(hidden), layer.down(wide)
        step.head(hidden)

    def attention() -> None:
        for slots in loop.cache.layers:
            keys, values = (
                t.view(-1, loop.cache.columns, size)[: rows * kv_heads, :columns] for t in (slots.keys, slots.values)
            )
            torch.bmm(torch.bmm(queries, keys.transpose(1, 2)), values)

    def whole() -> torch.Tensor:
        return step(last, position, columns, loop.cache)

    logits, numbers, warm = whole(), torch.arange(rows), torch.ones(rows)
    return {
        "step": 1e3 * median_of(repeats, whole),
        "matrix products": 1e3 * median_of(repeats, products),
        "attention's products": 1e3 * median_of(repeats, attention),
        "drawing": 1e3 * median_of(repeats, lambda: pick(logits, numbers, numbers, warm)),
    }


def shares(engine: HFEngine, questions: int) -> dict[str, float]:
    """Where the time of a whole run at temperature 1 goes, in percent. The rest is the event loop, admitting and the
    tokenizer."""
    loop, spent = engine.loop, {}
    parts = {"prefill": (loop, "_prefill"), "forward pass": (loop, "forward"), "ending draws": (loop, "_record")}
    parts["drawing"] = (decode, "pick")

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            made = call(*given, **named)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - began
            return made

        return inner

    for name, (owner, attribute) in parts.items():
        setattr(owner, attribute, timed(name, getattr(owner, attribute)))
    began = time.perf_counter()
    _, busy, steps = sampled(engine, questions, 1.0)
    whole = time.perf_counter() - began
    for owner, attribute in parts.values():
        setattr(owner, attribute, getattr(owner, attribute).__closure__[0].cell_contents)
    found = {name: 100 * seconds / whole for name, seconds in spent.items()}
    return {**found, "the rest": 100 - sum(found.values()), "rows a step": busy, "ms a step": 1e3 * whole / steps}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="chain-base")
    parser.add_argument("--rows", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {arguments.dtype}")
    for rows in arguments.rows:
        engine = HFEngine(load_policy(arguments.model, "cpu", arguments.dtype), rows=rows)
        steps = {"own code": ModelStep(engine.model), "joined": engine.loop.forward}
        rates: dict[tuple[str, float], list[float]] = {}
        for _ in range(arguments.repeats):
            for temperature in (1.0, 0.0):
                for name, step in steps.items():
                    engine.loop.forward = step
                    rate, busy, _ = sampled(engine, arguments.questions, temperature)
                    rates.setdefault((name, temperature), []).append(rate)
        print(f"\n{rows} rows, {busy:.0f} of them at work in the mean")
        for temperature in (1.0, 0.0):
            own, joined = (statistics.median(rates[name, temperature]) for name in steps)
            print(
                f"  temperature {temperature}: own code {own:,.0f}, joined {joined:,.0f} tokens/s, "
                f"{joined / own:.2f} times"
            )
        columns = engine.loop.cache.columns * 3 // 4
        with torch.inference_mode():
            found = parts(engine, rows, columns, 20)
            least = limits(engine.model, rows, columns)
        print(f"  one step at {columns} columns: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in found.items()))
        engine.loop.forward = steps["joined"]
        told = ", ".join(f"{name} {value:.1f}" for name, value in shares(engine, arguments.questions).items())
        print(f"  a whole run, in percent of its time: {told}")
        print("  limits: " + ", ".join(f"{name} {rows / ms * 1e3:,.0f} tokens/s" for name, ms in least.items()))


if __name__ == "__main__":
    main()
