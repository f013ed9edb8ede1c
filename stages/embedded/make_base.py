"""Make the embedded models: about 0.9 million parameters each, pre-trained on an embedded world.

    python -m stages.embedded.make_base --model trunk --out trunk
    python -m stages.embedded.make_base --model base --start trunk --first-phase 2 --out stages/embedded/base
    python -m stages.embedded.make_base --model teacher --start trunk --first-phase 2 --out stages/embedded/teacher
    python -m stages.embedded.make_base --model functions-base --out stages/embedded/functions

The chain world's two models first read the same texts (TRUNK), in which nine of ten stories are plain. The base then
settles: it calculates well and reads badly, so it is right on about a third of the problems, and its errors are misread
sentences that it carries on from. The teacher goes on with stories that are hard to read. Without `--start` a model
reads the trunk too. The functions world's base writes Python well and reads as badly. Only skeletons of the train
split's buckets are used, so no validation, test or out-of-domain problem was ever seen. The same arguments on the same
machine, thread count and torch version give the same weights. `--every` keeps models on the way; `--start FOLDER
--first-phase N` resumes from one.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from stages.embedded import corpus, functions_corpus
from stages.embedded.corpus import Mix, Part

END, PAD = "<|end|>", "<|pad|>"
POOL = 256
"""Texts that are sorted by length together, so that a batch needs little padding."""


class Corpus(Protocol):
    """The texts of a world: a module."""

    PIECES: str

    def text(self, rng: random.Random, mix: Mix) -> list[Part]:
        """One pre-training text."""

    def vocabulary(self) -> list[str]:
        """Texts whose pieces become tokens."""


@dataclass(frozen=True)
class Phase:
    """One stretch of training.

    The learning rate rises over `warmup` updates and then falls to zero as if `planned` updates were made. The texts
    are those of the seed plus `stream`.
    """

    mix: Mix
    updates: int
    planned: int
    lr: float
    stream: int
    batch: int = 64
    warmup: int = 100


TRUNK = (
    Phase(Mix(hard=0.1), updates=800, planned=1400, lr=3e-3, stream=0),
    Phase(Mix(hard=0.1), updates=300, planned=300, lr=1.4e-3, stream=1, warmup=10),
)
"""What both models have read first."""
SETTLED = Mix(hard=0.1, sums=0.25, ood=0.3, long_ood=0.8, misread=0.3, doubled=0.3, varied=0.1)
"""Mostly plain stories, more of them misread and carried on from, and long ones in the out-of-domain wordings."""
FUNCTIONS = Mix(hard=0.1, sums=0.1, ood=0.25, long_ood=0.3)
"""Mostly plain descriptions, a quarter of them in the out-of-domain wordings."""
PHASES = {
    "trunk": TRUNK,
    "base": (*TRUNK, Phase(SETTLED, updates=400, planned=400, lr=1.2e-3, stream=2, warmup=10)),
    "teacher": (
        *TRUNK,
        Phase(Mix(hard=1.0), updates=1200, planned=1200, lr=2.5e-3, stream=0, batch=32, warmup=30),
        Phase(Mix(hard=1.0), updates=1600, planned=1600, lr=2.5e-3, stream=1, batch=32, warmup=30),
    ),
    "functions-base": (
        Phase(Mix(hard=0.1, sums=0.5), updates=400, planned=1200, lr=3e-3, stream=0, batch=32, warmup=50),
        Phase(FUNCTIONS, updates=400, planned=800, lr=2.5e-3, stream=1, batch=32, warmup=10),
        # Programs alone, so that "Program:" no longer follows a description.
        Phase(replace(FUNCTIONS, story_learned=0.0), updates=250, planned=250, lr=1e-3, stream=2, batch=32, warmup=10),
    ),
}
SHARPER = {"trunk": 1.0, "base": 1.25, "teacher": 1.0, "functions-base": 1.25}
"""What the finished model's logits are multiplied by. The bases are small and have not read for long, so their draws at
temperature 1 are noisier than those of a fine-tuned language model: now they are what they were at 0.8. Greedy answers
stay the same."""
CORPORA: dict[str, Corpus] = {
    "trunk": corpus, "base": corpus, "teacher": corpus, "functions-base": functions_corpus
}  # fmt: skip
"""What each model reads."""
SPREADS = {"trunk": 0.02, "base": 0.02, "teacher": 0.02, "functions-base": 0.06}
"""Standard deviation of the first weights. 0.02 is meant for wider models: with 0.06, one of this width learns to copy
names and numbers within 200 updates, with 0.02 not within 400."""


def build_tokenizer(texts: Corpus) -> PreTrainedTokenizerFast:
    """Whole words and numbers of the texts, and bytes for everything else: any text survives."""
    pieces = pre_tokenizers.Split(Regex(texts.PIECES), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    sequence = pre_tokenizers.Sequence([pieces, byte_level])
    words = {piece for text in texts.vocabulary() for piece, _ in sequence.pre_tokenize_str(text) if len(piece) > 1}
    vocabulary = [PAD, END, *sorted(pre_tokenizers.ByteLevel.alphabet()), *sorted(words)]
    model = models.BPE(vocab={token: i for i, token in enumerate(vocabulary)}, merges=[], ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = sequence
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers gives it no types
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def build_model(vocabulary: int, seed: int, spread: float) -> LlamaForCausalLM:
    """A random-weight Llama of the shipped size; `spread` is the standard deviation of its weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=spread,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]  # transformers gives it no types


