"""What a set of commands writes, as one hash per output: run it before and after a change that must not change data.

    python -m tests.net.outputs              # the commands that need no model: scripted engine, files, programs
    python -m tests.net.outputs --models     # those on the embedded model, too: training, scoring, every engine call
    python -m tests.net.outputs --keep there # leave the files in a new folder, to compare those of two commits
    python -m tests.net.outputs --save       # write tests/net/expected.json, which test_outputs.py compares

Each command runs in a process of its own, one thread, float32. Of a model folder the logged losses are hashed (its
weights with --models as well), of a summary everything but times. Hashes of the commands on a model depend on the
processor; all others are the same everywhere, as no result of a model is in them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.net.inputs import FILES
from tests.sipf_cli.commands import PROGRAM, environment

EXPECTED = Path(__file__).with_name("expected.json")
SCRIPT = "--engine scripted --script gold:0.5"
QUOTAS = "-n 4 --want-right 2 --want-wrong 2 --keep-duplicates --keep-false-equations"
MODEL = "--model chain-base --device cpu --dtype float32"
TRAIN = "--device cpu --dtype float32 --epochs 1 --lr 5e-4 --batch 8 --logging-steps 1"

COMMANDS = f"""
data chain --split train -n 12 --seed 3 -o problems.jsonl
data chain --split ood -n 6 -o ood.jsonl.gz
data functions --split train -n 12 --seed 3 -o functions.jsonl
data functions --split ood -n 6 -o functions-ood.jsonl
data gsm8k --path train.jsonl --split train -o gsm8k.jsonl
data gsm8k --path train.jsonl --split train --annotations strip -n 4 -o gsm8k-plain.jsonl
data math --path own.jsonl -o math.jsonl
data code --path program.jsonl --steps blocks -o code.jsonl
data mbpp --path official.jsonl --split train -o mbpp.jsonl
data humaneval -n 4 -o humaneval.jsonl
data mmlu --path mmlu --split test --subjects abstract_algebra -o mmlu.jsonl
data mmlu --path mmlu --split test --subjects abstract_algebra --mode number -o mmlu-number.jsonl
data processbench --path bench.jsonl -o processbench.jsonl
data math-shepherd --path shepherd.jsonl -o shepherd-lines.jsonl
sample problems.jsonl {SCRIPT} -n 4 -o paths.jsonl
sample gsm8k.jsonl {SCRIPT} {QUOTAS} -o gsm8k-paths.jsonl
sample problems.jsonl {SCRIPT} -n 4 --round 1 --seed 1 --pool paths.jsonl -o round1.jsonl
sample mbpp.jsonl {SCRIPT} -n 3 --near-duplicate 0.05 -o mbpp-paths.jsonl
sample problems.jsonl {SCRIPT} -n 4 --shard 0/2 -o shard0.jsonl
sample problems.jsonl {SCRIPT} -n 4 --shard 1/2 -o shard1.jsonl
merge shard0.jsonl shard1.jsonl -o merged.jsonl
simulate paths.jsonl {SCRIPT} --k 4 --strategy brute --keep-text -o brute.jsonl
simulate paths.jsonl {SCRIPT} --k 4 --strategy exact --audit 1 -o exact.jsonl
simulate paths.jsonl {SCRIPT} --k 4 --strategy first-error --confidence 0.8 --trust-correct -o first-error.jsonl
simulate paths.jsonl {SCRIPT} --k 4 --strategy binary --temperature 0.4:0.8 -o binary.jsonl
simulate paths.jsonl {SCRIPT} --k 4 --strategy mcts --searches 4 -o mcts.jsonl
simulate paths.jsonl {SCRIPT} --k 4 --budget 6 --run-budget 40 --share 0.8 -o budget.jsonl
simulate mbpp-paths.jsonl {SCRIPT} --k 2 -o mbpp-labels.jsonl
simulate paths.jsonl {SCRIPT} --k 4 --strategy first-error --root --keep-forks 2 -o forks.jsonl
simulate mbpp-paths.jsonl {SCRIPT} --k 2 --root --keep-forks 1 -o mbpp-forks.jsonl
relabel brute.jsonl --k 3 --delta 1 -o relabel.jsonl
relabel brute.jsonl --want soft -o soft.jsonl
relabel brute.jsonl --want threshold:0.5 -o threshold.jsonl
simulate paths.jsonl {SCRIPT} --k 4 --strategy brute --root --only-right --harvest -o harvest.jsonl
relabel harvest.jsonl --want advantage --k 3 -o advantage.jsonl
relabel harvest.jsonl --want progress:0.8 -o progress.jsonl
sample problems.jsonl {SCRIPT} -n 1 --rationalise -o rationalised.jsonl
export stepwise brute.jsonl --labels soft -o stepwise.jsonl
pairs paths.jsonl --rule outcome --max-per-problem 2 --most 12 -o outcome.jsonl
pairs gsm8k-paths.jsonl --rule outcome --gold --max-length-gap 40 -o gsm8k-pairs.jsonl
pairs brute.jsonl --rule consistent --rule outcome --by labels --reject step -o mixed.jsonl
pairs forks.jsonl --rule fork:0.7 --rule outcome:0.3 -o fork-pairs.jsonl
eval problems.jsonl {SCRIPT} -n 4 --temperature 1 --k 1 --k 4 -o eval.jsonl
eval problems.jsonl --from paths.jsonl -o again.jsonl
eval humaneval.jsonl {SCRIPT} -n 2 --temperature 1 -o humaneval-eval.jsonl
eval humaneval.jsonl --from samples.jsonl -o samples-eval.jsonl
eval mmlu-number.jsonl {SCRIPT} -o mmlu-eval.jsonl
eval --compare eval.jsonl again.jsonl --json
"""

ON_MODEL = f"""
sample problems.jsonl {MODEL} -n 4 -o model-paths.jsonl
sample gsm8k.jsonl {MODEL} -n 2 --max-tokens 24 --keep-unfinished -o model-gsm8k.jsonl
simulate model-paths.jsonl {MODEL} --k 4 -o model-exact.jsonl
simulate model-paths.jsonl {MODEL} --k 4 --strategy brute -o model-brute.jsonl
simulate model-paths.jsonl {MODEL} --k 4 --strategy mcts --searches 3 -o model-mcts.jsonl
eval problems.jsonl {MODEL} -o model-eval.jsonl
eval mmlu.jsonl {MODEL} --prompt lm-eval --shots 2 -o model-mmlu.jsonl
sft problems.jsonl --model chain-base {TRAIN} -o m0
sft problems.jsonl --model chain-base {TRAIN} --lora --lora-r 4 -o adapter
train-prm brute.jsonl --model m0 {TRAIN} --held-out 0.3 -o prm
train-prm brute.jsonl --model m0 {TRAIN} --outcome --held-out 0 --lora --lora-r 4 --merge -o orm
train-prm stepwise.jsonl --model chain-base {TRAIN} --labels soft --group-by-length -o soft-prm
score paths.jsonl --model prm --device cpu --dtype float32 -o scored.jsonl
score scored.jsonl --model orm --name orm --device cpu --dtype float32 -o both.jsonl
simulate both.jsonl {SCRIPT} --k 4 --strategy prm-guided --walk-on -o guided.jsonl
pairs both.jsonl --eta 0 --aggregate min -o pairs.jsonl
pairs both.jsonl --eta 0 --name orm --any --rounds last -o orm-pairs.jsonl
eval-prm both.jsonl --name prm --name orm:last --json
eval-prm processbench.jsonl --model prm --device cpu --dtype float32 --threshold 0.5 -o bench-scored.jsonl
orpo outcome.jsonl --model m0 {TRAIN} --beta 0.2 -o m1
dpo outcome.jsonl --model m0 {TRAIN} --sft-weight 0.5 -o m3
sft both.jsonl --model m0 {TRAIN} --paths prm:0.2 --max-per-problem 2 -o m4
orpo pairs.jsonl --continue-from adapter {TRAIN} --lora --lora-r 4 -o m2
eval problems.jsonl --model m2 --device cpu --dtype float32 -o run/eval/sft.jsonl
eval problems.jsonl --model m1 --device cpu --dtype float32 -o run/eval/round1.jsonl
report run --json
"""

TIMES = {"seconds", "output", "already complete"}


def prepare(folder: Path) -> None:
    """Write the files that people bring."""
    for name, rows in FILES.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / name).write_text(text, encoding="utf-8")
    os.makedirs(folder / "run" / "eval")
    for split in ("dev", "test"):
        (folder / "mmlu" / split).mkdir(parents=True)
        rows = ("What is 2+3?,4,5,6,7,B", "Which is prime?,4,6,7,8,C", "7-Mar?,4,6,7,8,C")
        (folder / "mmlu" / split / f"abstract_algebra_{split}.csv").write_text("\n".join(rows) + "\n")


def run(folder: Path, line: str, program: Sequence[str] = PROGRAM) -> tuple[str, str]:
    """One command: the name of what it makes, and the hash of that."""
    words = line.split()
    done = subprocess.run(
        [*program, *words], cwd=folder, env=environment(), capture_output=True, check=False, timeout=600
    )
    if done.returncode:
        raise SystemExit(f"sipf {line}\nended with {done.returncode}:\n{done.stderr.decode()}")
    if "-o" not in words:
        return " ".join(words[:2]), digest(json.dumps(_timeless(json.loads(done.stdout)), sort_keys=True).encode())
    output = folder / words[words.index("-o") + 1]
    return output.name, _folder(output) if output.is_dir() else digest(output.read_bytes())


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(part) for key, part in value.items() if key not in TIMES}
    return [_timeless(part) for part in value] if isinstance(value, list) else value


def _folder(model: Path) -> str:
    """A model: what it logged, without times, its held-out figures and its weights."""
    log = [_timeless(json.loads(line)) for line in (model / "history.jsonl").read_text().splitlines()]
    parts = [json.dumps(log, sort_keys=True).encode()]
    parts += [file.read_bytes() for file in sorted(model.glob("*.safetensors"))]
    parts += [file.read_bytes() for file in sorted(model.glob("eval.json"))]
    return digest(b"".join(parts))


def digest(data: bytes) -> str:
    """The first 16 hex digits of a sha256."""
    return hashlib.sha256(data).hexdigest()[:16]


def outputs(folder: Path, *, models: bool = False) -> Iterator[tuple[str, str]]:
    """Every output's name and hash, in the order of the commands, which is that of the pipeline."""
    prepare(folder)
    for line in (COMMANDS + (ON_MODEL if models else "")).strip().splitlines():
        if line:
            yield run(folder, line)


def main() -> None:
    """Print a line for each output; with --save keep those that are the same everywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", action="store_true")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    if given.save and given.models:
        parser.error("--save is for the commands without a model, whose outputs are the same everywhere")
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for output, value in outputs(Path(name), models=given.models):
            print(f"{value}  {output}", flush=True)
            found[output] = value
        if given.keep:
            shutil.copytree(name, given.keep)
    if given.save:
        EXPECTED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
