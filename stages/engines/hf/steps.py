"""One token for every live row: through the model's own code, or, for the Llama family, through a leaner step.

    step = step_of(model)
    logits = step(last, position, longest, cache)       # (live, vocabulary)

`ModelStep` calls the model as transformers wrote it and works for every architecture whose state the slots hold.
`JoinedStep` computes the same from the same weights: the projections of queries, keys and values are one matrix
product, those of gate and up another, and little is done beside the matrix products. What is joined shares its memory
with the model's own parameters: the model keeps working and takes no more room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.nn import functional

from stages.engines.hf.masks import RowMasks
from stages.engines.hf.slots import SlotCache
from stages.models.attention import sliding_window

JOINED = ("Llama", "Mistral", "Qwen2", "Qwen3", "Gemma")
"""Architectures that `JoinedStep` knows: pre-normed layers with RMSNorm, rotary positions and a gated MLP."""
ROPES = ("default", "linear", "llama3", "yarn")
"""Kinds of rotary positions whose frequencies do not depend on the length of the text."""


class Step(Protocol):
    """Computes the logits of one new token a row."""

    def __call__(self, last: torch.Tensor, position: torch.Tensor, longest: int, cache: SlotCache) -> torch.Tensor:
        """Write the last tokens' keys and values into the slots, and give the logits of the tokens that follow.

        Args:
            last: (live,) int64, the last token of each row; rows after those at work may be free ones.
            position: (live,) int64, the column that it goes to.
            longest: columns that are looked at, at least those of the longest row.

        Returns:
            (live, vocabulary), in the model's type.
        """


def step_of(model: Any) -> Step:
    """The fastest step that computes this model."""
    return JoinedStep(model) if can_be_joined(model) else ModelStep(model)


class ModelStep:
    """Calls the model."""

    def __init__(self, model: Any) -> None:
        self.model, self.mask = model, RowMasks(model)

    def __call__(self, last: torch.Tensor, position: torch.Tensor, longest: int, cache: SlotCache) -> torch.Tensor:
        """See `Step`."""
        cache.aim(torch.arange(len(last), device=last.device), position, longest)
        logits: torch.Tensor = self.model(
            last[:, None],
            attention_mask=self.mask(position, longest),
            position_ids=position[:, None],
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
        return logits


def can_be_joined(model: Any) -> bool:
    """Whether `JoinedStep` computes the model: a known architecture, plain weights on one device, no sliding window."""
    kind = type(model)
    if (
        not kind.__module__.startswith("transformers.models.")
        or kind.__name__.removesuffix("ForCausalLM") not in JOINED
    ):
        return False
    if sliding_window(model.config) is not None or model.model.rotary_emb.rope_type not in ROPES:
        return False
    linears = [part for name, part in model.model.layers.named_modules() if name.endswith("_proj")]
    return all(type(part) is torch.nn.Linear and part.weight.device == model.device for part in linears)


class _Layer:
    """The weights of one layer, joined."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.before_attention, self.before_mlp = _Norm(layer.input_layernorm), _Norm(layer.post_attention_layernorm)
        self.qkv = _Joined(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out: Any = attention.o_proj
        self.gate_up = _Joined(mlp.gate_proj, mlp.up_proj)
        self.activation: Callable[[torch.Tensor], torch.Tensor] = mlp.act_fn
        self.down: Any = mlp.down_proj
        self.scaling: float = attention.scaling
        normed = hasattr(attention, "q_norm")  # Qwen-3
        self.head_norms = (_Norm(attention.q_norm), _Norm(attention.k_norm)) if normed else None
        config = attention.config
        self.heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.size: int = attention.head_dim


def compute_layer(
    layer: _Layer, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, mask: torch.Tensor,
    place: torch.Tensor, keys: torch.Tensor, values: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """One layer of a step.

    Args:
        hidden: (live, width), what the layer before it gives.
        cos, sin: (live, 1, half a head), of the rows' positions.
        mask: (live, 1, columns looked at), 0 or minus infinity.
        place: (live times kv heads,), where each row's new key and value go.
        keys, values: (rows, kv heads, columns, head size), the layer's slots.

    Returns:
        (live, width).
    """
    heads, kv_heads, size = layer.heads, layer.kv_heads, layer.size
    live, longest, room = len(hidden), mask.shape[-1], keys.shape[2]
    joined = layer.qkv(layer.before_attention(hidden)).view(live, heads + 2 * kv_heads, size)
    turned, new_values = joined[:, : heads + kv_heads], joined[:, heads + kv_heads :]
    if layer.head_norms is not None:
        of_queries, of_keys = layer.head_norms
        turned = torch.cat((of_queries(turned[:, :heads]), of_keys(turned[:, heads:])), 1)
    turned = _turn(turned, cos, sin)
    stored = [tensor.view(-1, size) for tensor in (keys, values)]
    stored[0].index_copy_(0, place, turned[:, heads:].reshape(-1, size))
    stored[1].index_copy_(0, place, new_values.reshape(-1, size))
    # the query heads of a group are the rows of one matrix product with its keys
    queries = turned[:, :heads].mul_(layer.scaling).reshape(live * kv_heads, heads // kv_heads, size)
    seen = [tensor.view(-1, room, size)[: live * kv_heads, :longest] for tensor in stored]
    scores = torch.bmm(queries, seen[0].transpose(1, 2)).view(live, heads, longest)
    weights = (scores.add_(mask) if scores.dtype == mask.dtype else scores + mask).softmax(-1).to(hidden.dtype)
    read = torch.bmm(weights.view(live * kv_heads, heads // kv_heads, longest), seen[1])
    hidden = layer.out(read.view(live, heads * size)).add_(hidden)
    gate, up = layer.gate_up(layer.before_mlp(hidden)).chunk(2, -1)
    result: torch.Tensor = layer.down(layer.activation(gate).mul_(up)).add_(hidden)
    return result


class JoinedStep:
    """One step of a model of the Llama family (`can_be_joined`), on the slots' own tensors."""

    def __init__(self, model: Any) -> None:
        inner = model.model
        self.embed, self.head = inner.embed_tokens, model.lm_head
        self.rope: Any = inner.rotary_emb
        self.kv_heads: int = model.config.num_key_value_heads
        self.compute_layer: Callable[..., torch.Tensor] = compute_layer
        with torch.no_grad():
            self.layers = [_Layer(layer) for layer in inner.layers]
            self.final = _Norm(inner.norm)

    def __call__(self, last: torch.Tensor, position: torch.Tensor, longest: int, cache: SlotCache) -> torch.Tensor:
        """See `Step`."""
        logits: torch.Tensor = self.head(self.hidden(last, position, longest, cache))
        return logits

    def hidden(self, last: torch.Tensor, position: torch.Tensor, longest: int, cache: SlotCache) -> torch.Tensor:
        """What the head makes logits of, (live, width)."""
        hidden = self.embed(last)
        if hidden.dtype == torch.bfloat16 and last.device.type == "cpu":
            longest = cache.columns  # torch copies a slice before it multiplies bfloat16
        cos, sin = self._angles(position, hidden.dtype)
        columns = torch.arange(longest, device=last.device)
        unseen = (columns > position[:, None])[:, None]
        mask = torch.zeros(unseen.shape, device=last.device).masked_fill_(unseen, float("-inf"))
        rows = torch.arange(len(last) * self.kv_heads, device=last.device)
        place = rows * cache.columns + position.repeat_interleave(self.kv_heads)
        for layer, slots in zip(self.layers, cache.layers, strict=True):
            hidden = self.compute_layer(layer, hidden, cos, sin, mask, place, slots.keys, slots.values)
        return self.final(hidden)

    def _angles(self, position: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines of the rows' positions, (live, 1, half a head)."""
        angles = position[:, None, None].float() * self.rope.inv_freq
        scaling = self.rope.attention_scaling
        return (angles.cos() * scaling).to(dtype), (angles.sin() * scaling).to(dtype)


def _turn(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions (arXiv 2104.09864) in transformers' order: the halves of a head are the two coordinates."""
    first, second = heads.chunk(2, -1)
    if torch.compiler.is_compiling():  # which knows no `out` into a part of a tensor, and needs none
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
    turned = torch.empty_like(heads, memory_format=torch.contiguous_format)
    one, other = turned.chunk(2, -1)
    torch.mul(first, cos, out=one).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=other).addcmul_(first, sin)
    return turned


class _Joined:
    """Linear layers as one, whose weight the layers share from now on."""

    def __init__(self, *parts: Any) -> None:
        self.weight = torch.cat([part.weight for part in parts])
        start = 0
        for part in parts:
            start, own = start + part.out_features, self.weight[start : start + part.out_features]
            part.weight.data = own
        self.bias = None if parts[0].bias is None else torch.cat([part.bias for part in parts])

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        return functional.linear(inputs, self.weight, self.bias)


class _Norm:
    """RMSNorm (arXiv 1910.07467), computed in float32 as the models do; Gemma's weights are stored less one."""

    def __init__(self, module: Any) -> None:
        self.plus_one = type(module).__name__ == "GemmaRMSNorm"
        self.epsilon: float = module.eps if self.plus_one else module.variance_epsilon
        self.weight: torch.Tensor = 1.0 + module.weight.float() if self.plus_one else module.weight
        self.width = len(self.weight)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        wide = inputs.float()
        mean = torch.linalg.vecdot(wide, wide).div_(self.width).add_(self.epsilon)
        scaled: torch.Tensor = wide * mean.rsqrt_()[..., None]
        if self.plus_one:
            return (scaled * self.weight).to(inputs.dtype)
        return scaled.to(inputs.dtype) * self.weight
