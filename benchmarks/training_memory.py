"""Memory and time of training steps: TRL's own trainers against this toolkit's, which never holds all logits.

    python benchmarks/training_memory.py [--stage orpo] [--layers 4] [--hidden 192] [--vocabulary 49152] [--batch 8]
        [--prompt 60] [--completion 60] [--steps 3] [--dtype float32] [--repeats 3]

Both sides start from the same random Llama and train on the same rows of random tokens. They take turns, and every run
is a process of its own.
Prints the peak of resident memory beyond that of the loaded program, CPU seconds per step, medians, ratios, and the
last loss of each, which should hardly differ. `--hidden 576 --layers 30 --batch 16 --prompt 100 --completion 90` is the
shape of SmolLM2-135M.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from stages.models.loading import load_tokenizer, quiet_libraries
from stages.orpo import orpo_trainer
from stages.settings.training import TrainSettings
from stages.sft import sft_trainer
from stages.training.targets import IGNORED

SIDES = ("trl", "sipf")


def make_model(folder: str, shape: argparse.Namespace) -> None:
    """A random Llama with the embedded model's tokenizer, whose ids are the first of the vocabulary."""
    quiet_libraries()
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = load_tokenizer("chain-base")
    heads = shape.hidden // 64
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary, hidden_size=shape.hidden, intermediate_size=shape.hidden * 8 // 3,
            num_hidden_layers=shape.layers, num_attention_heads=heads,
            num_key_value_heads=heads // 3 if heads % 3 == 0 else heads, tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, max_position_embeddings=2048,
        )
    ).save_pretrained(folder)  # fmt: skip
    tokenizer.save_pretrained(folder)


def rows_of(shape: argparse.Namespace) -> list[dict[str, Any]]:
    """Random tokens, completions up to a quarter shorter than the longest."""
    numbers = random.Random(1)

    def ids(count: int) -> list[int]:
        return [numbers.randrange(10, shape.vocabulary) for _ in range(count)]

    rows: list[dict[str, Any]] = []
    for _ in range(shape.batch * shape.steps):
        asked = ids(shape.prompt)
        row: dict[str, Any] = {"prompt_input_ids": asked, "prompt_attention_mask": [1] * len(asked)}
        for side in ("chosen", "rejected"):
            own = ids(numbers.randint(shape.completion * 3 // 4, shape.completion))
            row[f"{side}_input_ids"] = asked + own
            row[f"{side}_attention_mask"] = [1] * (len(asked) + len(own))
            row[f"{side}_labels"] = [IGNORED] * len(asked) + own
        if shape.stage == "sft":
            row = {"input_ids": row["chosen_input_ids"], "labels": row["chosen_labels"]}
        rows.append(row)
    return rows


def trainer_of(shape: argparse.Namespace, folder: str) -> Any:
    """The trainer of one side."""
    options = TrainSettings(epochs=1, lr=1e-4, batch=shape.batch, device="cpu", dtype=shape.dtype, logging_steps=1)
    rows, tokenizer, place = rows_of(shape), load_tokenizer(folder), f"{folder}/checkpoints"
    if shape.side == "sipf":
        if shape.stage == "sft":
            return sft_trainer(rows, tokenizer, folder, options, place)
        return orpo_trainer(rows, tokenizer, folder, options, place, beta=0.1)
    from datasets import Dataset

    from stages.training.trainer import Guarded, configured
    from stages.training.weights import POLICY, load_trainable

    how = {"model": load_trainable(folder, POLICY, options), "processing_class": tokenizer, "grouped": False}
    if shape.stage == "sft":
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import SFTTrainer

        class Sft(Guarded, SFTTrainer):
            pass

        args = configured(SFTConfig, options, place, max_length=4096, dataset_kwargs={"skip_prepare_dataset": True})
        return Sft(args=args, train_dataset=Dataset.from_list(rows), **how)
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    class Orpo(Guarded, ORPOTrainer):
        @staticmethod
        def tokenize_row(feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
            return {"prompt_input_ids": feature["prompt_input_ids"]}

    text = {"prompt": "", "chosen": "", "rejected": ""}
    args = configured(ORPOConfig, options, place, max_length=4096, beta=0.1)
    return Orpo(args=args, train_dataset=Dataset.from_list([{**text, **row} for row in rows]), **how)


def one_side(shape: argparse.Namespace, folder: str) -> None:
    """Train, and print what it took as a line of JSON."""
    trainer = trainer_of(shape, folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    trainer.train()
    spent = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    steps = trainer.state.global_step
    print(json.dumps({"peak": peak / 1e6, "rise": (peak - before) / 1e6, "seconds": spent / steps, "loss": losses[-1]}))


def main() -> None:
    """Run both sides in turn and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=("orpo", "sft"), default="orpo")
    sizes = (("layers", 4), ("hidden", 192), ("vocabulary", 49152), ("batch", 8), ("prompt", 60), ("completion", 60))
    for name, size in (*sizes, ("steps", 3), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    shape = parser.parse_args()
    if shape.side:
        one_side(shape, shape.folder)
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "model")
        make_model(model, shape)
        for _ in range(shape.repeats):
            for side in SIDES:
                command = [sys.executable, *sys.argv, "--side", side, "--folder", model]
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                one = json.loads(said.splitlines()[-1])
                found[side].append(one)
                print(
                    f"  {side:5} peak {one['peak']:6.2f} GB, {one['rise']:6.2f} GB of it by training, "
                    f"{one['seconds']:6.2f} s of CPU per step, last loss {one['loss']:.5f}",
                    flush=True,
                )
    for name in ("peak", "rise", "seconds"):
        theirs, ours = (statistics.median(one[name] for one in found[side]) for side in SIDES)
        print(f"{name:8} trl {theirs:6.2f}, sipf {ours:6.2f}: {theirs / ours:.2f} times")


if __name__ == "__main__":
    main()
