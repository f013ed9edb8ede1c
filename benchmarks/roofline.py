"""Every stage against its limit on this machine, and what people would use instead beside it.

    OMP_NUM_THREADS=1 python benchmarks/roofline.py [--repeats 3] [-o docs/performance.svg]

The embedded model on one thread, by CPU seconds. A limit of a stage with a model is what its matrix products would take
if all of them ran as fast as one large product does, padding and repeated prompts left out; decoding has a second one,
reading keys and values. The limit of a stage on files is reading and writing its lines as JSON with Python's own
parser, and for merge, which does not parse them, hashing what is read and written. Peers: one `generate` call per
prefix with eight draws (decode), padded batches in the order of the file (score), TRL's trainers (sft, orpo), and
transformers' trainer (train-prm).

Prints medians of all sides, which take turns, as a table; draws the share of the limit that each reaches.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from decode import median_of
from engine import all_at_once, plain, requests, sampled
from files import COMMANDS, ROOT, make_inputs, run_once, sipf
from trainers import chain_rows

from stages.engines.hf.engine import HFEngine
from stages.models.loading import load_policy, load_tokenizer
from stages.page.charts import Axis, Chart, Point, Series
from stages.page.drawing import file_of
from stages.training.pair_batches import PairCollator

TRAINERS = Path(__file__).with_name("trainers.py")
PREFIXES, BATCH, STEPS, SCORED = 100, 16, 20, 200


@dataclass(frozen=True)
class Reached:
    """One stage: work per CPU second at its limit, here, and with the peer, if there is one."""

    stage: str
    unit: str
    bound: str
    limit: float
    sipf: float
    peer: float | None = None

    def cells(self) -> list[str]:
        """The row of the table."""
        peer, times = ("", "") if self.peer is None else (f"{self.peer:,.0f}", f"{self.sipf / self.peer:.2f}")
        share = f"{100 * self.sipf / self.limit:.0f} %"
        return [self.stage, self.bound, f"{self.limit:,.0f} {self.unit}", f"{self.sipf:,.0f}", share, peer, times]


def spent(call: Callable[[], object], repeats: int = 5) -> float:
    """Median CPU seconds of a call."""
    return median_of(repeats, call, time.process_time)


@dataclass(frozen=True)
class Machine:
    """Operations and bytes per CPU second."""

    flops: float
    bandwidth: float

    @classmethod
    def measured(cls) -> Machine:
        """One large matrix product, and reading memory that fits into no cache."""
        square, memory = torch.randn(2048, 2048), torch.zeros(64 << 20)
        return cls(2 * 2048**3 / spent(lambda: square @ square), memory.nbytes / spent(memory.sum))


def forward_flops(config: Any, context: float, head: bool = True) -> float:
    """Operations for one token that sees so many others."""
    size, inner = config.hidden_size, config.num_attention_heads * config.head_dim
    shared = config.num_key_value_heads * config.head_dim
    layer = size * (2 * inner + 2 * shared) + 3 * size * config.intermediate_size + 2 * context * inner
    return 2 * (config.num_hidden_layers * layer + (size * config.vocab_size if head else 0))


def decode(machine: Machine, repeats: int) -> list[Reached]:
    """`sample`, `simulate`, `eval`."""
    import asyncio

    engine = HFEngine(load_policy("chain-base", device="cpu"))
    config = engine.model.config
    wanted = requests(asyncio.run(sampled(engine, 20, 6)), PREFIXES)
    rates: dict[str, list[float]] = {"sipf": [], "peer": []}
    for _ in range(repeats):
        for name, side in (("sipf", all_at_once), ("peer", plain)):
            tokens, seconds = side(engine, wanted, time.process_time)
            rates[name].append(tokens / seconds)
    ids = [engine.prompter(one.problem).encode(one.problem, one.prefix, end=False).ids for one in wanted]
    context = statistics.mean(map(len, ids)) + 16  # half of what is written stands before a token
    kept = 4 * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    found = [statistics.median(rates[name]) for name in ("sipf", "peer")]
    return [
        Reached("decode", "tokens", "arithmetic", machine.flops / forward_flops(config, context), *found),
        Reached("decode", "tokens", "memory", machine.bandwidth / (kept * context), *found),
    ]


def with_model(machine: Machine, repeats: int) -> list[Reached]:
    """`score` and the trainers; each side of each in its own process."""
    tokenizer = load_tokenizer("chain-base")
    config = load_policy("chain-base", device="cpu").model.config
    rows = chain_rows(tokenizer, "chain-base", BATCH * STEPS)
    lengths = [len(row["chosen_input_ids"]) for row in rows]
    both = sum(lengths) + sum(len(row["rejected_input_ids"]) for row in rows)
    joined = sum(PairCollator(0, "all", shared=True).line_lengths(row)[0] for row in rows)
    mean = statistics.mean(lengths)
    answered = statistics.mean(1 - len(row["prompt_input_ids"]) / len(row["chosen_input_ids"]) for row in rows)
    body, logits = forward_flops(config, mean / 2, head=False), 2 * config.hidden_size * config.vocab_size
    work = {
        "score": body, "sft": 3 * (body + answered * logits), "train-prm": 3 * body,
        "orpo": 3 * (body + logits) * joined / both,
    }  # fmt: skip
    found = []
    for stage, flops in work.items():
        rates: dict[str, list[float]] = {"sipf": [], "peer": []}
        for _ in range(repeats):
            for side, values in rates.items():
                command = [sys.executable, str(TRAINERS), "--side", side, "--stage", stage, "--batch", str(BATCH)]
                command += ["--steps", str(SCORED if stage == "score" else STEPS)]
                said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
                values.append(json.loads(said.stdout.splitlines()[-1])["speed"])
        middle = [statistics.median(rates[name]) for name in ("sipf", "peer")]
        found.append(Reached(stage, "tokens", "arithmetic", machine.flops / flops, *middle))
    return found


def on_files(lines: int, repeats: int) -> list[Reached]:
    """The commands without a model; the limit is reading every line of the input and writing the output's as JSON."""
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "files"
        make_inputs(folder, lines)
        for command, (inputs, options) in COMMANDS.items():
            taken = [sipf(ROOT, folder, command, *inputs, *options, "-o", "out.jsonl").cpu]
            read, written = json_lines([folder / name for name in inputs]), json_lines([folder / "out.jsonl"])
            for file in folder.glob("out.jsonl*"):
                file.unlink()
            taken += [run_once(ROOT, folder, command)[0].cpu for _ in range(repeats - 1)]
            if command == "merge":  # it copies lines as they are, and hashes what it reads and writes
                whole = "\n".join(read + written).encode()
                limit = len(read) / spent(partial(hashlib.sha256, whole), 3)
                found.append(Reached(command, "lines", "SHA-256", limit, len(read) / statistics.median(taken)))
                continue
            seconds = spent(partial(parsed, read), 3)
            seconds += spent(partial(dumped, parsed(written)), 3)
            found.append(Reached(command, "lines", "JSON", len(read) / seconds, len(read) / statistics.median(taken)))
    return found


