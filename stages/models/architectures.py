"""What the stages can do with a model, told from its configuration alone, before a weight is loaded.

    check_policy("google/t5-small")      # ModelError: no causal language model
    check_decoding("google/gemma-3n")    # ModelError: layers that share keys and values; use --engine vllm

What a model is decides, not a list of names: the layers of the cache that transformers itself would give it.
"""

from __future__ import annotations

from typing import Any

from evals.errors import ModelError
from stages.models.loading import load_errors, quiet_libraries
from stages.models.naming import adapter_base, is_adapter, resolve

USE_VLLM = "Use --engine vllm (or --engine server) for it; training and scoring do not need the hf engine."
SLOT_LAYERS = ("full_attention", "sliding_attention")
"""Kinds of layers whose state is keys and values per token, which the hf engine keeps in slots."""


def read_config(name: str, trust_remote_code: bool = False) -> Any:
    """A model's configuration, of an adapter its base's.

    Raises:
        ModelError: there is none, or its model type is unknown.
    """
    quiet_libraries()
    from transformers import AutoConfig

    with load_errors(name):
        source = resolve(adapter_base(name)) if is_adapter(name) else resolve(name)
        return AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)


def check_policy(name: str, trust_remote_code: bool = False) -> None:
    """Refuse a model that cannot write text from left to right.

    Raises:
        ModelError: it is no causal language model.
    """
    import transformers

    config = read_config(name, trust_remote_code)
    remote = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if config.is_encoder_decoder or not (remote or type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING):
        raise ModelError(
            f"{name} ({config.model_type}) is no causal language model",
            "Give a model that writes text from left to right, such as Llama, Qwen or Gemma.",
        )


def check_decoding(name: str, config: Any) -> None:
    """Refuse a model whose state the hf engine's slots cannot hold.

    Args:
        config: as read by `read_config`, or a loaded model's.

    Raises:
        ModelError: recurrent, shared or chunked layers, or any other kind the slots do not know.
    """
    odd = _odd_layers(config.get_text_config(decoder=True))
    if odd:
        raise ModelError(f"{name} ({config.model_type}) has {odd}, which the hf engine cannot decode with", USE_VLLM)


def company_matters(config: Any) -> bool:
    """Whether what a model computes for a text depends on the texts beside it by more than the kernels that are chosen:
    experts that multiply those rows together which were sent to them, or rotary positions (`dynamic`, `longrope`) whose
    frequencies follow the longest text of the batch.

    Args:
        config: as read by `read_config`.
    """
    text = config.get_text_config(decoder=True)
    experts = (getattr(text, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts"))
    ropes = getattr(text, "rope_parameters", None) or {}
    kinds = {each.get("rope_type") for each in (ropes, *ropes.values()) if isinstance(each, dict)}
    return any((count or 0) > 1 for count in experts) or bool(kinds & {"dynamic", "longrope"})


def _odd_layers(config: Any) -> str:
    """What is wrong with the layers, in words; "" for plain attention, full or with a sliding window."""
    from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

    kinds = getattr(config, "layer_types", None) or []
    strange = sorted({str(kind) for kind in kinds} - set(SLOT_LAYERS))
    if strange:
        return f"layers of the kind {' and '.join(strange)}"
    try:
        layers = DynamicCache(config=config).layers
    except (KeyError, AttributeError, TypeError, ValueError):  # a cache that only the model's own code can make
        return "a cache of its own"
    if len(layers) < config.num_hidden_layers:
        return "layers that share keys and values"
    other = sorted(
        {type(layer).__name__ for layer in layers} - {DynamicLayer.__name__, DynamicSlidingWindowLayer.__name__}
    )
    return f"a cache of {' and '.join(other)}" if other else ""
