"""Decoding on all cores, alone and beside another busy process: libgomp's own waiting against that of `sipf`.

    python benchmarks/beside_others.py [--problems 300] [--repeats 3]

`sipf sample` with the embedded base, as a command; the other process does nothing but count. With libgomp's own waiting
(GOMP_SPINCOUNT=300000 is its default where there are no more threads than cores) a thread that waits for another keeps
its core busy for milliseconds. All four alternatives run in turn. Prints medians of tokens per second, and ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OWN = {"GOMP_SPINCOUNT": "300000"}
SIPF = [sys.executable, "-m", "sipf_cli"]


def tokens_per_second(problems: str, folder: str, environment: dict[str, str], *, beside: bool) -> float:
    """One run of `sample`; `beside` another process that needs a core."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [*SIPF, "sample", problems, "-m", "chain-base", "-n", "4", "--device", "cpu", "--dtype", "float32"]
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if beside else None
    try:
        done = subprocess.run(
            [*command, "-o", f"{folder}/paths.jsonl", "--overwrite", "--json"],
            env=inherited | environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
    finally:
        if other is not None:
            other.kill()
            other.wait()
    summary = json.loads(done.stdout)
    return float(summary["counts"]["tokens"]) / float(summary["seconds"])


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    rates: dict[tuple[str, bool], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        problems = str(Path(folder) / "problems.jsonl")
        made = [*SIPF, "data", "chain", "--split", "train", "-n", str(arguments.problems), "-o", problems]
        subprocess.run(made, check=True, capture_output=True)
        for _ in range(arguments.repeats):
            for beside in (False, True):
                for name, environment in (("libgomp's own", OWN), ("sipf's", {})):
                    rate = tokens_per_second(problems, folder, environment, beside=beside)
                    rates.setdefault((name, beside), []).append(rate)
    for beside, where in ((False, "alone"), (True, "beside a busy process")):
        own, ours = (statistics.median(rates[name, beside]) for name in ("libgomp's own", "sipf's"))
        print(f"{where}: libgomp's own waiting {own:,.0f}, sipf's {ours:,.0f} tokens/s: {ours / own:.2f} times")


if __name__ == "__main__":
    main()
