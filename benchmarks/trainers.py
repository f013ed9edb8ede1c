"""Training and scoring against what people would use instead: TRL's trainers, and transformers' own.

    python benchmarks/trainers.py [--stage orpo sft train-prm score] [--repeats 3]            # the embedded model
    python benchmarks/trainers.py --shape smollm2 --stage orpo --batch 4 --steps 2
    python benchmarks/trainers.py --shape small             # 4 layers of 192, a vocabulary of 49,152

Both sides start from the same weights and see the same rows, batch for batch (`--group-by-length` gives this toolkit's
side batches of similar length instead). They take turns, and each run has its own process. The peers: TRL's
ORPOTrainer and SFTTrainer, transformers' Trainer with AutoModelForTokenClassification for `train-prm`, and its forward
pass on padded batches of 16 for `score`.

The embedded model trains on pairs, solutions and labelled paths of its world; `--shape` on random tokens with a random
Llama of that shape. Prints tokens per CPU second without padding, the peak of resident memory beyond that of the loaded
program, medians, ratios, and the last loss of each, which should hardly differ.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evals.tasks import task_of
from evals.worlds import chain
from stages.models.loading import load_tokenizer, quiet_libraries
from stages.models.naming import read_card
from stages.models.templates import make_prompter
from stages.orpo import orpo_trainer
from stages.settings.training import TrainSettings
from stages.sft import sft_trainer
from stages.train_prm import prm_trainer
from stages.training.pair_rows import pair_rows
from stages.training.step_rows import StepRow
from stages.training.targets import IGNORED

SIDES = ("peer", "sipf")
STAGES = ("orpo", "sft", "train-prm", "score")
SHAPES = {
    "smollm2": {"layers": 30, "hidden": 576, "vocabulary": 49152, "prompt": 100, "completion": 90},
    "small": {"layers": 4, "hidden": 192, "vocabulary": 49152, "prompt": 60, "completion": 60},
}
PEER_ROWS = 16
"""Rows of a batch of the peer of `score`."""


def make_model(folder: str, name: str) -> None:
    """A random Llama with the embedded model's tokenizer, whose ids are the first of the vocabulary."""
    quiet_libraries()
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = SHAPES[name]
    tokenizer = load_tokenizer("chain-base")
    heads = shape["hidden"] // 64
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape["vocabulary"], hidden_size=shape["hidden"], intermediate_size=shape["hidden"] * 8 // 3,
            num_hidden_layers=shape["layers"], num_attention_heads=heads,
            num_key_value_heads=heads // 3 if heads % 3 == 0 else heads, tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, max_position_embeddings=2048,
        )
    ).save_pretrained(folder)  # fmt: skip
    tokenizer.save_pretrained(folder)


