"""The one attention function of every stage that loads weights here, so that all of them compute the same model.

transformers' sdpa path drops what torch's fused attention cannot do: Gemma-2's soft-capping is lost without a word.
`whole_attention` computes it; a model that needs still more (attention sinks) keeps transformers' own eager attention.

For one new token a row it also spares a copy: sdpa repeats keys and values once for every query head of a group as soon
as there is a mask, which costs more than the rest of a decode step. Here the heads of a group are the rows of one
matrix product. Whatever is bound by arithmetic (prefill, training, scoring) goes through sdpa unless logits are capped.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sipf_whole"


def use_whole_attention(model: Any) -> None:
    """Let a model attend in the way that computes all of it, wherever its architecture leaves the choice.

    What a model needs is read from its own modelling code: the parameters that its eager attention takes by name.
    """
    if not getattr(model, "_supports_sdpa", False) or not model._can_set_attn_implementation():
        return  # it says itself that fused attention will not do, or has attention of its own throughout
    AttentionInterface.register(NAME, whole_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    known = set(inspect.signature(whole_attention).parameters)
    model.set_attn_implementation(NAME if _eager_parameters(model) <= known else "eager")


def _eager_parameters(model: Any) -> set[str]:
    """What the eager attention functions of the model's modules are told by name."""
    found: set[str] = set()
    for module in {type(part).__module__ for part in model.modules()}:
        eager = getattr(sys.modules.get(module), "eager_attention_forward", None)
        if eager is not None:
            found |= set(inspect.signature(eager).parameters)
    return found


def whole_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """An attention function of transformers' interface.

    Args:
        query: (batch, heads, new tokens, head size).
        key, value: (batch, kv heads, columns, head size).
        attention_mask: bool (True: may be looked at) or additive, broadcastable to (batch, 1, new tokens, columns);
            None is causal.
        softcap: logits become tanh(logit / softcap) * softcap (Gemma-2).

    Returns:
        (batch, new tokens, heads, head size), and None for the weights.
    """
    if query.shape[2] > 1 and softcap is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    batch, heads, new, size = query.shape
    kv_heads, columns = key.shape[1], key.shape[2]
    grouped = query.reshape(batch, kv_heads, heads // kv_heads * new, size)
    scores = torch.matmul(grouped, key.transpose(-1, -2)).mul_(size**-0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.view(batch, kv_heads, heads // kv_heads, new, columns)
    if attention_mask is None:
        attention_mask = torch.ones(new, columns, dtype=torch.bool, device=query.device).tril(columns - new)[None, None]
    if attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask[:, :, None], torch.finfo(scores.dtype).min)
    else:
        scores = scores + attention_mask[:, :, None]
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    if dropout:
        weights = torch.nn.functional.dropout(weights, dropout)  # the model says 0 unless it is being trained
    out = torch.matmul(weights.view(batch, kv_heads, -1, columns), value)
    return out.view(batch, heads, new, value.shape[-1]).transpose(1, 2).contiguous(), None


def sliding_window(config: Any) -> int | None:
    """The window of the model's sliding layers, or None when every layer sees everything."""
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    if window is None or (types is not None and "sliding_attention" not in types):
        return None
    return int(window)
