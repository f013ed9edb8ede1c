"""`simulate --strategy exact` against `brute`, on the same sampled paths of the embedded world.

    python benchmarks/exact.py [--model chain-base] [--problems 60] [--paths 8] [--k 8] [--repeats 3] [--cpu-time]

Prints how many hard labels agree (all must), and the completions, tokens and wall-clock of `exact` as shares of brute
force over unique prefixes and over every prefix, next to what each prefix's success rate p predicts:
(1 - (1 - p)^K) / p draws. On a shared machine, `--cpu-time` and OMP_NUM_THREADS=1 leave out the time of other
processes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

from policy import one_line_a_path, open_policy, sampled, simulated

from evals.records import Problem
from evals.tasks import task_of
from stages.settings.simulate import SimulateSettings
from stages.strategies.prefixes import prefixes


def main() -> None:
    """Run all sides and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="chain-base")
    parser.add_argument("--problems", type=int, default=60)
    parser.add_argument("--paths", type=int, default=8)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cpu-time", action="store_true", help="seconds of this process's CPU time, not of the clock")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    engine = open_policy(arguments.model)
    lines = sampled(engine, arguments.problems, arguments.paths)
    side = {name: SimulateSettings(strategy=name, k=arguments.k, gold=False) for name in ("exact", "brute")}
    seconds: dict[str, list[float]] = {"exact": [], "brute": [], "brute, every prefix": []}
    for _ in range(arguments.repeats):
        exact, spent, took = simulated(engine, lines, side["exact"], clock)
        seconds["exact"].append(took)
        brute, full, took = simulated(engine, lines, side["brute"], clock)
        seconds["brute"].append(took)
        _, every, took = simulated(engine, one_line_a_path(lines), side["brute"], clock)
        seconds["brute, every prefix"].append(took)
    mine = [label.hard for line in exact for path in line.paths for label in path.labels or []]
    theirs = [label.hard for line in brute for path in line.paths for label in path.labels or []]
    right = sum(path.correct is True for line in lines for path in line.paths)
    total = sum(len(line.paths) for line in lines)
    unique = sum(len(prefixes(task_of(line), line.paths).places) for line in lines)
    print(
        f"{total} paths ({100 * right / total:.0f} % right), {len(mine)} steps, {unique} unique prefixes, "
        f"K = {arguments.k}"
    )
    same = sum(a == b for a, b in zip(mine, theirs, strict=True))
    print(f"hard labels that agree: {same} of {len(mine)} ({100 * same / len(mine):.2f} %)")
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    predicted = _predicted(brute, arguments.k)
    for name, other in (("unique prefixes", full), ("every prefix", every)):
        took = middle["exact"] / middle["brute" if name == "unique prefixes" else "brute, every prefix"]
        completions = spent.counts["rollouts"] / other.counts["rollouts"]
        tokens = spent.counts["rollout tokens"] / other.counts["rollout tokens"]
        bound = predicted / other.counts["rollouts"]
        print(f"against brute over {name}: completions {completions:.3f} (predicted from p {bound:.3f}), "
              f"tokens {tokens:.3f}, {'CPU time' if arguments.cpu_time else 'wall-clock'} {took:.3f}")  # fmt: skip
    print("seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in middle.items()))


def _predicted(brute: Sequence[Problem], k: int) -> float:
    """Draws that `exact` is expected to make, from each unique prefix's share of hits."""
    rates = {}
    for line in brute:
        for text, places in prefixes(task_of(line), line.paths).places.items():
            path, step = places[0]
            labels = line.paths[path].labels or []
            rates[line.id, text] = labels[step].hits / k
    return sum(k if p == 0 else (1 - (1 - p) ** k) / p for p in rates.values())


if __name__ == "__main__":
    main()
