"""Every stage over lines and every strategy, with a model: do several processes write the bytes of one, and how fast?

    python benchmarks/same_bytes.py [--problems 40]

Runs each command alone, with `--workers 2` and on two actors of a Ray cluster of two nodes, one thread per model, and
prints a markdown table of seconds. Ends with 1 if an output or a manifest's counts differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kills import ROOT, Cluster

STRATEGIES = ("exact", "brute", "first-error", "binary", "mcts", "prm-guided")
CPU = ("--device", "cpu", "--dtype", "float32")
POLICY = ("-m", "chain-base", *CPU)


def sipf(folder: Path, *words: object) -> float:
    """Seconds of one command."""
    begun = time.perf_counter()
    line = [sys.executable, "-m", "sipf_cli", *map(str, words)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(line[2:])}\n{done.stderr[-2000:]}")
    return time.perf_counter() - begun


def counts(output: Path) -> object:
    """What the manifest of an output counts."""
    return json.loads(Path(f"{output}.manifest.json").read_text(encoding="utf-8"))["counts"]


def commands() -> dict[str, tuple[object, ...]]:
    """The stages by name, in an order in which each finds its input."""
    simulate = ("--k", "4", "--temperature", "0.5:1", *POLICY)
    return {
        "sample": ("sample", "problems.jsonl", "-n", "4", *POLICY),
        "score": ("score", "paths.jsonl", "-m", "prm", *CPU, "--name", "prm"),
        "score --by likelihood": ("score", "paths.jsonl", "--by", "likelihood", *POLICY, "--name", "likely"),
        **{
            f"simulate --strategy {name}": (
                "simulate", "scored.jsonl", "--strategy", name, *simulate,
                *(("--searches", "4") if name == "mcts" else ()),
            )
            for name in STRATEGIES
        },
        "eval": ("eval", "problems.jsonl", *POLICY),
        "eval-prm": ("eval-prm", "labels.jsonl", "-m", "prm", *CPU),
    }  # fmt: skip


def prepare(folder: Path, problems: int) -> None:
    """The inputs, and a reward model."""
    sipf(folder, "data", "chain", "--split", "train", "-n", problems, "-o", "problems.jsonl")
    sipf(folder, "sample", "problems.jsonl", "-n", "4", *POLICY, "-o", "paths.jsonl")
    sipf(folder, "simulate", "paths.jsonl", "--k", "2", *POLICY, "-o", "labels.jsonl")
    sipf(folder, "train-prm", "labels.jsonl", "-m", "chain-base", "--epochs", "1", "--device", "cpu", "-o", "prm")
    sipf(folder, "score", "paths.jsonl", "-m", "prm", *CPU, "--name", "prm", "-o", "scored.jsonl")


def main() -> None:
    """Run all sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=40)
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ["OMP_NUM_THREADS"] = "1"
    differ = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, given.problems)
        cluster = Cluster()
        sides = {
            "one process": (),
            "--workers 2": ("--workers", 2),
            "--ray": ("--ray", cluster.address, "--replicas", 2),
        }
        print(f"| seconds | {' | '.join(sides)} | bytes and counts |\n|{'---|' * (len(sides) + 2)}", flush=True)
        for stage, words in commands().items():
            seconds, outputs = [], []
            for number, how in enumerate(sides.values()):
                outputs.append(folder / f"out.{number}.jsonl")
                seconds.append(sipf(folder, *words, *how, "--overwrite", "-o", outputs[-1]))
            first, *others = [(output.read_bytes(), counts(output)) for output in outputs]
            same = all(other == first for other in others)
            differ += [] if same else [stage]
            row = " | ".join(f"{value:.1f}" for value in seconds)
            print(f"| `{stage}` | {row} | {'the same' if same else 'DIFFER'} |", flush=True)
        cluster.close()
    sys.exit(f"not the same: {', '.join(differ)}" if differ else 0)


if __name__ == "__main__":
    main()
