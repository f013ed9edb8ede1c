"""The page of `sipf report -o` for runs of growing size: bytes, seconds and peak memory.

    python benchmarks/report.py [--problems 1000 --problems 10000 --problems 100000]

Each run is synthetic: four policies evaluated on all problems, and one round whose scored lines have four paths of four
labelled, scored steps each. It is written to a temporary folder and read by the command as anybody would run it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

POLICIES = ("base", "sft", "round1", "round2")
PATHS = STEPS = 4


def save(file: Path, rows: Iterator[dict[str, Any]], **manifest: Any) -> None:
    """A complete file of lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = 0
    with open(file, "w", encoding="utf-8") as sink:
        for row in rows:
            sink.write(json.dumps(row) + "\n")
            lines += 1
    made = {"complete": True, "output": {"lines": lines}, "counts": {"problems": lines}, **manifest}
    Path(f"{file}.manifest.json").write_text(json.dumps(made))


def problem(number: int) -> dict[str, Any]:
    question = (
        f"Eva has {number} beads. She loses 3, gets 5 from Max, who is 2 years old, and doubles what she has then."
    )
    world = {"start": number, "operations": [["-", 3, 1], ["+", 5, 1]], "states": [number - 3, number + 2]}
    return {
        "id": f"chain/test/{number}",
        "task": "chain",
        "question": question,
        "answer": str(number + 2),
        "world": world,
    }


def answers(problems: int, rate: float, rng: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(problems):
        right = rng.random() < rate
        steps = [f"{number}-3={number - 3}", f"{number - 3}+5={number + 2 if right else number}"]
        path = {"id": "0", "source": "eval", "text": "\n".join(steps), "steps": steps, "answer": "1", "correct": right}
        yield problem(number) | {"split": "ood" if number % 3 == 0 else "test", "paths": [path]}


def scored(problems: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(problems):
        paths = []
        for n in range(PATHS):
            bad = rng.randrange(STEPS + 2)
            steps = [min(1.0, max(0.0, rng.gauss(0.75 if j < bad else 0.35, 0.2))) for j in range(STEPS)]
            labels = [
                {"k": 8, "delta": 0, "draws": 8 if j >= bad else 2, "hits": int(j < bad), "settled": True, "rollouts": [
                    {"answer": "12", "correct": False, "seed": rng.getrandbits(60), "tokens": 17} for _ in range(2)
                ]}
                for j in range(STEPS)
            ]  # fmt: skip
            mean = sum(steps) / STEPS
            values = {"steps": steps, "mean": mean, "min": min(steps), "product": 0.1, "last": steps[-1]}
            paths.append(
                {"id": f"{number}#{n}", "source": "sample", "text": "12+3=15\n" * STEPS, "steps": ["12+3=15"] * STEPS,
                 "answer": str(rng.randrange(3)), "correct": bad >= STEPS, "labels": labels, "scores": {"prm0": values}}
            )  # fmt: skip
        yield problem(number) | {"paths": paths}


def write_run(folder: Path, problems: int) -> int:
    """A run's folder; its bytes."""
    rng = random.Random(0)
    for hour, name in enumerate(POLICIES):
        file = folder / "eval" / f"{name}.jsonl"
        save(file, answers(problems, 0.3 + hour / 20, rng), stage="eval", finished=f"2026-01-01T{hour:02}:00:00")
    counts = {"problems": problems, "paths scored": problems * PATHS}
    save(folder / "r0" / "scored.jsonl", scored(problems, rng), stage="score", options={"name": "prm0"}, counts=counts)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(folder: Path, out: Path) -> tuple[float, float, int]:
    """Wall-clock and CPU seconds, and peak memory in bytes, of the command."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sipf_cli", "report", str(folder), "-o", str(out)], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"sipf report ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, action="append", help="Problems of a run; may be given again.")
    print(f"{'problems':>9} {'run, MB':>9} {'page, KB':>9} {'seconds':>8} {'CPU s':>7} {'peak, MB':>9}")
    for problems in parser.parse_args().problems or (1_000, 10_000, 100_000):
        with tempfile.TemporaryDirectory() as place:
            folder, out = Path(place) / "run", Path(place) / "report.html"
            size = write_run(folder, problems)
            seconds, cpu, peak = measure(folder, out)
            kilobytes = out.stat().st_size / 1e3
            print(f"{problems:9,} {size / 1e6:9,.1f} {kilobytes:9,.0f} {seconds:8.1f} {cpu:7.1f} {peak / 1e6:9,.0f}")


if __name__ == "__main__":
    main()
