"""ORPO steps in bfloat16, which training chooses on a CPU that multiplies in it, against float32.

    python benchmarks/training.py [--model chain-base] [--pairs 320] [--batch 16] [--repeats 3]

Both train the same pairs of the embedded world for one epoch, in turn. Prints CPU seconds per step (without
loading), medians, their ratio, and the last logged loss of each; the losses should hardly differ.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PrinterCallback

from evals.tasks import task_of
from evals.worlds import chain
from stages.models.devices import choose_training_dtype
from stages.models.loading import load_tokenizer
from stages.models.naming import read_card
from stages.models.templates import make_prompter
from stages.orpo import orpo_trainer
from stages.settings.training import TrainSettings
from stages.training.pair_rows import pair_rows


def pairs(n: int) -> list[dict[str, Any]]:
    """For each of n problems, a pair of a gold solution (chosen) and one whose last result is off by one (rejected)."""
    made = []
    for problem in chain.problems("train", n, 7):
        *steps, last = problem.solution or []
        left, _, result = last.partition("=")
        wrong = str(int(result) + 1)
        rejected = "\n".join([*steps, f"{left}={wrong}", f"The answer is {wrong}"])
        chosen = task_of(problem).gold_text(problem)
        made.append({"task": "chain", "question": problem.question, "chosen": chosen, "rejected": rejected})
    return made


def epoch(rows: list[dict[str, list[int]]], model: str, options: TrainSettings) -> tuple[float, float]:
    """CPU seconds per step, and the last loss."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = orpo_trainer(rows, load_tokenizer(model), model, options, str(Path(folder) / "c"), beta=0.1)
        trainer.remove_callback(PrinterCallback)
        began = time.process_time()
        trainer.train()
        spent = time.process_time() - began
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return spent / trainer.state.global_step, float(losses[-1])


def main() -> None:
    """Run both sides in turn and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="chain-base")
    parser.add_argument("--pairs", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    lines = pairs(arguments.pairs)
    templates = task_of(next(chain.problems("train", 1, 7))).templates
    prompter = make_prompter(
        load_tokenizer(arguments.model), templates, "auto", read_card(arguments.model).get("template")
    )
    options = TrainSettings(
        epochs=1, lr=1e-4, batch=arguments.batch, group_by_length=True, device="cpu", logging_steps=1
    )
    rows, _ = pair_rows(lines, prompter, options.max_length)
    seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for _ in range(arguments.repeats):
        for dtype, taken in seconds.items():
            spent, loss = epoch(rows, arguments.model, replace(options, dtype=dtype))
            taken.append(spent)
            print(f"  {dtype:8} {1000 * spent:7.1f} ms of CPU per step, last loss {loss:.4f}", flush=True)
    middle = {dtype: statistics.median(taken) for dtype, taken in seconds.items()}
    print(f"float32 / bfloat16: {middle['float32'] / middle['bfloat16']:.2f} times")
    print(f"training chooses {choose_training_dtype('auto', 'cpu')} on this CPU")


if __name__ == "__main__":
    main()
