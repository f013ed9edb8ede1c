"""What a number of rollouts is best spent on: many problems or few, all paths or the right ones, K, delta, label kind.

    python benchmarks/label_budget.py OUT [--rollouts 6000] [--questions 3200] [--seed 7] [--kinds NAME ...]

Every kind of labels spends the same rollouts of M0 on the same sampled paths, as many problems as these pay for. A
reward model learns from each, and is measured on paths of validation problems against the world's own truth: AUC over
steps, right above wrong paths of a question by their mean, and sound above unsound right ones by their lowest step.
Then it chooses the pairs of one round, equally many for each kind, by the settings of examples/demo.toml, and the
policy that learns from them answers 1,000 other validation problems. No test problem is looked at. The script runs the
stages of `sipf`, so it resumes. Prints a markdown table, row by row.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from world import Quality, quality

from evals.metrics import wilson
from stages.files.problems import all_problems

CONFIG = Path(__file__).resolve().parent.parent / "examples" / "demo.toml"
FIRST = 100
"""Problems that tell how many the rollouts pay for."""
RIGHT = ("--only-right",)
KINDS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "exact, all paths": ((), ()),
    "first-error, all paths": (("--strategy", "first-error"), ()),
    "binary, all paths": (("--strategy", "binary"), ()),
    "exact": (RIGHT, ()),
    "first-error": ((*RIGHT, "--strategy", "first-error"), ()),
    "exact, K = 2": ((*RIGHT, "--k", "2"), ()),
    "exact, K = 32": ((*RIGHT, "--k", "32"), ()),
    "exact, delta 1": ((*RIGHT, "--delta", "1"), ()),
    "brute, hard": ((*RIGHT, "--strategy", "brute"), ()),
    "brute, soft": ((*RIGHT, "--strategy", "brute"), ("--labels", "soft")),
    "brute, threshold:0.5": ((*RIGHT, "--strategy", "brute"), ("--labels", "threshold:0.5")),
    "brute, progress:0.8": ((*RIGHT, "--strategy", "brute"), ("--labels", "progress:0.8")),
}
"""How `simulate` labels, and how `train-prm` reads the labels. Those without "all paths" label right paths alone."""


def sipf(*words: object) -> None:
    """One stage; what is complete is not made again."""
    line = [sys.executable, "-m", "sipf_cli", "--config", str(CONFIG), *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stderr[-2000:]}")


def head(source: Path, first: int, last: int, output: Path) -> Path:
    """Lines `first` to `last` of a file, as another."""
    with source.open(encoding="utf-8") as lines:
        output.write_text("".join(islice(lines, first, last)), encoding="utf-8")
    return output


def cost(file: Path) -> tuple[int, int]:
    """The rollouts of a labelled file and their tokens, as its manifest says."""
    counts = json.loads(Path(f"{file}.manifest.json").read_text(encoding="utf-8"))["counts"]
    return counts.get("rollouts", 0), counts.get("rollout tokens", 0)


def labelled(paths: Path, out: Path, options: Sequence[str], rollouts: int) -> tuple[Path, int, int, int]:
    """As many problems as the rollouts pay for, labelled: the file, problems, rollouts and tokens."""
    with paths.open(encoding="utf-8") as lines:
        whole = sum(1 for _ in lines)
    spent, parts, done, tokens = 0, list[Path](), 0, 0
    for number in range(3):  # the first problems, what they say the rest may be, and what that left over
        most = whole if not spent else done + int((rollouts - spent) / spent * done)
        end = min(whole, FIRST if number == 0 else most)
        if end - done < (1 if number == 0 else FIRST // 4):
            break
        part = head(paths, done, end, out / f"paths.{number}.jsonl")
        sipf("simulate", part, "-m", out.parent / "m0", "--share", 1, *options, "-o", out / f"labels.{number}.jsonl")
        parts.append(out / f"labels.{number}.jsonl")
        made = cost(parts[-1])
        spent, tokens, done = spent + made[0], tokens + made[1], end
    file = out / "labels.jsonl"
    file.write_text("".join(part.read_text(encoding="utf-8") for part in parts), encoding="utf-8")
    return file, done, spent, tokens


def row(name: str, base: Path, rollouts: int, most: int) -> list[str]:
    """One kind of labels: its cost, its reward model's quality, and the policy that learns by it."""
    simulate, train = KINDS[name]
    out = base / name.replace(", ", "-").replace(" = ", "").replace(" ", "-").replace(":", "")
    out.mkdir(exist_ok=True)
    labels, problems, spent, tokens = labelled(base / "paths.jsonl", out, simulate, rollouts)
    sipf("train-prm", labels, "-m", base / "m0", *train, "-o", out / "prm")
    sipf("score", base / "held.jsonl", "-m", out / "prm", "--name", "prm", "-o", out / "held.jsonl")
    found: Quality = quality(all_problems(str(out / "held.jsonl"))[0])
    sipf("score", base / "questions.jsonl", "-m", out / "prm", "--name", "prm", "-o", out / "scored.jsonl")
    choice = ("--rule", "consistent", "--by", "scores", "--name", "prm", "--pass-share", "0.8")
    sipf("pairs", out / "scored.jsonl", *choice, "--most", most, "-o", out / "pairs.jsonl")
    sipf("orpo", out / "pairs.jsonl", "-m", base / "m0", "-o", out / "m1")
    sipf("eval", base / "validation.jsonl", "-m", out / "m1", "-o", out / "eval.jsonl")
    with (out / "pairs.jsonl").open(encoding="utf-8") as lines:
        pairs = sum(1 for _ in lines)
    figures = [
        f"{math.nan if value is None else value:.3f}" for value in (found.auc, found.ranked["mean"], found.sound)
    ]
    return [name, f"{problems:,}", f"{spent:,}", f"{tokens:,}", *figures, f"{pairs:,}", accuracy(out / "eval.jsonl")]


