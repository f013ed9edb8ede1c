"""Opening the `hf` engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.models.architectures import check_decoding, company_matters, read_config
from stages.models.facts import loaded_model, model_facts
from stages.settings.model import EngineSettings

if TYPE_CHECKING:
    from stages.engines.hf.engine import HFEngine


def describe(settings: EngineSettings) -> dict[str, Any]:
    """The model and in what it computes.

    Raises:
        ModelError: the engine cannot decode with an architecture like this one.
    """
    name = loaded_model(settings)
    facts = model_facts(name, settings)
    config = read_config(name, settings.trust_remote_code)
    check_decoding(name, config)
    if settings.compile:
        facts["compiled"] = True
    if settings.compile or company_matters(config):
        facts["same whatever the batch"] = "not guaranteed"
    return {"engine": "hf", **facts}


def open_engine(settings: EngineSettings) -> HFEngine:
    """The engine, its model loaded.

    Raises:
        ModelError: the model cannot be loaded, or the decode loop does not compute what the model itself does.
    """
    from stages.engines.hf.engine import HFEngine
    from stages.engines.hf.probe import probe
    from stages.models.loading import load_policy
    from stages.models.templates import chat_arguments

    loaded = load_policy(
        loaded_model(settings), settings.device, settings.dtype, settings.load_in_4bit, settings.trust_remote_code
    )
    told = chat_arguments(settings.chat_arg, {"chat_args": loaded.chat_args})
    engine = HFEngine(loaded, settings.template, settings.batch_rows, told, settings.compile)
    probe(loaded, engine.loop.forward)
    return engine
