"""How a stage's rate grows with its replicas, what they cost, how long they take to start, and the driver's memory.

    python benchmarks/replicas.py                        # --workers and --ray local, 1, 2, 4 and 8 of them
    python benchmarks/replicas.py --kinds workers --counts 1 2

The scripted engine takes 50 ms per answer and 8 answers at a time, as an engine on a GPU takes time and no CPU of this
machine: 40 problems per second and replica, with 4 draws each. The rate is that after the first line; its time is the
start-up. Without a delay the work is all CPU, so the ratio of one process to one worker is what handing over costs.
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

import psutil

SCRIPT = ("--engine", "scripted", "--script", "gold:0.4", "-n", "4")
DELAY = ("--script-delay", "50", "--batch-rows", "8")
IDEAL = 8 / 0.050 / 4
"""Problems per second of one replica."""
KINDS = {"workers": lambda n: ["--workers", str(n)], "ray": lambda n: ["--ray", "local", "--replicas", str(n)]}


def sipf(*arguments: object) -> list[str]:
    """The command line of this tree's program."""
    return [sys.executable, "-m", "sipf_cli", *map(str, arguments)]


def measured(source: Path, *options: str) -> dict[str, float]:
    """One run: seconds until the first line and in all, problems per second after it, the driver's peak MiB."""
    output = source.with_suffix(".out")
    part = Path(f"{output}.part")
    begun = time.perf_counter()
    process = subprocess.Popen(
        sipf("sample", source, *SCRIPT, *options, "-o", output, "--overwrite", "--json"), stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    first, peak, before = 0.0, 0.0, 0
    while process.poll() is None:
        if not first and part.exists() and (before := finished(part)):
            first = time.perf_counter()
        peak = max(peak, resident(process.pid))
        time.sleep(0.02)
    ended = time.perf_counter()
    assert process.returncode == 0, "the run failed"
    assert process.stdout is not None
    said = json.loads(process.stdout.read())
    assert not said["failed"]
    rate = (said["problems"] - before) / (ended - first) if first else 0.0
    return {"start": first - begun, "seconds": ended - begun, "rate": rate, "peak MiB": peak}


def finished(part: Path) -> int:
    """Problems in the journal."""
    return sum(line[:1].isdigit() for line in part.read_bytes().splitlines())


def resident(pid: int) -> float:
    """The process's memory in MiB; 0 once it has ended."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=15.0, help="about how long each run takes")
    parser.add_argument("--lines", type=int, nargs=2, default=[2_000, 20_000], help="files that the memory is shown of")
    options = parser.parse_args()
    root = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            alone = measured(problems(folder, int(IDEAL * options.seconds)), *DELAY)
            print(f"{kind:8} one process: {told(alone)}", flush=True)
            for count in options.counts:
                found = measured(
                    problems(folder, int(IDEAL * options.seconds * count)), *DELAY, *KINDS[kind](count)
                )  # fmt: skip
                print(
                    f"{kind:8} {count} replicas: {told(found)}, {found['rate'] / alone['rate']:.2f} times one process",
                    flush=True,
                )
        for kind in options.kinds:
            small, large = (problems(folder, lines) for lines in options.lines)
            alone, one = measured(large), measured(large, *KINDS[kind](1))
            ratio = f"one replica {one['rate']:.0f}, {one['rate'] / alone['rate']:.2f} times"
            print(f"{kind:8} without a delay: one process {alone['rate']:.0f} problems/s, {ratio}", flush=True)
            for lines, source in zip(options.lines, (small, large), strict=True):
                peak = measured(source, *KINDS[kind](2))["peak MiB"]
                print(f"{kind:8} 2 replicas, {lines:,} lines: the driver's memory is {peak:.0f} MiB", flush=True)


def problems(folder: str, lines: int) -> Path:
    """A file of so many problems."""
    source = Path(folder) / f"{lines}.jsonl"
    if not source.exists():
        line = sipf("data", "chain", "--split", "train", "-n", lines, "-o", source)
        subprocess.run(line, check=True, capture_output=True)
    return source


def told(found: dict[str, float]) -> str:
    """One run in a line."""
    return (
        f"{found['rate']:6.1f} problems/s, first line after {found['start']:4.1f} s, driver {found['peak MiB']:.0f} MiB"
    )


if __name__ == "__main__":
    main()
