"""What a seed for every draw costs vLLM: tokens per second with a request and a seed for each draw, as sipf asks, with
one for each group of draws, and without seeds.

    make setup-vllm; OMP_NUM_THREADS=1 .venv-vllm/bin/python benchmarks/vllm_seeds.py [--groups 32] [--repeats 3]

All ways ask for the same prompts, 8 draws each, of the same length, with prefix caching. Two random models of the same
small Llama: with the embedded world's 482 tokens, and with the 151,936 of Qwen2.5, where drawing is most of the work.
Prints medians and ratios; on the device that vLLM was built for.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from stages.engines.vllm.start import Prepared, VLLMStart, start, stop

DRAWS, NEW, PROMPT = 8, 32, 64
VOCABULARIES = (482, 151_936)
Asked = Iterator[tuple[list[int], dict[str, Any]]]


def seed_a_draw(prompts: list[list[int]]) -> Asked:
    """As the engine asks."""
    return ((ids, {"seed": 8 * at + draw}) for at, ids in enumerate(prompts) for draw in range(DRAWS))


def seed_a_group(prompts: list[list[int]]) -> Asked:
    """One request for all draws of a prompt, with one seed."""
    return ((ids, {"seed": at, "n": DRAWS}) for at, ids in enumerate(prompts))


def no_seed(prompts: list[list[int]]) -> Asked:
    """One request for each draw."""
    return ((ids, {}) for ids in prompts for _ in range(DRAWS))


def no_seed_a_group(prompts: list[list[int]]) -> Asked:
    """One request for all draws of a prompt."""
    return ((ids, {"n": DRAWS}) for ids in prompts)


WAYS: dict[str, Callable[[list[list[int]]], Asked]] = {
    "a request and a seed a draw (sipf)": seed_a_draw,
    "a request and a seed a group": seed_a_group,
    "a request a draw, no seed": no_seed,
    "a request a group, no seed": no_seed_a_group,
}


def model(folder: Path, vocabulary: int) -> None:
    """Random weights, from a seed."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=128, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def tokens_per_second(llm: Any, asked: Asked, top_p: float, number: int) -> float:
    """Write all draws to their last token."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    for at, (ids, more) in enumerate(asked):
        params = SamplingParams(
            temperature=1.0, top_p=top_p, max_tokens=NEW, ignore_eos=True, detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY, **more,
        )  # fmt: skip
        llm.add_request(f"{number}/{at}", {"prompt_token_ids": ids}, params)
    written, began = 0, time.perf_counter()
    while llm.has_unfinished_requests():
        for output in llm.step():
            written += sum(len(made.token_ids) for made in output.outputs)
    return written / (time.perf_counter() - began)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    from vllm.platforms import current_platform

    settings = VLLMStart(current_platform.device_type, "float32", given.groups * DRAWS, 1, 0.5, None, False)
    draws = random.Random(0)
    size = f"{given.groups} prompts of {PROMPT} tokens, {DRAWS} draws of {NEW}"
    print(f"{size}, on {settings.device}; medians of {given.repeats}")
    print("\n| vocabulary | top-p | way | tokens/s | against sipf's |\n|---|---|---|---|---|")
    for vocabulary in VOCABULARIES:
        with tempfile.TemporaryDirectory() as folder:
            model(Path(folder), vocabulary)
            llm = start(Prepared(folder, folder), settings, skip_tokenizer_init=True)
            prompts = [[draws.randrange(vocabulary) for _ in range(PROMPT)] for _ in range(given.groups)]
            number = 0
            for top_p in (1.0, 0.95):
                found: dict[str, list[float]] = {name: [] for name in WAYS}
                for _ in range(given.repeats + 1):  # the first one warms up
                    for name, way in WAYS.items():
                        number += 1
                        found[name].append(tokens_per_second(llm, way(prompts), top_p, number))
                medians = {name: statistics.median(rates[1:]) for name, rates in found.items()}
                first = next(iter(medians.values()))
                for name, rate in medians.items():
                    print(f"| {vocabulary:,} | {top_p} | {name} | {rate:,.0f} | {rate / first:.2f} |", flush=True)
            stop(llm)


if __name__ == "__main__":
    main()
