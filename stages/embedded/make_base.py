"""Make the embedded base model: about 0.9 million parameters, pre-trained broadly on the chain world, short of mastery.

    python -m stages.embedded.make_base --out stages/embedded/base

It reads stories of one to eight operations in both kinds of wordings, solved in the world's equations, but
framed unlike any prompt of the toolkit: the question-and-answer format is left to `sipf sft`. Only skeletons of the
train split's buckets are used, so no validation, test or out-of-domain problem was ever seen. The same arguments on
the same machine, thread count and torch version give the same weights.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evals.worlds import chain

END, PAD = "<|end|>", "<|pad|>"
FRAMES = ("{story}\n{steps}\nThat leaves {answer} {item}.", "{story}\n{steps}\nSo {who} ends up with {answer}.")
FORMAT_WORDS = "Question Answer The answer is"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words of the world, single digits, and bytes for everything else: any text survives a round trip."""
    pieces = pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}| |\n|[^\s\p{L}\p{N}]"), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    sequence = pre_tokenizers.Sequence([pieces, byte_level])
    words = {piece for text in _vocabulary_texts() for piece, _ in sequence.pre_tokenize_str(text) if len(piece) > 1}
    vocabulary = [PAD, END, *sorted(pre_tokenizers.ByteLevel.alphabet()), *sorted(words)]
    model = models.BPE(vocab={token: i for i, token in enumerate(vocabulary)}, merges=[], ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = sequence
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def _vocabulary_texts() -> list[str]:
    stories = [
        wording.format(who=who, other=name, obj=obj, item=item, n=1)
        for wordings in (chain.WORDINGS, chain.OOD_WORDINGS)
        for group in wordings.values()
        for wording in group
        for who, obj in (("She", "her"), ("He", "him"))
        for name, item in zip(chain.PEOPLE, chain.ITEMS, strict=True)
    ]
    stories = [f"{text} {text}" for text in stories]
    stories += [f"- How many {i} does {n} have? {n} has 1 {i}." for n, i in zip(chain.PEOPLE, chain.ITEMS, strict=True)]
    frames = [f.format(story="", steps="", answer=1, item="", who="") for f in FRAMES]
    # A word is one token with a space before it; those that begin a line are one token without it as well.
    return [*stories, *frames, *chain.PEOPLE, *(f"{first} {first}" for first in FORMAT_WORDS.split())]


def document(rng: random.Random) -> str:
    """One pre-training document."""
    while True:
        skeleton = chain.draw_chain(rng, 1, 8)
        if skeleton.bucket() >= 2:  # the train split's buckets
            break
    wordings = chain.OOD_WORDINGS if rng.random() < 0.3 else chain.WORDINGS
    problem = chain.problem("base", skeleton, chain.tell(rng, skeleton, wordings), "train")
    words = problem.question.split()
    frame = rng.choice(FRAMES)
    return frame.format(
        story=problem.question,
        steps="\n".join(problem.solution or []),
        answer=problem.answer,
        who=words[0],
        item=words[3].rstrip("."),
    )


def build_model(vocabulary: int, seed: int) -> LlamaForCausalLM:
    """A random-weight Llama of the shipped size."""
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
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]  # transformers leaves it untyped


def pretrain(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, plan: argparse.Namespace) -> Iterator[int]:
    """Next-token training on fresh documents, linear warm-up and decay; yields after every update.

    The learning rate falls as if `plan.planned` updates were made; stopping before that leaves a model that has
    not mastered the world.
    """
    rng = random.Random(plan.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.lr, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min((s + 1) / plan.warmup, max(0.05, 1 - s / plan.planned))
    )
    model.train()
    for update in range(1, plan.updates + 1):
        texts = [document(rng) + END for _ in range(plan.batch)]
        encoded = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        labels = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, -100)
        loss = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if update % 50 == 0:
            print(f"update {update}: loss {loss.item():.4f}", flush=True)
        yield update


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model folder: safetensors, configuration, tokenizer."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Make the model folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=500, help="updates to make")
    parser.add_argument("--planned", type=int, default=700, help="updates that the learning rate is planned for")
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--every", type=int, default=0, help="also keep OUT-N after every so many updates, to choose from"
    )
    plan = parser.parse_args()
    tokenizer = build_tokenizer()
    model = build_model(len(tokenizer), plan.seed)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens")
    for update in pretrain(model, tokenizer, plan):
        if plan.every and update % plan.every == 0:
            save(model, tokenizer, plan.out.with_name(f"{plan.out.name}-{update}"))
    save(model, tokenizer, plan.out)


if __name__ == "__main__":
    main()
