"""A few tokens through the engine's slots and through the model's own cache, to see that both compute the same.

What a configuration does not show (positions taken from a mask, state beside keys and values) shows here, when the
model is opened, and not as a traceback or as wrong text later.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from evals.errors import ModelError, UsageError
from stages.engines.hf.slots import SlotCache
from stages.engines.hf.steps import Step
from stages.models.architectures import USE_VLLM
from stages.models.loading import Loaded

TOKENS = 3
ROWS = 16
"""Rows of slots; only the first is used."""
APART = {"float32": 0.02}
"""How far the logits may be apart, in standard deviations of a row of logits; other formats round at random."""
ROUNDED = 0.5


def probe(loaded: Loaded, step: Step) -> None:
    """Refuse a model that the engine's slots do not carry.

    Raises:
        ModelError: it fails in the slots, or computes something else.
    """
    try:
        with torch.inference_mode():
            apart = _apart(loaded.model, step)
    except (torch.OutOfMemoryError, ModelError, UsageError):
        raise
    except Exception as error:  # an architecture that does not fit fails in any way
        told = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"the hf engine cannot decode with {loaded.name}: {told}", USE_VLLM) from error
    if not apart <= (ROUNDED if loaded.dtype != "float32" else APART["float32"]):
        raise ModelError(f"the hf engine does not compute {loaded.name} as transformers does", USE_VLLM)


def _apart(model: Any, step: Step) -> float:
    """The largest difference of logits between both ways, in standard deviations."""
    config = model.config.get_text_config(decoder=True)
    device = model.device
    theirs, ours = DynamicCache(config=config), SlotCache(config.num_hidden_layers)
    apart = []
    for column in range(TOKENS):
        token = torch.tensor([[(column + 1) % config.vocab_size]], device=device)
        expected = model(token, past_key_values=theirs, use_cache=True).logits[:, -1].float()
        if column == 0:
            ours.allocate(theirs, ROWS, TOKENS)
        position = torch.tensor([column], device=device)
        found = step(token[0], position, column + 1, ours).float()
        if not bool(expected.isfinite().all()):
            return 0.0  # it has diverged, which the sampler says
        apart.append((found - expected).abs().max() / expected.std())
    return float(torch.stack(apart).max())