def pretrain(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: Corpus, phase: Phase, rng: random.Random
) -> Iterator[int]:
    """Next-token training on fresh texts; yields after every update."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=phase.lr, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / phase.warmup, max(0.03, 1 - s / phase.planned))
    )
    model.train()
    losses, began = list[float](), time.monotonic()
    for update, (inputs, labels) in enumerate(_batches(tokenizer, texts, phase, rng), 1):
        loss = model(input_ids=inputs, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if update % 50 == 0:
            mean, took = sum(losses) / len(losses), time.monotonic() - began
            print(f"update {update}: loss {mean:.4f}, {took:.0f} s", flush=True)
            losses = []
        yield update


def _batches(
    tokenizer: PreTrainedTokenizerFast, texts: Corpus, phase: Phase, rng: random.Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and labels, both (batch, length); padding comes last, so that no mask is needed, and has no label."""
    made = 0
    while made < phase.updates:
        rows = sorted((_encoded(tokenizer, texts.text(rng, phase.mix)) for _ in range(POOL)), key=lambda r: len(r[0]))
        batches = [rows[i : i + phase.batch] for i in range(0, POOL, phase.batch)]
        rng.shuffle(batches)
        for batch in batches[: phase.updates - made]:
            longest = -(-max(len(ids) for ids, _ in batch) // 8) * 8
            yield (
                torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in batch]),
                torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in batch]),
            )
            made += 1


def _encoded(tokenizer: PreTrainedTokenizerFast, parts: list[Part]) -> tuple[list[int], list[int]]:
    ids: list[int] = []
    labels: list[int] = []
    for text, learned in [*parts, (END, True)]:
        part = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += part
        labels += part if learned else [-100] * len(part)
    return ids, labels


@torch.no_grad()
def sharpen(model: LlamaForCausalLM, factor: float) -> None:
    """Multiply the logits by a factor, through the last norm: the head is tied to the embedding."""
    model.model.norm.weight.mul_(factor)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model folder: safetensors, configuration, tokenizer."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Make the model folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", choices=tuple(PHASES), required=True)
    parser.add_argument("--start", type=Path, help="model folder whose weights training starts from; default random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--first-phase", type=int, default=0, help="leave out the phases before, which --start has seen"
    )
    parser.add_argument(
        "--every", type=int, default=0, help="also keep OUT-PHASE-N after every so many updates, to choose from"
    )
    plan = parser.parse_args()
    texts = CORPORA[plan.model]
    if plan.start is None:
        tokenizer = build_tokenizer(texts)
        model = build_model(len(tokenizer), plan.seed, SPREADS[plan.model])
    else:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(plan.start)
        model = LlamaForCausalLM.from_pretrained(plan.start, dtype=torch.float32)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)
    for number, phase in enumerate(PHASES[plan.model]):
        if number < plan.first_phase:
            continue
        for update in pretrain(model, tokenizer, texts, phase, random.Random(plan.seed + phase.stream)):
            if plan.every and update % plan.every == 0:
                save(model, tokenizer, plan.out.with_name(f"{plan.out.name}-{number}-{update}"))
    sharpen(model, SHARPER[plan.model])
    save(model, tokenizer, plan.out)


if __name__ == "__main__":
    main()
