"""What `--dry-run --calibrate` says beforehand, against what the stages then take: a small loop on the embedded world.

    python benchmarks/calibration.py [--problems 600] [--calibrate 16] [--out runs/calibration] [--only sft sample]

Each stage is a process three times: as a dry run, as a dry run with a calibration, and in earnest. Prints estimate over
actual for tokens (of a training stage: updates), seconds, CPU seconds and peak of resident memory; and the seconds of
the calibration itself. Actual tokens and seconds are those of the manifest, memory and CPU time those that the system
has counted; what a dry run alone takes of CPU time (mostly imports) is taken off, since no estimate has it. The figures
are also written to OUT/calibration.jsonl. A stage whose output is there already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LEARN = ("--batch", "16", "--group-by-length")
SAMPLED = ("--model", "m0", "-n", "4")


def stages() -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Name, command and output of each stage, in their order."""
    yield "sft", ("sft", "train.jsonl", "--model", "chain-base", "--epochs", "2", "--lr", "5e-5", *LEARN), "m0"
    yield "sample", ("sample", "questions.jsonl", *SAMPLED), "paths.jsonl"
    for strategy in ("exact", "first-error"):
        line = ("simulate", "paths.jsonl", "--model", "m0", "--k", "8", "--share", "0.3", "--strategy", strategy)
        yield f"simulate, {strategy}", line, f"{strategy}.jsonl"
    yield "train-prm", ("train-prm", "exact.jsonl", "--model", "chain-base", "--epochs", "2", *LEARN), "prm"
    yield "score", ("score", "paths.jsonl", "--model", "prm"), "scored.jsonl"
    yield "eval-prm", ("eval-prm", "paths.jsonl", "--model", "prm"), "measured.jsonl"
    for method in ("orpo", "dpo"):
        yield method, (method, "pairs.jsonl", "--model", "m0", "--epochs", "1", "--lr", "2e-5", *LEARN), method
    yield "eval", ("eval", "test.jsonl", "--model", "m0"), "eval.jsonl"


def sipf(folder: Path, *arguments: str) -> tuple[str, float, Any]:
    """Run a command: what it prints on stdout, its seconds, and what the system has counted of it."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sipf_cli", *arguments], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"sipf {' '.join(arguments)} ended with {process.returncode}")
    return printed, time.perf_counter() - began, used


def make_inputs(folder: Path, problems: int) -> None:
    """The problems of the loop."""
    for name, split, count, seed in (
        ("train", "train", problems // 4, 1),
        ("questions", "train", problems, 2),
        ("test", "test", problems, 3),
    ):
        if not (folder / f"{name}.jsonl.manifest.json").exists():
            sipf(
                folder, "data", "chain", "--split", split, "-n", str(count), "--seed", str(seed), "-o", f"{name}.jsonl"
            )


def measured(folder: Path, name: str, line: tuple[str, ...], output: str, calibrate: int) -> dict[str, Any]:
    """Estimate and actual figures of one stage, its output made."""
    _, _, dry = sipf(folder, *line, "-o", output, "--dry-run", "--json")
    told, took, _ = sipf(folder, *line, "-o", output, "--dry-run", "--calibrate", str(calibrate), "--json")
    estimate = json.loads(told)["estimate"]
    _, _, used = sipf(folder, *line, "-o", output)
    beside = folder / f"{output}.manifest.json"
    made = json.loads((beside if beside.exists() else folder / output / "manifest.json").read_text())
    if "usage" in made:
        tokens = estimate["usage"]["tokens"]["estimate"], made["usage"]["tokens"]
    else:
        tokens = estimate["counts"]["updates"]["estimate"], made["result"]["steps"]
    cpu = sum(used[:2]) - sum(dry[:2])
    return {
        "stage": name,
        "tokens": tokens,
        "seconds": (estimate["seconds"]["estimate"], made["seconds"]),
        "CPU seconds": (estimate["CPU seconds"]["estimate"], cpu),
        "memory": (estimate["peak memory"]["resident"], used.ru_maxrss << 10),
        "from": next(estimate[key] for key in ("from problems", "from updates") if key in estimate),
        "of": next(estimate[key] for key in ("of problems", "of updates") if key in estimate),
        "calibration": took,
    }


def main() -> int:
    """Run the stages and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=600)
    parser.add_argument("--calibrate", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("runs/calibration"))
    parser.add_argument("--only", nargs="*", default=None, help="stages to do; those before them must be there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    make_inputs(options.out, options.problems)
    figures = ("tokens", "seconds", "CPU seconds", "memory")
    print(f"{'estimate / actual':20} {'':>12} " + " ".join(f"{name:>12}" for name in figures) + "   actual seconds")
    for name, line, output in stages():
        if (options.only is not None and name not in options.only) or (options.out / output).exists():
            continue
        if "pairs.jsonl" in line and not (options.out / "pairs.jsonl").exists():
            sipf(
                options.out, "pairs", "exact.jsonl", "--rule", "outcome", "--max-per-problem", "3", "-o", "pairs.jsonl"
            )
        row = measured(options.out, name, line, output, options.calibrate)
        ratios = " ".join(f"{row[key][0] / row[key][1]:12.2f}" for key in figures)
        print(f"{name:20} {row['from']:>5}/{row['of']:<6} {ratios}   {row['seconds'][1]:.0f}", flush=True)
        with (options.out / "calibration.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
