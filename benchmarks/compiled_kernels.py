"""Training in bfloat16 on a CPU with few compiled kernels kept, as `sipf` has it, against as many as oneDNN keeps.

    python benchmarks/compiled_kernels.py [--problems 2000] [--repeats 3]

Both sides fine-tune the same model on the same problems of the embedded world for one epoch. They take turns, and each
run is its own process. Prints the median peak memory and median CPU seconds of each side, and their ratios. The batches
differ in length, as in any run. A CPU without bfloat16 arithmetic trains in float32, and then the sides do not differ.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from stages.training.trainer import KERNEL_CACHES

SIDES = {"few kept": {}, "as many as oneDNN keeps": dict.fromkeys(KERNEL_CACHES, "1024")}


def sipf(folder: Path, line: str, environment: dict[str, str]) -> tuple[float, float]:
    """Peak of resident memory in MiB and CPU seconds of a command."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sipf_cli", *line.split()], cwd=folder, env=os.environ | environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"sipf {line} ended with {process.returncode}")
    return used.ru_maxrss / 1024, used.ru_utime + used.ru_stime


def main() -> None:
    """Run both sides in turn and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sipf(folder, f"data chain --split train -n {options.problems} --seed 1 -o train.jsonl", {})
        for repeat in range(options.repeats):
            for number, (side, environment) in enumerate(SIDES.items()):
                line = f"sft train.jsonl --model chain-base --epochs 1 --batch 16 --lr 5e-5 -o m{repeat}-{number}"
                found[side].append(sipf(folder, line, environment))
    medians = {side: [statistics.median(values) for values in zip(*runs, strict=True)] for side, runs in found.items()}
    for side, (memory, seconds) in medians.items():
        print(f"{side:25} {memory:8.0f} MiB {seconds:8.1f} CPU s")
    few, many = medians.values()
    print(f"{'ratio':25} {few[0] / many[0]:8.2f}     {few[1] / many[1]:8.2f}")


if __name__ == "__main__":
    main()
