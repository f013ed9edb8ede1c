"""Every stage on real models and on configurations of real size: seconds and peak memory of each, in one go.

    python benchmarks/real_models.py --out runs/gpu                        # needs models/smollm2: make models
    python benchmarks/real_models.py --out runs/small --small --device cpu # the same on a few problems and small shapes

1. One round of the loop with SmolLM2-135M-Instruct on 500 GSM8K problems, judged on 300: accuracy of base, M0 and M1.
2. A short run of each stage with random weights of the shapes of Gemma-2B and Qwen2.5-7B in bfloat16, adapters where it
   trains; with 4-bit weights as well where bitsandbytes is installed. What such models write means nothing.

Peak memory is the process's own (resident on a CPU, reserved on a GPU as `nvidia-smi` sees it, other processes on
the card included). What has run is kept in OUT/stages.jsonl and not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma-2b": (
        "GemmaConfig",
        {"hidden_size": 2048, "intermediate_size": 16384, "num_hidden_layers": 18, "num_attention_heads": 8}
        | {"num_key_value_heads": 1, "head_dim": 256, "vocab_size": 256000},
    ),
    "qwen2.5-7b": (
        "Qwen2Config",
        {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28}
        | {"num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False},
    ),
}
SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16}
SMALL |= {"num_key_value_heads": 1, "vocab_size": 49152}


class Runs:
    """Commands that have run, with what they took; kept in a file."""

    def __init__(self, out: Path, device: str) -> None:
        self.file, self.device = out / "stages.jsonl", device
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def stage(self, model: str, *arguments: object) -> None:
        """Run `sipf ARGUMENTS` unless it has run, and keep its seconds and its peak memory."""
        line = [str(part) for part in arguments]
        if any(row["command"] == line for row in self.rows):
            return
        print("+ sipf", *line, flush=True)
        began = time.monotonic()
        with peak_of_card(self.device) as card:
            process = subprocess.Popen([sys.executable, "-m", "sipf_cli", *line], cwd=ROOT)
            _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"that ended with {os.waitstatus_to_exitcode(status)}")
        row = {"model": model, "stage": line[0], "command": line, "seconds": round(time.monotonic() - began, 1)}
        row["resident_gb"] = round(used.ru_maxrss / 2**20, 2)
        row["card_gb"] = round(card[0] / 1024, 2) if card[0] else None
        self.rows.append(row)
        with self.file.open("a") as file:
            file.write(json.dumps(row) + "\n")


@contextlib.contextmanager
def peak_of_card(device: str) -> Iterator[list[float]]:
    """The most memory in MiB that is taken on the first GPU meanwhile; 0 without one."""
    most, over = [0.0], threading.Event()

    def look() -> None:
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
        while not over.wait(0.2):
            told = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
            most[0] = max(most[0], float(told or 0))

    watching = threading.Thread(target=look)
    if device != "cpu" and shutil.which("nvidia-smi"):
        watching.start()
    try:
        yield most
    finally:
        over.set()
        if watching.ident:
            watching.join()


def random_model(name: str, folder: Path, tokenizer: Path, small: bool) -> Path:
    """A folder with random weights of a model's shape in bfloat16, and the tokenizer of another."""
    if folder.exists():
        return folder
    import torch
    import transformers

    kind, shape = SHAPES[name]
    shape = {**shape, **SMALL} if small else shape
    words = transformers.AutoTokenizer.from_pretrained(tokenizer)
    ids = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    config = getattr(transformers, kind)(**shape, **ids, max_position_embeddings=8192)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    making = folder.with_name(f"{folder.name}.part")
    model.save_pretrained(making)
    words.save_pretrained(making)
    making.rename(folder)
    return folder


