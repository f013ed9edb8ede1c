"""Long files through the commands that need no model: lines per second, peak memory, CPU seconds.

    python benchmarks/files.py                                # 10,000 lines, each command three times
    python benchmarks/files.py --lines 1000000 --repeats 1    # takes 20 GB of --folder
    python benchmarks/files.py --before ../another-tree       # both trees in turns; do they write the same bytes?

The lines are made from a seed by the commands themselves: a block of problems of the chain world with about four paths
of four steps, labels with their rollouts by `simulate`, scores by this script. Longer files repeat the block under
other ids. Each command runs in its own process and is timed from its start, as a user would run it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SEED = 7
BLOCK = 500
"""Problems that are really made."""
GOLD = ("--engine", "scripted", "--script", "gold:0.4")
POLICIES = {"sft": "gold:0.4", "round1": "gold:0.6"}
SHARDS = ("shard.0", "shard.1")
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sample": (("problems.jsonl",), (*GOLD, "-n", "2")),
    "pairs": (("scored.jsonl",), ("--rule", "threshold")),
    "relabel": (("labelled.jsonl",), ("--k", "3")),
    "merge": (tuple(f"{name}.jsonl" for name in SHARDS), ()),
    "report": (("run",), ()),
}
"""What each command is given: its inputs and its options."""


class Used(NamedTuple):
    """What one process took: seconds of wall-clock and CPU, and peak memory in MiB."""

    seconds: float
    cpu: float
    peak: float


def sipf(tree: Path, folder: Path, *words: str) -> Used:
    """Run one command of a tree, in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    begun = time.perf_counter()
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sipf_cli", *words], cwd=folder, env=environment, stdout=log, stderr=log
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"sipf {' '.join(words)}\n{(folder / 'log').read_text()[-2000:]}")
    return Used(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def make_block(folder: Path) -> None:
    """A block of problems with paths, labels, scores, and two policies' answers."""
    sipf(ROOT, folder, "data", "chain", "--split", "train", "--seed", str(SEED), "-n", str(BLOCK), "-o", "problems")
    sipf(ROOT, folder, "sample", "problems", *GOLD, "-n", "5", "-o", "paths")
    sipf(ROOT, folder, "simulate", "paths", *GOLD, "--k", "4", "--no-gold", "-o", "labels")
    rng = random.Random(SEED)
    for name, source in (("scored", "paths"), ("labelled", "labels")):
        with open(folder / source, encoding="utf-8") as lines, open(folder / name, "w", encoding="utf-8") as file:
            for line in lines:
                file.write(f"{json.dumps(scored(json.loads(line), rng), separators=(',', ':'))}\n")
    for index, name in enumerate(SHARDS):
        sipf(ROOT, folder, "relabel", "labelled", "--shard", f"{index}/{len(SHARDS)}", "-o", name)
    (folder / "run" / "eval").mkdir(parents=True)
    for policy, script in POLICIES.items():
        sipf(ROOT, folder, "eval", "problems", "--engine", "scripted", "--script", script, "-o", f"run/eval/{policy}")


def scored(row: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """A line with a score for each step of each path, lower where the step is not one of the solution."""
    for path in row["paths"]:
        means = [0.8 if step in row["solution"] else 0.3 for step in path["steps"]]
        steps = [min(1.0, max(0.0, rng.gauss(mean, 0.2))) for mean in means]
        values = {"mean": sum(steps) / len(steps), "min": min(steps), "product": prod(steps), "last": steps[-1]}
        path["scores"] = {"prm": {"steps": steps, **values}}
    return row


def repeated(block: Path, lines: int) -> Iterator[str]:
    """So many lines: those of the block, again and again under other ids."""
    made = block.read_text(encoding="utf-8").splitlines(keepends=True)
    for number in range(lines):
        seed, at = SEED + number // len(made), number % len(made)
        yield made[at].replace(f'"chain/train/{SEED}/', f'"chain/train/{seed}/')


def make_inputs(folder: Path, lines: int) -> None:
    """The files that the commands read; a multiple of `BLOCK` lines."""
    block = folder / "block"
    block.mkdir(parents=True)
    make_block(block)
    (folder / "run" / "eval").mkdir(parents=True)
    results = [f"run/eval/{policy}" for policy in POLICIES]
    for name in ("problems", "scored", "labelled", *results, *SHARDS):
        share = len(SHARDS) if name in SHARDS else 1
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(repeated(block / name, lines // share))
        if name in (*results, *SHARDS):
            complete(folder / f"{name}.jsonl", block / f"{name}.manifest.json", lines)


def complete(file: Path, manifest: Path, lines: int) -> None:
    """Give a longer file a manifest like that of the block's: `merge` and `report` read complete files only."""
    made = json.loads(manifest.read_text(encoding="utf-8"))
    made["counts"] = {key: value * lines // BLOCK for key, value in made["counts"].items()}
    made["input"]["lines"] = lines
    with open(file, "rb") as content:
        made["output"]["sha256"] = hashlib.file_digest(content, "sha256").hexdigest()
    Path(f"{file}.manifest.json").write_text(json.dumps(made), encoding="utf-8")


def run_once(tree: Path, folder: Path, command: str) -> tuple[Used, list[str]]:
    """One run of a command, and the hashes of what it wrote besides manifests."""
    inputs, options = COMMANDS[command]
    used = sipf(tree, folder, command, *inputs, *options, "-o", "out.jsonl")
    hashes = []
    for file in sorted(folder.glob("out.jsonl*")):
        if not file.name.endswith(".manifest.json"):
            with open(file, "rb") as content:
                hashes.append(hashlib.file_digest(content, "sha256").hexdigest())
        file.unlink()
    return used, hashes


def size_of(folder: Path, command: str) -> tuple[int, int]:
    """Lines and bytes that a command reads."""
    places = [folder / name for name in COMMANDS[command][0]]
    files = [file for place in places for file in (place.rglob("*.jsonl") if place.is_dir() else [place])]
    lines = 0
    for file in files:
        with open(file, "rb") as content:
            lines += sum(1 for _ in content)
    return lines, sum(file.stat().st_size for file in files)


def measure(trees: dict[str, Path], folder: Path, command: str, repeats: int) -> list[str]:
    """The cells of a command's row."""
    runs: dict[str, list[Used]] = {name: [] for name in trees}
    hashes: dict[str, list[str]] = {}
    for _ in range(repeats):
        for name, tree in trees.items():
            used, hashes[name] = run_once(tree, folder, command)
            runs[name].append(used)
    lines, size = size_of(folder, command)
    cells = [f"`{command}`", f"{size / lines / 1000:.1f}"]
    medians = [Used(*map(statistics.median, zip(*found, strict=True))) for found in runs.values()]
    for used in medians:
        cells += [f"{lines / used.seconds:,.0f}", f"{used.peak:.0f}", f"{used.cpu:.1f}"]
    if len(medians) == 2:
        now, before = medians
        cells += [f"{before.seconds / now.seconds:.2f}", f"{before.cpu / now.cpu:.2f}"]
        cells.append("the same" if hashes["now"] == hashes["before"] else "DIFFER")
    return cells


def main() -> None:
    """Make the inputs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--before", type=Path, help="another tree of this project, measured in turns with this one")
    parser.add_argument("--folder", type=Path, help="where the files go; they are kept, and used again")
    given = parser.parse_args()
    trees = {"now": ROOT, **({"before": given.before.resolve()} if given.before else {})}
    head = ["command", "KB/line", *(f"{name}: {what}" for name in trees for what in ("lines/s", "peak MiB", "CPU s"))]
    head += ["times as fast", "by CPU", "bytes"] if given.before else []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(given.folder or temporary) / str(given.lines)
        if not folder.exists():
            make_inputs(folder, given.lines)
        print(f"{given.lines:,} lines, medians of {given.repeats}\n", flush=True)
        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
        for command in given.only:
            print(f"| {' | '.join(measure(trees, folder, command, given.repeats))} |", flush=True)


if __name__ == "__main__":
    main()
