"""Log-probabilities of tokens without ever holding the logits of all of them.

    score_tokens(model)                                       # once, before anything wraps the model
    scores = model(input_ids=ids, attention_mask=mask, targets=targets)
    scores.log_probs                                          # (rows, tokens): log p(token | those before), 0 elsewhere

Logits take rows x tokens x vocabulary numbers, several times over: 600 MB each for 16 rows of 190 tokens and a
vocabulary of 49,152. Here the last hidden states of the tokens that have a target, and of no others, go through the
output layer in chunks, and backward computes each chunk again. What the architecture does to its logits afterwards
(Gemma-2's soft-capping, the scales of Cohere, Granite and others) is done to each chunk.

Whether that is all an architecture does is tried out once on a few tokens. Where it is not, where the output layer is
no plain linear one (4 bit, or with an adapter on it), and where router losses are asked for, the model's own forward
pass computes all logits at once, and the scores are the same.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.utils.generic import ModelOutput

from stages.training.targets import IGNORED

CHUNK = 1 << 24
"""Logits that are held at once: 64 MB in float32."""
LEAST_TOKENS = 256
"""Tokens of a chunk at least, so that the output layer is not read more often than it is worth."""
_TRIED_TOKENS = 8


@dataclass
class TokenScores(ModelOutput):
    """What a model says of its targets; everything is 0 where there is no target, and in the first column.

    Args:
        log_probs: (rows, tokens), of each target given the tokens before it.
        mean_logits, entropy, top1: (rows, tokens), without gradient, where they were asked for: the mean logit over the
            vocabulary, the entropy of the next token, and 1 where the target is the most likely one.
        aux_loss: a scalar, of mixtures of experts whose configuration asks for router logits.
    """

    log_probs: torch.Tensor | None = None
    mean_logits: torch.Tensor | None = None
    entropy: torch.Tensor | None = None
    top1: torch.Tensor | None = None
    aux_loss: torch.Tensor | None = None


@dataclass(frozen=True)
class LogitChanges:
    """What an architecture does to the output layer's numbers before they are logits.

    Args:
        scale: they are multiplied by it.
        cap: then they become tanh(x / cap) * cap; None: they do not.
    """

    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, config: Any) -> LogitChanges:
        """Read from a configuration, under the names that the architectures give them."""
        text = config.get_text_config()
        scale = 1.0
        for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):  # Cohere, Muse, Falcon-H1
            if getattr(text, name, None) is not None:
                scale = float(getattr(text, name))
        divisor = getattr(text, "logits_scaling", None)  # Granite
        if divisor is not None:
            scale = float(divisor) if text.model_type == "hyperclovax" else 1 / float(divisor)
        return cls(scale, getattr(text, "final_logit_softcapping", None))

    def apply(self, raw: torch.Tensor) -> torch.Tensor:
        """Logits of what the output layer gave; `raw` is overwritten."""
        if self.scale != 1.0:
            raw.mul_(self.scale)
        return raw if self.cap is None else raw.div_(self.cap).tanh_().mul_(self.cap)

    def backward(self, gradient: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The gradient of `raw` from that of the logits; both arguments are overwritten."""
        if self.cap is not None:
            gradient.mul_(logits.div_(self.cap).square_().neg_().add_(1))
        return gradient.mul_(self.scale) if self.scale != 1.0 else gradient


