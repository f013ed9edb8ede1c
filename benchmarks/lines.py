"""How fast lines go through a run whose work costs nothing, and how memory grows with the file.

    python benchmarks/lines.py                  # 10,000 and 1,000,000 lines, each in its own process

Prints lines per second, peak resident memory of each, and the ratio of the two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evals.records import Problem
from stages.counts import Tally
from stages.files.interrupts import StopFlag
from stages.runs.record import LineRun
from stages.runs.runner import run_lines
from stages.runs.scheduler import Quiet


async def work(problem: Problem, tally: Tally) -> Sequence[Problem]:
    """The least a stage does: count something and return the problem."""
    tally.count("tokens", 7)
    return [problem]


def once(lines: int, folder: str) -> None:
    """One run; prints its figures as JSON."""
    source, output = f"{folder}/{lines}.jsonl", f"{folder}/{lines}.out.jsonl"
    with open(source, "w", encoding="utf-8") as file:
        for i in range(lines):
            question = f"Kim has {i % 97} marbles and finds {i % 89} more. How many are there now?"
            row = {"id": f"chain/train/{i}", "task": "chain", "question": question, "answer": str(i % 97 + i % 89)}
            file.write(json.dumps(row) + "\n")
    begun = time.perf_counter()
    summary = asyncio.run(run_lines(LineRun("bench", source, output, {}, {}), work, reporter=Quiet(), flag=StopFlag()))
    seconds = time.perf_counter() - begun
    assert summary.complete
    assert summary.done == lines
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"lines": lines, "seconds": seconds, "lines/s": lines / seconds, "peak MiB": peak}))


def main() -> None:
    """Compare a small and a large file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        once(arguments.once, arguments.folder)
        return
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for lines in (arguments.small, arguments.large):
            command = [sys.executable, __file__, "--once", str(lines), "--folder", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures.append(json.loads(done.stdout))
            print("{lines:>9,} lines: {lines/s:>8,.0f} lines/s, peak {peak MiB:6.1f} MiB".format(**figures[-1]))
    print(f"peak memory, large over small: {figures[1]['peak MiB'] / figures[0]['peak MiB']:.3f}")


if __name__ == "__main__":
    main()
