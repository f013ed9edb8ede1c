"""CPU seconds of `sipf sample` from its start to one short answer of the embedded base, and what of it is imports.

    python benchmarks/startup.py --runs 7

Beside it: the bare import of torch and of a model class of transformers, which no command that runs a model can do
without, and the same command with Python's own threshold of the garbage collector. The alternatives run in turn, each
in a new process; medians of CPU time, so that other processes count for little.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

IMPORTS = "import torch; from transformers import LlamaForCausalLM, PreTrainedTokenizerFast"
RUN = "import gc, sys; {before}; sys.argv = ['sipf', *sys.argv[1:]]; from sipf_cli.main import main; main()"
NO_THRESHOLD = "gc.set_threshold = lambda *_: None"


def cpu_seconds(code: str, *arguments: str) -> float:
    """User and system seconds of one run in a new process and all its children."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        problems, paths = str(Path(name) / "problems.jsonl"), str(Path(name) / "paths.jsonl")
        ours, plain = RUN.format(before="pass"), RUN.format(before=NO_THRESHOLD)
        cpu_seconds(ours, "data", "chain", "--split", "train", "-n", "1", "-o", problems)
        draw = ("sample", problems, "--model", "chain-base", "-n", "1", "--device", "cpu", "--overwrite", "-o", paths)
        sides = {
            "bare import of torch and transformers": lambda: cpu_seconds(IMPORTS),
            "sipf sample, one answer": lambda: cpu_seconds(ours, *draw),
            "the same with Python's garbage collector as it is": lambda: cpu_seconds(plain, *draw),
        }
        for side in sides.values():
            side()  # the first runs write the byte code
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(runs):
            for side, measured in sides.items():
                seconds[side].append(measured())
    medians = {side: median(values) for side, values in seconds.items()}
    bare = next(iter(medians.values()))
    for side, value in medians.items():
        print(f"{side}: {value:.2f} s, {value / bare:.2f} times the bare import")


if __name__ == "__main__":
    main()
