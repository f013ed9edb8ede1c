"""Random-weight models in memory behind the hf engine, and ways to ask it."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from evals.records import Problem
from stages.engines.base import Completion, Draw, Engine, Request, generate
from stages.engines.hf.engine import HFEngine
from stages.models.loading import Loaded, quiet_libraries
from tests.models import Family, build_tokenizer

WORDS = [
    "Tom",
    "has",
    "40",
    "apples",
    "and",
    "buys",
    "32",
    "more.",
    "Natalia",
    "sold",
    "half",
    "as",
    "many",
    "clips",
    "in",
    "May.",
    "How",
    "many",
    "altogether?",
]


@cache
def tokenizer_of(family: Family) -> Any:
    return build_tokenizer(family)


def build(kind: str = "llama", ends: int = 8, dtype: str = "float32", **changes: Any) -> tuple[Any, Any]:
    """A model of `kind` (llama, qwen2, gemma2, mistral) and its tokenizer; every `ends`-th of its tokens, counted from
    the last, ends a text, so that draws have very different lengths."""
    import torch

    quiet_libraries()
    from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, MistralConfig, Qwen2Config

    tokenizer = tokenizer_of("llama" if kind == "mistral" else kind)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "initializer_range": 0.3,
    }  # fmt: skip
    kinds: dict[str, Any] = {
        "llama": LlamaConfig, "qwen2": Qwen2Config, "gemma2": Gemma2Config, "mistral": MistralConfig,
    }  # fmt: skip
    if kind == "gemma2":
        shape |= {"head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8, "attn_logit_softcapping": 5.0}
    if kind == "mistral":
        shape |= {"sliding_window": 16}
    torch.manual_seed(1)
    model: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        kinds[kind](**{**shape, **changes}), dtype=getattr(torch, dtype)
    ).eval()
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *range(len(tokenizer) - 1, 3, -ends * 4)]
    model.generation_config.pad_token_id = tokenizer.eos_token_id
    return model, tokenizer


def engine_of(kind: str = "llama", rows: int | None = None, **changes: Any) -> HFEngine:
    model, tokenizer = build(kind, **changes)
    return HFEngine(Loaded(model, tokenizer, "cpu", "float32", kind, "", None), rows=rows)


def problem(i: int) -> Problem:
    """A question of its own length, from 3 to about 50 words."""
    words = [WORDS[(i * 7 + j) % len(WORDS)] for j in range(3 + i * 11 % 47)]
    return Problem(id=f"p{i}", task="chain", question=" ".join(words), answer="72")


def request(i: int, n: int = 4, **settings: Any) -> Request:
    """Draws at temperatures 0 (the first), 1, 0.7, ... of problem i."""
    draws = tuple(Draw(1000 * i + j, (0.0, 1.0, 0.7)[j % 3]) for j in range(n))
    return Request(problem(i), draws, **{"max_tokens": 40, **settings})


def ask(engine: Engine, *requests: Request) -> list[list[Completion]]:
    """All completions of requests that are made at once."""

    async def go() -> list[list[Completion]]:
        return await asyncio.gather(*(generate(engine, request) for request in requests))

    return asyncio.run(go())