def random_rows(shape: dict[str, int], count: int) -> list[dict[str, Any]]:
    """Pairs of random tokens, completions up to a quarter shorter than the longest."""
    numbers = random.Random(1)

    def ids(length: int) -> list[int]:
        return [numbers.randrange(10, shape["vocabulary"]) for _ in range(length)]

    rows: list[dict[str, Any]] = []
    for _ in range(count):
        asked = ids(shape["prompt"])
        row: dict[str, Any] = {"prompt_input_ids": asked}
        for side in ("chosen", "rejected"):
            own = ids(numbers.randint(shape["completion"] * 3 // 4, shape["completion"]))
            row[f"{side}_input_ids"] = asked + own
            row[f"{side}_labels"] = [IGNORED] * len(asked) + own
        rows.append(row)
    return rows


def chain_rows(tokenizer: Any, model: str, count: int) -> list[dict[str, Any]]:
    """Pairs of the embedded world: gold solutions, and for each one that leaves it after the first step.

    The loop's own pairs share a little more: 55 of 72 tokens in the demo, of which 44 are the prompt.
    """
    problems = list(chain.problems("train", count, 7))
    task = task_of(problems[0])
    prompter = make_prompter(tokenizer, task.templates, "auto", read_card(model).get("template"))
    golds = [task.gold_text(problem) for problem in problems]
    lines = [
        {"task": "chain", "question": problem.question, "chosen": chosen,
         "rejected": "\n".join([*chosen.splitlines()[:1], *other.splitlines()[1:]])}
        for problem, chosen, other in zip(problems, golds, [*golds[1:], golds[0]], strict=True)
    ]  # fmt: skip
    rows, _ = pair_rows(lines, prompter, 1024)
    return rows


def step_row(row: dict[str, Any]) -> StepRow:
    """A pair's chosen side with a label at every eighth token of its completion."""
    ids, start = row["chosen_input_ids"], len(row["prompt_input_ids"])
    positions = list(range(start + 7, len(ids), 8)) or [len(ids) - 1]
    return StepRow("p", ids, positions, [float(at % 3 > 0) for at in positions])


def with_masks(row: dict[str, Any]) -> dict[str, Any]:
    """A pair with the columns that TRL wants beside those that `orpo` reads."""
    named = {f"{name}_attention_mask": [1] * len(row[f"{name}_input_ids"]) for name in ("prompt", "chosen", "rejected")}
    return {"prompt": "", "chosen": "", "rejected": "", **row, **named}


def peer_trainer(stage: str, rows: list[dict[str, Any]], tokenizer: Any, folder: str, options: TrainSettings) -> Any:
    """TRL's or transformers' own trainer, on weights loaded as ours are."""
    from datasets import Dataset

    from stages.training.trainer import Guarded, configured
    from stages.training.weights import POLICY, REWARD, load_trainable

    place = f"{options.seed}-checkpoints"
    how = {"model": load_trainable(folder, REWARD if stage == "train-prm" else POLICY, options),
           "processing_class": tokenizer, "grouped": False}  # fmt: skip
    if stage == "sft":
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import SFTTrainer

        class Sft(Guarded, SFTTrainer):
            pass

        given = [{"input_ids": row["chosen_input_ids"], "labels": row["chosen_labels"]} for row in rows]
        args = configured(SFTConfig, options, place, max_length=4096, dataset_kwargs={"skip_prepare_dataset": True})
        return Sft(args=args, train_dataset=Dataset.from_list(given), **how)
    if stage == "train-prm":
        import transformers

        class Prm(Guarded, transformers.Trainer):
            pass

        given = []
        for step in map(step_row, rows):
            labels = [IGNORED] * len(step.ids)
            for at, target in zip(step.positions, step.targets, strict=True):
                labels[at] = int(target or 0)
            given.append({"input_ids": step.ids, "labels": labels})
        args = configured(transformers.TrainingArguments, options, place)
        collator = transformers.DataCollatorForTokenClassification(tokenizer)
        return Prm(args=args, train_dataset=Dataset.from_list(given), data_collator=collator, **how)
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    class Orpo(Guarded, ORPOTrainer):
        @staticmethod
        def tokenize_row(feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
            return {"prompt_input_ids": feature["prompt_input_ids"]}

    args = configured(ORPOConfig, options, place, max_length=4096, beta=0.1)
    return Orpo(args=args, train_dataset=Dataset.from_list([with_masks(row) for row in rows]), **how)


def our_trainer(stage: str, rows: list[dict[str, Any]], tokenizer: Any, folder: str, options: TrainSettings) -> Any:
    """The toolkit's trainer."""
    place = f"{options.seed}-checkpoints"
    if stage == "sft":
        given = [{"input_ids": row["chosen_input_ids"], "labels": row["chosen_labels"]} for row in rows]
        return sft_trainer(given, tokenizer, folder, options, place)
    if stage == "train-prm":
        return prm_trainer([step_row(row) for row in rows], tokenizer, folder, options, place)
    return orpo_trainer(rows, tokenizer, folder, options, place, beta=0.1)


def score_peer(model: Any, rows: list[tuple[list[int], list[int]]], pad: int) -> list[list[float]]:
    """What one would write by hand: batches in the order of the rows, padded on the right."""
    import torch

    found: list[list[float]] = []
    with torch.inference_mode():
        for start in range(0, len(rows), PEER_ROWS):
            part = rows[start : start + PEER_ROWS]
            width = max(len(ids) for ids, _ in part)
            ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in part])
            mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in part])
            right = model(input_ids=ids, attention_mask=mask).logits.softmax(-1)[..., 1]
            found += [right[i, positions].tolist() for i, (_, positions) in enumerate(part)]
    return found


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, CPU seconds, and by how many GB the peak of resident memory rose."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = work()
    return found, time.process_time() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6


