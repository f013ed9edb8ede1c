"""A long file through `sipf sample` with the scripted engine: lines per second, and memory against a short file's.

    python benchmarks/sample.py [--lines 1000000] [--short 10000] [-n 2]

Runs the command itself, first on the short file, then on the long one, and prints the ratio of their peak memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def write(path: Path, lines: int) -> None:
    """A file of small problems, all different."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(lines):
            a, b = i % 90 + 5, i // 90 % 80 + 3
            problem = {
                "id": f"long/{i}",
                "task": "chain",
                "question": f"Mia has {a} pens. She buys {b} more. How many pens does Mia have?",
                "answer": str(a + b),
                "solution": [f"{a}+{b}={a + b}"],
            }
            file.write(json.dumps(problem) + "\n")


def run(source: Path, draws: int) -> tuple[float, float]:
    """Seconds and peak MiB of `sipf sample` on a file."""
    output = source.with_suffix(".out.jsonl")
    command = [sys.executable, "-m", "sipf_cli", "sample", str(source), "--engine", "scripted", "--script", "gold:0.5"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "-n", str(draws), "-o", str(output), "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = _wait(process.pid)
    if status:
        raise SystemExit(f"sipf sample ended with {status}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def _wait(pid: int) -> tuple[int, int, resource.struct_rusage]:
    import os

    return os.wait4(pid, 0)


def main() -> None:
    """Run both files and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--short", type=int, default=10_000)
    parser.add_argument("-n", type=int, default=2, help="draws a line")
    arguments = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for lines in (arguments.short, arguments.lines):
            source = Path(folder) / f"{lines}.jsonl"
            write(source, lines)
            seconds, peak = run(source, arguments.n)
            peaks.append(peak)
            rate = lines / seconds
            print(f"{lines:9,} lines: {seconds:7.1f} s, {rate:7,.0f} lines/s, peak {peak:6.1f} MiB", flush=True)
    print(f"peak memory, long / short: {peaks[1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
