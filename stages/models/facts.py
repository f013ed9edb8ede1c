"""What a manifest says of a model that writes or scores: told without loading a weight."""

from __future__ import annotations

from typing import Any

from evals.errors import UsageError
from stages.models.devices import choose_device, choose_dtype
from stages.models.loading import at_revision, is_hub_name, model_fingerprint
from stages.settings.model import EngineSettings, ModelSettings


def named_model(settings: EngineSettings) -> str:
    """The model that an engine needs.

    Raises:
        UsageError: none is named.
    """
    if settings.model is None:
        raise UsageError(f"--engine {settings.engine} needs --model", "A folder, a hub name, or chain-base.")
    return settings.model


def loaded_model(settings: EngineSettings) -> str:
    """The model that an engine on this machine loads, at the revision asked for.

    Raises:
        UsageError: none is named, or it has no revisions.
    """
    return at_revision(named_model(settings), settings.revision)


def model_facts(model: str, settings: ModelSettings) -> dict[str, Any]:
    """The model, its hash (of a hub model its commit, however that was asked for), and in what it computes.

    Raises:
        ModelError: no such model or device here.
    """
    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    return {
        "model": model.partition("@")[0] if is_hub_name(model) else model,
        "model_sha256": model_fingerprint(model),
        "device": device,
        "dtype": dtype,
        "load_in_4bit": settings.load_in_4bit,
        "template": settings.template,
        "same whatever the batch": "yes" if dtype == "float32" and device == "cpu" else "not guaranteed",
    }