def accuracy(file: Path) -> str:
    """`37.9 (34.9 to 41.0)`, of the first answers."""
    right = [bool(problem.paths[0].correct) for problem in all_problems(str(file))[0]]
    low, high = wilson(sum(right), len(right))
    return f"{100 * sum(right) / len(right):.1f} ({100 * low:.1f} to {100 * high:.1f})"


def main() -> None:
    """Make what the kinds share, and a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rollouts", type=int, default=6000)
    parser.add_argument("--questions", type=int, default=3200, help="that rollouts may be spent on")
    parser.add_argument("--pairs", type=int, default=830, help="the most pairs of a policy")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)
    sets = {
        "sft": ("train", 72, 100 + given.seed),
        "train": ("train", given.questions, 200 + given.seed),
        "held": ("validation", 400, given.seed),
        "validation": ("validation", 1000, 100 + given.seed),
    }
    for name, (split, n, seed) in sets.items():
        target = "validation" if name == "validation" else f"{name}.problems"
        sipf("data", "chain", "--split", split, "-n", n, "--seed", seed, "-o", out / f"{target}.jsonl")
    sipf("sft", out / "sft.problems.jsonl", "-m", "chain-base", "-o", out / "m0")
    for name, target in (("train", "paths"), ("held", "held")):
        sipf("sample", out / f"{name}.problems.jsonl", "-m", out / "m0", "-o", out / f"{target}.jsonl")
    head(out / "paths.jsonl", 0, 1600, out / "questions.jsonl")  # a round of the demo has as many
    sipf("eval", out / "validation.jsonl", "-m", out / "m0", "-o", out / "m0.jsonl")
    columns = ("labels", "problems", "rollouts", "tokens", "AUC", "right above wrong", "sound above unsound", "pairs")
    print(f"M0: {accuracy(out / 'm0.jsonl')}\n\n| {' | '.join((*columns, 'after a round (95 %)'))} |")
    print(f"|{'---|' * (len(columns) + 1)}", flush=True)
    for name in given.kinds:
        print(f"| {' | '.join(row(name, out, given.rollouts, given.pairs))} |", flush=True)


if __name__ == "__main__":
    main()