def one_side(args: argparse.Namespace) -> None:
    """Run one stage on one side, and print its speed, memory and last loss as a line of JSON."""
    stage, tokenizer = args.stage[0], load_tokenizer(args.folder)
    count = args.batch * args.steps
    rows = random_rows(SHAPES[args.shape], count) if args.shape else chain_rows(tokenizer, args.folder, count)
    options = TrainSettings(
        epochs=1, lr=1e-4, batch=args.batch, device="cpu", dtype=args.dtype, logging_steps=1,
        group_by_length=args.group_by_length and args.side == "sipf",
    )  # fmt: skip
    sides = ("chosen", "rejected") if stage == "orpo" else ("chosen",)
    tokens = sum(len(row[f"{side}_input_ids"]) for row in rows for side in sides)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        if stage == "score":
            import torch

            from stages.models.devices import busy_tokens
            from stages.models.reward import load_reward_model
            from stages.scorers.hf import step_probabilities

            torch.manual_seed(0)  # of the head
            model = load_reward_model(args.folder, "cpu", args.dtype, sigmoid=False, new_head=True).eval()
            model.to(getattr(torch, args.dtype))
            steps = [(step.ids, step.positions) for step in map(step_row, rows)]
            how = (model, steps, tokenizer.pad_token_id)
            found, spent, rise = timed(
                lambda: score_peer(*how) if args.side == "peer" else step_probabilities(*how, busy_tokens(model))
            )
            last = sum(map(sum, found))
        else:
            make = peer_trainer if args.side == "peer" else our_trainer
            trainer = make(stage, rows, tokenizer, args.folder, options)
            _, spent, rise = timed(trainer.train)
            last = [line["loss"] for line in trainer.state.log_history if "loss" in line][-1]
    print(json.dumps({"speed": tokens / spent, "memory": rise, "last": last}))


def main() -> None:
    """Run both sides in turn and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--shape", choices=tuple(SHAPES))
    for name, size in (("batch", 16), ("steps", 20), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=size)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--group-by-length", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="chain-base", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        one_side(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = "chain-base"
        if args.shape:
            model = str(Path(folder) / "model")
            make_model(model, args.shape)
        for stage in args.stage:
            found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            for _ in range(args.repeats):
                for side in SIDES:
                    command = [sys.executable, *sys.argv, "--stage", stage, "--side", side, "--folder", model]
                    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
                    found[side].append(json.loads(said.splitlines()[-1]))
            speed, memory = (
                {side: statistics.median(one[name] for one in found[side]) for side in SIDES}
                for name in ("speed", "memory")
            )
            print(
                f"{stage:9} tokens per CPU second: peer {speed['peer']:,.0f}, sipf {speed['sipf']:,.0f}: "
                f"{speed['sipf'] / speed['peer']:.2f} times. memory: peer {memory['peer']:.2f} GB, "
                f"sipf {memory['sipf']:.2f} GB: {memory['sipf'] / memory['peer']:.2f} times. "
                f"last: {found['peer'][0]['last']:.5f}, {found['sipf'][0]['last']:.5f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