def score_tokens(model: Any, figures: Sequence[str] = ()) -> bool:
    """Give a causal language model's forward pass an argument `targets`, with which it returns `TokenScores`.

    `targets` is (rows, tokens): the tokens to score where they stand, `IGNORED` elsewhere. The first column is never
    scored, as nothing stands before it. Without targets the model does what it did.

    Args:
        model: transformers' or PEFT's, not yet wrapped for several processes.
        figures: names of what `TokenScores` has without gradient.

    Returns:
        Whether the scores are computed in chunks.
    """
    policy = model.get_base_model() if hasattr(model, "get_base_model") else model
    changes = LogitChanges.of(policy.config)
    chunked = _can_chunk(policy, changes)
    if chunked:
        _score_in_head(policy.get_output_embeddings(), changes, tuple(figures))
    whole = policy.forward.__func__  # unbound: a copy of the model must not compute with the weights of this one
    aux = _wants_aux_loss(policy)

    def forward(self: Any, *given: Any, targets: torch.Tensor | None = None, **more: Any) -> Any:
        if targets is None:
            return whole(self, *given, **more)
        more["use_cache"] = False
        targets = targets[:, 1:]
        wanted = targets != IGNORED
        if not chunked:
            outputs = whole(self, *given, **more, **({"output_router_logits": True} if aux else {}))
            found = _of_logits(outputs.logits[:, :-1][wanted], targets[wanted], figures)
            return _spread(found, figures, wanted, outputs.aux_loss if aux else None)
        hidden = self.base_model(*given, **more).last_hidden_state[:, :-1]
        # Through the layer's own call: what shards weights over processes gathers them there.
        found = self.get_output_embeddings()(hidden[wanted], targets=targets[wanted])
        return _spread(found, figures, wanted)

    policy.forward = types.MethodType(forward, policy)
    return chunked


def _spread(
    found: Sequence[torch.Tensor], figures: Sequence[str], wanted: torch.Tensor, aux_loss: torch.Tensor | None = None
) -> TokenScores:
    """Each value, there is one for each place that is wanted, put in its place, one column to the right."""
    spread = (values.new_zeros(wanted.shape).masked_scatter(wanted, values) for values in found)
    log_probs, *others = (torch.nn.functional.pad(values, (1, 0)) for values in spread)
    return TokenScores(log_probs, **dict(zip(figures, others, strict=True)), aux_loss=aux_loss)


def _wants_aux_loss(policy: Any) -> bool:
    return bool(getattr(policy.config.get_text_config(), "output_router_logits", False))


