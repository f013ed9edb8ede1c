"""Tiny random-weight models of many architectures, whose weights are large enough for a difference to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.models import build_tokenizer

WINDOW = 16
"""Sliding windows are shorter than the texts of the tests."""
_MIXED = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
_GEMMA = {"head_dim": 8, "query_pre_attn_scalar": 8}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("LlamaConfig", {}),
    "Qwen2": ("Qwen2Config", {}),
    "Qwen3": ("Qwen3Config", {"head_dim": 8}),
    "Gemma": ("GemmaConfig", {"head_dim": 8}),
    "Gemma-2": ("Gemma2Config", _GEMMA | {"sliding_window": WINDOW, "attn_logit_softcapping": 5.0}),
    "Gemma-3": ("Gemma3TextConfig", _GEMMA | _MIXED),
    "Gemma-3 with images": (
        "Gemma3Config",
        {"text": "Gemma-3", "mm_tokens_per_image": 1, "image_token_index": 699, "boi_token_index": 698,
         "eoi_token_index": 697, "eos_token_id": 2, "vision_config": {
             "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
             "image_size": 16, "patch_size": 8}},
    ),
    "Phi": ("PhiConfig", {}),
    "Phi-3": ("Phi3Config", {"sliding_window": WINDOW, "pad_token_id": 0}),
    "Mistral": ("MistralConfig", {"sliding_window": WINDOW}),
    "SmolLM3": ("SmolLM3Config", {"pad_token_id": 0, "no_rope_layers": [1, 0]}),
    "OLMo-2": ("Olmo2Config", {}),
    "OLMo-3": ("Olmo3Config", _MIXED),
    "GPT-OSS": ("GptOssConfig", _MIXED | {"head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2}),
}  # fmt: skip
"""The architectures that every stage works with: configuration class, and what of it is its own."""
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "Gemma-3n": (
        "Gemma3nTextConfig",
        {"head_dim": 8, "num_hidden_layers": 4, "num_kv_shared_layers": 2, "laurel_rank": 4,
         "intermediate_size": [64] * 4, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 700,
         "sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"] * 2,
         "activation_sparsity_pattern": [0.0] * 4},
    ),
    "Qwen3.5": (
        "Qwen3_5TextConfig",
        {"head_dim": 8, "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2,
         "linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
    ),
    "Granite-4 (hybrid)": (
        "GraniteMoeHybridConfig",
        {"layer_types": ["mamba", "attention"], "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8,
         "mamba_n_groups": 1, "num_local_experts": 0, "shared_intermediate_size": 64},
    ),
    "LFM2": ("Lfm2Config", {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8}),
    "Mamba": ("MambaConfig", {"state_size": 4}),
    "Bloom": ("BloomConfig", {"n_head": 4, "n_layer": 2}),
}  # fmt: skip
"""Those that the hf engine refuses."""


def configure(name: str, **more: Any) -> Any:
    """A tiny configuration."""
    import transformers

    kind, own = (CONFIGS | REFUSED)[name]
    if "text" in own:  # a language model beside others
        parts = {key: value for key, value in own.items() if key != "text"}
        return getattr(transformers, kind)(text_config=configure(own["text"], **more).to_dict(), **parts)
    shape = {
        "vocab_size": 700, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.2,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
    }  # fmt: skip
    return getattr(transformers, kind)(**{**shape, **own, **more})


def build(folder: Path, name: str, **more: Any) -> str:
    """Save a tiny model with its tokenizer; the folder's name."""
    import torch

    from stages.models.loading import quiet_libraries

    quiet_libraries()
    from transformers import AutoModelForCausalLM

    tokenizer = build_tokenizer()
    torch.manual_seed(1)
    model: Any = AutoModelForCausalLM.from_config(configure(name, **more), dtype=torch.float32)  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        if parameter.dim() == 1 or bool((parameter == 0).all()):  # norms, biases and sinks begin as ones and zeros
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