def parsed(texts: list[str]) -> list[Any]:
    """Values of lines of JSON."""
    return [json.loads(text) for text in texts]


def dumped(rows: list[Any]) -> list[str]:
    """Lines of JSON of values."""
    return [json.dumps(row) for row in rows]


def json_lines(places: list[Path]) -> list[str]:
    """The lines of files, and of those in folders; a report is a page and has none."""
    files = [file for place in places for file in (sorted(place.rglob("*.jsonl")) if place.is_dir() else [place])]
    texts = [text for file in files for text in file.read_text(encoding="utf-8").splitlines()]
    return [text for text in texts if text.startswith("{")]


def chart(found: list[Reached]) -> Chart:
    """Bars of the share of the limit; of two limits the lower one counts."""
    tightest: dict[str, Reached] = {}
    for one in found:
        if one.stage not in tightest or one.limit < tightest[one.stage].limit:
            tightest[one.stage] = one
    stages = list(tightest.values())
    series = [
        Series(name, tuple(Point(i, 100 * value / one.limit) for i, one in enumerate(stages) if (value := of(one))))
        for name, of in (("sipf", lambda one: one.sipf), ("peer", lambda one: one.peer))
    ]
    return Chart(
        "performance", "Share of the limit", Axis("stage", names=tuple(one.stage for one in stages)),
        Axis("% of what the machine allows", low=0), tuple(series), kind="bars",
        note="Peers: generate, plain batches, TRL's and transformers' trainers.",
    )  # fmt: skip


def main() -> None:
    """Measure everything, print the table, draw the chart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lines", type=int, default=5_000, help="of the files")
    parser.add_argument("-o", "--output", type=Path, help="the chart, as SVG")
    given = parser.parse_args()
    machine = Machine.measured()
    print(f"one matrix product reaches {machine.flops / 1e9:.0f} GFLOP/s, reading {machine.bandwidth / 1e9:.1f} GB/s\n")
    head = ["stage", "bound by", "limit per CPU second", "sipf", "of the limit", "peer", "sipf / peer"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    found: list[Reached] = []
    for measure in (
        lambda: decode(machine, given.repeats),
        lambda: with_model(machine, given.repeats),
        lambda: on_files(given.lines, given.repeats),
    ):
        rows = measure()
        found += rows
        for row in rows:
            print(f"| {' | '.join(row.cells())} |", flush=True)
    if given.output:
        given.output.write_text(file_of(chart(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
