"""Every stage in this tree and in an earlier checkout: CPU seconds of the same commands on the same files, in turn.

    git worktree add /tmp/before COMMIT
    OMP_NUM_THREADS=1 python benchmarks/before.py /tmp/before [--repeats 3] [--scale 1.0] [--only pairs relabel]

Prints a markdown table of medians and ratios. Each run is the whole command: its start-up, which the first row shows
alone, is in the figures of both sides. Files and models are made once, by this tree.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POLICY = "-m chain-base --device cpu --dtype float32"
TRAIN = "--device cpu --dtype float32 --batch 16 --epochs 1 --lr 5e-5"


def sipf(tree: Path, folder: Path, line: str) -> float:
    """CPU seconds of a command, run with the code of a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "sipf_cli", *line.split()], cwd=folder, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{tree}: sipf {line}\n{said.decode()[-2000:]}")
    return used.ru_utime + used.ru_stime


def make_files(folder: Path, scale: float) -> None:
    """What the commands read: sampled and labelled paths, pairs, a reward model, and long files by a script."""
    few, many = max(20, round(200 * scale)), max(100, round(4000 * scale))
    scripted = "--engine scripted --script gold:0.4"
    for line in (
        "data chain --split validation -n 1 --seed 1 -o one.jsonl",
        f"data chain --split train -n {few} --seed 1 -o few.jsonl",
        f"data chain --split train -n {5 * few} --seed 2 -o sft.jsonl",
        f"data chain --split train -n {many} --seed 3 -o many.jsonl",
        f"sample few.jsonl {POLICY} -n 8 -o paths.jsonl",
        f"simulate paths.jsonl {POLICY} --k 4 -o labels.jsonl",
        f"train-prm labels.jsonl {POLICY} --epochs 1 -o prm",
        "pairs labels.jsonl --rule outcome -o chosen.jsonl",
        f"sample many.jsonl {scripted} -n 4 -o long.jsonl",
        f"simulate long.jsonl {scripted} --k 4 -o labelled.jsonl",
        f"sample many.jsonl {scripted} -n 4 --shard 0/2 -o half0.jsonl",
        f"sample many.jsonl {scripted} -n 4 --shard 1/2 -o half1.jsonl",
    ):
        sipf(ROOT, folder, line)


def commands() -> dict[str, str]:
    """The stages; each writes OUT."""
    return {
        "start-up (`sample` of one problem)": f"sample one.jsonl {POLICY} -n 1 -o OUT.jsonl",
        "`sample`": f"sample few.jsonl {POLICY} -n 8 -o OUT.jsonl",
        "`simulate --strategy exact`": f"simulate paths.jsonl {POLICY} --strategy exact --k 8 -o OUT.jsonl",
        "`simulate --strategy first-error`": f"simulate paths.jsonl {POLICY} --strategy first-error --k 8 -o OUT.jsonl",
        "`eval`": f"eval sft.jsonl {POLICY} -o OUT.jsonl",
        "`score`": "score paths.jsonl -m prm --device cpu --dtype float32 -o OUT.jsonl",
        "`sft`": f"sft sft.jsonl -m chain-base {TRAIN} -o OUT",
        "`train-prm`": f"train-prm labels.jsonl -m chain-base {TRAIN} -o OUT",
        "`orpo`": f"orpo chosen.jsonl -m chain-base {TRAIN} -o OUT",
        "`sample`, scripted": "sample many.jsonl --engine scripted --script gold:0.4 -n 4 -o OUT.jsonl",
        "`pairs`": "pairs labelled.jsonl --rule consistent --by labels -o OUT.jsonl",
        "`relabel`": "relabel labelled.jsonl --k 2 -o OUT.jsonl",
        "`merge`": "merge half0.jsonl half1.jsonl -o OUT.jsonl",
    }


def main() -> None:
    """Make the files, run every command on both sides in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = commands()
    parser.add_argument("before", type=Path, help="a checkout of the earlier commit")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the files")
    parser.add_argument("--only", nargs="*", metavar="WORD", help="the rows in whose names one of these stands")
    given = parser.parse_args()
    chosen = {name: line for name, line in every.items() if not given.only or any(w in name for w in given.only)}
    trees = {"before": given.before.resolve(), "now": ROOT}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder, given.scale)
        print("| stage | before, CPU s | now | before / now |\n|---|---|---|---|", flush=True)
        for number, (stage, line) in enumerate(chosen.items()):
            found: dict[str, list[float]] = {side: [] for side in trees}
            for repeat in range(given.repeats):
                for side, tree in trees.items():
                    found[side].append(sipf(tree, folder, line.replace("OUT", f"{side}{number}.{repeat}")))
            before, now = (statistics.median(found[side]) for side in trees)
            print(f"| {stage} | {before:.1f} | {now:.1f} | {before / now:.2f} |", flush=True)


if __name__ == "__main__":
    main()