def _can_chunk(policy: Any, changes: LogitChanges) -> bool:
    """Whether the model's logits are those of `changes` on a plain linear layer on its backbone, tried out."""
    head = policy.get_output_embeddings()
    if type(head) is not torch.nn.Linear or _wants_aux_loss(policy) or policy.base_model is policy:
        return False
    seen: dict[str, torch.Tensor] = {}

    def look(_: Any, given: tuple[Any, ...], out: torch.Tensor) -> None:
        seen.update(hidden=given[0].detach(), raw=out.detach())

    ids = torch.arange(_TRIED_TOKENS, device=head.weight.device)[None] % head.weight.shape[0]
    how: Mapping[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
    training, watched = policy.training, head.register_forward_hook(look)
    policy.eval()
    try:
        with torch.no_grad():
            logits = policy(**how).logits
            hidden = policy.base_model(**how).last_hidden_state
    finally:
        watched.remove()
        policy.train(training)
    if not seen or seen["hidden"].shape != hidden.shape:
        return False
    # Rounding to bfloat16 moves a number by 2^-9 of itself, and there are up to three of them.
    relative, absolute = (0.01, 0.01) if logits.dtype == torch.bfloat16 else (1e-4, 1e-5)
    expected = changes.apply(seen["raw"].clone())
    return torch.equal(seen["hidden"], hidden) and torch.allclose(expected, logits, relative, absolute)


def _score_in_head(head: Any, changes: LogitChanges, figures: tuple[str, ...]) -> None:
    """Let an output layer that is told targets return what `_of_logits` does."""
    whole = head.forward.__func__

    def forward(self: Any, hidden: torch.Tensor, targets: torch.Tensor | None = None) -> Any:
        if targets is None:
            return whole(self, hidden)
        return _Chunked.apply(hidden, self.weight, self.bias, targets, changes, figures)  # type: ignore[no-untyped-call]  # torch's

    head.forward = types.MethodType(forward, head)


def _of_logits(logits: torch.Tensor, targets: torch.Tensor, figures: Sequence[str]) -> list[torch.Tensor]:
    """Log-probabilities from logits of (tokens, vocabulary), at least in float32, and the figures asked for."""
    logits = logits.to(_exact(logits.dtype))
    log_total = logits.logsumexp(-1)
    log_probs = logits.gather(-1, targets[:, None])[:, 0] - log_total
    with torch.no_grad():
        return [log_probs, *(_figure(name, logits, targets, log_total) for name in figures)]


def _figure(name: str, logits: torch.Tensor, targets: torch.Tensor, log_total: torch.Tensor) -> torch.Tensor:
    if name == "mean_logits":
        return logits.mean(-1)
    if name == "top1":
        return (logits.argmax(-1) == targets).to(logits.dtype)
    return log_total - (logits - log_total[:, None]).exp_().mul_(logits).sum(-1)  # the entropy


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


class _Chunked(torch.autograd.Function):
    """Log-probability of each of the targets, (tokens), and figures, from hidden states of (tokens, size)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        changes: LogitChanges,
        figures: tuple[str, ...],
    ) -> Any:
        device = hidden.device.type
        autocast = torch.is_autocast_enabled(device)
        ctx.dtype = torch.get_autocast_dtype(device) if autocast else torch.promote_types(hidden.dtype, weight.dtype)
        ctx.changes = changes
        exact = _exact(ctx.dtype)
        log_total, log_probs, *others = (hidden.new_empty(len(targets), dtype=exact) for _ in range(2 + len(figures)))
        with torch.autocast(device, enabled=False):
            layer = weight.to(ctx.dtype)
            for rows in _chunks(len(targets), len(weight)):
                logits = changes.apply(_raw(hidden[rows].to(ctx.dtype), layer, bias))
                log_total[rows] = logits.logsumexp(-1)
                log_probs[rows] = logits.gather(-1, targets[rows, None])[:, 0] - log_total[rows]
                for name, values in zip(figures, others, strict=True):
                    values[rows] = _figure(name, logits, targets[rows], log_total[rows])
        ctx.save_for_backward(hidden, weight, bias, targets, log_total)
        ctx.mark_non_differentiable(*others)
        return log_probs, *others

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, *_: Any) -> Any:
        hidden, weight, bias, targets, log_total = ctx.saved_tensors
        exact = _exact(ctx.dtype)
        to_hidden, to_weight, to_bias = (
            torch.zeros_like(one, dtype=exact) if needed else None
            for one, needed in zip((hidden, weight, bias), ctx.needs_input_grad, strict=False)
        )
        with torch.autocast(hidden.device.type, enabled=False):
            layer = weight.to(ctx.dtype)
            for rows in _chunks(len(targets), len(weight)):
                inputs = hidden[rows].to(ctx.dtype)
                logits = ctx.changes.apply(_raw(inputs, layer, bias))
                # d log p(target) / d logit = [it is the target's] - p
                upon = (logits - log_total[rows, None]).exp_().neg_()
                upon[torch.arange(len(upon), device=upon.device), targets[rows]] += 1
                upon = ctx.changes.backward(upon.mul_(gradient[rows, None]), logits)
                if to_bias is not None:
                    to_bias += upon.sum(0)
                upon = upon.to(ctx.dtype)
                if to_hidden is not None:
                    to_hidden[rows] = (upon @ layer).to(exact)
                if to_weight is not None:
                    _add_product(to_weight, upon.t(), inputs)
        return (
            to_hidden if to_hidden is None else to_hidden.to(hidden.dtype),
            to_weight if to_weight is None else to_weight.to(weight.dtype),
            to_bias if to_bias is None or bias is None else to_bias.to(bias.dtype),
            None,
            None,
            None,
        )


def _chunks(tokens: int, vocabulary: int) -> list[slice]:
    size = max(LEAST_TOKENS, CHUNK // vocabulary)
    return [slice(start, min(start + size, tokens)) for start in range(0, tokens, size)]


def _raw(hidden: torch.Tensor, layer: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """What the output layer gives, rounded as the layer itself rounds it and then at least in float32."""
    raw = torch.nn.functional.linear(hidden, layer, None if bias is None else bias.to(layer.dtype))
    return raw.to(_exact(raw.dtype))


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """total += left @ right, without rounding the product of a chunk to bfloat16 first."""
    if total.device.type == "cuda" and left.dtype != total.dtype:
        torch.addmm(total, left, right, out_dtype=total.dtype, out=total)
    else:
        total.addmm_(left.to(total.dtype), right.to(total.dtype))
