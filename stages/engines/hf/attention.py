"""Attention for the decode loop: grouped queries without repeating keys and values, and logit soft-capping.

transformers' sdpa path copies keys and values once for every query head of a group as soon as there is a mask; for one
new token a row that copy costs more than the rest of the step. Here the heads of a group are the rows of one matrix
product. Prefill, which is bound by arithmetic, goes through sdpa as usual unless the model caps its logits.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sipf_grouped"


def use_grouped_attention(model: Any) -> None:
    """Make the model attend through `grouped_attention`, if its architecture leaves the choice."""
    if not getattr(model, "_supports_sdpa", False):
        return
    AttentionInterface.register(NAME, grouped_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """An attention function of transformers' interface.

    Args:
        query: (batch, heads, new tokens, head size).
        key, value: (batch, kv heads, columns, head size).
        attention_mask: bool (True: may be looked at) or additive, broadcastable to (batch, 1, new tokens, columns);
            None is causal.

    Returns:
        (batch, new tokens, heads, head size), and None for the weights.
    """
    if query.shape[2] > 1 and softcap is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
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
    out = torch.matmul(weights.view(batch, kv_heads, -1, columns), value)
    return out.view(batch, heads, new, size).transpose(1, 2).contiguous(), None