def first_lines(source: Path, n: int, target: Path) -> Path:
    """The first lines of a file, as a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open() as lines:
        target.write_text("".join(line for line, _ in zip(lines, range(n), strict=False)))
    return target


def one_round(runs: Runs, out: Path, model: Path, data: Path, args: argparse.Namespace) -> None:
    """The loop on GSM8K, with the settings that a model of this size takes on one GPU."""
    few = args.small
    problems, judged, tokens = (6, 4, 48) if few else (500, 300, 256)
    train = first_lines(data / "train.jsonl", problems, out / "train.jsonl")
    test = first_lines(data / "test.jsonl", judged, out / "test.jsonl")
    on = ("--device", args.device)
    short = ("--max-tokens", tokens, *(("--keep-unfinished",) if few else ()))
    learn = ("--epochs", 1 if few else 3, "--batch", 2 if few else 16, "--device", args.device)
    name, at = model.name, out / model.name
    at.mkdir(exist_ok=True)
    runs.stage(name, "data", "gsm8k", "--path", train, "--split", "train", "-o", at / "train.jsonl")
    runs.stage(name, "data", "gsm8k", "--path", test, "--split", "test", "-o", at / "test.jsonl")
    runs.stage(name, "eval", at / "test.jsonl", "-m", model, *on, *short[:2], "-o", at / "base.jsonl")
    runs.stage(name, "sft", at / "train.jsonl", "-m", model, *learn, "--lr", "2e-5", "-o", at / "m0")
    runs.stage(name, "eval", at / "test.jsonl", "-m", at / "m0", *on, *short[:2], "-o", at / "sft.jsonl")
    runs.stage(
        name, "sample", at / "train.jsonl", "-m", at / "m0", *on, *short, "-n", 3 if few else 8, "-o", at / "paths"
    )
    roll = ("--strategy", "first-error", "--k", 1 if few else 8, "--max-tokens", tokens)
    runs.stage(name, "simulate", at / "paths", "-m", at / "m0", *on, *roll, "-o", at / "labels")
    runs.stage(name, "train-prm", at / "labels", "-m", at / "m0", *learn, "--lr", "2e-5", "-o", at / "prm")
    runs.stage(name, "score", at / "labels", "-m", at / "prm", *on, "-o", at / "scored")
    choose = ("--gold", "--any", "--eta", 0) if few else ("--eta", "0.1")
    runs.stage(name, "pairs", at / "scored", *choose, "-o", at / "pairs")
    runs.stage(name, "orpo", at / "pairs", "-m", at / "m0", *learn, "--lr", "5e-6", "-o", at / "m1")
    runs.stage(name, "eval", at / "test.jsonl", "-m", at / "m1", *on, *short[:2], "-o", at / "round1.jsonl")


def every_stage(runs: Runs, out: Path, name: str, model: Path, problems: Path, args: argparse.Namespace) -> None:
    """Each stage once, on a few problems: adapters where it trains, also on 4-bit weights where they can be had."""
    on = ("--device", args.device, "--dtype", "bfloat16")
    learn = ("--epochs", 1, "--batch", 2 if args.small else 8, "--lora", "--held-out", 0, *on)
    short = ("--max-tokens", 16 if args.small else 128)
    whole = (*short, "--keep-unfinished")
    at = out / name
    at.mkdir(exist_ok=True)
    runs.stage(name, "sft", problems, "-m", model, *learn, "-o", at / "m0")
    runs.stage(name, "sample", problems, "-m", model, *on, *whole, "-n", 3, "-o", at / "paths")
    roll = ("--strategy", "first-error", "--k", 1)
    runs.stage(name, "simulate", at / "paths", "-m", model, *on, *short, *roll, "-o", at / "labels")
    runs.stage(name, "train-prm", at / "labels", "-m", model, *learn, "-o", at / "prm")
    runs.stage(name, "score", at / "labels", "-m", at / "prm", *on, "-o", at / "scored")
    pairs = out / args.model.name / "pairs"  # random weights write nothing that makes pairs
    runs.stage(name, "orpo", pairs, "-m", model, *learn, "-o", at / "m1")
    runs.stage(name, "eval", problems, "-m", model, *on, *short, "-o", at / "results")
    if find_spec("bitsandbytes") and args.device != "cpu":
        runs.stage(f"{name} 4-bit", "sft", problems, "-m", model, *learn, "--load-in-4bit", "-o", at / "m0-4bit")
        runs.stage(f"{name} 4-bit", "orpo", pairs, "-m", model, *learn, "--load-in-4bit", "-o", at / "m1-4bit")


def main() -> None:
    """Run what has not run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "smollm2")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "gsm8k")
    parser.add_argument("--shapes", nargs="*", choices=sorted(SHAPES), default=sorted(SHAPES))
    parser.add_argument("--device", default="auto", help="as sipf's --device")
    parser.add_argument("--small", action="store_true", help="a few problems, and small shapes")
    args = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    runs = Runs(out, args.device)
    one_round(runs, out, args.model.resolve(), args.data, args)
    few = first_lines(out / args.model.name / "train.jsonl", 4 if args.small else 32, out / "few.jsonl")
    for name in args.shapes:
        model = random_model(name, out / f"random-{name}", args.model, args.small)
        every_stage(runs, out, name, model, few, args)
    table = Table("model", "stage", "output", "seconds", "resident GB", "card GB")
    for row in runs.rows:
        told = [row["seconds"], row["resident_gb"], row["card_gb"]]
        output = Path(row["command"][-1]).name
        table.add_row(row["model"], row["stage"], output, *("" if value is None else f"{value:g}" for value in told))
    Console().print(table)
    for name in ("base", "sft", "round1"):
        manifest = json.loads((out / args.model.name / f"{name}.jsonl.manifest.json").read_text())
        print(name, json.dumps(manifest.get("result") or manifest["counts"]))


if __name__ == "__main__":
    main()
