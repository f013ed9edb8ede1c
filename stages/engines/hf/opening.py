"""Opening the `hf` engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.models.facts import loaded_model, model_facts
from stages.settings.model import EngineSettings

if TYPE_CHECKING:
    from stages.engines.hf.engine import HFEngine


def describe(settings: EngineSettings) -> dict[str, Any]:
    """The model and in what it computes."""
    return {"engine": "hf", **model_facts(loaded_model(settings), settings)}


def open_engine(settings: EngineSettings) -> HFEngine:
    """The engine, its model loaded."""
    from stages.engines.hf.engine import HFEngine
    from stages.models.loading import load_policy

    loaded = load_policy(
        loaded_model(settings), settings.device, settings.dtype, settings.load_in_4bit, settings.trust_remote_code
    )
    return HFEngine(loaded, settings.template, settings.batch_rows)
